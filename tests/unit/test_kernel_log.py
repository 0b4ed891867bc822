"""Reading what a kernel says, and what its end is called."""

from __future__ import annotations

import pytest

from patchgen.errors import GuestError, MachineError
from patchgen.guest import failures, kernel_log
from patchgen.guest.kernel_log import LogLine

PANIC = """\
[    0.356524] sched_clock: Marking stable (356005500, 0)->(474959544, -118954044)
[   11.085647] sysrq: SysRq : Trigger a crash
[   11.086184] BUG: unable to handle kernel NULL pointer dereference at   (null)
[   11.086827] IP: sysrq_handle_crash+0x12/0x20
[   11.087147] Oops: 0002 [#1] SMP
[   11.087150] Call Trace:
[   11.090000] Kernel panic - not syncing: Fatal exception
[   11.090001] ---[ end Kernel panic - not syncing: Fatal exception
"""


def test_records_become_level_and_text() -> None:
    data = (
        b"3,301,5140900,-;[INFO940][ERROR] pf_set_param: bad\\x09name\\x5c\n"
        b" SUBSYSTEM=mem\n"
        b"6,302,5140901,-;two\\x0alines; with, signs\n"
        b"12,303,5140902,c;from user space\n"
    )
    assert kernel_log.parse_records(data) == (
        LogLine("err", "[INFO940][ERROR] pf_set_param: bad\tname\\"),
        LogLine("info", "two\nlines; with, signsfrom user space"),
    )


def test_what_is_no_record_is_kept() -> None:
    assert kernel_log.parse_records(b"nonsense\n") == (LogLine("info", "nonsense"),)


@pytest.mark.parametrize(
    "line",
    [
        "WARNING: CPU: 0 PID: 1 at mm/memory.c:1 foo+0x1/0x2",
        "BUG: sleeping function called from invalid context at mm/slab.h:420",
        "BUG kmalloc-64 (Not tainted): Redzone overwritten",
        "INFO: rcu_sched detected stalls on CPUs/tasks: { 1} (detected by 0, t=2102 jiffies)",
        "INFO: task sh:30 blocked for more than 120 seconds.",
        "WARNING: possible circular locking dependency detected",
        "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
        "Kernel panic - not syncing: No working init found.",
        "note: torture[77] exited with preempt_count 1",
        "ODEBUG: Out of memory. ODEBUG disabled",
        "kmemleak: Kernel memory leak detector disabled",
        "turning off the locking correctness validator.",
    ],
)
def test_complaints(line: str) -> None:
    assert kernel_log.complaints(f"[    1.0] all is well\n[    2.000000] {line}\n") == (line,)


def test_an_ordinary_boot_has_no_complaints() -> None:
    text = "[    0.0] Notice: NX (Execute Disable) protection missing in CPU!\n[    0.2] NMI watchdog: Disabled\n"
    assert kernel_log.complaints(text) == ()
    assert kernel_log.fatal(text) is None


def test_the_excerpt_begins_where_it_went_wrong() -> None:
    long = "".join(f"[    0.{n:06}] line {n}\n" for n in range(100)) + PANIC + "rest\n" * 100
    lines = kernel_log.excerpt(long, 10).splitlines()
    assert len(lines) == 10
    assert "BUG: unable to handle" in lines[3]
    assert kernel_log.excerpt("a\nb\nc\n", 2) == "b\nc"
    assert kernel_log.excerpt("") == ""


def test_the_first_cause_is_named_not_the_last_word() -> None:
    error = failures.ended(0, "", PANIC, "during 'x'")
    assert isinstance(error, failures.KernelFailedError)
    assert error.kind == "panic"
    assert (
        error.message == "the kernel died during 'x': BUG: unable to handle kernel NULL pointer dereference at   (null)"
    )
    assert "Oops: 0002" in error.evidence
    assert error.console == PANIC


@pytest.mark.parametrize(
    ("console", "kind"), [("", "never-boots"), ("[    0.0] Linux version 4.15\n", "reset"), (PANIC, "panic")]
)
def test_a_reset_is_the_kernels_fault(console: str, kind: str) -> None:
    error = failures.ended(0, "", console, "at boot")
    assert isinstance(error, failures.KernelFailedError)
    assert error.kind == kind


@pytest.mark.parametrize("status", [1, -9])
def test_qemu_failing_is_the_machines_fault(status: int) -> None:
    error = failures.ended(status, "qemu: no memory", PANIC, "at boot")
    assert isinstance(error, MachineError)
    assert not isinstance(error, GuestError)
    assert "qemu: no memory" in error.evidence


@pytest.mark.parametrize(("console", "kind"), [("", "never-boots"), ("[    0.0] x\n", "hang"), (PANIC, "panic")])
def test_silence_is_a_hang_unless_the_console_knows_better(console: str, kind: str) -> None:
    assert failures.silent(5, console, "at boot").kind == kind
