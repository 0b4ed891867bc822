"""An exam: random programs from a seed that the grader keeps, so that nobody can learn them by heart.

Which programs, and what must come of each, is the assignment's to say: a Python module of its directory
(`[exam] module` of assignment.toml) that has

    SUMMARY         what must be so, in a sentence
    REQUIREMENTS    ids of the requirements that a program shows to be violated which does not come to what it must
    PREPARE         a shell line that is run once in each guest, "" for none
    programs(seed, count)   yields that many Programs, the same ones for the same seed

A program that fails is made as small as it can be while it still fails: what is left is one line for the student.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, cast

from patchgen.assignment import Assignment
from patchgen.errors import GuestError, UsageError
from patchgen.guest.session import CommandResult, Guest
from patchgen.guest.testbed import Testbed
from patchgen.testing import suite

_SECONDS = 20.0  # for one program
_SHRINK_SECONDS, _SHRINK_RUNS = 90.0, 300
_AFTER_BOOT = ("random: crng", "clocksource: ")  # what a kernel says some time after it has booted


class Program(Protocol):
    """A program of an exam.

    Attributes:
        command: the shell line that runs it in a guest.
    """

    @property
    def command(self) -> str:
        """The shell line that runs it in a guest."""

    def check(self, output: str) -> str:
        """Return what is wrong with its output, "" if nothing is."""

    def smaller(self) -> Iterator[Program]:
        """Yield programs that do less, those first that do much less."""


class Exam(Protocol):
    """The module that an assignment names."""

    SUMMARY: str
    REQUIREMENTS: tuple[str, ...]
    PREPARE: str

    def programs(self, seed: int, count: int) -> Iterator[Program]:
        """Yield the programs of a seed."""


@dataclass(frozen=True)
class Failure:
    """A program that does not come to what it must.

    Attributes:
        program: as small as it was made.
        what: what is wrong.
        evidence: its output, or the end of the console.
    """

    program: Program
    what: str
    evidence: str


@dataclass
class Result:
    """What came of an exam.

    Attributes:
        count: programs that were run.
        failed: of these.
        failure: the first of these, made small; None if all passed.
    """

    count: int = 0
    failed: int = 0
    failure: Failure | None = None


def load(assignment: Assignment) -> Exam:
    """Return the exam of an assignment.

    Raises:
        UsageError: it has none, or the module is wrong.
    """
    if not assignment.exam:
        raise UsageError(f"{assignment.name} has no exam", hint="[exam] in assignment.toml names its module")
    found = suite.module(assignment, assignment.exam)
    if missing := [name for name in ("SUMMARY", "REQUIREMENTS", "PREPARE", "programs") if not hasattr(found, name)]:
        raise UsageError(f"{assignment.name}: {assignment.exam} has no {missing[0]}")
    if unknown := [one for one in found.REQUIREMENTS if one not in assignment.requirements]:
        raise UsageError(f"{assignment.name}: {assignment.exam}: {unknown[0]} is no requirement")
    return cast(Exam, found)


@dataclass
class Seat:
    """Runs programs in a guest: one for many, and a new one when the kernel or a program has failed.

    Attributes:
        bed: where guests come from.
        prepare: the shell line that is run once in each.
    """

    bed: Testbed
    prepare: str = ""
    _guests: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _guest: Guest | None = None

    def run(self, command: str) -> CommandResult:
        """Run a shell line.

        Raises:
            GuestError: the guest has died of it.
        """
        if self._guest is None:
            self._guest = self._guests.enter_context(self.bed.ready())
            if self.prepare:
                self._guest.run(self.prepare)
        try:
            result = self._guest.run(command, timeout=_SECONDS)
        except GuestError:
            self.leave()
            raise
        if result.status != 0 or logged(result):
            self.leave()
        return result

    def leave(self) -> None:
        """End the guest."""
        self._guest = None
        self._guests.close()


def logged(result: CommandResult) -> list[str]:
    """Return what the kernel logged because of a program."""
    return [line.text for line in result.log if not line.text.startswith(_AFTER_BOOT)]


def sit(bed: Testbed, exam: Exam, seed: int, count: int) -> Result:
    """Run the programs of a seed on a kernel, and make the first that fails small.

    Raises:
        MachineError: no guest starts.
    """
    seat, result = Seat(bed, exam.PREPARE), Result()
    try:
        for program in exam.programs(seed, count):
            result.count += 1
            failure = attempt(program, seat)
            if failure:
                result.failed += 1
                result.failure = result.failure or shrunk(failure, seat)
    finally:
        seat.leave()
    return result


def attempt(program: Program, seat: Seat) -> Failure | None:
    """Run a program and return how it has failed, None if it has not."""
    try:
        result = seat.run(program.command)
    except GuestError as error:
        return Failure(program, f"the kernel died: {error.message}", error.evidence)
    if result.timed_out:
        what = "it does not come to its end"
    elif result.status != 0:
        what = f"it ended with status {result.status}"
    elif lines := logged(result):
        what = f"the kernel logs: {lines[0]}"
    else:
        what = program.check(result.text)
    return Failure(program, what, result.text) if what else None


def shrunk(failure: Failure, seat: Seat) -> Failure:
    """Return the failure of a program that is as small as could be found in a bounded time."""
    until, left = time.monotonic() + _SHRINK_SECONDS, _SHRINK_RUNS
    while True:
        for program in failure.program.smaller():
            left -= 1
            if left < 0 or time.monotonic() > until:
                return failure
            if found := attempt(program, seat):
                failure = found
                break
        else:
            return failure
