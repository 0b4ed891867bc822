"""Which programs are tracked: names, and processes that run already."""

from __future__ import annotations

from .lab import Failed, Lab, expect, scenario

# Eight pages, five written by a child and three by the parent: 8 faults in that VMA.
_EIGHT = ("map,0,8,rw,anon", "write,0,8", "fork", "write,0,5", "end", "write,0,3")
_LONG = "n" * 255


@scenario("2.1-1", "2.1-4", "2.1-6")
def a_named_program_is_tracked(lab: Lab) -> None:
    """A program that is tracked by its name has its faults counted from its start."""
    lab.track("one", *_EIGHT)
    expect("faults", lab.get_info("one").pages(0, 8), 8)


@scenario("2.1-2")
def several_names(lab: Lab) -> None:
    """Several programs are tracked at the same time, each with its own statistics."""
    lab.program("one", "two", "three")
    lab.set_param("one")
    lab.set_param("two")
    lab.play("one", *_EIGHT)
    lab.play("two", "map,0,20,rw,anon", "write,0,20", "fork", "write,3,7", "end", "write,0,6")
    lab.play("three", *_EIGHT)
    expect("faults of one", lab.get_info("one").pages(0, 8), 8)
    expect("faults of two", lab.get_info("two").pages(0, 20), 13)
    lab.fail("EINVAL", "get", "three", "-", "here")


@scenario("2.1-2", cpus=2)
def several_programs_at_the_same_time(lab: Lab) -> None:
    """Programs that run at the same time do not count into each other's statistics."""
    names = ("one", "two", "three", "four")
    lab.program(*names)
    for name in names:
        lab.set_param(name)
    started = " ".join(
        f"./{name} map,0,200,rw,anon write,0,200 fork write,0,{50 + number} end write,0,9 >/dev/null &"
        for number, name in enumerate(names)
    )
    lab.run(f"{started} wait")
    for number, name in enumerate(names):
        expect(f"faults of {name}", lab.get_info(name).pages(0, 200), 59 + number)


@scenario("S11", "2.1-2")
def two_thousand_names(lab: Lab) -> None:
    """Two thousand names are tracked at once."""
    lab.set_param("name0")
    for start in range(0, 2000, 200):
        words = " ".join(f"set,name{number}" for number in range(start, start + 200))
        lab.run(f"play {words} >>/tmp/out")
    expect("calls that returned 0", lab.run("grep -c '^ret 0$' /tmp/out; wc -l </tmp/out").text, "2000\n2000\n")
    lab.program("name1234")
    lab.play("name1234", *_EIGHT)
    for number in (0, 999, 1999):
        expect(f"faults of name{number}", lab.get_info(f"name{number}").total, 0)
    expect("faults of name1234", lab.get_info("name1234").pages(0, 8), 8)
    lab.cleanup()
    still = lab.call("get", "name0", "-", "here").ret == 0
    expect("whether a name is tracked after pf_cleanup", still, False, violated=("2.3-1",))


@scenario("2.1-3", "S5")
def tracking_twice_has_no_effect(lab: Lab) -> None:
    """pf_set_param on a tracked name succeeds and changes nothing."""
    lab.track("one", *_EIGHT)
    before = lab.get_info("one")
    lab.set_param("one")
    expect("statistics after tracking again", lab.get_info("one"), before)
    expect("faults", before.pages(0, 8), 8)


@scenario("2.1-3", "S5")
def tracking_twice_while_it_runs(lab: Lab) -> None:
    """pf_set_param on the name of a tracked process that runs, by itself, does not begin anew."""
    steps = ("map,0,8,rw,anon", "write,0,8", "fork", "write,0,5", "end", "set,one", "write,0,3")
    lab.track("one", *steps)
    expect("faults", lab.get_info("one").pages(0, 8), 8)


@scenario("S11")
def tracked_and_never_run(lab: Lab) -> None:
    """A tracked program that never ran: success, and all is zero."""
    lab.set_param("one")
    info = lab.get_info("one")
    expect("VMAs and faults", (info.nb_vma, info.total, info.vmas), (0, 0, ()))


@scenario("S10", "2.1-4")
def names_are_cut_like_the_kernels(lab: Lab) -> None:
    """A name is compared the way the kernel names processes, by its first 15 characters."""
    lab.track("a-program-with-a-long-name", *_EIGHT)
    expect("faults", lab.get_info("a-program-with-a-long-name").pages(0, 8), 8)
    lab.fail("EINVAL", "get", "a-program-with", "-", "here")


@scenario("S10", "2.1-4")
def names_of_fifteen_characters(lab: Lab) -> None:
    """The longest name that a process can show is tracked as a whole; one that differs in its end is another."""
    lab.program("fifteen-letters", "fifteen-letterz")
    lab.set_param("fifteen-letters")
    lab.play("fifteen-letters", *_EIGHT)
    lab.play("fifteen-letterz", "map,0,8,rw,anon", "write,0,8", "fork", "write,0,8", "end")
    expect("faults", lab.get_info("fifteen-letters").pages(0, 8), 8)
    lab.fail("EINVAL", "get", "fifteen-letterz", "-", "here")


@scenario("S10", "2.1-5")
def names_of_255_bytes(lab: Lab) -> None:
    """A program whose file name has 255 bytes, the longest that there are, is tracked by it."""
    lab.track(_LONG, *_EIGHT)
    expect("faults", lab.get_info(_LONG).pages(0, 8), 8)


@scenario("S10", "2.1-5")
def name_is_read_to_its_length(lab: Lab) -> None:
    """The bytes behind name_len are never read: a name can end where mapped memory ends."""
    lab.program("one")
    lab.succeed("set", "@edge:one", "-")
    lab.play("one", *_EIGHT)
    lab.succeed("get", "@edge:one", "-", "here")
    expect("faults", lab.get_info("one").pages(0, 8), 8)


@scenario("2.1-5")
def name_ends_at_its_length(lab: Lab) -> None:
    """Of a longer text only name_len bytes are the name."""
    lab.succeed("set", "forkandmore", "4")
    lab.get_info("fork")
    lab.fail("EINVAL", "get", "forkandmore", "-", "here")
    lab.succeed("get", "fork!", "4", "here")


@scenario("2.1-4")
def names_are_compared_as_a_whole(lab: Lab) -> None:
    """A name that is the beginning of another, or differs in case, is another program."""
    lab.program("one", "on", "ones", "One")
    lab.set_param("one")
    for other in ("on", "ones", "One"):
        lab.play(other, *_EIGHT)
        lab.fail("EINVAL", "get", other, "-", "here")
    expect("total", lab.get_info("one").total, 0)


@scenario("2.1-4")
def names_are_bytes(lab: Lab) -> None:
    """Blanks, format directives and bytes above 127 are bytes of a name like any other."""
    for name in ("a b", "%s%n%x", "n\u00e4me"):
        lab.track(name, *_EIGHT)
        expect(f"faults of {name}", lab.get_info(name).pages(0, 8), 8)


@scenario("2.1-4")
def the_name_is_that_of_the_file(lab: Lab) -> None:
    """The name is the last part of the path that is executed, whatever argv[0] and the directory are."""
    lab.run("mkdir elsewhere && ln play elsewhere/one")
    lab.set_param("one")
    lab.run(["elsewhere/one", *_EIGHT])
    expect("faults", lab.get_info("one").pages(0, 8), 8)
    lab.run("ln -s play two")
    lab.set_param("two")
    lab.run(["./two", "map,0,8,rw,anon", "write,0,8", "fork", "write,0,8", "end"])
    expect("faults by the name of a symbolic link", lab.get_info("two").pages(0, 8), 8)


@scenario("2.1-4")
def a_script_counts_under_its_own_name(lab: Lab) -> None:
    """A script is tracked under its own name, not its interpreter's."""
    lab.run("printf '#!/bin/sh\\n(true; true)\\n/bin/busybox true\\n' >script; chmod +x script")
    lab.set_param("script")
    lab.run("./script")
    info = lab.get_info("script")
    if info.nb_vma == 0 or info.total == 0:
        raise Failed(f"a script that forks has {info.nb_vma} VMAs and {info.total} faults")


@scenario("S8")
def a_running_process_counts_from_now_on(lab: Lab) -> None:
    """A process that runs when it becomes tracked counts from then on, not what was before."""
    lab.program("one")
    steps = ("map,0,8,rw,anon", "write,0,8", "fork", "write,0,8", "end", "set,one", "write,0,3", "maps")
    played = lab.play("one", *steps)
    info = lab.get_info("one")
    expect("faults", info.pages(0, 8), 3)
    expect("VMAs", info.bounds, tuple((vma.start, vma.end) for vma in played.maps[-1]))


@scenario("S8")
def children_of_a_running_process_count(lab: Lab) -> None:
    """Children that it forks later count too."""
    lab.program("one")
    lab.play("one", "map,0,8,rw,anon", "write,0,8", "set,one", "fork", "write,0,5", "end", "write,0,3")
    expect("faults", lab.get_info("one").pages(0, 8), 8)


@scenario("S8")
def children_that_run_already_count(lab: Lab) -> None:
    """Children that were forked before it was tracked count too; the VMAs are those of the executed process."""
    lab.program("one")
    steps = ("map,0,8,rw,anon", "write,0,8", "start", "map,100,4,rw,anon", "touch,/tmp/a", "await,/tmp/b", "write,0,5")
    played = lab.play("one", *steps, "end", "await,/tmp/a", "set,one", "touch,/tmp/b", "join", "write,0,3", "maps")
    info = lab.get_info("one")
    expect("faults", info.pages(0, 8), 8)
    expect("VMAs", info.bounds, tuple((vma.start, vma.end) for vma in played.maps[-1]))


@scenario("S8", cpus=2)
def a_child_that_is_being_forked_counts(lab: Lab) -> None:
    """So does a child that is being forked at the very moment of pf_set_param, in each of two hundred tries."""
    lab.set_param("forkrace")
    lab.cleanup()
    expect("children", lab.run("./forkrace 200").text, "missed 0 of 200\n")


@scenario("S8", "2.3-1")
def a_running_process_is_tracked_again(lab: Lab) -> None:
    """A process that runs over pf_cleanup counts again, from zero, when its name is tracked again."""
    steps = ("map,0,8,rw,anon", "write,0,8", "fork", "write,0,5", "end", "cleanup", "write,0,2", "set,one", "write,2,6")
    lab.track("one", *steps)
    expect("faults", lab.get_info("one").pages(0, 8), 6)


@scenario("S8", cpus=2)
def a_running_process_that_is_about_to_execute_another(lab: Lab) -> None:
    """A name that becomes tracked while its process is in the middle of an exec has nothing of what that executes."""
    lab.program("one", "other")
    # Between its new memory and its new name, exec closes descriptors: with so many it can be met there.
    one = "./one cloexec,200000 touch,/tmp/a exec,/root/other map,0,8,rw,anon write,0,8 fork write,0,8 end"
    lab.run(f"ulimit -n 262144; {one} & ./play await,/tmp/a sleep,10 set,one; wait")
    info = lab.get_info("one")
    expect("total", info.total, 0)


@scenario("S11", "3-4")
def the_name_of_a_kernel_thread(lab: Lab) -> None:
    """A kernel thread, which has no memory of its own, can have the name that becomes tracked: all is zero."""
    lab.set_param("kthreadd")
    info = lab.get_info("kthreadd")
    expect("VMAs and faults", (info.nb_vma, info.total), (0, 0))
    lab.cleanup()


@scenario("S8", "3-4")
def the_name_of_a_zombie(lab: Lab) -> None:
    """So can a process that has exited and was not waited for yet; its parent, of the same name, counts."""
    lab.program("one")
    steps = ("map,0,8,rw,anon", "write,0,8", "start", "exit", "end", "sleep,300", "set,one", "fork", "end", "write,0,5")
    lab.play("one", *steps, "join")
    expect("faults", lab.get_info("one").pages(0, 8), 5)


@scenario("S6", "2.1-4")
def other_programs_do_not_count(lab: Lab) -> None:
    """Programs of other names leave the statistics alone."""
    lab.track("one", *_EIGHT)
    before = lab.get_info("one")
    lab.program("other")
    lab.play("other", "map,0,64,rw,anon", "write,0,64", "fork", "write,0,60", "end", "write,0,50")
    expect("statistics after another program ran", lab.get_info("one"), before)
