"""A scenario: one thing that the assignment asks for, checked in a guest.

A scenario is a function of a `Lab`. It raises Failed, with what it saw, as soon as the kernel under test does
something else. It knows nothing of how guests are made, so it runs the same from pytest and from `patchgen test`.
"""

from __future__ import annotations

import dataclasses
import errno
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from patchgen.base.bases import Quirks

if TYPE_CHECKING:
    from patchgen.guest.session import CommandResult, Guest
    from patchgen.testing.picture import Picture

_T = TypeVar("_T")
SECONDS = 30.0
_SHOWN = 2000
_MARK = "_scenario"
_OWN = re.compile(r"clocksource: |tsc: |random: |sched_clock: |input: |.* \(\d+\) used greatest stack depth: ")


class Failed(AssertionError):
    """The kernel under test does not do what the scenario asks for.

    Args:
        message: what it did instead.
        violated: ids of the requirements that this shows to be violated, or of sections of them; () for those that the
            scenario stands for. If none of these is among them, the scenario is blocked: it never got to its own.

    Attributes:
        wanted: what it should have been, if that was compared (`expect`).
        actual: what it was.
    """

    wanted: object = None
    actual: object = None

    def __init__(self, message: str, violated: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.violated = violated


@dataclass(frozen=True)
class SoftFailure:
    """Something wrong that a scenario has met on its way: it goes on, so that it says what it is there to say.

    Attributes:
        message: what.
        requirements: ids of the requirements that it violates.
    """

    message: str
    requirements: tuple[str, ...]


class Skipped(Exception):
    """The kernel under test was built without what the scenario needs; it says nothing about the kernel."""


@dataclass(frozen=True)
class Scenario:
    """One scenario.

    Attributes:
        name: short, unique.
        requirements: ids of the sentences that it stands for (requirements.toml); a run for coverage has none.
        run: the check, a function of the assignment's Lab.
        summary: what it asks for, for people.
        cpus: how many CPUs its guest has: two if it is about what happens at the same time.
        long: it takes so long that it starts before the others, or they would all wait for it at the end. It has a
            guest of its own.
        alone: it has a guest of its own, in which nothing ran before.
    """

    name: str
    requirements: tuple[str, ...]
    run: Callable[[Any], None]
    summary: str
    cpus: int = 1
    long: bool = False
    alone: bool = False


_Check = TypeVar("_Check", bound=Callable[..., None])


def scenario(*ids: str, cpus: int = 1, long: bool = False, alone: bool = False) -> Callable[[_Check], _Check]:
    """Make a function a scenario that stands for these requirements; its name and docstring become the scenario's.

    A guest of one CPU takes half the time, so `cpus` is 2 only where two must run at once. `long` is for what takes a
    good part of the time of all, `alone` for what is about a kernel that has just booted, or changes in a guest what
    the assignment's `reset` does not undo.

    Raises:
        ValueError: the module has another scenario of that name.
    """

    def wrap(function: _Check) -> _Check:
        if scenario_of(function.__globals__.get(function.__name__)):
            raise ValueError(f"two scenarios are called {function.__name__}")
        summary = (function.__doc__ or "").strip().partition("\n")[0]
        name = function.__name__.replace("_", "-")
        setattr(function, _MARK, Scenario(name, ids, function, summary, cpus, long, alone))
        return function

    return wrap


def scenario_of(thing: object) -> Scenario | None:
    """Return the scenario that a function was made by `scenario`, None for anything else."""
    return getattr(thing, _MARK, None)


def expect(what: str, actual: _T, wanted: _T, evidence: str = "", violated: tuple[str, ...] = ()) -> None:
    """Fail unless a value is the one wanted.

    Args:
        what: of what, for people.
        actual: the value.
        wanted: what it should be.
        evidence: what shows it.
        violated: see `Failed`.

    Raises:
        Failed: it is not.
    """
    if actual != wanted:
        shown = f"\n{evidence[:_SHOWN]}" if evidence else ""
        failed = Failed(f"{what}: wanted {wanted!r}, got {actual!r}{shown}", violated)
        failed.wanted, failed.actual = wanted, actual
        raise failed


def errno_name(ret: int) -> str:
    """Return "0", or the name of the errno that a system call's negative result stands for."""
    return "0" if ret == 0 else errno.errorcode.get(-ret, str(ret))


class Lab:
    """A guest, seen the way scenarios need it. An assignment can add to it (patchgen.testing.suite).

    Args:
        guest: in which nothing is set up.
        prefix: what every error line of the kernel log must begin with.
        quirks: what the kernel's base does otherwise than linux-4.15.

    Attributes:
        soft_failures: what is wrong beside what the scenario is about.
        requirements: ids of those that the scenario stands for.
    """

    def __init__(self, guest: Guest, prefix: str, quirks: Quirks | None = None) -> None:
        self.guest = guest
        self.prefix = prefix
        self.soft_failures: list[SoftFailure] = []
        self.requirements: tuple[str, ...] = ()
        self.quirks = quirks or Quirks()
        self.notes: list[str] = []

    def expect_quirk(self, why: str) -> bool:
        """Note that this kernel is held to something else, and why; return whether it is."""
        if why:
            self.notes.append(why)
        return bool(why)

    def run(self, command: str | Sequence[str], *, status: int | None = 0, timeout: float = SECONDS) -> CommandResult:
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

    def expect_one_error(self, what: str, log: Sequence[tuple[str, str]]) -> None:
        """Require exactly one line, at KERN_ERR, that begins with the prefix and says something.

        Raises:
            Failed: it is otherwise.
        """
        shown = "\n".join(f"{level}: {text}" for level, text in log)
        expect(f"number of kernel log lines of {what}", len(log), 1, shown)
        level, text = log[0]
        expect(f"level of the kernel log line of {what}", level, "err", shown)
        if not text.startswith(self.prefix) or len(text) <= len(self.prefix) + 1:
            raise Failed(f"{what}: the kernel log line does not begin with {self.prefix} and a message: {text!r}")

    def culprits(self) -> tuple[str, ...]:
        """Return whose fault it is if the kernel has died or complained now: requirements, or sections of them."""
        return self.requirements

    def picture(self, wanted: object, actual: object, passed: bool) -> Picture | None:
        """Return what the scenario saw last as a picture, None if there is nothing to draw.

        Args:
            wanted: what the comparison that failed wanted; None if none did.
            actual: what it got.
            passed: whether the scenario passed.
        """
        del wanted, actual, passed
        return None
