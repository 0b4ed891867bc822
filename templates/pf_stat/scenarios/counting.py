"""Which faults count."""

from __future__ import annotations

from .lab import Lab, expect, parse_maps, scenario

# What makes a page write-protected with nothing counted: it is touched, and a fork shares it.
_SHARED_BY_FORK = ("map,0,32,rw,anon", "write,0,32", "fork", "end")


@scenario("S1", "2.2-3", "2.5-1", "2.5-2")
def child_and_parent_count_together(lab: Lab) -> None:
    """A child that writes k shared pages and a parent that writes j count k + j in that VMA, and in the total."""
    for number, (pages, child, parent) in enumerate(((1, 1, 0), (1, 1, 1), (16, 5, 3), (40, 40, 40), (1000, 1000, 7))):
        steps = (f"map,0,{pages},rw,anon", f"write,0,{pages}", "fork", f"write,0,{child}", "end", f"write,0,{parent}")
        lab.track(f"one{number}", *steps)
        info = lab.get_info(f"one{number}")
        expect(f"faults of {steps}", info.pages(0, pages), child + parent)
        expect("sum over the VMAs", sum(vma.faults for vma in info.vmas), info.total)


@scenario("S1", cpus=2)
def child_and_parent_at_the_same_time(lab: Lab) -> None:
    """The same when both write the same pages at the same time, on two CPUs."""
    steps = ("map,0,500,rw,anon", "write,0,500", "start", "write,0,500", "end", "write,0,500", "join")
    lab.track("one", *steps)
    expect("faults", lab.get_info("one").pages(0, 500), 1000)


@scenario("S1")
def grandchildren_count(lab: Lab) -> None:
    """Every process that descends from the executed one counts, however deep."""
    block = ("fork", "write,0,4", "fork", "write,0,3", "fork", "write,0,2", "end", "end", "end")
    lab.track("one", "map,0,8,rw,anon", "write,0,8", *block, "write,0,1")
    expect("faults", lab.get_info("one").pages(0, 8), 4 + 3 + 2 + 1)


@scenario("S1", "2.2-3")
def each_fork_protects_the_pages_anew(lab: Lab) -> None:
    """A page counts again after each fork, and only once between two."""
    again = ("fork", "end", "write,0,8", "write,0,8")
    lab.track("one", "map,0,8,rw,anon", "write,0,8", *again, *again, *again)
    expect("faults", lab.get_info("one").pages(0, 8), 24)


@scenario("2.2-8", "2.2-3", "3-6")
def the_example_of_the_assignment(lab: Lab) -> None:
    """Five VMAs, of which the first three have 1, 3 and 7 faults: 1, 3, 7, 0, 0; each fault is one page of 4 KB."""
    maps = [word for number in range(5) for word in (f"map,{number * 20},10,rw,anon", f"write,{number * 20},10")]
    lab.track("one", *maps, "fork", "write,0,1", "write,20,3", "write,40,7", "end")
    info = lab.get_info("one")
    expect("faults by VMA", [info.pages(number * 20, 10) for number in range(5)], [1, 3, 7, 0, 0])


@scenario("2.2-3")
def the_total_is_the_sum(lab: Lab) -> None:
    """While nothing was unmapped, the total is the sum of the faults of all VMAs."""
    lab.track("one", "map,0,64,rw,anon", "write,0,64", "brk,8", "hwrite,0,8", "fork", "write,3,50", "hwrite,1,5", "end")
    info = lab.get_info("one")
    expect("sum over the VMAs", sum(vma.faults for vma in info.vmas), info.total)


@scenario("2.2-4")
def counts_are_there_at_once(lab: Lab) -> None:
    """A fault is in the statistics as soon as the write that caused it is done, while the program runs."""
    steps = (*_SHARED_BY_FORK, "write,0,3", "info,one", "write,3,4", "info,one", "fork", "write,0,2", "end", "info,one")
    played = lab.track("one", *steps)
    expect("faults seen by itself", [info.pages(0, 32) for info in played.infos], [3, 7, 9])


@scenario("S6")
def shared_memory_does_not_count(lab: Lab) -> None:
    """Writes to shared mappings are no copy-on-write faults, anonymous or of a file, after a fork or a read."""
    steps = ("file,132", "map,0,32,rw,shared", "map,100,32,rw,sharedfile", "read,0,16", "write,0,16", "read,100,16")
    lab.track("one", *steps, "fork", "write,0,32", "write,100,32", "end", "write,0,32", "write,100,32")
    info = lab.get_info("one")
    expect("faults in anonymous shared memory", info.pages(0, 32), 0)
    expect("faults in a shared file mapping", info.pages(100, 32), 0)


@scenario("S6")
def shared_memory_whose_owner_wants_to_know_does_not_count(lab: Lab) -> None:
    """A shared page that is write-protected so that its file learns of writes is no copy-on-write page."""
    lab.track("one", "ring,0", "read,0,1", "write,0,1", "map,10,8,rw,anon", "write,10,8", "fork", "write,10,3", "end")
    info = lab.get_info("one")
    expect("faults", (info.pages(0, 1), info.pages(10, 8)), (0, 3))


@scenario("3-7", "S6", "2.5-1")
def faults_of_the_kernel_do_not_count(lab: Lab) -> None:
    """Pages that the kernel writes to for the process, in read(), are not counted; nor are they afterwards."""
    lab.track("one", *_SHARED_BY_FORK, "kwrite,0,20", "write,0,20", "write,20,5")
    expect("faults", lab.get_info("one").pages(0, 32), 5)


@scenario("S6")
def a_write_that_ends_in_sigsegv_does_not_count(lab: Lab) -> None:
    """Writes to read-only and to inaccessible memory are no copy-on-write faults."""
    steps = ("map,0,8,rw,anon", "write,0,8", "fork", "end", "protect,0,4,r", "protect,4,4,none")
    lab.track("one", *steps, "fork", "crash,0", "end", "fork", "crash,4", "end")
    info = lab.get_info("one")
    expect("faults", (info.pages(0, 4), info.pages(4, 4)), (0, 0))


@scenario("S6")
def first_touches_do_not_count(lab: Lab) -> None:
    """The first write to a page of memory, anonymous or of a file, finds no page that it would have to copy."""
    lab.track(
        "one", "file,116", "map,0,64,rw,anon", "write,0,64", "map,100,16,rw,file", "write,100,16", "brk,8", "hwrite,0,8"
    )
    info = lab.get_info("one")
    expect("faults in anonymous memory", info.pages(0, 64), 0)
    expect("faults in a private file mapping", info.pages(100, 16), 0)
    expect("total", info.total, 0)


@scenario("S6")
def reads_do_not_count(lab: Lab) -> None:
    """Reading shared pages, first or again, counts nothing."""
    lab.track("one", *_SHARED_BY_FORK, "map,100,8,rw,anon", "read,100,8", "fork", "read,0,32", "end", "read,0,32")
    info = lab.get_info("one")
    expect("faults", (info.pages(0, 32), info.pages(100, 8)), (0, 0))


@scenario("S6")
def writes_to_own_pages_do_not_count(lab: Lab) -> None:
    """A page that the process has for itself is written without any fault."""
    lab.track("one", "map,0,32,rw,anon", "write,0,32", "write,0,32", "write,0,32")
    expect("total", lab.get_info("one").total, 0)


@scenario("S6")
def a_child_that_executes_something_else_does_not_count(lab: Lab) -> None:
    """A forked child that executes another program has left; its parent has not."""
    execute_something_else(lab, "run")


@scenario("S6")
def a_vfork_child_that_executes_something_else_does_not_count(lab: Lab) -> None:
    """The same for vfork, which shares the memory until then."""
    execute_something_else(lab, "vrun")


def execute_something_else(lab: Lab, way: str) -> None:
    """Let a child execute another program, which faults a lot; only what its parent does afterwards may count."""
    lab.program("other")
    busy = ("map,0,32,rw,anon", "write,0,32", "fork", "write,0,32", "end", "write,0,32")
    lab.track("one", *_SHARED_BY_FORK, f"{way},/root/other", *busy, "end", "write,0,6")
    expect("faults", lab.get_info("one").pages(0, 32), 6)


@scenario("S7")
def file_pages_count_after_a_read(lab: Lab) -> None:
    """A page of a private file mapping that was read in is copied by the first write."""
    lab.track("one", "file,16", "map,0,16,rw,file", "read,0,16", "write,0,16")
    expect("faults", lab.get_info("one").pages(0, 16), 16)


@scenario("S7")
def zero_pages_count_after_a_read(lab: Lab) -> None:
    """Anonymous memory that was read is the zero page, which the first write replaces."""
    lab.track("one", "map,0,16,rw,anon", "read,0,16", "write,0,12")
    expect("faults", lab.get_info("one").pages(0, 16), 12)


@scenario("S7")
def a_change_of_name_changes_nothing(lab: Lab) -> None:
    """A process that gives itself another name goes on to count."""
    lab.track("one", *_SHARED_BY_FORK, "name,other", "write,0,9")
    expect("faults", lab.get_info("one").pages(0, 32), 9)


@scenario("S7", "S8")
def a_new_name_that_becomes_tracked_takes_nobody_over(lab: Lab) -> None:
    """A process that counts goes on to count where it did when the other name that it has now becomes tracked."""
    steps = ("map,0,32,rw,anon", "write,0,32", "fork", "end", "name,two", "set,two", "write,0,9")
    played = lab.track("one", *steps)
    expect("what pf_set_param returned", "ret 0" in played.text, True)
    expect("faults", lab.get_info("one").pages(0, 32), 9)
    two = lab.get_info("two")
    expect("VMAs and faults of a name that nobody executed", (two.nb_vma, two.total), (0, 0))


@scenario("S7")
def orphans_count(lab: Lab) -> None:
    """A child's faults count after the executed process has exited, in the VMAs that this had."""
    steps = ("map,0,32,rw,anon", "write,0,32", "start", "await,/tmp/go", "write,0,11", "touch,/tmp/done", "end")
    lab.track("one", *steps)
    before = lab.get_info("one")
    expect("faults before", before.pages(0, 32), 0)
    lab.run("touch /tmp/go; until [ -e /tmp/done ]; do usleep 2000; done")
    info = lab.get_info("one")
    expect("faults", info.pages(0, 32), 11)
    expect("VMAs", info.bounds, before.bounds)


@scenario("S7")
def orphans_of_a_child_count(lab: Lab) -> None:
    """So do those of a process whose parent has exited while the executed process lives."""
    lab.track("one", "map,0,8,rw,anon", "write,0,8", "orphan", "write,0,5", "touch,/tmp/done", "end", "await,/tmp/done")
    expect("faults", lab.get_info("one").pages(0, 8), 5)


@scenario("S9", cpus=2)
def threads_that_race_have_one_fault_a_page(lab: Lab) -> None:
    """Threads that write the same 512 pages at once have 512 faults, whoever comes first."""
    # On a busy machine the guest's two CPUs seldom run at the same instant: hence so many times.
    races = ("fork", "end", "race,0,512,2") * 40
    lab.track("one", "map,0,512,rw,anon", "write,0,512", *races, "fork", "end", "race,0,512,8")
    expect("faults", lab.get_info("one").pages(0, 512), 41 * 512)


@scenario("S9", "S5")
def threads_count_and_do_not_reset(lab: Lab) -> None:
    """What threads write counts with the process, and a new thread is no new run."""
    lab.track("one", *_SHARED_BY_FORK, "write,0,4", "thread", "write,4,5", "end", "thread", "write,9,6", "end")
    expect("faults", lab.get_info("one").pages(0, 32), 15)


@scenario("2.2-3", "S3", "S9")
def a_program_with_a_c_library(lab: Lab) -> None:
    """A dynamic glibc program with threads and malloc: its own memory's exact count, and the VMAs that it had."""
    lab.set_param("libc")
    text = lab.run("./libc 64 20 9").text
    start, end = (int(word, 16) for word in text.splitlines()[0].split()[1:])
    info = lab.get_info("libc")
    expect("faults", info.at(start, end), 29, text)
    expect("VMAs", info.bounds, tuple((vma.start, vma.end) for vma in parse_maps(text)), text)
