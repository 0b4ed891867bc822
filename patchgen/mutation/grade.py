"""Grades mutants: each is a submission, and the grader says what it finds.

A mutant is graded by the cheapest stage that must catch it. If its kernel boots, it is also given to every scenario.
What was caught is kept in the cache by all that it depends on, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import dataclasses
import json
import queue
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from patchgen import progress
from patchgen.cache import digest, write_text
from patchgen.checks import cost_bars, cost_plan
from patchgen.errors import BuildError
from patchgen.findings import Finding, Severity
from patchgen.grading import grader, rubric
from patchgen.grading.builder import KernelBuilder
from patchgen.grading.context import Request
from patchgen.grading.model import Verdict
from patchgen.mutation.catalogue import Mutant, compose_mutant
from patchgen.pipeline import Project
from patchgen.series import compose
from patchgen.submission import apply, archive

WORKSPACE = "mutant"
# The stages of a verdict that grade a mutant of each stage.
_STAGES = {"check": {2, 3}, "build": {4}, "patches": {4}, "test": {5}, "torture": {5, 6}, "cost": {5, 7}}
_OF_SCENARIOS = ("scenario", "crash", "complaint", "on-the-way")
_TORTURE_SECONDS = 18.0
_AT_ONCE = 2  # one compiles while guests of another run
_EVIDENCE = 1500
_RECIPE = 5  # Part of every key: a change of how mutants are graded here grades them again.


@dataclass(frozen=True)
class Graded:
    """What came of a mutant.

    Attributes:
        caught: findings name all that they must.
        by: what found it: scenarios, a part of torture, the compiler's words.
        named: of the mutant's `names`, those that findings name.
        evidence: what the first finding shows.
        kills: the scenarios that fail on it against a requirement of their own, sorted.
        violated: ids of all requirements that a scenario shows to be violated, sorted.
        lost: points of each item of the rubric that are lost.
    """

    caught: bool
    by: str
    named: tuple[str, ...]
    evidence: str
    kills: tuple[str, ...] = ()
    violated: tuple[str, ...] = ()
    lost: Mapping[str, float] = field(default_factory=dict)


def names_of(finding: Finding) -> set[str]:
    """Return what a finding names, in the words of the catalogue: requirements, and its stage."""
    stage = {"patches": "style"}.get(finding.stage, finding.stage)
    if finding.check in ("apply", "question", "prompt"):
        stage = "build"
    return {stage, *finding.requirements}


def weigh(mutant: Mutant, verdict: Verdict) -> Graded:
    """Return whether findings name all that they must, and say of the right thing what they must."""
    weighty = [one for one in verdict.findings if one.severity != "note"]
    right = [one for one in weighty if names_of(one) & set(mutant.names)]
    right = [one for one in right if not mutant.shows or re.search(mutant.shows, _words(one))]
    named = tuple(name for name in mutant.names if any(name in names_of(one) for one in right))
    shown = right[0].evidence if right else "\n".join(_words(one) for one in weighty)
    by = (right[0].where if right[0].check in _OF_SCENARIOS else right[0].message) if right else ""
    failed = (one for one in verdict.scenarios if set(one.violated) & set(one.requirements))
    kills = tuple(sorted(one.name for one in failed))
    violated = tuple(sorted({name for one in verdict.scenarios for name in one.violated}))
    lost = {
        item.id: round(item.points - item.earned, 2)
        for item in verdict.marks.items
        if item.earned is not None and item.earned < item.points
    }
    return Graded(set(named) == set(mutant.names), by, named, shown[:_EVIDENCE], kills, violated, lost)


def _words(finding: Finding) -> str:
    head = f"{finding.where}\n" if finding.check in _OF_SCENARIOS else f"{finding.check}: "
    return f"{head}{finding.message}\n{finding.evidence}"


class MutantGrader:
    """Grades mutants.

    Args:
        project: whose series they are mutants of.
        workspace: the workspace that mutants are built in.
    """

    def __init__(self, project: Project, workspace: str = WORKSPACE) -> None:
        self._project, self._workspace = project, workspace
        self._origin = project.source()
        # A mutant is patches alone: what else belongs into an archive is none of its business.
        whole = rubric.load(project.assignment)
        self._rubric = whole.model_copy(
            update={"items": tuple(item for item in whole.items if item.stage != "archive")}
        )
        self._suite = grader.suite(project)

    def grade_all(self, mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, Graded]]:
        """Yield what comes of each mutant: one is built while the guests of another run.

        Those for torture come last and alone: two CPUs of a guest that wait for a turn on the host meet in no race.

        Raises:
            PatchgenError: the catalogue is wrong, or the machine failed.
        """
        racing = [one for one in mutants if one.stage == "torture"]
        yield from self._grade_some([one for one in mutants if one.stage != "torture"], _AT_ONCE)
        yield from self._grade_some(racing, 1)

    def _grade_some(self, mutants: Sequence[Mutant], at_once: int) -> Iterator[tuple[Mutant, Graded]]:
        workspaces: queue.SimpleQueue[str] = queue.SimpleQueue()
        for number in range(1, at_once + 1):
            workspaces.put(f"{self._workspace}-{number}")

        def one(mutant: Mutant) -> Graded:
            workspace = workspaces.get()
            try:
                with progress.hidden():
                    return self.grade(mutant, workspace)
            finally:
                workspaces.put(workspace)

        pool = ThreadPoolExecutor(at_once)
        try:
            yield from zip(mutants, pool.map(one, mutants), strict=True)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def grade(self, mutant: Mutant, workspace: str = "") -> Graded:
        """Return what comes of a mutant, or came of it before.

        Args:
            mutant: which.
            workspace: the workspace to build it in; "" for the grader's own.

        Raises:
            PatchgenError: the catalogue is wrong, or the machine failed.
        """
        with self._project.cache.scratch("mutant") as scratch:
            composed = compose_mutant(mutant, self._project, self._origin, scratch)
            (scratch / "patch").mkdir()
            patches = compose.format_patch(composed, scratch / "patch")
            content = [path.read_bytes().partition(b"\n")[2].hex() for path in patches]
            key = digest("mutant", _RECIPE, mutant.names, mutant.stage, mutant.shows, content, self._suite)
            kept = self._project.cache.directory("mutants") / f"{key}.json"
            if kept.is_file():
                return _read(kept)
            graded = (self._compiled if mutant.stage == "x86_64" else self._graded)(
                mutant, scratch, workspace or self._workspace
            )
        # A race that was not met is none that cannot be met: it is tried again.
        if graded.caught:
            write_text(kept, json.dumps(dataclasses.asdict(graded), indent=1))
        return graded

    def _graded(self, mutant: Mutant, scratch: Path, workspace: str) -> Graded:
        stages = frozenset(_STAGES[mutant.stage])
        request = Request(scratch / "patch", self._rubric, stages, trust=True, torture_seconds=_TORTURE_SECONDS)
        builder = KernelBuilder(self._project, self._origin, workspace, trust=True)
        verdict = grader.grade(request, builder)
        return weigh(mutant, self._with_costs(verdict))

    def _with_costs(self, verdict: Verdict) -> Verdict:
        """Return a verdict with a finding for each bar of our own that is not met, if costs were measured.

        A rubric has limits of its own, which are wider.
        """
        if verdict.costs is None:
            return verdict
        rows = {row.kind: row.added for row in verdict.costs.rows}
        plan = cost_plan.load(self._project.assignment)
        missed = [one for one in cost_bars.of_kinds(plan, lambda state, kind: rows[kind][state]) if not one.met]
        said = [f"{one.what}: {one.measured:+,} instructions, the bar is {one.limit:+,}" for one in missed]
        found = [Finding("cost", Severity.ERROR, text, stage="cost") for text in said]
        return verdict.model_copy(update={"findings": (*verdict.findings, *found)})

    def _compiled(self, mutant: Mutant, scratch: Path, workspace: str) -> Graded:
        """Compile it for x86-64, which no verdict does: there the calls are not to be."""
        given = archive.load(scratch / "patch", self._project.cache, None)
        tree = apply.apply(self._origin, given.patches, self._project.cache).trees[-1]
        builder = KernelBuilder(self._project, self._origin, workspace, trust=True)
        known = set(builder.vanilla("x86_64").warnings)
        try:
            fresh = sorted(set(builder.build("x86_64", tree).warnings) - known)
        except BuildError as error:
            return Graded(True, error.message, mutant.names, error.evidence[:_EVIDENCE])
        return Graded(bool(fresh), fresh[0] if fresh else "", mutant.names if fresh else (), "\n".join(fresh))


def _read(kept: Path) -> Graded:
    data = json.loads(kept.read_text(encoding="utf-8"))
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    return Graded(**fields)
