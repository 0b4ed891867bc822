"""The stages that boot the kernel: behaviour, robustness, cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from patchgen import cost, runner, torture
from patchgen.errors import BuildError, GuestError, MachineError, UsageError
from patchgen.findings import Finding, Severity
from patchgen.scenarios import SCENARIOS
from patchgen.verify import pace
from patchgen.verify.case import Case
from patchgen.verify.model import CostRow, CostTable

if TYPE_CHECKING:
    from patchgen.runner import After, Outcome
    from patchgen.scenarios import Scenario
    from patchgen.testbed import Testbed

_CALLS = 6000  # of the fuzzer
_LEAKS = ("2.3-1", "S12")
_PARTS = {"nth": ("2.6-3", "2.6-5", "3-4"), "fuzz": ("2.6-2", "S13", "3-4"), "leaks": _LEAKS}
_ROBUST = ("3-4", "S12")


def prepare(case: Case) -> None:
    """Find out how slow the machine is, once, before the first guest of the submission's kernel.

    Raises:
        MachineError: it cannot even run the unpatched kernel.
    """
    if case.pace:
        return
    bed = case.shop.testbed(case.shop.vanilla().image)
    case.accelerator = bed.machine.accelerator
    try:
        case.pace = pace.measure(bed, case.shop.project.cache)
    except GuestError as error:
        raise MachineError(f"not even the unpatched kernel runs: {error.message}", evidence=error.evidence) from error
    case.shop = dataclasses.replace(case.shop, pace=case.pace)


def _prefix(case: Case) -> str:
    return str(case.shop.project.series.parameters["log_prefix"])


def once_more(scenario: Scenario, bed: Testbed, prefix: str, after: After | None) -> Outcome:
    """Run a scenario; if the machine fails, once more, and then it is not judged."""
    try:
        return runner.run_one(scenario, bed, prefix, after)
    except MachineError:
        try:
            return runner.run_one(scenario, bed, prefix, after)
        except MachineError as error:
            return runner.Outcome(scenario, False, error.message, error.evidence, 0.0, not_judged=True)


def behaviour(case: Case) -> Iterator[Finding]:
    """Run the scenarios, each in a guest of its own."""
    assert case.kernel is not None, "it was built"
    prepare(case)
    bed = case.shop.testbed(case.kernel.image)
    workers = case.shop.project.settings.jobs
    case.outcomes = runner.run_all(SCENARIOS, bed, _prefix(case), workers, run=once_more)
    counts = {word: sum(one.result == word for one in case.outcomes) for word in ("ok", "FAILED", "skipped")}
    case.facts |= {"scenarios": f"{counts['ok']} of {len(case.outcomes)} passed", "failed": str(counts["FAILED"])}
    if counts["skipped"]:
        case.facts["skipped"] = str(counts["skipped"])
    unknown = [one for one in case.outcomes if one.not_judged]
    if unknown:
        case.not_judged["scenarios"] = f"{len(unknown)} of them: {unknown[0].message}"
    for one in case.outcomes:
        if one.result == "FAILED":
            head, _, rest = one.message.partition("\n")
            evidence = "\n".join(part for part in (rest, one.evidence) if part)
            again = case.again("test", "--only", one.scenario.name)
            yield Finding(
                "scenario", Severity.ERROR, head, one.scenario.name, evidence, one.scenario.demands, again=again
            )


def robustness(case: Case) -> Iterator[Finding]:
    """Torture the kernel built with every check of its own, for a bounded time and always with the same numbers."""
    assert case.applied is not None, "it was applied"
    prepare(case)
    request = case.request
    try:
        kernel = case.shop.build(torture.CONFIG, case.applied.trees[-1])
    except BuildError as error:
        yield Finding("build-debug", Severity.ERROR, error.message, "", error.evidence, ("3-4",))
        return
    plan = torture.Plan(request.seed, request.torture_seconds, _CALLS)
    words = ["--seed", str(plan.seed), "--seconds", f"{plan.seconds:g}", "--calls", str(plan.calls)]
    try:
        verdict = torture.run(case.shop.testbed(kernel.image), _prefix(case), plan)
    except UsageError as error:
        yield Finding("torture", Severity.ERROR, error.message, "", error.evidence, ("3-4",))
        return
    case.facts |= {name: verdict.facts[name] for name in ("seed", "seconds") if name in verdict.facts}
    case.facts["findings"] = str(len(verdict.findings))
    for one in verdict.findings:
        demands = _PARTS.get(one.where, _ROBUST)
        yield dataclasses.replace(one, demands=demands, again=case.again("torture", *words))


def costs(case: Case) -> Iterator[Finding]:
    """Count the instructions of faults and calls beside the base's, and hold them against the rubric's limits."""
    assert case.kernel is not None, "it was built"
    prepare(case)
    beds = [case.shop.testbed(kernel.image) for kernel in (case.shop.vanilla(), case.kernel)]
    try:
        measured = cost.measure_kinds(*beds)
    except GuestError as error:
        again = case.again("bench")
        yield Finding("cost", Severity.WARNING, error.message, "", error.evidence, ("3-4",), again=again)
        return
    rows = [
        CostRow(
            kind=kind.name,
            title=kind.title,
            group=kind.group,
            vanilla=measured.samples[cost.VANILLA.name][kind.name].typical,
            added={state.name: measured.added(state.name, kind.name) for state in cost.PATCHED},
        )
        for kind in cost.KINDS
    ]
    case.costs = CostTable(states={state.name: state.title for state in cost.PATCHED}, rows=tuple(rows))
    for state in ("idle", "tracked"):
        worst = max((row for row in rows if row.group == "cow"), key=lambda row: row.added[state])
        case.facts[f"{cost.title(state)}, copy-on-write fault"] = f"{worst.added[state]:+,} instructions"
    for limit in case.request.rubric.costs:
        for row in rows:
            more = row.added[limit.state]
            if row.group == limit.group and more > limit.limit:
                message = f"'{row.title}' takes {more:+,} instructions, {cost.title(limit.state)}"
                where = f"at most {limit.limit:+,}"
                again = case.again("bench")
                yield Finding("cost", Severity.WARNING, f"{message}; {where}", "", "", ("3-5",), again=again)
