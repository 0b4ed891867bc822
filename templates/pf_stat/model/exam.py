"""Random programs of pages, each held against the model (patchgen.testing.exam says how it is used)."""

from __future__ import annotations

import random
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

from . import compare, pages
from .pages import Access, Kind, Op, Prot
from .pages import Program as Ops

SUMMARY = "What random programs of the grader's fault, map and fork is counted and listed as it must be"
REQUIREMENTS: tuple[str, ...] = ("S6", "S7")
PREPARE = compare.PREPARE

# On both sides of the end of a page table, where a kernel's counters may begin a new chunk, too.
_FIRST, _LAST = 1016, 1031
_DEEPEST = 2
_WRITES: tuple[Access, ...] = ("write", "write", "race")
_BLOCKS = (pages.Fork, pages.Thread, pages.Execute)


@dataclass(frozen=True)
class Program:
    """A program, and what must come of it.

    Attributes:
        ops: its operations.
    """

    ops: Ops

    @property
    def command(self) -> str:
        """The shell line that runs it."""
        return shlex.join(["./play", *pages.play(self.ops).words])

    def check(self, output: str) -> str:
        """Return what is wrong with its output, "" if nothing is."""
        refused = [line for line in output.splitlines() if line.startswith("move ") and line != "move ok"]
        if refused:
            return f"memory that can be moved is not: {refused[0]}"
        try:
            for what, actual, wanted in compare.differences(pages.play(self.ops), output):
                if actual != wanted:
                    return f"{what}: it says {actual}, and must say {wanted}"
        except (AssertionError, ValueError, IndexError, KeyError):
            # Whatever a kernel under test makes of the answer.
            return f"its output is cut off, or a system call failed: {output[-200:]!r}"
        return ""

    def smaller(self) -> Iterator[Program]:
        """Yield programs that do less."""
        return (Program(ops) for ops in _smaller(self.ops) if _is_certain(ops))


def programs(seed: int, count: int) -> Iterator[Program]:
    """Yield random programs, the same ones for the same seed."""
    dice = random.Random(seed)  # noqa: S311 - what must not be guessed is the seed
    found = 0
    while found < count:
        first = pages.Map(_FIRST, dice.randint(1, 16), "rw", dice.choice(("anon", "file")))
        ops = (first, *_some(dice, dice.randint(3, 14), 0))
        if _is_certain(ops):
            found += 1
            yield Program(ops)


def _is_certain(ops: Ops) -> bool:
    """Whether the model alone tells what comes of it: no move depends on how the kernel merged memory."""
    played = pages.play(ops)
    return set(range(played.moves)) <= played.certain


def _some(dice: random.Random, count: int, depth: int) -> Ops:
    return tuple(op for _ in range(count) for op in _phrase(dice, depth))


def _touch(dice: random.Random, *accesses: Access) -> Op:
    return pages.Touch(dice.choice(accesses), dice.randint(_FIRST, _LAST), dice.randint(1, 2 + _LAST - _FIRST))


def _phrase(dice: random.Random, depth: int) -> Ops:
    """Return one operation, or a few that make sense together."""
    page, size = dice.randint(_FIRST, _LAST), dice.randint(1, 8)
    heap = pages.HeapTouch(dice.choice(("write", "read")), dice.randint(0, 7), size)
    prot: Prot = dice.choice(("rw", "rw", "rw", "r", "none"))
    kind: Kind = dice.choice((*get_args(Kind), "anon", "file"))
    write = _touch(dice, *_WRITES)
    plain: list[tuple[int, Ops]] = [
        (8, (_touch(dice, *_WRITES, "read", "kwrite"),)),
        (4, (_touch(dice, "read"), write)),
        (4, (pages.Map(page, size, prot, kind),)),
        (2, (pages.Protect(page, size, prot), pages.Protect(_FIRST, 16, "rw"), write)),
        (2, (pages.Brk(dice.randint(0, 12)), heap, replace(heap, access="write"))),
        (2, (pages.Unmap(page, size),)),
        (2, (pages.Move(page, size, dice.randint(_FIRST, _LAST)),)),
        (1, (pages.Shrink(page, size + dice.randint(0, 5), size),)),
        (1, (pages.Ring(page), _touch(dice, "read"), write)),
        (1, (pages.Rename(),)),
    ]
    if depth < _DEEPEST:
        inner = _some(dice, dice.randint(1, 5), depth + 1)
        way: Literal["run", "vrun"] = dice.choice(("run", "vrun"))
        image = (pages.Map(_FIRST, size), *inner)
        plain += [
            (6, (write, pages.Fork(inner), write)),
            (2, (pages.Thread(inner),)),
            (2, (pages.Execute(way, dice.random() < 0.5, image),)),
        ]
    weights, phrases = zip(*plain, strict=True)
    chosen: Ops = dice.choices(phrases, weights)[0]
    return chosen


def _smaller(ops: Ops) -> Iterator[Ops]:
    """Yield the operations without some of them, without blocks around some, and with fewer pages."""
    step = len(ops)
    while step:
        for at in range(0, len(ops), step):
            yield ops[:at] + ops[at + step :]
        step //= 2
    for at, op in enumerate(ops):
        before, after = ops[:at], ops[at + 1 :]
        if isinstance(op, _BLOCKS):
            yield before + op.block + after
            for block in _smaller(op.block):
                yield (*before, replace(op, block=block), *after)
        elif isinstance(op, pages.Map | pages.Touch | pages.Protect | pages.Unmap | pages.HeapTouch) and op.pages > 1:
            for fewer in (1, op.pages // 2):
                if fewer < op.pages:
                    yield (*before, replace(op, pages=fewer), *after)
