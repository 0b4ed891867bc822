"""Reading what torture's programs and the kernel's allocators say."""

from __future__ import annotations

import pytest

from patchgen.checks import stress
from patchgen.guest import kernel_log, machine

OUTPUT = """\
kmsg 4 WARNING: possible circular locking dependency detected
kmsg 6 torture[9]: segfault at 0
FAIL pf_get_info(pft-a): the VMAs are not in order
digest-0 83 e3a77d89
set_param 12
: error while loading shared libraries: no memory
lines of something else
"""

SLABS = """\
== kmalloc-4096
      1 seq_read+0x293/0x490 age=0 pid=39 cpus=0
     12 pf_stat_fault+0x8b/0x160 age=1/2/3 pid=1-9 cpus=0-1
== kmalloc-64
      2 seq_read+0x293/0x490 age=0 pid=39 cpus=0
      3 seq_read+0x293/0x490 age=0 pid=40 cpus=1
        __kmem_cache_alloc_node+0x1b1/0x230
        seq_read+0x293/0x490
"""


def test_what_a_program_prints() -> None:
    part = stress.parse("x", OUTPUT, 1.5)
    assert part.numbers == {"digest-0": "83 e3a77d89", "set_param": "12"}
    assert part.failures == ("pf_get_info(pft-a): the VMAs are not in order",)
    assert part.said == ("WARNING: possible circular locking dependency detected", "torture[9]: segfault at 0")


def test_who_allocated_what() -> None:
    assert stress.owners(SLABS) == {
        ("kmalloc-4096", "seq_read+0x293/0x490"): 1,
        ("kmalloc-4096", "pf_stat_fault+0x8b/0x160"): 12,
        ("kmalloc-64", "seq_read+0x293/0x490"): 5,
    }
    assert stress.owners("cat: can't open '/sys/kernel/slab/kmalloc-8/alloc_calls'\n") == {}


def test_the_evidence_begins_where_it_went_wrong() -> None:
    log = "".join(f"[    0.{n:06}] line {n}\n" for n in range(100))
    lines = stress.around(log, "line 50").splitlines()
    assert (lines[0], lines[3], len(lines)) == ("line 47", "line 50", 43)
    assert stress.around(log, "not there").startswith("line 0\n")


class Guest:
    """A guest of which only the console counts."""

    def __init__(self, console: str) -> None:
        self.console = console
        self.complaints = kernel_log.complaints(console)


@pytest.mark.parametrize(
    ("console", "output", "wrong"),
    [
        ("[    1.0] all is well\n", "set_param 3\nkmsg 6 torture[9]: segfault at 0\n", []),
        ("[    1.0] Out of memory: Kill process 9\n", "kmsg 3 Out of memory: Kill process 9\n", []),
        ("WARNING: CPU: 1 PID: 612 at /x/src/mm/util.c:604 __vm_enough_memory+0x1d1/0x1e0\n", "", []),
        ("[    1.0] WARNING: one\n[    1.1] BUG: two\n", "", ["the kernel complains: WARNING: one"]),
        ("", "kmsg 4 WARNING: one\n", ["the kernel complains: WARNING: one"]),
        ("", "FAIL no\n", ["no"]),
    ],
)
def test_what_is_wrong(console: str, output: str, wrong: list[str]) -> None:
    assert [one.message for one in stress.judge(Guest(console), stress.parse("x", output, 0))] == wrong


def test_the_machine_runs_two_cpus_at_once() -> None:
    wanted = stress.machine(machine.load())
    assert wanted.cpus == 2
    assert wanted.accelerator == "tcg,thread=multi"
    assert wanted.memory > machine.load().memory
