"""The command that proves the tests: mistakes that people make, put into the reference series one at a time."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from patchgen.cli import common

if TYPE_CHECKING:
    from patchgen.mutation.catalogue import Mutant
    from patchgen.mutation.grade import Graded, MutantGrader
    from patchgen.mutation.matrix import Matrix, Row


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(mutants)


def mutants(
    only: Annotated[
        list[str] | None,
        typer.Option("--only", "-k", metavar="TEXT", help="Grade mutants whose name has TEXT. You can repeat it."),
    ] = None,
    stage: Annotated[str | None, typer.Option("--stage", metavar="NAME", help="Grade mutants of this stage.")] = None,
    stale: Annotated[
        bool, typer.Option("--stale", help="Grade mutants that are new or have changed since they were graded.")
    ] = False,
    table: Annotated[
        Path | None, typer.Option("--table", metavar="FILE", help="Write the matrix as a Markdown document too.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the evidence.")] = False,
    assignment: common.Assignment = None,
) -> None:
    """Grade the series with each known mistake in it.

    Write the kill matrix.
    A mutant is caught if a finding names the requirement that it breaks. An interrupted run goes on where it was.
    """
    from patchgen import pipeline
    from patchgen.assignment import KILL_MATRIX, MUTANTS
    from patchgen.base import bases
    from patchgen.cache import write_text
    from patchgen.errors import UsageError
    from patchgen.mutation import catalogue, matrix
    from patchgen.mutation.grade import MutantGrader
    from patchgen.testing import suite

    project = pipeline.open_project(common.load_settings(bases.DEFAULT, assignment), {})
    tests = suite.load(project.assignment, project.series.parameters)
    all_ = catalogue.load(project.assignment)
    path = project.assignment.directory / KILL_MATRIX
    kept = matrix.load(path, [one.name for one in tests.scenarios])
    old = kept.stale(all_)
    chosen = [
        one
        for one in all_
        if (not only or any(text in one.name for text in only))
        and stage in (None, one.stage)
        and (not stale or one.name in old)
    ]
    if stale and not old:
        _say("no mutant is new or has changed")
        return
    if not chosen:
        raise UsageError(f"there is no mutant {_asked(only, stage, stale)}", hint=f"they are in {MUTANTS}")
    for number in (signal.SIGINT, signal.SIGTERM):  # also where the shell has let the background ignore them
        signal.signal(number, signal.default_int_handler)
    graded: dict[str, Row] = {}
    try:
        _grade(MutantGrader(project), chosen, graded, verbose)
    finally:
        _say(f"{len(graded)} mutants graded, {sum(not row.caught for row in graded.values())} not caught")
        if graded:
            whole = kept.merged(graded, all_)
            whole.save(path)
            if table:
                write_text(table, whole.table(all_))
            _tell(whole, all_)
    raise typer.Exit(0 if all(row.caught for row in graded.values()) else 1)


def _asked(only: list[str] | None, stage: str | None, stale: bool) -> str:
    """Return which mutants were asked for, in words."""
    asked = [f"whose name has {' or '.join(map(repr, only))}"] if only else []
    asked += [f"of the stage {stage!r}"] if stage else []
    asked += ["that is new or has changed"] if stale else []
    return ", ".join(asked)


def _grade(grader: MutantGrader, chosen: list[Mutant], graded: dict[str, Row], verbose: bool) -> None:
    from patchgen import progress
    from patchgen.mutation.matrix import Row

    with progress.step("grading mutants", len(chosen), counted=True) as step:
        for mutant, one in grader.grade_all(chosen):
            graded[mutant.name] = Row(
                mutant=mutant.identity(),
                caught=one.caught,
                by=one.by,
                kills=one.kills,
                violated=one.violated,
                lost=dict(one.lost),
            )
            step.update(len(graded))
            _show(mutant, one, verbose)


def _say(text: str) -> None:
    typer.echo(text)


def _show(mutant: Mutant, one: Graded, evidence: bool) -> None:
    word = "caught" if one.caught else "MISSED"
    _say(f"{word} {mutant.name} ({', '.join(mutant.names)}): {one.by} [{len(one.kills)} kills]")
    if evidence or not one.caught:
        for line in one.evidence.splitlines():
            _say(f"  | {line}")


def _tell(whole: Matrix, all_: tuple[Mutant, ...]) -> None:
    """Say what is to be seen in the matrix."""
    _say(whole.figures(all_))
    for name in whole.idle():
        _say(f"kills no mutant: {name}")
    for group in whole.alike():
        _say(f"kill the same mutants: {', '.join(group)}")
