"""Running scenarios on a kernel, several guests at a time, and writing down what came of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from patchgen import progress
from patchgen.assignment import within
from patchgen.errors import GuestError, MachineError
from patchgen.findings import Result
from patchgen.guest import kernel_log
from patchgen.guest.testbed import Testbed
from patchgen.process import running
from patchgen.testing import blame, sharing
from patchgen.testing.lab import Failed, Lab, Scenario, Skipped
from patchgen.testing.sharing import Tidy
from patchgen.text import visible

if TYPE_CHECKING:
    from patchgen.guest.session import Guest
    from patchgen.testing.picture import Picture
    from patchgen.testing.suite import Suite

After = Callable[[Scenario, "Guest"], None]
Run = Callable[[Sequence[Scenario], Testbed, "Suite"], Iterable["Outcome"]]

_CONSOLE_LINES = 25
_END_SECONDS = 1.0  # that guests have to end after a Ctrl-C


@dataclass(frozen=True)
class Outcome:
    """What came of one scenario.

    Attributes:
        scenario: which.
        result: PASS; FAIL; BLOCKED (something failed that it is not about, so it never got to its own); SKIP (it cannot
            be run on this kernel); or ERROR (the machine failed).
        message: why it has not passed, "" if it has.
        evidence: the end of the kernel's console, for a failure.
        seconds: how long it took, with the guest's start if it was the first in it.
        picture: the last statistics that it saw, beside those that it wanted.
        notes: in what this kernel is held to something else than linux-4.15, and why.
        violated: ids of the requirements that it shows to be violated.
        crashed: the kernel died, or complained.
        died: it died, or went silent.
        blocked_by: name of the scenario that this one rests on and which has failed, "" if that is not why.
        ended: it came to its end: whatever else was wrong on its way, what it is about was right.
    """

    scenario: Scenario
    result: Result
    message: str
    evidence: str
    seconds: float
    picture: Picture | None = None
    notes: tuple[str, ...] = ()
    violated: tuple[str, ...] = ()
    crashed: bool = False
    died: bool = False
    blocked_by: str = ""
    ended: bool = False

    @property
    def passed(self) -> bool:
        """Whether the kernel did what it asks for, and nothing else was wrong on the way."""
        return self.result is Result.PASS and not self.violated

    def as_dict(self) -> dict[str, object]:
        """Return the outcome for JSON."""
        return {
            "scenario": self.scenario.name,
            "requirements": list(self.scenario.requirements),
            "summary": self.scenario.summary,
            "result": self.result,
            "violated": list(self.violated),
            "message": self.message,
            "evidence": self.evidence,
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }


@dataclass
class _Seen:
    """What a scenario has seen so far.

    Attributes:
        message: why it has not passed.
        evidence: what shows it.
        violated: requirements, or sections of them.
        skipped: it cannot be run on this kernel.
        crashed: the kernel died, or complained.
        died: it died, or went silent.
        failure: what was raised, if that was compared.
        ended: it came to its end.
    """

    message: str = ""
    evidence: str = ""
    violated: tuple[str, ...] = ()
    skipped: bool = False
    crashed: bool = False
    died: bool = False
    failure: Failed | None = None
    ended: bool = False


def run_one(scenario: Scenario, testbed: Testbed, suite: Suite, after: After | None = None) -> Outcome:
    """Run one scenario in a guest of its own, see `run_some`.

    Args:
        scenario: which.
        testbed: what its guest is made of, but for the number of CPUs, which the scenario says.
        suite: whose scenario it is.
        after: called with the guest once the scenario is over, whatever came of it, unless the kernel died.

    Raises:
        MachineError: the machine failed, which says nothing about the kernel.
    """
    [outcome] = run_some([scenario], testbed, suite, after)
    return outcome


def run_some(
    scenarios: Sequence[Scenario], testbed: Testbed, suite: Suite, after: After | None = None
) -> Iterator[Outcome]:
    """Run scenarios one after another in one guest, for as long as they pass; the first of them in any case.

    One that does not pass after another has no outcome: it is to be run again, as the first of its guest. So a failure
    is always one of a kernel that has just booted, and nobody fails by what another scenario has left.
    A kernel that dies, or that complains on its console, fails the scenario, not the run.

    Args:
        scenarios: which, at least one, all for the same number of CPUs.
        testbed: what their guest is made of, but for the number of CPUs, which the scenarios say.
        suite: whose scenarios they are.
        after: called with the guest after each scenario, whatever came of it, unless the kernel died.

    Yields:
        What came of them, as far as it got.

    Raises:
        MachineError: the machine failed before the first one was over, which says nothing about the kernel.
    """
    begin, first_is_over = time.monotonic(), False
    try:
        with testbed.with_cpus(scenarios[0].cpus).ready() as guest:
            tidy = Tidy(guest, suite.assignment.guest.reset) if scenarios[1:] else None
            for scenario in scenarios:
                outcome = _run_in(guest, scenario, testbed, suite, begin, after)
                fine = outcome.passed or outcome.result is Result.SKIP
                if first_is_over and not fine:
                    return
                first_is_over = True
                yield outcome
                if scenario is scenarios[-1] or not fine or not (tidy and tidy()):
                    return
                begin = time.monotonic()
    except GuestError as error:
        if not first_is_over:  # It has not booted.
            seen = _Seen(violated=suite.assignment.sound)
            _die(seen, error)
            yield _outcome(scenarios[0], suite, seen, None, time.monotonic() - begin)
    except MachineError:
        if not first_is_over:
            raise


def _run_in(
    guest: Guest, scenario: Scenario, testbed: Testbed, suite: Suite, begin: float, after: After | None
) -> Outcome:
    """Run a scenario in a guest. It began, with the guest's start if it is the first, at the time `begin`."""
    seen = _Seen()
    lab = suite.lab(guest, suite.prefix, testbed.quirks)
    lab.requirements = scenario.requirements
    try:
        _run(scenario, lab, seen)
        _look(lab, suite, seen)
        if seen.message and not seen.skipped:
            # How a kernel booted that has nothing to complain of is no evidence.
            said = guest.console if guest.complaints else guest.said
            seen.evidence = "\n".join([*guest.complaints, kernel_log.tail(said, _CONSOLE_LINES)])
        if after:
            after(scenario, guest)
    except GuestError as error:
        seen.violated = (*lab.culprits(), *suite.assignment.sound)
        _die(seen, error)
    return _outcome(scenario, suite, seen, lab, time.monotonic() - begin)


def _die(seen: _Seen, error: GuestError) -> None:
    """Note that the kernel has died."""
    seen.message, seen.evidence, seen.skipped = error.message, error.evidence, False
    seen.crashed = seen.died = True


def _run(scenario: Scenario, lab: Lab, seen: _Seen) -> None:
    """Run the check itself."""
    try:
        scenario.run(lab)
        seen.ended = True
    except Failed as error:
        seen.message, seen.failure = str(error), error
        seen.violated = error.violated or scenario.requirements
    except Skipped as error:
        seen.message, seen.skipped = str(error), True
    except (ValueError, IndexError, KeyError) as error:
        # A program of the user's, or a kernel that returns nonsense, printed what no scenario expects.
        seen.message = f"the output cannot be understood: {type(error).__name__}: {error}"
        seen.violated = scenario.requirements


def _look(lab: Lab, suite: Suite, seen: _Seen) -> None:
    """See what else is wrong: what the scenario is about comes first, then the kernel's soundness, then the rest."""
    if lab.guest.complaints:
        seen.crashed, seen.skipped = True, False
        seen.message = seen.message or "the kernel complains on its console"
        seen.violated = (*seen.violated, *lab.culprits(), *suite.assignment.sound)
    if lab.soft_failures:
        seen.message = seen.message or lab.soft_failures[0].message
        seen.skipped = False
        seen.violated = (*seen.violated, *(one for soft in lab.soft_failures for one in soft.requirements))


def _outcome(scenario: Scenario, suite: Suite, seen: _Seen, lab: Lab | None, seconds: float) -> Outcome:
    known = suite.assignment.requirements
    violated = tuple(one for one in known if any(within(one, part) for part in seen.violated))
    if seen.skipped:
        result = Result.SKIP
    elif not seen.message:
        result = Result.PASS
    elif set(violated) & set(scenario.requirements) or seen.crashed or not scenario.requirements:
        result = Result.FAIL
    else:
        # It did not get to what it is about; or it did, that was right, and something else was wrong on the way.
        result = Result.BLOCKED if seen.failure else Result.PASS
    compared = (seen.failure.wanted, seen.failure.actual) if seen.failure else (None, None)
    drawn = lab.picture(*compared, passed=result is Result.PASS) if lab else None
    notes = tuple(lab.notes) if lab else ()
    shown = visible(seen.message), visible(seen.evidence)
    crash, ended = (seen.crashed, seen.died), seen.ended and not seen.crashed
    return Outcome(scenario, result, *shown, seconds, drawn, notes, violated, *crash, ended=ended)


def at_once(jobs: int) -> int:
    """Return how many guests to run at a time on so many CPUs.

    One more: a guest waits for its clock, too, and all scenarios together take a tenth less time.
    """
    return jobs + 1


def run_all(
    scenarios: Sequence[Scenario],
    testbed: Testbed,
    suite: Suite,
    workers: int,
    run: Run = run_some,
    told: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Run scenarios in `workers` guests at a time; the outcomes come in the order of the scenarios.

    The long ones start first. `run` runs the first of those that may share a guest, and as many of the others as it
    likes. `told` is called with each outcome in the order of the scenarios, as soon as those before it are there; what
    it rests on may still fail then.

    Raises:
        MachineError: the machine failed.
    """
    done, stopped = 0, threading.Event()
    futures = {scenario.name: Future[Outcome]() for scenario in scenarios}
    with ThreadPoolExecutor(workers) as pool:
        with progress.step("running scenarios", len(scenarios), counted=True) as step:

            def run_group(group: list[Scenario]) -> None:
                nonlocal done
                try:
                    for outcome in _run_group(group, lambda some: run(some, testbed, suite)):
                        futures[outcome.scenario.name].set_result(outcome)
                        done += 1
                        step.update(done)
                        if stopped.is_set():
                            break
                except BaseException as error:
                    for one in group:
                        if not futures[one.name].done():
                            futures[one.name].set_exception(error)

            for group in sharing.groups(scenarios, suite.assignment.guest.reset):
                pool.submit(run_group, group)
            try:
                outcomes = []
                for scenario in scenarios:
                    outcomes.append(futures[scenario.name].result())
                    told(outcomes[-1])
                return blame.settle(outcomes, suite.assignment)
            except BaseException as error:
                stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                if isinstance(error, KeyboardInterrupt):
                    running.interrupt_all(_END_SECONDS)
                raise


def _run_group(group: Sequence[Scenario], run: Callable[[Sequence[Scenario]], Iterable[Outcome]]) -> Iterator[Outcome]:
    """Run the scenarios of a group in one guest after another, until all have an outcome."""
    together = True
    while group:
        count = 0
        for outcome in run(group if together else group[:1]):
            count += 1
            yield outcome
        # A kernel that hangs when it is tidied up is not waited for after each of them.
        together = together and (count > 1 or not outcome.passed)
        group = group[count:]
