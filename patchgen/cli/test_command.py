"""The command `test`: scenarios, their outcomes, and the table of sentences that they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from patchgen.cli import common, kernel_commands
from patchgen.errors import BaseError, MachineError, UsageError

if TYPE_CHECKING:
    from patchgen.pipeline import Project
    from patchgen.scenarios import Scenario
    from patchgen.testing.results import Row
    from patchgen.testing.runner import Outcome


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("test")(run_scenarios)


def run_scenarios(
    submission: kernel_commands.Given = None,
    kernel: kernel_commands.KernelFile = None,
    vanilla: kernel_commands.Vanilla = False,
    only: Annotated[str, typer.Option("--only", "-k", metavar="TEXT", help="Scenarios whose name has TEXT.")] = "",
    sentences: Annotated[
        list[str] | None,
        typer.Option(
            "--sentence",
            "-s",
            metavar="ID",
            help="Scenarios for this sentence, 2.2-5 or S9, or this section, 2.2 or 2. Can be given many times.",
        ),
    ] = None,
    list_: Annotated[
        bool, typer.Option("--list", help="Print each sentence, its scenarios and the last results; run nothing.")
    ] = False,
    workers: Annotated[int | None, typer.Option("--workers", "-n", min=1, help="Guests at a time.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write a JUnit file too.")] = None,
    trust: common.Trust = False,
    allow_build_changes: common.AllowBuildChanges = False,
    set_: common.Set = None,
    base: common.Base = None,
    or_port: common.OrPort = False,
    json: common.Json = False,
) -> None:
    """Run the scenarios on the kernel under test, each in a freshly booted guest."""
    from patchgen import pipeline, progress
    from patchgen.testing import results, runner

    chosen = _chosen(only, sentences or [])
    settings, port = common.choose(common.load_settings(base), or_port)
    if port:
        progress.note(port)
    project = pipeline.open_project(settings, common.parse_set(set_))
    if list_:
        known = _known(project, kernel, submission, vanilla, (trust, allow_build_changes))
        _show_table(results.table(known), json)
        return
    how = common.handling(submission, trust, allow_build_changes)
    image = kernel_commands.kernel_of(project, kernel=kernel, given=submission, vanilla=vanilla, how=how)
    bed = pipeline.testbed_of(project, image, how.sandbox)
    prefix = str(project.series.parameters["log_prefix"])
    outcomes = runner.run_all(chosen, bed, prefix, workers or runner.at_once(project.settings.jobs))
    results.keep(outcomes, bed, project.cache)
    if junit:
        runner.write_junit(outcomes, junit, str(image))
    counts = {word: sum(outcome.result == word for outcome in outcomes) for word in ("ok", "FAILED", "skipped")}
    if json:
        common.emit(
            {
                "kernel": str(image),
                "accelerator": bed.machine.accelerator,
                "passed": counts["ok"],
                "failed": counts["FAILED"],
                "skipped": counts["skipped"],
                "scenarios": [outcome.as_dict() for outcome in outcomes],
            }
        )
    else:
        for outcome in outcomes:
            words = [
                "--only",
                outcome.scenario.name,
                *["--trust"] * trust,
                *["--allow-build-changes"] * allow_build_changes,
            ]
            _show_outcome(outcome, common.again("test", words, submission, kernel, vanilla, set_, project.base.name))
        skipped = f", {counts['skipped']} SKIPPED" if counts["skipped"] else ""
        typer.echo(f"{counts['ok']} passed, {counts['FAILED']} failed{skipped}")
    if port:
        progress.note(port)
    raise typer.Exit(1 if counts["FAILED"] else 0)


def _chosen(only: str, sentences: list[str]) -> list[Scenario]:
    """Return the scenarios whose name has a text, and that stand for a sentence or section, if any is given.

    Raises:
        UsageError: there are none, or none for one of the sentences.
    """
    from patchgen.scenarios import SCENARIOS
    from patchgen.testing.requirements import within

    def of_part(part: str) -> set[Scenario]:
        return {scenario for scenario in SCENARIOS if any(within(one, part) for one in scenario.demands)}

    hint = "patchgen test --list shows them"
    found = {part: of_part(part) for part in sentences}
    for part, scenarios in found.items():
        if not scenarios:
            raise UsageError(f"no scenario stands for {part!r}", hint=hint)
    among = set().union(*found.values()) if found else set(SCENARIOS)
    chosen = [one for one in SCENARIOS if only in one.name and one in among]
    if not chosen:
        also = f" and stands for {', '.join(sentences)}" if sentences else ""
        raise UsageError(f"no scenario's name has {only!r}{also}", hint=hint)
    return chosen


def _known(
    project: Project, kernel: Path | None, submission: Path | None, vanilla: bool, care: tuple[bool, bool]
) -> dict[str, str]:
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
        how = common.handling(submission, *care)
        if kernel:
            image: Path | None = kernel_commands.kernel_of(project, kernel=kernel)
        else:
            image = kernel_commands.built(project, given=submission, vanilla=vanilla, how=how)
        return results.known_results(pipeline.testbed_of(project, image, how.sandbox), project.cache) if image else {}
    except (BaseError, MachineError) as error:
        progress.warn(f"no results are known: {error.message}")
        return {}


def _show_table(rows: list[Row], json: bool) -> None:
    from patchgen.scenarios import SCENARIOS

    summaries = {one.name: one.summary for one in SCENARIOS}
    if json:
        common.emit({"demands": [{**row.demand.model_dump(), "result": row.result, **_tests(row)} for row in rows]})
        return
    for row in rows:
        typer.echo(f"{row.demand.id:7} {row.result:8} {row.demand.text}")
        if row.demand.check:
            typer.echo(f"        {'':8} make test: {row.demand.check}")
        for name, result in row.results.items():
            typer.echo(f"        {result:8} {name}: {summaries[name]}")
    typer.echo(f"{len(rows)} sentences, {len(summaries)} scenarios")


def _tests(row: Row) -> dict[str, object]:
    return {"scenarios": [{"scenario": name, "result": result} for name, result in row.results.items()]}


def _show_outcome(outcome: Outcome, again: str) -> None:
    typer.echo(f"{outcome.result:7} {outcome.scenario.name} ({', '.join(outcome.scenario.demands)})")
    for note in outcome.notes:
        typer.echo(f"        | otherwise on this base: {note}")
    for line in (outcome.message + ("\n" + outcome.evidence if outcome.evidence else "")).splitlines():
        typer.echo(f"        | {line}")
    if not outcome.passed and not outcome.skipped:
        typer.echo(f"        again: {again}")
