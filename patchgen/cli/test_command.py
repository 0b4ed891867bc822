"""The command `test`: scenarios, their outcomes, and the table of requirements that they stand for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from patchgen.cli import common, under_test
from patchgen.cli.under_test import UnderTest
from patchgen.errors import BaseError, MachineError, UsageError
from patchgen.findings import Result

if TYPE_CHECKING:
    from junitparser import TestCase

    from patchgen.pipeline import Project
    from patchgen.testing.lab import Scenario
    from patchgen.testing.results import Row
    from patchgen.testing.runner import Outcome
    from patchgen.testing.suite import Suite


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("test")(run_scenarios)


@under_test.options()
def run_scenarios(
    target: UnderTest,
    only: common.Only = "",
    requirements: Annotated[
        list[str] | None,
        typer.Option(
            "--requirement",
            "-r",
            metavar="ID",
            help="Run only scenarios for this requirement, or for this section of them. You can repeat this option.",
        ),
    ] = None,
    first: Annotated[
        list[str] | None,
        typer.Option(
            "--first",
            metavar="NAME|ID",
            help="Begin with this scenario, or those for this requirement. You can repeat this option.",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Print each outcome as soon as it is known, and at the end the numbers.")
    ] = False,
    list_: Annotated[
        bool, typer.Option("--list", help="Print each requirement, its scenarios and the last results; run nothing.")
    ] = False,
    jobs: Annotated[int | None, common.jobs("Run so many guests at a time.")] = None,
    junit: common.Junit = None,
    or_port: common.OrPort = False,
    json: common.Json = False,
) -> None:
    """Run the scenarios on the kernel under test.

    Several may share a guest. If one fails after another, it runs again in a freshly booted guest, and only that result
    counts.
    """
    from patchgen import pipeline, progress
    from patchgen.testing import junit as writing
    from patchgen.testing import results, runner, suite

    settings = common.load_settings(target.base, target.assignment)
    project = pipeline.open_project(settings, common.parse_set(target.set_))
    tests = suite.load(project.assignment, project.series.parameters)
    chosen = _begun_with(first or [], _chosen(tests, only, requirements or []))
    settings, port = common.choose(settings, or_port)
    if port:
        progress.note(port)
        project = pipeline.open_project(settings, common.parse_set(target.set_))
    if list_:
        known = _known(project, tests, target)
        _show_table(tests, results.table(tests, known), json)
        return
    bed = target.testbed(project)

    def tell(outcome: Outcome) -> None:
        _show_outcome(outcome, target.reproduce("test", ["--only", outcome.scenario.name], project.base.name))

    at_once = jobs or runner.at_once(project.settings.jobs)
    outcomes = runner.run_all(chosen, bed, tests, at_once, told=tell if follow and not json else lambda _: None)
    results.keep(outcomes, bed, tests, project.cache)
    if junit:
        writing.write(junit, {str(bed.kernel): [_case(one) for one in outcomes]})
    counts = Counter(Result.FAIL if one.violated else one.result for one in outcomes)
    if json:
        common.emit(
            {
                "kernel": str(bed.kernel),
                "accelerator": bed.machine.accelerator,
                "passed": counts[Result.PASS],
                "failed": counts[Result.FAIL],
                "skipped": counts[Result.SKIP],
                "scenarios": [outcome.as_dict() for outcome in outcomes],
            }
        )
    else:
        for outcome in [] if follow else outcomes:
            tell(outcome)
        skipped = f", {counts[Result.SKIP]} SKIPPED" if counts[Result.SKIP] else ""
        typer.echo(f"{counts[Result.PASS]} passed, {counts[Result.FAIL]} failed{skipped}")
    if port:
        progress.note(port)
    raise typer.Exit(1 if counts[Result.FAIL] else 0)


def _case(one: Outcome) -> TestCase:
    from patchgen.testing import junit

    test = one.scenario
    return junit.case(test.name, test.requirements[0], one.seconds, one.result, one.message, one.evidence)


def _chosen(tests: Suite, only: str, parts: list[str]) -> list[Scenario]:
    """Return the scenarios whose name has a text, and that stand for a requirement or section, if any is given.

    Raises:
        UsageError: there are none, or none for one of the requirements.
    """
    from patchgen.assignment import within

    def of_part(part: str) -> set[Scenario]:
        return {scenario for scenario in tests.scenarios if any(within(one, part) for one in scenario.requirements)}

    hint = "patchgen test --list shows them"
    found = {part: of_part(part) for part in parts}
    for part, scenarios in found.items():
        if not scenarios:
            raise UsageError(f"no scenario stands for {part!r}", hint=hint)
    among = set().union(*found.values()) if found else set(tests.scenarios)
    chosen = [one for one in tests.scenarios if only in one.name and one in among]
    if not chosen:
        also = f" and stands for {', '.join(parts)}" if parts else ""
        raise UsageError(f"no scenario's name has {only!r}{also}", hint=hint)
    return chosen


def _begun_with(first: list[str], scenarios: list[Scenario]) -> list[Scenario]:
    """Return the scenarios with those in front that have one of the names, or stand for one of the requirements.

    There need not be any: who names them may know an older state of the assignment.
    """
    places = {one: place for place, one in reversed(list(enumerate(first)))}

    def place(scenario: Scenario) -> int:
        return min(
            (places[one] for one in (scenario.name, *scenario.requirements) if one in places), default=len(first)
        )

    return sorted(scenarios, key=place)


def _known(project: Project, tests: Suite, target: UnderTest) -> dict[str, Result]:
    """Return what is known of the kernel under test; nothing if it was not built, or the base is not there.

    Raises:
        UsageError: what was given does not exist.
        SubmissionError: it does not apply.
    """
    from patchgen import pipeline, progress
    from patchgen.testing import results

    if not results.any_known(project.cache):  # then the base need not be there either, and is not worth a download
        return {}
    try:
        image = target.built_image(project)
        if image is None:
            return {}
        return results.known_results(
            pipeline.testbed_of(project, image, target.handling().sandbox), tests, project.cache
        )
    except (BaseError, MachineError) as error:
        progress.warn(f"no results are known: {error.message}")
        return {}


def _show_table(tests: Suite, rows: list[Row], json: bool) -> None:
    summaries = {one.name: one.summary for one in tests.scenarios}
    if json:
        common.emit(
            {"requirements": [{**row.requirement.model_dump(), "result": row.result, **_tests(row)} for row in rows]}
        )
        return
    for row in rows:
        typer.echo(f"{row.requirement.id:7} {row.result:8} {row.requirement.text}")
        if row.requirement.check:
            typer.echo(f"        {'':8} checked by {row.requirement.check}")
        for name, result in row.results.items():
            typer.echo(f"        {result:8} {name}: {summaries[name]}")
    typer.echo(f"{len(rows)} requirements, {len(summaries)} scenarios")


def _tests(row: Row) -> dict[str, object]:
    return {"scenarios": [{"scenario": name, "result": result} for name, result in row.results.items()]}


def _show_outcome(outcome: Outcome, again: str) -> None:
    typer.echo(f"{outcome.result:7} {outcome.scenario.name} ({', '.join(outcome.scenario.requirements)})")
    for note in outcome.notes:
        typer.echo(f"        | otherwise on this base: {note}")
    for line in (outcome.message + ("\n" + outcome.evidence if outcome.evidence else "")).splitlines():
        typer.echo(f"        | {line}")
    if not outcome.passed and outcome.result is not Result.SKIP:
        typer.echo(f"        reproduce: {again}")
