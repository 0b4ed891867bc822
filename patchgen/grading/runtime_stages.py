"""The stages that boot the kernel: behaviour, robustness, cost."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from patchgen.checks import cost, cost_plan, stress
from patchgen.checks.cost_plan import VANILLA
from patchgen.errors import BuildError, GuestError, MachineError, UsageError
from patchgen.findings import Finding, Result, Severity
from patchgen.grading import exam_part, timescale
from patchgen.grading.builder import CONFIG
from patchgen.grading.context import GradingContext
from patchgen.grading.crash import CrashReader
from patchgen.grading.model import CostRow, CostTable
from patchgen.testing import runner

if TYPE_CHECKING:
    from patchgen.guest.testbed import Testbed
    from patchgen.testing.lab import Scenario
    from patchgen.testing.runner import Outcome
    from patchgen.testing.suite import Suite

_CALLS = 6000  # of the fuzzer
_LONG_SECONDS = 25.0  # a scenario that fails after that has run into a time limit
_PATIENCE = 12


def prepare(context: GradingContext) -> None:
    """Find out how slow the machine is, once, before the first guest of the submission's kernel.

    Raises:
        MachineError: it cannot even run the unpatched kernel.
    """
    if context.time_scale:
        return
    bed = context.builder.testbed(context.builder.vanilla().image)
    context.accelerator = bed.machine.accelerator
    try:
        context.time_scale = timescale.measure(bed, context.builder.project.cache)
    except GuestError as error:
        raise MachineError(f"not even the unpatched kernel runs: {error.message}", evidence=error.evidence) from error
    context.builder = dataclasses.replace(context.builder, time_scale=context.time_scale)


class HangGuard:
    """Runs scenarios, for as long as that makes sense.

    A machine that fails gets another try; then the scenario has no result. A kernel that lets scenario after scenario
    run into its time limit is not waited for each time.

    Args:
        time_scale: what the limits are multiplied by.
    """

    def __init__(self, time_scale: float) -> None:
        self._long = _LONG_SECONDS * time_scale
        self._hung = 0

    def __call__(self, scenarios: Sequence[Scenario], bed: Testbed, suite: Suite) -> Iterator[Outcome]:
        """Run the first of some scenarios, and more of them, see `runner.run_some`."""
        if self._hung >= _PATIENCE:
            message = f"not run: {_PATIENCE} scenarios before it have run into their time limits"
            yield from (runner.Outcome(one, Result.BLOCKED, message, "", 0.0) for one in scenarios)
            return
        for outcome in self._run(scenarios, bed, suite):
            if outcome.result is Result.FAIL and outcome.seconds > self._long:
                self._hung += 1
            yield outcome

    def _run(self, scenarios: Sequence[Scenario], bed: Testbed, suite: Suite) -> Iterator[Outcome]:
        try:
            yield from runner.run_some(scenarios, bed, suite)
        except MachineError:
            try:
                yield from runner.run_some(scenarios, bed, suite)
            except MachineError as error:
                yield runner.Outcome(scenarios[0], Result.ERROR, error.message, error.evidence, 0.0)


def _does_not_boot(bed: Testbed) -> GuestError | None:
    """Return why a kernel does not boot, None if it does."""
    try:
        with bed.ready():
            return None
    except GuestError as error:
        return error


def behaviour(context: GradingContext) -> Iterator[Finding]:
    """Run the scenarios."""
    assert context.kernel is not None, "it was built"
    prepare(context)
    bed = context.builder.testbed(context.kernel.image)
    if dead := _does_not_boot(bed):
        # It is said once: no scenario has shown anything, and no further guest is started.
        why = f"the kernel does not boot: {dead.message}"
        blocked = [runner.Outcome(scenario, Result.BLOCKED, why, "", 0.0) for scenario in context.suite.scenarios]
        context.outcomes = blocked
        context.kernel = None
        again = context.reproduce("run", in_guest=("true",))
        found = Finding("boot", Severity.ERROR, why, "", dead.evidence, reproduce=again)
        yield from CrashReader(context, CONFIG).read([found])
        return
    workers = runner.at_once(context.builder.project.settings.jobs)
    context.outcomes = runner.run_all(
        context.suite.scenarios, bed, context.suite, workers, run=HangGuard(context.time_scale)
    )
    counts = Counter(one.result for one in context.outcomes)
    context.facts["scenarios"] = f"{counts[Result.PASS]} of {len(context.outcomes)} passed"
    if counts[Result.SKIP]:
        context.facts["skipped"] = f"{counts[Result.SKIP]} could not be run on this kernel"
    unknown = [one for one in context.outcomes if one.result is Result.ERROR]
    if unknown:
        context.errors["scenarios"] = f"{len(unknown)} of them: {unknown[0].message}"
    bad = [one for one in context.outcomes if one.result in (Result.FAIL, Result.BLOCKED) or one.violated]
    yield from CrashReader(context, CONFIG).read([_scenario(context, one) for one in bad])
    yield from exam_part.sit(context, bed)


def _scenario(context: GradingContext, outcome: Outcome) -> Finding:
    """Return what a scenario has found: its title is what must be so, what was seen instead is evidence.

    A blocked scenario is a note: what blocked it is the finding of another one.
    """
    scenario = outcome.scenario
    evidence = "\n".join(part for part in (outcome.message, outcome.evidence) if part)
    again = context.reproduce("test", "--only", scenario.name)
    title, severity = scenario.summary.rstrip("."), Severity.ERROR
    if outcome.crashed:
        check = "crash" if outcome.died else "complaint"
        title, evidence = outcome.message.partition("\n")[0], outcome.evidence or evidence
    elif outcome.result is Result.FAIL:
        check = "scenario"
    elif outcome.result is Result.BLOCKED:
        check, severity = "blocked", Severity.NOTE
        title = f"blocked: {outcome.message.partition(chr(10))[0]}"
    else:
        # It did what it should, and something else went wrong on the way.
        check, title = "on-the-way", outcome.message.partition("\n")[0]
    because = outcome.blocked_by
    # What was blocked by another scenario names what that one shows.
    blockers = (one.violated for one in context.outcomes if one.scenario.name == because)
    violated = outcome.violated or next(blockers, ())
    return Finding(check, severity, title, scenario.name, evidence, violated, reproduce=again, because=because)


def robustness(context: GradingContext) -> Iterator[Finding]:
    """Torture the kernel built with every check of its own, for a bounded time and always with the same numbers."""
    assert context.applied is not None, "it was applied"
    prepare(context)
    request = context.request
    try:
        kernel = context.builder.build(stress.CONFIG, context.applied.trees[-1])
    except BuildError as error:
        yield Finding("build-debug", Severity.ERROR, error.message, "", error.evidence)
        return
    plan = stress.Plan(request.seed, request.torture_seconds, _CALLS)
    words = ["--seed", str(plan.seed), "--seconds", f"{plan.seconds:g}", "--calls", str(plan.calls)]
    try:
        verdict = stress.run(
            context.builder.testbed(kernel.image), stress.load(context.assignment), context.suite.prefix, plan
        )
    except UsageError as error:
        yield Finding("stress-boot", Severity.ERROR, error.message, "", error.evidence)
        return
    context.facts |= {name: verdict.facts[name] for name in ("seed", "seconds") if name in verdict.facts}
    context.facts["findings"] = str(len(verdict.findings))
    again = context.reproduce("torture", *words)
    found = [dataclasses.replace(one, reproduce=again) for one in verdict.findings]
    yield from CrashReader(context, stress.CONFIG).read(found)


def costs(context: GradingContext) -> Iterator[Finding]:
    """Count the instructions of faults and calls beside the base's; the rubric has the limits (marking.py)."""
    assert context.kernel is not None, "it was built"
    prepare(context)
    plan = cost_plan.load(context.assignment)
    beds = [context.builder.testbed(kernel.image) for kernel in (context.builder.vanilla(), context.kernel)]
    try:
        measured = cost.measure(plan, *beds, kinds_only=True)
    except GuestError as error:
        again = context.reproduce("bench")
        yield Finding("cost-failed", Severity.WARNING, error.message, "", error.evidence, reproduce=again)
        return
    rows = [
        CostRow(
            kind=kind.name,
            title=kind.title,
            group=kind.group,
            vanilla=measured.samples[VANILLA.name][kind.name].typical,
            added={state.name: measured.added(state.name, kind.name) for state in plan.state},
        )
        for kind in plan.kind
    ]
    charts = {name: group.chart for name, group in plan.groups.items()}
    states = {state.name: state.title for state in plan.state}
    again = context.reproduce("bench")
    context.costs = CostTable(states=states, rows=tuple(rows), charts=charts, shown=plan.shown, reproduce=again)
    for state in plan.shown:
        worst = max((row for row in rows if row.group == plan.headline), key=lambda row: row.added[state])
        context.facts[f"{states[state]}, {plan.groups[plan.headline].title}"] = f"{worst.added[state]:+,} instructions"
