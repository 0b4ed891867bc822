"""Random programs: what the kernel counts and lists is compared with a model of pages.

Hypothesis makes programs, patchgen.scenarios.pages predicts, qemu/guest/play.c does it in a guest. A program that
shows a difference is shrunk, and printed as the command that runs it. RANDOM_PROGRAMS is how many there are.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pf_stat.model import operations, pages
from pf_stat.model.pages import Op, Played, Program
from pf_stat.scenarios.lab import Info, parse_info

from patchgen.errors import GuestError
from patchgen.guest.session import CommandResult, Guest
from patchgen.guest.testbed import Testbed
from patchgen.testing.picture import Vma

PROGRAMS = int(os.environ.get("RANDOM_PROGRAMS", "100"))
SHARDS = 4  # for as many workers
SECONDS = 20.0
MAX_VMAS = 128
AFTER_BOOT = ("random: crng", "clocksource: ")  # What the kernel says some time after it has booted.
ARENA_END = operations.ARENA + operations.ARENA_PAGES * operations.PAGE_SIZE
# Without this a read of a file's page maps its neighbours as well: do_fault_around() in mm/memory.c. And a process
# that dies of SIGSEGV is no reason for a line in the kernel log.
PREPARE = "echo 4096 >/sys/kernel/debug/fault_around_bytes; echo 0 >/proc/sys/debug/exception-trace"

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


class Player:
    """Plays programs in a guest: one for many, and a new one when the kernel or the guest's program has failed."""

    def __init__(self, bed: Testbed) -> None:
        self.bed = bed
        self.guests = contextlib.ExitStack()
        self.guest: Guest | None = None

    def run(self, words: tuple[str, ...]) -> CommandResult:
        """Run play in the guest."""
        if self.guest is None:
            self.guest = self.guests.enter_context(self.bed.ready())
            self.guest.run(PREPARE)
        try:
            result = self.guest.run(["/root/play", *words], timeout=SECONDS)
        except GuestError:
            self.discard()
            raise
        if result.status != 0 or logged(result):
            self.discard()
        return result

    def discard(self) -> None:
        """End the guest."""
        self.guests.close()
        self.guest = None


@pytest.fixture(scope="module")
def player(series_bed: Testbed) -> Iterator[Player]:
    player = Player(series_bed)
    yield player
    player.discard()


@pytest.mark.timeout(400 + PROGRAMS)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_programs(shard: int, player: Player) -> None:
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
        player.discard()
        compare(different[-1], player)
        raise


def logged(result: CommandResult) -> list[str]:
    """Return what the kernel logged because of a program."""
    return [line.text for line in result.log if not line.text.startswith(AFTER_BOOT)]


def compare(program: Program, player: Player) -> None:
    """Play a program, and compare the kernel's answer with the model's."""
    failed: set[int] = set()
    while True:
        played = pages.play(program, failed, player.bed.quirks)
        result = player.run(played.words)
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


@dataclass(frozen=True)
class Mapped:
    """A line of /proc/PID/maps."""

    start: int
    end: int
    permissions: str
    name: str


def maps_in(text: str) -> list[Mapped]:
    """Return the last maps that were printed: those of the process that was executed last."""
    _, _, after = text.rpartition("\nmaps\n")
    return [mapped(line) for line in after.partition("endmaps\n")[0].splitlines()]


def mapped(line: str) -> Mapped:
    """Return what a line of /proc/PID/maps says."""
    bounds, permissions, _offset, _device, _inode, *name = line.split(maxsplit=5)
    start, end = (int(bound, 16) for bound in bounds.split("-"))
    return Mapped(start, end, permissions, name[0] if name else "")


def info_in(text: str) -> Info:
    """Return what pf_get_info said; what follows is the result of pf_cleanup."""
    _, _, after = text.rpartition("ret 0\nnb ")
    lines = f"nb {after}".splitlines()
    assert lines[-1] == "ret 0", text
    return parse_info(lines[:-1])


def differences(played: Played, text: str) -> Iterator[tuple[str, object, object]]:
    """Yield what is to be compared: its name, what the kernel says, what it must say."""
    maps, info = maps_in(text), info_in(text)
    yield "nb_vma", info.nb_vma, min(len(maps), MAX_VMAS)
    yield "VMAs", [(vma.start, vma.end) for vma in info.vmas], [(one.start, one.end) for one in maps[:MAX_VMAS]]
    yield "what is mapped in the arena", arena_in(maps), dict(played.mapped)
    heap = next((one for one in maps if one.name == "[heap]"), Mapped(0, 0, "", ""))
    yield "pages of the heap", (heap.end - heap.start) // operations.PAGE_SIZE, played.heap
    other = 0
    for vma in info.vmas:
        if vma.start == heap.start:
            yield "faults in the heap", vma.faults, faults_in(vma, heap.start, played.heap_faults)
        elif operations.ARENA <= vma.start < ARENA_END:
            yield f"faults in {vma.start:x}-{vma.end:x}", vma.faults, faults_in(vma, operations.ARENA, played.faults)
        else:
            other += vma.faults
    # The interpreter's own faults can be told only if all its VMAs are listed.
    if len(maps) <= MAX_VMAS:
        yield "all faults in arena and heap", info.total - other, played.total
    else:
        yield "whether the total has all faults in arena and heap", info.total - other >= played.total, True


def arena_in(maps: list[Mapped]) -> dict[int, str]:
    """Return the permissions of the arena's pages."""
    return {
        address // operations.PAGE_SIZE - operations.ARENA // operations.PAGE_SIZE: one.permissions
        for one in maps
        if operations.ARENA <= one.start < ARENA_END
        for address in range(one.start, one.end, operations.PAGE_SIZE)
    }


def faults_in(vma: Vma, base: int, faults: Mapping[int, int]) -> int:
    """Return the model's faults in a VMA."""
    numbers = range((vma.start - base) // operations.PAGE_SIZE, (vma.end - base) // operations.PAGE_SIZE)
    return sum(faults.get(page, 0) for page in numbers)
