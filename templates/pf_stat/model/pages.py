"""A model of a program's pages: which writes are copy-on-write faults, and what is mapped where.

A program is a tuple of operations, those of guest/play.c. `play()` goes through it as linux-4.15 would, page by
page, and returns the words that make the guest do the same, with what pf_get_info must then say. Every program is
valid: an operation takes place on those of its pages where it can, and nowhere if it can on none.

One process acts at a time (a parent waits for its child, a process for its thread), so what happens is certain, with
two exceptions. Whether memory that was mapped by several calls can be moved as one depends on how the kernel merged
it: the guest says what came of each move. And whether a child has a page that its parent has only read depends on
the rest of the parent's mapping (copy_page_range() in mm/memory.c): the words let the child read it before it writes.

What a later kernel does otherwise is a field of Quirks, each with its reason.

The kernel's side: do_wp_page(), do_anonymous_page(), do_cow_fault() in mm/memory.c; mprotect_fixup() in
mm/mprotect.c; mremap_to() in mm/mremap.c; dup_mmap() in kernel/fork.c.
"""

from __future__ import annotations

import contextlib
import enum
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import Literal

from patchgen.base.bases import Quirks

from .operations import (
    FILE_PAGES,
    HEAP,
    OTHER_PATH,
    TRACKED,
    TRACKED_PATH,
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
    Program,
    Prot,
    Protect,
    Rename,
    Ring,
    Shrink,
    Stripes,
    Thread,
    Touch,
    Unmap,
    touch_word,
)


@dataclass(frozen=True)
class Played:
    """What a program does, and what pf_get_info must say after it.

    Attributes:
        words: the guest program's arguments: tracks the name, runs the program under it, prints the statistics.
        certain: the moves, by their number in the order of the guest's reports, that cannot fail.
        moves: how many moves there are.
        total: copy-on-write faults of the last run in arena and heap.
        faults: those in what the executed process had mapped at its end, by page of the arena.
        heap_faults: the same by page of the heap.
        mapped: what the executed process had mapped in the arena at its end: rw-p and so on, by page.
        heap: pages of its heap at its end.
    """

    words: tuple[str, ...]
    certain: frozenset[int]
    moves: int
    total: int
    faults: Mapping[int, int]
    heap_faults: Mapping[int, int]
    mapped: Mapping[int, str]
    heap: int


def play(program: Program, failed: Set[int] = frozenset(), quirks: Quirks | None = None) -> Played:
    """Predict what comes of a program that is executed under the tracked name.

    Args:
        program: its operations.
        failed: the moves, by number, of which the guest has reported that they failed.
        quirks: what the kernel's base does otherwise than linux-4.15.
    """
    return _Player(failed, quirks or Quirks()).play(program)


class _State(enum.Enum):
    """What a process has of a page of a private mapping."""

    ABSENT = enum.auto()
    READ = enum.auto()  # the zero page, or the page cache's: a write copies it
    MAYBE = enum.auto()  # READ or ABSENT
    GUARDED = enum.auto()  # a page of its own, or shared since a fork, that a write finds write-protected
    OWN = enum.auto()


@dataclass
class _Page:
    """A mapped page; pages of one `segment` that follow each other are in one VMA for sure."""

    prot: Prot
    kind: Kind | Literal["ring"]
    segment: int
    state: _State = _State.ABSENT

    @property
    def private(self) -> bool:
        return self.kind in ("anon", "file")

    @property
    def permissions(self) -> str:
        return {"rw": "rw-", "r": "r--", "none": "---"}[self.prot] + ("p" if self.private else "s")


@dataclass
class _Process:
    """A process, or with its threads one: its memory, and the run that it counts into, 0 for none."""

    space: dict[int, _Page]
    run: int

    @property
    def heap(self) -> int:
        return sum(page >= HEAP for page in self.space)


class _EndedError(Exception):
    """A process has come to its end."""


class _Player:
    """Goes through a program. The executed process of the current run is the one whose space is `owner`."""

    def __init__(self, failed: Set[int], quirks: Quirks) -> None:
        self.failed = failed
        self.quirks = quirks
        self.words: list[str] = []
        self.segments = 0
        self.moves = 0
        self.certain: set[int] = set()
        self.run = 0
        self.owner: dict[int, _Page] | None = None
        self.total = 0
        self.faults: Counter[int] = Counter()
        self.mapped: dict[int, str] = {}
        self.heap = 0

    def play(self, program: Program) -> Played:
        self.words += [f"file,{FILE_PAGES}", f"set,{TRACKED}"]
        self._execute(_Process({}, 0), Execute("run", tracked=True, block=program))
        self.words += [f"info,{TRACKED}", "cleanup"]
        return Played(
            words=tuple(self.words),
            certain=frozenset(self.certain),
            moves=self.moves,
            total=self.total,
            faults={page: count for page, count in self.faults.items() if page in self.mapped},
            heap_faults={page - HEAP: count for page, count in self.faults.items() if 0 <= page - HEAP < self.heap},
            mapped=self.mapped,
            heap=self.heap,
        )

    def _block(self, process: _Process, block: Program) -> None:
        for op in block:
            self._step(process, op)

    def _step(self, process: _Process, op: Op) -> None:  # noqa: PLR0912 - one line for each operation
        match op:
            case Map():
                self._map(process, op)
            case Stripes():
                self._stripes(process, op)
            case Ring():
                self.words.append(f"ring,{op.page}")
                self._enter(process, {op.page: _Page("rw", "ring", self._segment())})
            case Unmap():
                self.words.append(f"unmap,{op.page},{op.pages}")
                self._unmap(process, range(op.page, op.page + op.pages))
            case Protect():
                self._protect(process, op)
            case Move():
                self._move(process, op)
            case Shrink():
                self._shrink(process, op)
            case Brk():
                self._brk(process, op.pages)
            case Touch():
                self._touch(process, op.access, range(op.page, op.page + op.pages))
            case HeapTouch():
                self._touch(process, op.access, range(HEAP + op.page, HEAP + op.page + op.pages))
            case Crash():
                if op.page not in process.space or process.space[op.page].prot != "rw":
                    self._end(process, f"crash,{op.page}")
            case Rename():
                self.words.append("name,renamed")
            case Exit():
                self._end(process, "exit")
            case Fork():
                self._fork(process, op.block)
            case Thread():
                self._thread(process, op.block)
            case Execute():
                self._execute(process, op)

    # --- mappings ---

    def _segment(self) -> int:
        self.segments += 1
        return self.segments

    def _enter(self, process: _Process, pages: Mapping[int, _Page]) -> None:
        """Map pages, over whatever is there: those of the executed process begin with no faults."""
        process.space.update(pages)
        if process.space is self.owner:
            for page in pages:
                self.faults.pop(page, None)

    def _unmap(self, process: _Process, pages: range) -> None:
        for page in pages:
            process.space.pop(page, None)

    def _map(self, process: _Process, op: Map) -> None:
        self.words.append(f"map,{op.page},{op.pages},{op.prot},{op.kind}")
        segment = self._segment()
        pages = range(op.page, op.page + op.pages)
        self._enter(process, {page: _Page(op.prot, op.kind, segment) for page in pages})

    def _stripes(self, process: _Process, op: Stripes) -> None:
        self.words.append(f"stripes,{op.page},{op.pages}")
        for page in range(op.page, op.page + op.pages):
            prot: Prot = "r" if (page - op.page) % 2 else "rw"
            self._enter(process, {page: _Page(prot, "anon", self._segment())})

    def _protect(self, process: _Process, op: Protect) -> None:
        for pages in _runs(range(op.page, op.page + op.pages), process.space.__contains__):
            self.words.append(f"protect,{pages.start},{len(pages)},{op.prot}")
            self._split(process, pages)
            for one in (process.space[page] for page in pages):
                if one.prot != op.prot and one.state is _State.OWN and not self.quirks.mprotect:
                    one.state = _State.GUARDED
                one.prot = op.prot

    def _split(self, process: _Process, pages: range) -> None:
        """Give the pages and those behind them segments of their own."""
        fresh: dict[tuple[int, bool], int] = {}
        for page, one in process.space.items():
            if page >= pages.start:
                key = (one.segment, page in pages)
                if key not in fresh:
                    fresh[key] = self._segment()
                one.segment = fresh[key]

    def _move(self, process: _Process, op: Move) -> None:
        space = process.space
        movable = _runs(range(op.page, op.page + op.pages), lambda page: page in space and space[page].kind != "ring")
        pages = next(movable, None)
        if pages is None:
            return
        to = op.to
        while any(page in process.space for page in range(to, to + len(pages))):
            to += 1
        self.words.append(f"move,{pages.start},{len(pages)},{to}")
        number, self.moves = self.moves, self.moves + 1
        if len({process.space[page].segment for page in pages}) == 1:
            self.certain.add(number)
        if number in self.failed:
            return
        moved = [process.space[page] for page in pages]
        self._unmap(process, pages)
        fresh = {segment: self._segment() for segment in {one.segment for one in moved}}
        there = {to + offset: replace(one, segment=fresh[one.segment]) for offset, one in enumerate(moved)}
        self._enter(process, there)

    def _shrink(self, process: _Process, op: Shrink) -> None:
        if self.quirks.mremap and op.page not in process.space:
            return
        self.words.append(f"shrink,{op.page},{op.pages},{op.left}")
        self._unmap(process, range(op.page + op.left, op.page + op.pages))

    def _brk(self, process: _Process, pages: int) -> None:
        self.words.append(f"brk,{pages}")
        before = process.heap
        self._unmap(process, range(HEAP + pages, HEAP + before))
        segment = self._segment()
        self._enter(process, {HEAP + page: _Page("rw", "anon", segment) for page in range(before, pages)})

    # --- accesses ---

    def _touch(self, process: _Process, access: Access, pages: range) -> None:
        """Let a process write or read those of the pages that allow it."""
        space = process.space
        allowed = ("rw", "r") if access == "read" else ("rw",)
        for run in _runs(pages, lambda page: page in space and space[page].prot in allowed):
            if access in ("write", "race"):
                for unsure in _runs(run, lambda page: space[page].state is _State.MAYBE):
                    self._touch(process, "read", unsure)
            self.words.append(touch_word(access, run))
            for page in run:
                self._access(process, access, page)

    def _access(self, process: _Process, access: Access, page: int) -> None:
        one = process.space[page]
        if not one.private:
            return
        if access == "read":
            if one.state in (_State.ABSENT, _State.MAYBE):
                one.state = _State.READ
            return
        assert one.state is not _State.MAYBE or access == "kwrite", "read before it is written"
        if access != "kwrite" and one.state in (_State.READ, _State.GUARDED) and process.run == self.run:
            self.total += 1
            self.faults[page] += 1
        one.state = _State.OWN

    # --- processes ---

    def _forked(self, process: _Process) -> _Process:
        """Return the child of a fork; the parent's pages become write-protected."""
        for one in process.space.values():
            if one.state is _State.OWN:
                one.state = _State.GUARDED
        maybe = {_State.READ: _State.MAYBE}
        space = {page: replace(one, state=maybe.get(one.state, one.state)) for page, one in process.space.items()}
        return _Process(space, process.run)

    def _fork(self, process: _Process, block: Program) -> None:
        child = self._forked(process)
        self.words.append("fork")
        with contextlib.suppress(_EndedError):
            self._block(child, block)
        self.words.append("end")

    def _thread(self, process: _Process, block: Program) -> None:
        self.words.append("thread")
        try:
            self._block(process, block)
        finally:
            self.words.append("end")

    def _execute(self, process: _Process, op: Execute) -> None:
        word = f"{op.way},{TRACKED_PATH if op.tracked else OTHER_PATH}"
        if op.way == "exec":
            self._end(process, word, lambda: self._image(process, op))
        if op.way == "run":
            self._forked(process)
        self.words.append(word)
        with contextlib.suppress(_EndedError):
            self._image(_Process({}, 0), op)
        self.words.append("end")

    def _image(self, process: _Process, op: Execute) -> None:
        """Go through a new process image, to its end."""
        process.space = {}
        # 0 is no run: a process that counts into none must never have the current run's number.
        process.run = -1
        if op.tracked:
            self.run += 1
            process.run, self.owner = self.run, process.space
            self.total = 0
            self.faults.clear()
        self._block(process, op.block)
        self._end(process, None)

    def _end(self, process: _Process, word: str | None, after: Callable[[], None] | None = None) -> None:
        """End a process image; the executed one prints what it has mapped just before."""
        if process.space is self.owner:
            self.words.append("maps")
            self.mapped = {page: one.permissions for page, one in process.space.items() if page < HEAP}
            self.heap = process.heap
        if word:
            self.words.append(word)
        if after:
            after()
        raise _EndedError


def _runs(pages: Iterable[int], wanted: Callable[[int], bool]) -> Iterator[range]:
    """Yield the longest ranges of pages that are wanted, in order."""
    start = end = None
    for page in pages:
        if not wanted(page):
            continue
        if end != page:
            if start is not None and end is not None:
                yield range(start, end)
            start = page
        end = page + 1
    if start is not None and end is not None:
        yield range(start, end)
