"""The command that runs static analysis on what the series touches."""

from __future__ import annotations

from typing import Annotated

import typer

from patchgen.cli import common, kernel_commands


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(static)


def static(
    submission: kernel_commands.Given = None,
    only: Annotated[
        str, typer.Option("--only", "-k", metavar="TOOL", help="Only sparse, W=1, analyzer or coccinelle.")
    ] = "",
    trust: common.Trust = False,
    allow_build_changes: common.AllowBuildChanges = False,
    set_: common.Set = None,
    base: common.Base = None,
    json: common.Json = False,
) -> None:
    """Analyse the files that the series touches; what the base's have as well is not held against it."""
    from patchgen import pipeline
    from patchgen.checks import coverage, static
    from patchgen.errors import MachineError, ToolMissingError

    project = pipeline.open_project(common.load_settings(base), common.parse_set(set_))
    origin = project.source()
    how = common.handling(submission, trust, allow_build_changes)
    tree, slot = pipeline.tree_under_test(project, origin, submission, how)
    paths = frozenset(coverage.added_lines(origin, tree))
    target = static.Target(origin, tree, slot, paths, how.sandbox)
    report = static.analyse(target, project.cache, project.settings.jobs, only)
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
