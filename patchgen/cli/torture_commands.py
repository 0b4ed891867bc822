"""The command that is hard on kernels: torture."""

from __future__ import annotations

import secrets
from typing import Annotated

import typer

from patchgen.cli import common, under_test
from patchgen.cli.under_test import UnderTest
from patchgen.findings import Verdict

SECONDS, CALLS, WORKERS = 30.0, 20_000, 4


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(torture)


@under_test.options()
def torture(
    target: UnderTest,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="N", help="Go on so long; a third with failing allocations.", min=0)
    ] = SECONDS,
    calls: Annotated[
        int, typer.Option("--calls", metavar="N", help="Make so many calls with arguments of every kind.", min=0)
    ] = CALLS,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", metavar="N", help="Repeat the run of this seed.", min=0, max=2**32 - 1, show_default="random"
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", help="Keep so many processes busy in the guest.", min=1, max=16)
    ] = WORKERS,
    json: common.Json = False,
) -> None:
    """Put a debug kernel under stress, and print what broke.

    Do everything at once, to a kernel of configuration debug, which has all of the kernel's own checks.
    """
    from patchgen import pipeline, progress
    from patchgen.checks import stress as torturing
    from patchgen.testing import suite

    project = target.project()
    steps = torturing.load(project.assignment)
    tests = suite.load(project.assignment, project.series.parameters)
    image = target.image(project, torturing.CONFIG)
    chosen = secrets.randbelow(2**32) if seed is None else seed
    progress.note(f"seed {chosen}")
    plan = torturing.Plan(chosen, seconds, calls, workers)
    bed = pipeline.testbed_of(project, image, target.handling().sandbox)
    verdict = torturing.run(bed, steps, tests.prefix, plan)
    if json:
        common.emit({"kernel": str(image), **verdict.as_dict()})
    else:
        options = {"--seconds": f"{seconds:g}", "--calls": calls, "--seed": chosen, "--workers": workers}
        words = [str(word) for option in options.items() for word in option]
        _show(verdict, target.reproduce("torture", words, project.base.name))
    raise typer.Exit(0 if verdict.ok else 1)


def _show(verdict: Verdict, again: str) -> None:
    for name, value in verdict.facts.items():
        typer.echo(f"{name}: {value}")
    for finding in verdict.findings:
        typer.echo(f"WRONG: {finding.where}: {finding.message}")
        for line in finding.evidence.splitlines():
            typer.echo(f"  | {line}")
    if not verdict.ok:
        typer.echo(f"reproduce: {again}")
    typer.echo("ok" if verdict.ok else "WRONG")
