"""When the statistics begin anew, and of which process they are."""

from __future__ import annotations

from .lab import Lab, expect, scenario

_BUSY = ("map,0,64,rw,anon", "write,0,64", "fork", "write,0,60", "end", "write,0,50")
_CALM = ("map,0,16,rw,anon", "write,0,16", "fork", "write,0,2", "end", "write,0,1")


@scenario("2.2-5", "2.2-6")
def a_second_run_resets(lab: Lab) -> None:
    """A second run of a program of that name replaces the first one's statistics, all of them."""
    lab.track("one", *_BUSY)
    lab.play("one", *_CALM)
    info = lab.get_info("one")
    expect("faults of the last run", info.pages(0, 16), 3)
    expect("total, with nothing of the run before", info.total, sum(vma.faults for vma in info.vmas))


@scenario("2.2-5")
def a_run_without_faults_resets_too(lab: Lab) -> None:
    """A second run that has no fault has none in its statistics."""
    lab.track("one", *_BUSY)
    lab.play("one", "map,0,16,rw,anon", "write,0,16")
    info = lab.get_info("one")
    expect("total", info.total, 0)
    expect("faults", info.pages(0, 16), 0)


@scenario("2.2-5", "S5")
def executing_itself_resets(lab: Lab) -> None:
    """A process that executes the program again, in its own place, begins anew."""
    lab.track("one", *_BUSY, "exec,/root/one", *_CALM)
    expect("faults", lab.get_info("one").pages(0, 16), 3)


@scenario("2.2-6")
def a_child_that_executes_the_program_is_the_new_run(lab: Lab) -> None:
    """The executed process is the child then: the faults of the parent do not count any more."""
    lab.track("one", *_BUSY, "run,/root/one", *_CALM, "end", "write,0,64")
    info = lab.get_info("one")
    expect("faults", info.pages(0, 16), 3)


@scenario("2.2-6")
def the_last_executed_of_two_at_the_same_time(lab: Lab) -> None:
    """Of two processes of that name that run at the same time, the one that was executed last is reported."""
    lab.program("one")
    lab.set_param("one")
    first = "./one map,0,32,rw,anon write,0,32 fork end touch,/tmp/a await,/tmp/b write,0,32 touch,/tmp/c &"
    second = "./one map,200,16,rw,anon write,200,16 fork write,200,5 end touch,/tmp/b await,/tmp/c"
    lab.run(f"{first} until [ -e /tmp/a ]; do usleep 2000; done; {second}; wait")
    info = lab.get_info("one")
    expect("faults of the second", info.pages(200, 16), 5)
    expect("VMAs of the first", [vma for vma in info.vmas if 0x20000000 <= vma.start < 0x200C8000], [])


@scenario("S5")
def fork_does_not_reset(lab: Lab) -> None:
    """Forked children carry the run on."""
    lab.track("one", "map,0,8,rw,anon", "write,0,8", "fork", "write,0,8", "end", "fork", "end", "write,0,2")
    expect("faults", lab.get_info("one").pages(0, 8), 10)


@scenario("S6", "2.2-6")
def executing_another_program_ends_the_run(lab: Lab) -> None:
    """A tracked process that executes another program has ended; its statistics stay."""
    lab.program("other")
    lab.track("one", *_CALM, "maps", "exec,/root/other", *_BUSY)
    info = lab.get_info("one")
    expect("whether its VMAs are listed", bool(info.vmas), True, violated=("2.2-6",))
    faults = info.pages(0, 16)
    expect("faults", faults, 3, violated=("S6",) if faults > 3 else ("2.2-6",))


@scenario("2.2-5")
def many_runs(lab: Lab) -> None:
    """After twelve runs the statistics are those of the last one."""
    lab.program("one")
    lab.set_param("one")
    lab.run("i=0; while [ $i -lt 12 ]; do ./one map,0,64,rw,anon write,0,64 fork write,0,$i end; i=$((i+1)); done")
    expect("faults", lab.get_info("one").pages(0, 64), 11)


@scenario("2.2-6")
def a_thread_that_executes_the_program(lab: Lab) -> None:
    """A thread other than the first that executes a tracked program starts a run like any process."""
    lab.program("one")
    lab.set_param("one")
    lab.run(["play", "thread", "exec,/root/one", *_CALM, "end"])
    expect("faults", lab.get_info("one").pages(0, 16), 3)


@scenario("2.2-6", "3-4")
def a_killed_process_leaves_its_statistics(lab: Lab) -> None:
    """A tracked process that a signal ends has its faults and VMAs kept like any other."""
    lab.program("one")
    lab.set_param("one")
    lab.run(
        "./one map,0,16,rw,anon write,0,16 fork write,0,6 end touch,/tmp/a sleep,60000 & "
        "until [ -e /tmp/a ]; do usleep 2000; done; kill -9 $!; wait; true"
    )
    expect("faults", lab.get_info("one").pages(0, 16), 6)
