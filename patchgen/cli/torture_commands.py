"""The command that is hard on kernels: torture."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from patchgen.cli import common, kernel_commands
from patchgen.findings import Verdict

SECONDS, CALLS, WORKERS = 30.0, 20_000, 4


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(torture)


def torture(
    submission: kernel_commands.Given = None,
    kernel: Annotated[
        Path | None, typer.Option("--kernel", metavar="BZIMAGE", help="Use this kernel, of configuration debug.")
    ] = None,
    vanilla: kernel_commands.Vanilla = False,
    seconds: Annotated[float, typer.Option(help="Seconds of torture; a third with failing allocations.", min=0)] = (
        SECONDS
    ),
    calls: Annotated[int, typer.Option(help="Calls with arguments of every kind.", min=0)] = CALLS,
    seed: Annotated[
        int | None, typer.Option(help="Repeat a run: its random numbers.", min=0, max=2**32 - 1, show_default="random")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", "-n", help="Processes at a time.", min=1, max=16)] = WORKERS,
    trust: common.Trust = False,
    allow_build_changes: common.AllowBuildChanges = False,
    set_: common.Set = None,
    base: common.Base = None,
    json: common.Json = False,
) -> None:
    """Do everything at once to a kernel built with all its own checks, and say what broke."""
    from patchgen import pipeline, progress
    from patchgen.checks import stress as torturing

    project = pipeline.open_project(common.load_settings(base), common.parse_set(set_))
    how = common.handling(submission, trust, allow_build_changes)
    image = kernel_commands.kernel_of(
        project, config=torturing.CONFIG, kernel=kernel, given=submission, vanilla=vanilla, how=how
    )
    chosen = secrets.randbelow(2**32) if seed is None else seed
    progress.note(f"seed {chosen}")
    plan = torturing.Plan(chosen, seconds, calls, workers)
    prefix = str(project.series.parameters["log_prefix"])
    verdict = torturing.run(pipeline.testbed_of(project, image, how.sandbox), prefix, plan)
    if json:
        common.emit({"kernel": str(image), **verdict.as_dict()})
    else:
        options = {"--seconds": f"{seconds:g}", "--calls": calls, "--seed": chosen, "--workers": workers}
        words = [*(str(word) for option in options.items() for word in option), *["--trust"] * trust]
        words += ["--allow-build-changes"] * allow_build_changes
        _show(verdict, common.again("torture", words, submission, kernel, vanilla, set_, project.base.name))
    raise typer.Exit(0 if verdict.ok else 1)


def _show(verdict: Verdict, again: str) -> None:
    for name, value in verdict.facts.items():
        typer.echo(f"{name}: {value}")
    for finding in verdict.findings:
        typer.echo(f"WRONG: {finding.where}: {finding.message}")
        for line in finding.evidence.splitlines():
            typer.echo(f"  | {line}")
    if not verdict.ok:
        typer.echo(f"again: {again}")
    typer.echo("ok" if verdict.ok else "WRONG")
