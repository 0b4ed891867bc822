"""A scenario: one thing that the assignment demands, checked in a guest of its own.

A scenario is a function of a `Lab`. It raises Failed, with what it saw, as soon as the kernel under test does
something else. It knows nothing of how guests are made, so it runs the same from pytest and from `patchgen test`.
"""

from __future__ import annotations

import dataclasses
import errno
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from patchgen.base.bases import Differs
from patchgen.testing.requirements import demands

if TYPE_CHECKING:
    from patchgen.guest.session import CommandResult, Guest

_T = TypeVar("_T")
_SECONDS = 30.0
_ARENA, _PAGE = 0x20000000, 4096  # qemu/guest/play.c
_SHOWN = 2000
_READY = ("one", "other")  # qemu/initramfs.toml
_MAPS_LINE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) [r-][w-][x-][sp] ", re.M)
_OWN = re.compile(r"clocksource: |tsc: |random: |sched_clock: |input: |.* \(\d+\) used greatest stack depth: ")


class Failed(AssertionError):
    """The kernel under test does not do what the scenario demands.

    Attributes:
        wanted: what it should have been, if that was compared (`expect`).
        actual: what it was.
    """

    wanted: object = None
    actual: object = None


# The sentences on the kernel log: nothing but errors in it, and one line for each of these.
_QUIET = ("3-5", "S13")
_TRACED = ("2.6-4", "2.6-5", "S13")


@dataclass(frozen=True)
class Aside:
    """Something wrong that a scenario has met and is not about: it goes on, so that it says what it is there to say.

    Attributes:
        message: what.
        demands: ids of the sentences that it is against.
    """

    message: str
    demands: tuple[str, ...]


class Skipped(Exception):
    """The kernel under test was built without what the scenario needs; it says nothing about the kernel."""


def page(number: int) -> int:
    """Return the address of a page of the arena, the address space that qemu/guest/play.c plays in."""
    return _ARENA + number * _PAGE


@dataclass(frozen=True)
class Vma:
    """One VMA with its faults, as pf_get_info or /proc/PID/maps shows it (there without faults).

    Attributes:
        start: first address.
        end: address after the last.
        faults: copy-on-write faults in it.
    """

    start: int
    end: int
    faults: int = 0


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


@dataclass(frozen=True)
class Picture:
    """A process's address space as it was reported, beside what it should have been as far as a scenario says that.

    Attributes:
        found: what pf_get_info reported.
        total: the faults that it reported altogether.
        expected: the VMAs that a scenario looks at, with the faults that they should have.
        listed: the VMAs that there should be, if those were compared; their faults mean nothing.
    """

    found: tuple[Vma, ...]
    total: int
    expected: tuple[Vma, ...] = ()
    listed: tuple[Vma, ...] = ()


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
    """What qemu/guest/play.c printed.

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


@dataclass(frozen=True)
class Scenario:
    """One scenario.

    Attributes:
        name: short, unique.
        demands: ids of the sentences that it stands for (requirements.toml).
        run: the check.
        summary: what it demands, for people.
        cpus: how many CPUs its guest has: two if it is about what happens at the same time.
    """

    name: str
    demands: tuple[str, ...]
    run: Callable[[Lab], None]
    summary: str
    cpus: int = 1


@dataclass
class Registry:
    """The scenarios, in the order in which they are defined."""

    scenarios: list[Scenario] = field(default_factory=list)

    def add(self, *ids: str, cpus: int = 1) -> Callable[[Callable[[Lab], None]], Callable[[Lab], None]]:
        """Make a function a scenario that stands for these demands; its name and docstring become the scenario's.

        A guest of one CPU takes half the time, so `cpus` is 2 only where two must run at once.
        """

        def wrap(function: Callable[[Lab], None]) -> Callable[[Lab], None]:
            name = function.__name__.replace("_", "-")
            summary = (function.__doc__ or "").strip().splitlines()[0]
            assert all(one.name != name for one in self.scenarios), f"two scenarios are called {name}"
            assert ids, f"{name} stands for no demand"
            assert set(ids) <= set(demands()), f"{name} stands for a demand that requirements.toml does not have: {ids}"
            self.scenarios.append(Scenario(name, ids, function, summary, cpus))
            return function

        return wrap


REGISTRY = Registry()
scenario = REGISTRY.add


def expect(what: str, actual: _T, wanted: _T, evidence: str = "") -> None:
    """Fail unless a value is the one wanted.

    Raises:
        Failed: it is not.
    """
    if actual != wanted:
        shown = f"\n{evidence[:_SHOWN]}" if evidence else ""
        failed = Failed(f"{what}: wanted {wanted!r}, got {actual!r}{shown}")
        failed.wanted, failed.actual = wanted, actual
        raise failed


def errno_name(ret: int) -> str:
    """Return "0", or the name of the errno that a system call's negative result stands for."""
    return "0" if ret == 0 else errno.errorcode.get(-ret, str(ret))


class Lab:
    """A guest, seen the way scenarios need it.

    Args:
        guest: a freshly restored guest.
        prefix: what every error line of the kernel log must begin with.
        differs: what the kernel's base does otherwise than linux-4.15.

    Attributes:
        last: the statistics that were seen last, None before.
        asides: what is wrong beside what the scenario is about; it has not passed then.
    """

    def __init__(self, guest: Guest, prefix: str, differs: Differs | None = None) -> None:
        self.guest = guest
        self.prefix = prefix
        self.last: Info | None = None
        self.asides: list[Aside] = []
        self.differs = differs or Differs()
        self.notes: list[str] = []

    def otherwise(self, why: str) -> bool:
        """Note that this kernel is held to something else, and why; return whether it is."""
        if why:
            self.notes.append(why)
        return bool(why)

    def run(self, command: str | Sequence[str], *, status: int | None = 0, timeout: float = _SECONDS) -> CommandResult:
        """Run a command; with `status`, demand how it ends.

        Raises:
            Failed: it ends otherwise.
        """
        result = self.guest.run(command, timeout=timeout)
        # What the kernel says of itself some seconds after its boot belongs to no command.
        result = dataclasses.replace(result, log=tuple(line for line in result.log if not _OWN.match(line.text)))
        if status is not None:
            how = f"signal {result.signal}" if result.signal else f"status {result.status}"
            log = "".join(f"\nkernel log: {line.text}" for line in result.log)
            expect(f"`{command}`", how, f"status {status}", result.text + log)
        return result

    def call(self, *words: str) -> Call:
        """Make one raw system call with `pfcall`, see qemu/guest/pfcall.c."""
        result = self.run(["pfcall", *words])
        lines = result.text.splitlines()
        notes = tuple(line.removeprefix("note ") for line in lines if line.startswith("note "))
        lines = [line for line in lines if not line.startswith("note ")]
        ret = int(lines[0].removeprefix("ret "))
        info = parse_info(lines[1:]) if len(lines) > 1 else None
        return Call(ret, info, tuple((line.level, line.text) for line in result.log), notes)

    def succeed(self, *words: str) -> Call:
        """Make a call that must return 0 and log nothing; what it logs is an aside.

        Raises:
            Failed: it does not return 0.
        """
        call = self.call(*words)
        expect(f"pfcall {' '.join(words)}", errno_name(call.ret), "0", _log_text(call))
        if call.log:
            message = f"kernel log of pfcall {' '.join(words)}: wanted nothing, got {_log_text(call)!r}"
            self.asides.append(Aside(message, _QUIET))
        return call

    def fail(self, wanted: str, *words: str) -> Call:
        """Make a call that must fail with an errno, and log exactly one error line; what else it logs is an aside.

        Raises:
            Failed: it does not fail, or with another errno.
        """
        call = self.call(*words)
        expect(f"pfcall {' '.join(words)}", errno_name(call.ret), wanted, _log_text(call))
        try:
            self.expect_one_error(f"pfcall {' '.join(words)}", call.log)
        except Failed as error:
            self.asides.append(Aside(str(error), _TRACED))
        return call

    def expect_one_error(self, what: str, log: Sequence[tuple[str, str]]) -> None:
        """Demand exactly one line, at KERN_ERR, that begins with the prefix and says something.

        Raises:
            Failed: it is otherwise.
        """
        shown = "\n".join(f"{level}: {text}" for level, text in log)
        expect(f"number of kernel log lines of {what}", len(log), 1, shown)
        level, text = log[0]
        expect(f"level of the kernel log line of {what}", level, "err", shown)
        if not text.startswith(self.prefix) or len(text) <= len(self.prefix) + 1:
            raise Failed(f"{what}: the kernel log line does not begin with {self.prefix} and a message: {text!r}")

    def program(self, *names: str) -> None:
        """Make further names of qemu/guest/play.c in the guest's /root, where some are there already."""
        for name in names:
            if name not in _READY:
                self.run(["ln", "play", name])

    def play(self, program: str, *steps: str) -> Played:
        """Run a program made by `program()`, with the steps that qemu/guest/play.c explains.

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
