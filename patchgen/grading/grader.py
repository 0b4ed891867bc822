"""The way through the stages, from what was given to a verdict."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from patchgen import progress, resources
from patchgen.assignment import COST, STRESS
from patchgen.cache import digest, file_digest
from patchgen.errors import MachineError, SubmissionError, UsageError
from patchgen.findings import Finding, Result, Severity
from patchgen.grading import (
    build_stage,
    diagnosis,
    exam_part,
    marking,
    order,
    patch_stages,
    places,
    runtime_stages,
    signatures,
)
from patchgen.grading.builder import KernelBuilder
from patchgen.grading.clean import clean
from patchgen.grading.context import GradingContext, Request
from patchgen.grading.model import PatchRow, RequirementRow, ScenarioRow, Stage, Verdict
from patchgen.guest import machine, programs
from patchgen.guest.machine import qemu_version
from patchgen.submission import inputs
from patchgen.testing import results

if TYPE_CHECKING:
    from patchgen.assignment import Assignment
    from patchgen.pipeline import Project
    from patchgen.testing.runner import Outcome

_EVIDENCE = 6000  # characters of a finding's evidence: its beginning and its end
_MESSAGE = 2000
_SAME = 200  # findings of one check; there are fewer scenarios


@dataclass(frozen=True)
class _Step:
    """A stage.

    Attributes:
        name: in a word.
        run: what it does.
        needs: what of the context it needs.
        only: what it does where only stages after it were asked for; the same if there is nothing to leave out.
        file: the assignment's file that says what it does: without it, there is no such stage. "" for none.
    """

    name: str
    run: Callable[[GradingContext], Iterator[Finding]]
    needs: str = ""
    only: Callable[[GradingContext], Iterator[Finding]] | None = None
    file: str = ""


_STEPS = (
    _Step("archive", patch_stages.archive),
    _Step("patches", patch_stages.patches, "submission"),
    _Step("style", patch_stages.style, "sized"),
    _Step("build", build_stage.build, "buildable", build_stage.build_last),
    _Step("behaviour", runtime_stages.behaviour, "kernel"),
    _Step("robustness", runtime_stages.robustness, "kernel", file=STRESS),
    _Step("cost", runtime_stages.costs, "kernel", file=COST),
)
NAMES = tuple(step.name for step in _STEPS)
_MISSING = {
    "submission": "what was handed in cannot be read",
    "sized": "what the patches add up to is too large",
    "applied": "the patches do not apply",
    "buildable": "it changes how the kernel is built: look at that, and say --allow-build-changes",
    "kernel": "the kernel does not build, or does not boot",
}


@functools.cache
def _program() -> str:
    """Return a hash of the program and of the files of every guest."""
    package = Path(__file__).parents[1]
    files = sorted([*package.rglob("*.py"), *resources.QEMU.rglob("*"), *resources.BASES.glob("*")])
    return digest("program", [(path.name, file_digest(path)) for path in files if path.is_file()])


def suite(project: Project) -> str:
    """Return a hash of everything that has a say in any verdict: program, assignment, base, settings, tools."""
    ours = project.settings
    own = [file_digest(path) for path in (ours.test_program, ours.fork_program) if path and path.is_file()]
    tools = [*programs.compiler_identity(), qemu_version(project.cache, machine.load().binary)]
    parameters = dict(project.series.parameters)
    return digest("suite", _program(), project.assignment.digest(), project.base.name, parameters, own, tools)


def program_version() -> str:
    """Return the version of patchgen, "unknown" where it is not installed."""
    try:
        return version("patchgen")
    except PackageNotFoundError:
        return "unknown"


def grade(request: Request, builder: KernelBuilder) -> Verdict:
    """Go through the stages that were asked for and return what they come to.

    Raises:
        UsageError: there is nothing of that name.
    """
    begin = time.monotonic()
    stages: list[Stage] = []
    findings: list[Finding] = []
    with builder.project.cache.scratch("verdict") as place:
        context = GradingContext(request, builder.within(place))
        for number, step in enumerate(_STEPS, 1):
            stage, found = _stage(number, step, context, stages)
            stages.append(stage)
            findings += found
        return clean(_verdict(context, stages, findings, time.monotonic() - begin))


def _stage(number: int, step: _Step, context: GradingContext, before: Sequence[Stage]) -> tuple[Stage, list[Finding]]:
    """Run one stage, unless it was not asked for or has nothing to look at."""
    if number not in needed(context.request.stages):
        return Stage(number=number, name=step.name, status=Result.SKIP), []
    if step.file and not context.assignment.has(step.file):
        why = "the assignment has no such stage"
        return Stage(number=number, name=step.name, status=Result.SKIP, why=why), []
    if step.needs and getattr(context, step.needs) is None:
        stopped = next((stage for stage in before if stage.status is Result.ERROR), None)
        if stopped:
            why = f"stage {stopped.name} could not be graded"
            return Stage(number=number, name=step.name, status=Result.ERROR, why=why), []
        why = next(why for name, why in _MISSING.items() if getattr(context, name) is None)
        return Stage(number=number, name=step.name, status=Result.BLOCKED, why=why), []
    context.facts, context.errors = {}, {}
    begin = time.monotonic()
    found = _Findings(step.name, context.assignment)
    why = ""
    progress.note(f"{number} {step.name}")
    partial = step.only if number not in context.request.stages else None
    try:
        for finding in (partial or step.run)(context):
            found.add(finding)
    except SubmissionError as error:
        # No stage expects this one; the submission is to blame all the same.
        found.add(Finding("failed", Severity.ERROR, error.message, "", error.evidence))
    except MachineError as error:
        why = error.message
        found.add(Finding("machine", Severity.NOTE, f"not graded: {why}", evidence=error.evidence))
    passed = Result.SKIP if partial else Result.PASS  # nothing was found, but nobody has looked at all of it
    status = Result.ERROR if why else Result.FAIL if found.wrong else passed
    stage = Stage(
        number=number,
        name=step.name,
        status=status,
        why=why,
        facts=context.facts,
        errors=context.errors,
        seconds=round(time.monotonic() - begin, 2),
    )
    return stage, found.all()


def parse_stages(text: str) -> frozenset[int]:
    """Return the numbers of the stages that `N`, `N-M` or a list of such with commas names.

    Raises:
        UsageError: it is something else.
    """
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        try:
            low, high = int(first), int(last if dash else first)
        except ValueError:
            low = high = 0
        if not 1 <= low <= high <= len(_STEPS):
            raise UsageError(f"--stages {text}: must be like 1-5 or 1,4, of 1 to {len(_STEPS)}")
        found |= set(range(low, high + 1))
    return frozenset(found)


def graded(stages: frozenset[int]) -> tuple[str, ...]:
    """Return the names of the stages that points are given for: those of `needed` that are gone through as a whole."""
    whole = [number for number in needed(stages) if number in stages or _STEPS[number - 1].only is None]
    return tuple(NAMES[number - 1] for number in sorted(whole))


def needed(stages: frozenset[int]) -> frozenset[int]:
    """Return the stages that were asked for, and those before them that they start from."""
    last = max(stages)
    return stages | {1} | ({2} if last > 2 else set()) | ({4} if last > 4 else set())


def _trimmed(finding: Finding) -> Finding:
    evidence = finding.evidence
    if len(evidence) > _EVIDENCE:
        half = _EVIDENCE // 2
        evidence = f"{evidence[:half]}\n[... {len(evidence) - _EVIDENCE} characters left out ...]\n{evidence[-half:]}"
    return replace(finding, evidence=evidence, message=finding.message[:_MESSAGE], where=finding.where[:_MESSAGE])


class _Findings:
    """The findings of a stage. Of the same check over and over only the first are kept, and the rest is counted.

    Attributes:
        wrong: one of them is an error.
    """

    def __init__(self, stage: str, assignment: Assignment) -> None:
        self.wrong = False
        self._stage, self._assignment, self._kept = stage, assignment, list[Finding]()
        self._seen: Counter[str] = Counter()

    def add(self, finding: Finding) -> None:
        """Take one more."""
        self.wrong |= finding.severity is Severity.ERROR
        self._seen[finding.check] += 1
        if self._seen[finding.check] <= _SAME:
            blamed = self._assignment.blame(finding)
            kind = blamed.kind or order.kind(blamed, self._assignment)
            self._kept.append(_trimmed(replace(blamed, stage=self._stage, kind=kind)))

    def all(self) -> list[Finding]:
        """Return them, and notes on what was left out."""
        more = {check: count - _SAME for check, count in self._seen.items() if count > _SAME}
        notes = (Finding(check, Severity.NOTE, f"and {n} more", stage=self._stage) for check, n in more.items())
        return [*self._kept, *notes]


def _verdict(context: GradingContext, stages: Sequence[Stage], findings: Sequence[Finding], seconds: float) -> Verdict:
    given = context.submission
    text = places.sources(context.applied)
    found = Verdict(
        patchgen=program_version(),
        suite=suite(context.builder.project),
        submission=str(context.request.given),
        content=inputs.content(given) if given else "",
        base=context.builder.origin.base.title,
        boot=context.reproduce("boot"),
        accelerator=context.accelerator,
        time_scale=context.time_scale,
        status=Result.PASS,
        stages=tuple(stages),
        findings=tuple(places.located(findings, text)),
        patches=tuple(
            PatchRow(
                name=patch.name,
                subject=patch.subject,
                author=patch.author,
                paths=tuple(patch.paths),
                added=patch.added,
                removed=patch.removed,
            )
            for patch in (given.patches if given else ())
        ),
        scenarios=tuple(_scenario_row(one, context) for one in context.outcomes),
        requirements=tuple(_requirement_rows(context)),
        costs=context.costs,
        marks=marking.NONE,
        seconds=round(seconds, 2),
    )
    told = diagnosis.diagnosed(found, signatures.load(context.assignment), text)
    return marking.mark(told, context.request.rubric, context.assignment)


def _scenario_row(outcome: Outcome, context: GradingContext) -> ScenarioRow:
    scenario = outcome.scenario
    failed = outcome.result is Result.FAIL
    return ScenarioRow(
        name=scenario.name,
        requirements=scenario.requirements,
        violated=outcome.violated,
        summary=scenario.summary,
        result=outcome.result,
        message=outcome.message[:_MESSAGE],
        evidence=outcome.evidence[-_EVIDENCE:],
        reproduce=_reproduce(outcome, context) if failed else "",
        seconds=round(outcome.seconds, 2),
        picture=outcome.picture if failed or scenario.name == context.assignment.page.example else None,
    )


def _reproduce(outcome: Outcome, context: GradingContext) -> str:
    """Return the command that runs a scenario once more; an exam's finding has its own."""
    return "" if outcome.scenario.name == exam_part.NAME else context.reproduce("test", "--only", outcome.scenario.name)


def _requirement_rows(context: GradingContext) -> Iterator[RequirementRow]:
    """Yield the row of each requirement: its scenarios and their results."""
    for row in results.table(context.suite, {}):
        scenarios: dict[str, Result] = dict.fromkeys(row.results, Result.NOT_RUN)
        for outcome in context.outcomes:
            if row.requirement.id in outcome.violated:
                scenarios[outcome.scenario.name] = Result.FAIL
            elif outcome.scenario.name in scenarios:
                # It has failed against another requirement: of this one it shows nothing, unless it came to its end.
                other = Result.PASS if outcome.ended else Result.BLOCKED
                scenarios[outcome.scenario.name] = other if outcome.result is Result.FAIL else outcome.result
        yield RequirementRow(
            id=row.requirement.id, text=row.requirement.text, result=Result.NOT_RUN, scenarios=scenarios, findings=0
        )
