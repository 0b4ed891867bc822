"""Running scenarios on a kernel, several guests at a time, and writing down what came of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from patchgen import progress
from patchgen.errors import GuestError
from patchgen.findings import Result
from patchgen.guest import kernel_log
from patchgen.guest.testbed import Testbed
from patchgen.testing.lab import Failed, Lab, Scenario, Skipped
from patchgen.text import visible

if TYPE_CHECKING:
    from patchgen.guest.session import Guest
    from patchgen.testing.picture import Picture
    from patchgen.testing.suite import Suite

After = Callable[[Scenario, "Guest"], None]

_CONSOLE_LINES = 25


@dataclass(frozen=True)
class Outcome:
    """What came of one scenario.

    Attributes:
        scenario: which.
        result: PASS, FAIL, SKIP (it cannot be run on this kernel) or ERROR (the machine failed).
        message: why it has not passed, "" if it has.
        evidence: the end of the kernel's console, for a failure.
        seconds: how long it took, with the guest's start.
        picture: the last statistics that it saw, beside those that it wanted.
        notes: in what this kernel is held to something else than linux-4.15, and why.
        broken: ids of the sentences that a failure is against, if these are not just the scenario's.
    """

    scenario: Scenario
    result: Result
    message: str
    evidence: str
    seconds: float
    picture: Picture | None = None
    notes: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    @property
    def against(self) -> tuple[str, ...]:
        """Ids of the sentences that it has failed; none if it has not."""
        return (self.broken or self.scenario.requirements) if self.result is Result.FAIL else ()

    @property
    def passed(self) -> bool:
        """Whether the kernel did what it asks for."""
        return self.result is Result.PASS

    def as_dict(self) -> dict[str, object]:
        """Return the outcome for JSON."""
        return {
            "scenario": self.scenario.name,
            "requirements": list(self.scenario.requirements),
            "summary": self.scenario.summary,
            "result": self.result,
            "message": self.message,
            "evidence": self.evidence,
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }


def run_one(scenario: Scenario, testbed: Testbed, suite: Suite, after: After | None = None) -> Outcome:
    """Run one scenario in a guest of its own.

    A kernel that dies, or that complains on its console, fails the scenario, not the run.

    Args:
        scenario: which.
        testbed: what its guest is made of, but for the number of CPUs, which the scenario says.
        suite: whose scenario it is.
        after: called with the guest once the scenario is over, whatever came of it, unless the kernel died.

    Raises:
        MachineError: the machine failed, which says nothing about the kernel.
    """
    begin = time.monotonic()
    message = evidence = ""
    skipped = False
    lab: Lab | None = None
    wanted: object = None
    actual: object = None
    broken: tuple[str, ...] = ()
    unsound = (*scenario.requirements, *suite.assignment.sound)
    try:
        with testbed.with_cpus(scenario.cpus).ready() as guest:
            lab = suite.lab(guest, suite.prefix, testbed.differs)
            try:
                scenario.run(lab)
            except Failed as error:
                message, wanted, actual = str(error), error.wanted, error.actual
            except Skipped as error:
                message, skipped = str(error), True
            except (ValueError, IndexError, KeyError) as error:
                # A program of the user's, or a kernel that returns nonsense, printed what no scenario expects.
                message = f"the output cannot be understood: {type(error).__name__}: {error}"
            # What the scenario is about comes first, then the kernel's soundness, then what was met on the way.
            broken = scenario.requirements if message and not skipped else ()
            if guest.complaints:
                message = message if broken else "the kernel complains on its console"
                broken = (*broken, *unsound)
            if lab.asides:
                message = message if broken else lab.asides[0].message
                broken = (*broken, *(one for aside in lab.asides for one in aside.requirements))
            skipped = skipped and not broken
            if message and not skipped:
                evidence = "\n".join([*guest.complaints, kernel_log.tail(guest.console, _CONSOLE_LINES)])
            if after:
                after(scenario, guest)
    except GuestError as error:
        message, evidence, broken = error.message, error.evidence, unsound
    seen = lab.picture(wanted, actual, not message) if lab else None
    notes = tuple(lab.notes) if lab else ()
    shown = visible(message), visible(evidence)
    result = Result.SKIP if skipped else Result.FAIL if message else Result.PASS
    seconds, against = time.monotonic() - begin, tuple(dict.fromkeys(broken))
    return Outcome(scenario, result, *shown, seconds, picture=seen, notes=notes, broken=against)


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
    after: After | None = None,
    run: Callable[[Scenario, Testbed, Suite, After | None], Outcome] = run_one,
) -> list[Outcome]:
    """Run scenarios, `workers` at a time; the outcomes come in the order of the scenarios.

    `run` runs one of them; `after` is called from several threads, see `run_one`.

    Raises:
        MachineError: the machine failed.
    """
    done = 0
    with ThreadPoolExecutor(workers) as pool:
        with progress.step("running scenarios", len(scenarios), counted=True) as step:

            def one(scenario: Scenario) -> Outcome:
                nonlocal done
                outcome = run(scenario, testbed, suite, after)
                done += 1
                step.update(done)
                return outcome

            futures = [pool.submit(one, scenario) for scenario in scenarios]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
