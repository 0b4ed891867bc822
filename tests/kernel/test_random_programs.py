"""Random programs: what the kernel counts and lists is compared with a model of pages.

Hypothesis makes programs, patchgen.scenarios.pages predicts, qemu/guest/play.c does it in a guest. A program that
shows a difference is shrunk, and printed as the command that runs it. RANDOM_PROGRAMS is how many there are.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pf_stat.model import pages
from pf_stat.model.compare import PREPARE, differences
from pf_stat.model.pages import Op, Program

from patchgen.errors import GuestError
from patchgen.guest.testbed import Testbed
from patchgen.testing.exam import Seat, logged

PROGRAMS = int(os.environ.get("RANDOM_PROGRAMS", "100"))
SHARDS = 4  # for as many workers

# Pages on both sides of the end of a page table, where the kernel's counters begin a new chunk, too.
FIRST, LAST = 1016, 1031
_PAGE = st.integers(FIRST, LAST)
_COUNT = st.integers(1, 8)
_PROT = st.sampled_from(("rw", "rw", "rw", "r", "none"))
_KIND = st.sampled_from(("anon", "anon", "anon", "file", "file", "shared", "sharedfile"))
_SHRINK = st.builds(lambda page, left, gone: pages.Shrink(page, left + gone, left), _PAGE, _COUNT, st.integers(0, 5))
_HEAP_TOUCH = st.builds(pages.HeapTouch, st.sampled_from(("write", "read")), st.integers(0, 7), _COUNT)
_Weighted = list[tuple[int, st.SearchStrategy[Program]]]


def _touch(*accesses: pages.Access) -> st.SearchStrategy[Op]:
    return st.builds(pages.Touch, st.sampled_from(accesses), _PAGE, st.integers(1, 2 + LAST - FIRST))


_WRITE = _touch("write", "race", "write")
_TOUCH = _touch("write", "read", "kwrite", "race", "read", "write")

# How often each comes, those first that a failing program is best shrunk to.
_SIMPLE: _Weighted = [
    (8, st.tuples(_TOUCH)),
    (4, st.tuples(_touch("read"), _WRITE)),
    (4, st.tuples(st.builds(pages.Map, _PAGE, _COUNT, _PROT, _KIND))),
    (2, st.tuples(st.builds(pages.Protect, _PAGE, _COUNT, _PROT))),
    (2, st.tuples(st.builds(pages.Protect, _PAGE, _COUNT, _PROT), st.just(pages.Protect(FIRST, 16, "rw")), _WRITE)),
    (2, st.tuples(st.builds(pages.Brk, st.integers(0, 12)), _HEAP_TOUCH, _HEAP_TOUCH)),
    (1, st.tuples(_HEAP_TOUCH)),
    (2, st.tuples(st.builds(pages.Unmap, _PAGE, _COUNT))),
    (2, st.tuples(st.builds(pages.Move, _PAGE, _COUNT, _PAGE))),
    (1, st.tuples(_SHRINK)),
    (2, st.tuples(st.builds(pages.Ring, _PAGE), _touch("read"), _WRITE)),
    (1, st.tuples(st.builds(pages.Rename))),
]
# They end the process or put 100 pages in place of the others.
_RARE: _Weighted = [
    (1, st.tuples(st.builds(pages.Stripes, st.integers(FIRST - 150, FIRST), st.integers(1, 170)))),
    (1, st.tuples(st.builds(pages.Crash, _PAGE))),
    (1, st.tuples(st.builds(pages.Exit))),
]


def _some(*weighted: tuple[int, st.SearchStrategy[Program]]) -> st.SearchStrategy[Program]:
    # Hypothesis draws the last more often than the others: nothing that ends a process may be there.
    choices = [strategy for weight, strategy in [*weighted, weighted[0]] for _ in range(weight)]
    phrases = st.lists(st.sampled_from(choices).flatmap(lambda strategy: strategy), max_size=10)
    return phrases.map(lambda found: tuple(op for phrase in found for op in phrase))


def _nested(inner: st.SearchStrategy[Program]) -> _Weighted:
    image = st.tuples(st.builds(pages.Map, st.just(FIRST), _COUNT)).flatmap(
        lambda first: inner.map(lambda rest: (*first, *rest))
    )
    return [
        (4, st.tuples(st.builds(pages.Fork, inner))),
        (8, st.tuples(_WRITE, st.builds(pages.Fork, inner), _WRITE)),
        (2, st.tuples(st.builds(pages.Thread, inner))),
        (2, st.tuples(st.builds(pages.Execute, st.sampled_from(("run", "vrun")), st.booleans(), image))),
        (1, st.tuples(st.builds(pages.Execute, st.just("exec"), st.booleans(), image))),
    ]


_INNERMOST = _some(*_SIMPLE)
_INNER = _some(*_SIMPLE, *_RARE, *_nested(_INNERMOST))
_OUTER = _some(*_SIMPLE, *_SIMPLE, *_RARE, *_nested(_INNER))
# Programs shall be long, but a failing one shall become as short as can be: so no list has a least length.
_FIRST = st.builds(pages.Map, st.just(FIRST), st.integers(1, 16), st.just("rw"), st.sampled_from(("anon", "file")))
_PROGRAMS: st.SearchStrategy[Program] = st.tuples(st.tuples(_FIRST, _TOUCH), _OUTER, _OUTER).map(
    lambda parts: tuple(op for part in parts for op in part)
)


@pytest.fixture(scope="module")
def player(series_bed: Testbed) -> Iterator[Seat]:
    player = Seat(series_bed, PREPARE)
    yield player
    player.leave()


@pytest.mark.timeout(400 + PROGRAMS)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_programs(shard: int, player: Seat) -> None:
    passed: set[Program] = set()  # Hypothesis likes to make the same again.
    different: list[Program] = []

    @settings(
        max_examples=max(PROGRAMS // SHARDS, 1),
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(program=_PROGRAMS)
    def check(program: Program) -> None:
        assume(program not in passed)
        try:
            compare(program, player)
        except (AssertionError, GuestError):
            different.append(program)
            raise
        passed.add(program)

    try:
        check()
    except (AssertionError, GuestError):
        # The last is the shortest. While it was sought, one guest has seen many programs that differed.
        player.leave()
        compare(different[-1], player)
        raise


def compare(program: Program, player: Seat) -> None:
    """Play a program, and compare the kernel's answer with the model's."""
    failed: set[int] = set()
    while True:
        played = pages.play(program, failed, player.bed.quirks)
        result = player.run(shlex.join(["/root/play", *played.words]))
        reports = [line for line in result.text.splitlines() if line.startswith("move ")]
        refused = next(
            (n for n, line in enumerate(reports) if line == "move -14" and n not in failed | played.certain), None
        )
        if refused is None:
            break
        # What follows was made for a move that takes place.
        failed.add(refused)
    reproduce = f"patchgen run -- {shlex.quote(PREPARE)} {shlex.quote(shlex.join(('play', *played.words)))}"
    evidence = f"{reproduce}\n{program}\n{result.text[-4000:]}"
    assert (result.status, result.timed_out) == (0, False), evidence
    assert logged(result) == [], evidence
    assert reports == ["move -14" if n in failed else "move ok" for n in range(played.moves)], evidence
    for what, actual, wanted in differences(played, result.text):
        assert actual == wanted, f"{what}\n{evidence}"
