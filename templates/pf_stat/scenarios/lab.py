"""The lab of this assignment: the three calls, the programs of its guests, and what they print."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from patchgen.assignment import within
from patchgen.testing import lab as generic
from patchgen.testing.lab import Failed, Skipped, SoftFailure, errno_name, expect, scenario
from patchgen.testing.picture import Picture, Vma

if TYPE_CHECKING:
    from patchgen.base.bases import Quirks
    from patchgen.guest.session import CommandResult, Guest

__all__ = [
    "Call",
    "Failed",
    "Info",
    "Lab",
    "Played",
    "Skipped",
    "SoftFailure",
    "Vma",
    "errno_name",
    "expect",
    "page",
    "scenario",
]

_ARENA, _PAGE = 0x20000000, 4096  # guest/play.c
_READY = ("one", "other")  # guest/initramfs.toml
_MAPS_LINE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) [r-][w-][x-][sp] ", re.M)
# The sentences on the kernel log: nothing but errors in it, and one line for each of these.
_QUIET = ("3-5", "S13")
_TRACED = ("2.6-4", "2.6-5", "S13")
# The section of each call, the sentence on what it returns, and the section of the page fault handler.
_SECTIONS = {"set": "2.1", "get": "2.2", "cleanup": "2.3"}
_RETURNS = {"set": "2.1-6", "get": "2.2-10", "cleanup": "2.3-3"}
# What is said of all errnos: not of lack of memory, nor of the log.
_ERRORS, _HANDLER = ("2.6-1", "2.6-2", "2.6-6", "S13"), "2.5"


def page(number: int) -> int:
    """Return the address of a page of the arena, the address space that guest/play.c plays in."""
    return _ARENA + number * _PAGE


@dataclass(frozen=True)
class Info:
    """What pf_get_info returned.

    Attributes:
        nb_vma: number of VMAs.
        total: all copy-on-write faults.
        vmas: the VMAs.
        asked: bounds of the VMAs whose faults a scenario has asked for, in that order.
    """

    nb_vma: int
    total: int
    vmas: tuple[Vma, ...]
    asked: list[tuple[int, int]] = field(default_factory=list, compare=False, repr=False)

    @property
    def bounds(self) -> tuple[tuple[int, int], ...]:
        """Start and end of each VMA."""
        return tuple((vma.start, vma.end) for vma in self.vmas)

    def pages(self, first: int, count: int) -> int:
        """Return the faults of the VMA that is exactly these pages of the arena (see `page`).

        Raises:
            Failed: there is none.
        """
        return self.at(page(first), page(first + count))

    def at(self, start: int, end: int) -> int:
        """Return the faults of the VMA with exactly these bounds.

        Raises:
            Failed: there is none.
        """
        self.asked.append((start, end))
        for vma in self.vmas:
            if (vma.start, vma.end) == (start, end):
                return vma.faults
        shown = "\n".join(f"{vma.start:x}-{vma.end:x} {vma.faults}" for vma in self.vmas)
        raise Failed(f"pf_get_info lists no VMA {start:x}-{end:x}:\n{shown}")


def _values(compared: object) -> list[object]:
    return list(compared) if isinstance(compared, list | tuple) else [compared]


def picture(info: Info, wanted: object, actual: object, passed: bool) -> Picture:
    """Return the picture of the last statistics that a scenario has seen.

    Args:
        info: these.
        wanted: what the comparison that failed wanted: faults of the VMAs asked for last, or bounds; else None.
        actual: what it got.
        passed: whether the scenario passed, so that each VMA has the faults that it should have.
    """
    if passed:
        known = {(vma.start, vma.end): vma for vma in info.vmas}
        return Picture(info.vmas, info.total, tuple(known[one] for one in dict.fromkeys(info.asked) if one in known))
    values = _values(wanted)
    bounds = [Vma(one[0], one[1]) for one in values if isinstance(one, tuple) and len(one) == 2]
    if bounds and len(bounds) == len(values):
        return Picture(info.vmas, info.total, listed=tuple(bounds))
    counts = [one for one in values if isinstance(one, int) and not isinstance(one, bool)]
    asked = info.asked[-len(values) :]
    faults = {(vma.start, vma.end): vma.faults for vma in info.vmas}
    # It is about these VMAs only if what it got is their faults: a total is a number too.
    if counts and len(counts) == len(values) == len(asked) and [faults.get(one) for one in asked] == _values(actual):
        expected = tuple(Vma(start, end, count) for (start, end), count in zip(asked, counts, strict=True))
        return Picture(info.vmas, info.total, expected)
    return Picture(info.vmas, info.total)


@dataclass(frozen=True)
class Played:
    """What guest/play.c printed.

    Attributes:
        maps: the VMAs of each `maps` step.
        infos: what each `info` step was told.
        text: all of it.
    """

    maps: tuple[tuple[Vma, ...], ...]
    infos: tuple[Info, ...]
    text: str


@dataclass(frozen=True)
class Call:
    """One raw system call.

    Attributes:
        ret: what the kernel returned: 0 or minus an errno.
        info: what came with it, after a successful pf_get_info.
        log: the kernel's log lines that it caused, as (level, text).
        notes: what else pfcall has to say, a line each.
    """

    ret: int
    info: Info | None
    log: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()


class Lab(generic.Lab):
    """A guest with the programs of this assignment.

    Attributes:
        last: the statistics that were seen last, None before.
    """

    def __init__(self, guest: Guest, prefix: str, quirks: Quirks | None = None) -> None:
        super().__init__(guest, prefix, quirks)
        self.last: Info | None = None
        self._calling = ""

    def culprits(self) -> tuple[str, ...]:
        """Return the section of the call that was made last, or while programs run, that of the page fault handler."""
        return (_SECTIONS.get(self._calling, _HANDLER),)

    def run(
        self, command: str | Sequence[str], *, status: int | None = 0, timeout: float = generic.SECONDS
    ) -> CommandResult:
        """Run a command, see `patchgen.testing.lab.Lab`."""
        words = [command.split()[0], ""] if isinstance(command, str) else [*command, ""]
        self._calling = words[1] if words[0] == "pfcall" else ""
        return super().run(command, status=status, timeout=timeout)

    def _returned(self, word: str, wanted: str = "") -> tuple[str, ...]:
        """Return what a call violates that returns something else than it must (`wanted`, if that is an errno).

        These are the requirements of the scenario that are about this call, or about errnos. If there are none, it is
        the sentence on what the call returns, and that on errnos if it must fail; and the scenario is blocked.
        """
        errors = (*_ERRORS, "2.6-3") if wanted == "ENOMEM" else _ERRORS if wanted else ()
        parts = (_SECTIONS.get(word, ""), *errors)
        own = tuple(one for one in self.requirements if any(within(one, part) for part in parts))
        other = (_RETURNS[word], *(["2.6-2"] if wanted else [])) if word in _RETURNS else ()
        return own or other

    def picture(self, wanted: object, actual: object, passed: bool) -> Picture | None:
        """Return the picture of the statistics that were seen last."""
        return picture(self.last, wanted, actual, passed) if self.last else None

    def call(self, *words: str) -> Call:
        """Make one raw system call with `pfcall`, see guest/pfcall.c."""
        result = self.run(["pfcall", *words])
        lines = result.text.splitlines()
        notes = tuple(line.removeprefix("note ") for line in lines if line.startswith("note "))
        lines = [line for line in lines if not line.startswith("note ")]
        ret = int(lines[0].removeprefix("ret "))
        info = parse_info(lines[1:]) if len(lines) > 1 else None
        return Call(ret, info, tuple((line.level, line.text) for line in result.log), notes)

    def succeed(self, *words: str) -> Call:
        """Make a call that must return 0 and log nothing; what it logs is a soft failure.

        Raises:
            Failed: it does not return 0.
        """
        call = self.call(*words)
        violated = self._returned(words[0])
        expect(f"pfcall {' '.join(words)}", errno_name(call.ret), "0", _log_text(call), violated)
        self.expect_silence(f"pfcall {' '.join(words)}", [text for _, text in call.log])
        return call

    def expect_silence(self, what: str, log: Sequence[str]) -> None:
        """Make a soft failure of lines that something has left in the kernel log although it did not fail."""
        if log:
            text = "\n".join(log)
            self.soft_failures.append(SoftFailure(f"kernel log of {what}: wanted nothing, got {text!r}", _QUIET))

    def fail(self, wanted: str, *words: str) -> Call:
        """Make a call that must fail with an errno and log exactly one error line; what else it logs is a soft failure.

        Raises:
            Failed: it does not fail, or with another errno.
        """
        call = self.call(*words)
        violated = self._returned(words[0], wanted)
        expect(f"pfcall {' '.join(words)}", errno_name(call.ret), wanted, _log_text(call), violated)
        self.expect_trace(f"pfcall {' '.join(words)}", call.log)
        return call

    def expect_trace(self, what: str, log: Sequence[tuple[str, str]]) -> None:
        """Make a soft failure of anything else than the one line that an error leaves in the kernel log."""
        try:
            self.expect_one_error(what, log)
        except Failed as error:
            self.soft_failures.append(SoftFailure(str(error), _TRACED))

    def program(self, *names: str) -> None:
        """Make further names of guest/play.c in the guest's /root, where some are there already."""
        for name in names:
            if name not in _READY:
                self.run(["ln", "play", name])

    def play(self, program: str, *steps: str) -> Played:
        """Run a program made by `program()`, with the steps that guest/play.c explains.

        Raises:
            Failed: a step that must succeed did not.
        """
        played = _parse_played(self.run([f"./{program}", *steps]).text)
        self.last = played.infos[-1] if played.infos else self.last
        return played

    def track(self, name: str, *steps: str) -> Played:
        """Track a new program and run it once."""
        self.program(name)
        self.set_param(name)
        return self.play(name, *steps)

    def set_param(self, name: str) -> None:
        """Track a program."""
        self.succeed("set", name, "-")

    def get_info(self, name: str) -> Info:
        """Return the statistics of a tracked program."""
        info = self.last = self.succeed("get", name, "-", "here").info
        assert info is not None, "a successful get prints them"
        return info

    def cleanup(self) -> None:
        """End all tracking."""
        self.succeed("cleanup")


def _log_text(call: Call) -> str:
    return "\n".join(text for _, text in call.log)


def parse_info(lines: Sequence[str]) -> Info:
    """Return the statistics in the lines that the guest's programs print after "ret 0" (pf.h)."""
    head = dict(line.split() for line in lines[:2])
    vmas = []
    for line in lines[2:]:
        start, end, faults = line.split()
        vmas.append(Vma(int(start, 16), int(end, 16), int(faults)))
    return Info(int(head["nb"]), int(head["total"]), tuple(vmas))


def _parse_played(text: str) -> Played:
    lines = text.splitlines()
    maps, infos = [], []
    for number, line in enumerate(lines):
        if line == "maps":
            maps.append(parse_maps("\n".join(lines[number + 1 : lines.index("endmaps", number)])))
        elif line.startswith("nb "):
            infos.append(parse_info(lines[number : number + 2 + int(line.split()[1])]))
    return Played(tuple(maps), tuple(infos), text)


def parse_maps(text: str) -> tuple[Vma, ...]:
    """Return the VMAs in the lines of `text` that are lines of /proc/PID/maps (proc(5))."""
    return tuple(Vma(int(match[1], 16), int(match[2], 16)) for match in _MAPS_LINE.finditer(text))
