"""The model of pages, on programs whose faults can be counted by hand."""

from __future__ import annotations

import pytest
from pf_stat.model.pages import (
    Access,
    Brk,
    Crash,
    Execute,
    Exit,
    Fork,
    HeapTouch,
    Kind,
    Map,
    Move,
    Op,
    Played,
    Protect,
    Rename,
    Ring,
    Shrink,
    Stripes,
    Thread,
    Touch,
    Unmap,
    play,
)

from patchgen.base.bases import Quirks


def touch(page: int, pages: int = 1, access: Access = "write") -> Touch:
    return Touch(access, page, pages)


def played(*program: Op) -> Played:
    return play(program)


def inside(*program: Op) -> list[str]:
    """Return the words that the program under test is executed with."""
    words = played(*program).words
    assert words[:3] == ("file,1088", "set,exe", "run,/proc/self/exe")
    assert words[-3:] == ("end", "info,exe", "cleanup")
    return list(words[3:-3])


@pytest.mark.parametrize(
    ("program", "faults"),
    [
        # What a program finds the first time.
        ([Map(0, 4), touch(0, 4)], {}),
        ([Map(0, 4), touch(0, 3, "read"), touch(1, 3)], {1: 1, 2: 1}),
        ([Map(0, 4, kind="file"), touch(0, 1, "read"), touch(0, 2), touch(0, 2)], {0: 1}),
        ([Map(0, 4), touch(0, 4, "read"), touch(0, 4, "race")], {0: 1, 1: 1, 2: 1, 3: 1}),
        ([Map(0, 2), touch(0, 2, "read"), touch(0, 1, "kwrite"), touch(0, 2)], {1: 1}),
        # What other processes do to it.
        ([Map(0, 8), touch(0, 8), Fork((touch(0, 3),)), touch(2, 2)], {0: 1, 1: 1, 2: 2, 3: 1}),
        ([Map(0, 2), touch(0, 2), Fork((touch(0, 1), touch(0, 1))), touch(0, 1), touch(0, 1)], {0: 2}),
        ([Map(0, 1), touch(0), Fork((Fork((touch(0),)), touch(0))), touch(0)], {0: 3}),
        ([Map(0, 1), touch(0), Fork((touch(0, 1, "kwrite"), touch(0))), touch(0)], {0: 1}),
        ([Map(0, 2), touch(0, 2), Thread((touch(0),)), Fork((Thread((touch(1),)),))], {1: 1}),
        ([Map(0, 1), touch(0), Execute("run", tracked=False, block=()), touch(0)], {0: 1}),
        ([Map(0, 1), touch(0), Execute("vrun", tracked=False, block=()), touch(0)], {}),
        ([Map(0, 1), Execute("run", tracked=False, block=(Map(0, 1), touch(0, 1, "read"), touch(0)))], {}),
        # Protection.
        ([Map(0, 3), touch(0, 2), Protect(0, 3, "r"), Protect(0, 3, "rw"), touch(0, 3)], {0: 1, 1: 1}),
        ([Map(0, 1), touch(0), Protect(0, 1, "rw"), touch(0)], {}),
        ([Map(0, 1, "none"), touch(0, 1, "read"), Protect(0, 1, "rw"), touch(0)], {}),
        ([Map(0, 1, "r"), touch(0), touch(0, 1, "read"), Protect(0, 1, "rw"), touch(0)], {0: 1}),
        # What is unmapped starts anew.
        ([Map(0, 2), touch(0, 2, "read"), touch(0, 2), Unmap(0, 1), Map(0, 1), touch(0)], {1: 1}),
        ([Map(0, 2), touch(0, 2, "read"), touch(0, 2), Map(0, 1)], {1: 1}),
        ([Map(0, 2), touch(0, 2, "read"), touch(0, 2), Shrink(0, 2, 1)], {0: 1}),
        ([Map(0, 2), touch(0, 2, "read"), touch(0, 2), Fork((Unmap(0, 2),))], {0: 1, 1: 1}),
        ([Map(0, 2), touch(0, 2, "read"), touch(0), Move(0, 2, 8), touch(8, 2)], {9: 1}),
        # A program of the same name starts anew, too.
        ([Map(0, 1), touch(0, 1, "read"), touch(0), Execute("exec", tracked=True, block=())], {}),
        ([Map(0, 1), touch(0, 1, "read"), Fork((Execute("exec", tracked=True, block=()),)), touch(0)], {}),
        ([Map(0, 1), touch(0, 1, "read"), touch(0), Execute("exec", tracked=False, block=())], {0: 1}),
        # The end.
        ([Map(0, 1), touch(0, 1, "read"), Exit(), touch(0)], {}),
        ([Map(0, 1), touch(0, 1, "read"), Thread((Exit(),)), touch(0)], {}),
        ([Map(0, 1), touch(0, 1, "read"), Fork((Exit(),)), touch(0)], {0: 1}),
        ([Map(0, 1), touch(0, 1, "read"), Crash(0), touch(0)], {0: 1}),
        ([Map(0, 1), touch(0, 1, "read"), Crash(1), touch(0)], {}),
    ],
)
def test_faults(program: list[Op], faults: dict[int, int]) -> None:
    assert played(*program).faults == faults


@pytest.mark.parametrize(
    ("program", "faults"),
    [
        ([Map(0, 3), touch(0, 2), Protect(0, 3, "r"), Protect(0, 3, "rw"), touch(0, 3)], {}),
        ([Map(0, 2), touch(0, 2), Protect(0, 2, "none"), Protect(0, 2, "rw"), touch(0, 2)], {}),
        # Only a page of one process: not what a fork shares, nor what was only read.
        ([Map(0, 1), touch(0), Fork(()), Protect(0, 1, "r"), Protect(0, 1, "rw"), touch(0)], {0: 1}),
        ([Map(0, 1), touch(0), Protect(0, 1, "r"), Fork(()), Protect(0, 1, "rw"), touch(0)], {0: 1}),
        ([Map(0, 1), touch(0, 1, "read"), Protect(0, 1, "r"), Protect(0, 1, "rw"), touch(0)], {0: 1}),
    ],
)
def test_a_kernel_whose_mprotect_spares_the_fault(program: list[Op], faults: dict[int, int]) -> None:
    assert play(tuple(program), quirks=Quirks(mprotect="since 6.0")).faults == faults


def test_a_kernel_that_shrinks_only_what_is_mapped() -> None:
    program = (Map(1, 2), Shrink(0, 3, 1), Shrink(1, 2, 1))
    assert play(program).mapped == {}
    later = play(program, quirks=Quirks(mremap="since 5.16"))
    assert later.mapped == {1: "rw-p"}
    assert [word for word in later.words if word.startswith("shrink")] == ["shrink,1,2,1"]


@pytest.mark.parametrize("kind", ["shared", "sharedfile"])
def test_shared_memory_never_counts(kind: Kind) -> None:
    done = played(Map(0, 2, kind=kind), touch(0, 2, "read"), Fork((touch(0, 2),)), Protect(0, 2, "r"), touch(0, 2))
    assert (done.total, done.faults) == (0, {})


def test_a_ring_never_counts_nor_moves() -> None:
    done = played(Map(0, 3), Ring(1), touch(0, 3, "read"), Protect(0, 3, "r"), Protect(0, 3, "rw"), touch(0, 3))
    assert (done.faults, done.mapped) == ({0: 1, 2: 1}, {0: "rw-p", 1: "rw-s", 2: "rw-p"})
    assert played(Ring(1), Move(0, 3, 8)).mapped == {1: "rw-s"}


def test_the_total_keeps_what_the_pages_forget() -> None:
    done = played(Map(0, 4), touch(0, 4, "read"), touch(0, 4), Unmap(0, 3))
    assert (done.total, done.faults, done.mapped) == (4, {3: 1}, {3: "rw-p"})


def test_the_heap() -> None:
    done = played(Brk(4), HeapTouch("read", 0, 9), HeapTouch("write", 1, 9), Brk(2), Brk(3), HeapTouch("write", 2, 1))
    assert (done.total, done.heap_faults, done.heap) == (3, {1: 1}, 3)


def test_what_is_mapped_when_the_executed_process_ends() -> None:
    done = played(Map(0, 2), Map(4, 1, "r", "sharedfile"), Fork((Unmap(0, 9),)), Protect(1, 1, "none"))
    assert done.mapped == {0: "rw-p", 1: "---p", 4: "r--s"}
    assert played(Stripes(0, 3)).mapped == {0: "rw-p", 1: "r--p", 2: "rw-p"}
    assert played(Map(0, 2), Execute("exec", tracked=False, block=(Map(7, 1),))).mapped == {0: "rw-p", 1: "rw-p"}
    assert played(Map(0, 2), Execute("run", tracked=True, block=(Map(7, 1),)), Unmap(0, 1)).mapped == {7: "rw-p"}


def test_operations_take_place_where_they_can() -> None:
    assert inside(touch(0, 9), Protect(0, 9, "r"), Move(0, 9, 4)) == ["maps"]
    assert inside(Map(2, 2), Map(5, 1, "r"), touch(0, 9), touch(0, 9, "read")) == [
        *("map,2,2,rw,anon", "map,5,1,r,anon", "write,2,2", "read,2,2", "read,5,1", "maps")
    ]
    assert inside(Map(0, 3), Map(8, 2), Move(0, 9, 7)) == ["map,0,3,rw,anon", "map,8,2,rw,anon", "move,0,3,10", "maps"]


def test_a_child_reads_what_it_may_not_have() -> None:
    assert inside(Map(0, 2), touch(0, 1, "read"), Fork((touch(0, 2), touch(0, 2), Rename()))) == [
        *("map,0,2,rw,anon", "read,0,1", "fork", "read,0,1", "write,0,2", "write,0,2", "name,renamed", "end", "maps")
    ]


def test_a_move_that_failed_did_not_happen() -> None:
    program = (Map(0, 2), touch(0, 1), Protect(1, 1, "r"), Move(0, 2, 8), Move(0, 1, 4))
    hopeful = play(program)
    assert (hopeful.moves, hopeful.certain, hopeful.mapped) == (1, frozenset(), {8: "rw-p", 9: "r--p"})
    failed = play(program, {0})
    assert (failed.moves, failed.certain, failed.mapped) == (2, frozenset({1}), {1: "r--p", 4: "rw-p"})


def test_maps_are_printed_just_before_the_executed_process_ends() -> None:
    assert inside(Thread((Exit(),))) == ["thread", "maps", "exit", "end"]
    assert inside(Fork((Exit(),)), Crash(3)) == ["fork", "exit", "end", "maps", "crash,3"]
    assert inside(Execute("exec", tracked=False, block=(Brk(1),))) == ["maps", "exec,/root/play", "brk,1"]
    assert inside(Execute("vrun", tracked=True, block=(Brk(1),)), Brk(2)) == [
        *("vrun,/proc/self/exe", "brk,1", "maps", "end", "brk,2")
    ]
