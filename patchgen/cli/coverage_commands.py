"""The command that measures how much of the series' code ran."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from patchgen.cli import common, under_test
from patchgen.cli.under_test import UnderTest

if TYPE_CHECKING:
    from patchgen.checks.coverage import Coverage
    from patchgen.testing.runner import Outcome


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(coverage)


@under_test.options(without={"kernel", "vanilla"})
def coverage(
    target: UnderTest,
    lcov: Annotated[
        Path | None, typer.Option("--lcov", metavar="DIR", help="Write DIR/coverage.info, for genhtml and editors.")
    ] = None,
    only: common.Only = "",
    jobs: Annotated[int | None, common.jobs("Run so many guests at a time.")] = None,
    json: common.Json = False,
) -> None:
    """Measure which lines of the series the scenarios run.

    The kernel counts them (gcov). Print the lines that never ran.
    """
    from patchgen.checks import coverage_testing
    from patchgen.checks import lcov as tracefile
    from patchgen.testing import runner

    project = target.project()
    guests = jobs or runner.at_once(project.settings.jobs)
    counted, outcomes = coverage_testing.measure(project, target.submission, only, guests, target.handling())
    if lcov:
        tracefile.write(counted, lcov)
    failed = [one for one in outcomes if not one.passed]
    if json:
        common.emit({**counted.as_dict(), "failed": [one.as_dict() for one in failed]})
    else:
        _show(counted, failed)
        if lcov:
            typer.echo(f"pages: cd {lcov} && genhtml --branch-coverage {tracefile.TRACEFILE} --output-directory html")
    covered, total = counted.lines
    raise typer.Exit(0 if covered == total and not failed else 1)


def _show(counted: Coverage, failed: list[Outcome]) -> None:
    for one in counted.functions:
        lines = f"{len(one.lines) - len(one.uncovered)}/{len(one.lines)}"
        branches = f"{one.branches[0]}/{one.branches[1]}"
        typer.echo(f"{one.path:32} {one.name:28} {lines:>7} lines {branches:>7} branches")
        for number in one.uncovered:
            typer.echo(f"    never ran: {one.path}:{number}: {counted.text[one.path][number - 1].strip()}")
    for outcome in failed:
        typer.echo(f"{outcome.result} {outcome.scenario.name}: {outcome.message}")
    for what, both in (("lines", counted.lines), ("branches", counted.branches)):
        typer.echo(f"{what}: {both[0]} of {both[1]} ({percent(both)})")


def percent(both: tuple[int, int]) -> str:
    """Return a share in percent, which says 100 only if nothing is missing."""
    part, whole = both
    return "100 %" if part == whole else f"{min(100 * part / whole, 99.9):.1f} %"
