"""The command that runs static analysis on what the series touches."""

from __future__ import annotations

from typing import Annotated

import typer

from patchgen.cli import common, under_test
from patchgen.cli.under_test import UnderTest


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(static)


@under_test.options(without={"kernel", "vanilla"})
def static(
    target: UnderTest,
    only: Annotated[
        str, typer.Option("--only", "-k", metavar="TOOL", help="Run only this tool: sparse, W=1 or coccinelle.")
    ] = "",
    json: common.Json = False,
) -> None:
    """Run sparse, gcc and coccinelle on what the series touches.

    Print only what they do not say of the base.
    """
    from patchgen.checks import coverage, static
    from patchgen.errors import MachineError, ToolMissingError

    project = target.project()
    origin = project.source()
    tree, workspace = target.tree(project, origin)
    paths = frozenset(coverage.added_lines(origin, tree))
    report = static.analyse(
        static.Target(origin, tree, workspace, paths, target.handling().sandbox),
        project.cache,
        project.settings.jobs,
        only,
    )
    if json:
        findings = [{"tool": one.check, "where": one.where, "message": one.message} for one in report.findings]
        common.emit(
            {
                "findings": findings,
                "tools": dict(report.rows),
                "missing": list(report.missing),
                "silent": list(report.silent),
            }
        )
    else:
        for finding in report.findings:
            typer.echo(f"{finding.check}: {finding.where}: {finding.message}")
        for tool, what in report.rows:
            typer.echo(f"{tool:10} {what}")
    if report.findings:
        raise typer.Exit(1)
    if report.missing:
        raise ToolMissingError(
            f"not run, so nothing is known: {', '.join(report.missing)}",
            hint="run 'patchgen doctor' to see what installs it",
        )
    if report.silent:
        raise MachineError(f"no answer, so nothing is known of: {', '.join(report.silent)}")
