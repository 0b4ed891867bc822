"""Random programs of calls, each held against a dictionary (patchgen.testing.exam says how it is used)."""

from __future__ import annotations

import random
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

SUMMARY = "What random programs of the grader's insert, replace and delete is found as it must be"
REQUIREMENTS: tuple[str, ...] = ("3.1-1", "3.3-1")
PREPARE = ""

Call = tuple[str, ...]  # "insert", key, value; "search", key; "delete", key


@dataclass(frozen=True)
class Program:
    """A program. It deletes its keys first: the store is one, and other programs have been there.

    Attributes:
        calls: what it does then.
    """

    calls: tuple[Call, ...]

    @property
    def command(self) -> str:
        """The shell line that runs it."""
        return shlex.join(["./play", *(word for call in self._all() for word in call)])

    def _all(self) -> list[Call]:
        return [*(("delete", key) for key in sorted({call[1] for call in self.calls})), *self.calls]

    def check(self, output: str) -> str:
        """Return what is wrong with its output, "" if nothing is."""
        store: dict[str, str] = {}
        lines = output.splitlines()
        for number, (name, key, *value) in enumerate(self._all()):
            wanted = f"{name} 0"
            if name == "insert":
                store[key] = value[0]
            elif name == "delete":
                store.pop(key, None)
            elif key in store:
                wanted = f"search 1 {store[key]}"
            said = lines[number] if number < len(lines) else "nothing"
            if said != wanted:
                return f"call {number + 1}, {' '.join((name, key, *value))}: it says {said}, and must say {wanted}"
        return ""

    def smaller(self) -> Iterator[Program]:
        """Yield programs that do less, and with shorter values."""
        step = len(self.calls)
        while step:
            for at in range(0, len(self.calls), step):
                yield Program(self.calls[:at] + self.calls[at + step :])
            step //= 2
        for at, (name, key, *value) in enumerate(self.calls):
            if value and value[0][1:] != "1":
                yield Program((*self.calls[:at], (name, key, f"{value[0][0]}1"), *self.calls[at + 1 :]))


def programs(seed: int, count: int) -> Iterator[Program]:
    """Yield random programs, the same ones for the same seed."""
    dice = random.Random(seed)  # noqa: S311 - what must not be guessed is the seed
    for _ in range(count):
        # Few letters: many keys begin with others.
        keys = ["".join(dice.choices("ab", k=dice.randint(1, 5))) for _ in range(dice.randint(1, 8))]
        yield Program(tuple(_call(dice, dice.choice(keys)) for _ in range(dice.randint(5, 40))))


def _call(dice: random.Random, key: str) -> Call:
    name = dice.choice(("insert", "insert", "search", "search", "delete"))
    if name != "insert":
        return name, key
    longest = dice.choice((4, 40, 400, 5000, 65536))
    return name, key, f"{dice.choice('abcxyz')}{dice.randint(1, longest)}"
