"""Every failure: its errno, and its one line in the kernel log."""

from __future__ import annotations

from .lab import Failed, Lab, Skipped, errno_name, expect, scenario

_LONGEST = 255
_FAILSLAB = "/sys/kernel/debug/failslab"
_NOWHERE = ("@kernel", "@unmapped", "@readonly", "@short")


@scenario("2.6-1", "2.6-2", "2.1-6", "S13")
def set_param_bad_names(lab: Lab) -> None:
    """pf_set_param refuses a name that is NULL, empty or too long: EINVAL."""
    lab.fail("EINVAL", "set", "@null", "4")
    lab.fail("EINVAL", "set", "fork", "0")
    lab.fail("EINVAL", "set", "@none", "1")
    lab.fail("EINVAL", "set", "fork", "4294967295")


@scenario("S10", "2.6-2")
def names_that_are_too_long(lab: Lab) -> None:
    """255 bytes are a name, 256 are not, whichever call gets them."""
    lab.succeed("set", "n" * _LONGEST, "-")
    lab.fail("EINVAL", "set", "n" * (_LONGEST + 1), "-")
    lab.succeed("get", "n" * _LONGEST, "-", "here")
    lab.fail("EINVAL", "get", "n" * (_LONGEST + 1), "-", "here")


@scenario("2.6-2", "2.1-6", "S13")
def set_param_unreadable_name(lab: Lab) -> None:
    """pf_set_param with a name that cannot be read: EFAULT."""
    lab.fail("EFAULT", "set", "@kernel", "4")
    lab.fail("EFAULT", "set", "@unmapped", "4")


@scenario("2.6-1", "2.6-2", "2.2-10", "2.2-9", "S13")
def get_info_bad_arguments(lab: Lab) -> None:
    """pf_get_info refuses a name that is NULL, empty or too long, and a NULL result: EINVAL."""
    lab.set_param("fork")
    lab.fail("EINVAL", "get", "@null", "4", "here")
    lab.fail("EINVAL", "get", "fork", "0", "here")
    lab.fail("EINVAL", "get", "@none", "1", "here")
    lab.fail("EINVAL", "get", "n" * (_LONGEST + 1), "-", "here")
    lab.fail("EINVAL", "get", "fork", "-", "@null")


@scenario("2.6-2", "2.2-10", "S13")
def get_info_unreadable_name(lab: Lab) -> None:
    """pf_get_info with a name that cannot be read: EFAULT."""
    lab.set_param("fork")
    lab.fail("EFAULT", "get", "@kernel", "4", "here")
    lab.fail("EFAULT", "get", "@unmapped", "4", "here")


@scenario("2.6-2", "2.2-10", "2.2-9", "S13")
def get_info_unwritable_result(lab: Lab) -> None:
    """pf_get_info with memory that cannot be written, or only half: EFAULT, and the statistics are still there."""
    lab.track("one", "map,0,8,rw,anon", "write,0,8", "fork", "write,0,5", "end")
    for where in _NOWHERE:
        lab.fail("EFAULT", "get", "one", "-", where)
    expect("faults", lab.get_info("one").pages(0, 8), 5)


@scenario("2.6-2", "2.6-6", "2.2-10", "S13")
def get_info_of_an_untracked_program(lab: Lab) -> None:
    """pf_get_info of a name that is not tracked, while another is: EINVAL."""
    lab.set_param("fork")
    lab.fail("EINVAL", "get", "other", "-", "here")


@scenario("2.1-1", "2.6-2", "2.6-6", "2.3-3", "S13", alone=True)
def nothing_set_up(lab: Lab) -> None:
    """pf_get_info and pf_cleanup before any pf_set_param: EACCES, each time."""
    for _ in range(2):
        lab.fail("EACCES", "get", "fork", "-", "here")
        lab.fail("EACCES", "cleanup")


@scenario("2.1-1", "2.6-2", "S13", alone=True)
def a_failed_set_param_sets_nothing_up(lab: Lab) -> None:
    """A pf_set_param that fails does not count as one."""
    lab.fail("EINVAL", "set", "fork", "0")
    lab.fail("EFAULT", "set", "@unmapped", "4")
    lab.fail("EACCES", "cleanup")


@scenario("2.6-5", "2.6-4", "S13", cpus=2)
def every_failed_call_is_traced(lab: Lab) -> None:
    """Forty calls that fail, from two processes at once, leave forty lines."""
    lab.fail("EACCES", "cleanup")
    loop = "i=0; while [ $i -lt 20 ]; do pfcall cleanup; i=$((i+1)); done >/dev/null"
    result = lab.run(f"({loop}) & {loop}; wait")
    lines = [line for line in result.log if line.level == "err" and line.text.startswith(lab.prefix)]
    expect("error lines", (len(lines), len(result.log)), (40, 40), "\n".join(line.text for line in result.log))


@scenario("3-5", "S13")
def success_logs_nothing(lab: Lab) -> None:
    """A session without a mistake leaves no line in the kernel log."""
    for command in (
        "./test -o set_param -p fork",
        "./fork",
        "./test -o get_info -p fork",
        "./test -o cleanup",
    ):
        result = lab.run(command)
        expect(f"kernel log of `{command}`", [line.text for line in result.log], [])


@scenario("3-5", "3-4")
def running_tracked_programs_logs_nothing(lab: Lab) -> None:
    """Tracked programs that fork, fault, execute and exit leave no line either."""
    lab.program("one", "other")
    lab.set_param("one")
    steps = "map,0,64,rw,anon write,0,64 fork write,0,60 run,/root/other fork end end end race,0,64,4 unmap,0,9"
    result = lab.run(f"i=0; while [ $i -lt 8 ]; do ./one {steps}; i=$((i+1)); done")
    expect("kernel log", [line.text for line in result.log], [], violated=("3-5",))


def let_memory_run_out(lab: Lab) -> None:
    """Let /proc/thread-self/fail-nth apply to allocations that may wait, without a trace of each.

    The kernel's Documentation/fault-injection/fault-injection.txt explains these files.

    Raises:
        Skipped: this kernel has no fault injection.
    """
    if lab.run(f"[ -d {_FAILSLAB} ]", status=None).status:
        raise Skipped("the kernel has no CONFIG_FAILSLAB with debugfs")
    lab.run(f"echo N >{_FAILSLAB}/ignore-gfp-wait; echo 0 >{_FAILSLAB}/verbose")


def fail_each_allocation(lab: Lab, *words: str) -> int:
    """Make a call again and again, with its first, second, ... allocation failing; demand ENOMEM each time.

    A kernel that finds the memory elsewhere instead may succeed, and then says nothing.

    Returns:
        How many allocations the call makes.
    """
    for number in range(1, 50):
        call = lab.call("nth", str(number), *words)
        if "no allocation failed" in call.notes:
            expect(f"pfcall {' '.join(words)}", errno_name(call.ret), "0")
            return number - 1
        what = f"pfcall {' '.join(words)} with allocation {number} failing"
        if call.ret == 0:
            lab.expect_silence(what, [text for _, text in call.log])
            continue
        expect(what, errno_name(call.ret), "ENOMEM", violated=("2.6-3",))
        lab.expect_trace(what, call.log)
    raise Failed(f"pfcall {' '.join(words)} makes more than 50 allocations")


@scenario("2.6-3", "2.1-6", "2.6-5", "S13")
def set_param_without_memory(lab: Lab) -> None:
    """pf_set_param for which an allocation fails: ENOMEM, one line, and nothing is set up."""
    let_memory_run_out(lab)
    call = lab.call("nth", "1", "set", "one", "-")
    if "no allocation failed" not in call.notes:
        lab.fail("EACCES", "get", "one", "-", "here")
    lab.call("cleanup")
    fail_each_allocation(lab, "set", "two", "-")
    lab.get_info("two")


@scenario("2.6-3", "2.2-10", "2.6-5", "S13")
def get_info_without_memory(lab: Lab) -> None:
    """pf_get_info for which an allocation fails: ENOMEM, one line, and the statistics are still there."""
    let_memory_run_out(lab)
    lab.track("one", "map,0,8,rw,anon", "write,0,8", "fork", "write,0,5", "end")
    fail_each_allocation(lab, "get", "one", "-", "here")
    expect("faults", lab.get_info("one").pages(0, 8), 5)


@scenario("3-4", "2.6-5")
def a_fault_without_memory(lab: Lab) -> None:
    """A fault for which no memory can be had to count it is missing in its VMA, with one line; the next one counts."""
    let_memory_run_out(lab)
    lab.program("one")
    lab.set_param("one")
    # The memory of each fork's children that the run needs anyway is there: only the counters can be new.
    steps = ("map,0,8,rw,anon", "write,0,8", "fork", "end", "nth,1", "write,0,1", "nth,0", "write,1,3")
    result = lab.run(["./one", *steps])
    info = lab.get_info("one")
    lost = info.total - sum(vma.faults for vma in info.vmas)
    if "no allocation failed" in result.text:
        expect("faults, of a kernel that allocates nothing", (info.pages(0, 8), lost), (4, 0))
        return
    expect("faults by VMA", info.pages(0, 8), 3)
    expect("faults in the total only, at most 1", lost in (0, 1), True)
    lab.expect_trace("a fault without memory", [(line.level, line.text) for line in result.log])


@scenario("3-4", "2.6-5")
def an_exec_without_memory(lab: Lab) -> None:
    """A program is executed also when there is no memory to count it, with one line; the next execution counts."""
    let_memory_run_out(lab)
    steps = ("map,0,8,rw,anon", "write,0,8", "fork", "write,0,5", "end")
    lab.track("one", *steps)
    # Where exec itself needs memory at first, it fails without it. The next allocation may be one to count: later ones
    # are exec's again, and end the process.
    for number in range(1, 100):
        result = lab.run(["./play", f"nth,{number}", "exec,/root/one", "nth,0", *steps], status=None)
        if result.status != 1:
            break
    if result.log:
        expect("status of a program that cannot be counted", result.status, 0, result.text)
        lab.expect_trace("an exec without memory", [(line.level, line.text) for line in result.log])
    lab.play("one", *steps)
    expect("faults", lab.get_info("one").pages(0, 8), 5)
