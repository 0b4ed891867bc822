"""What all commands share: options, settings, and how results and errors are printed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from patchgen import progress, settings
from patchgen.errors import PatchgenError, UsageError

if TYPE_CHECKING:
    from patchgen.pipeline import Project

OUTPUT = Path("dist")


def _remember_json(value: bool) -> bool:
    """Note that results, and errors too, go out as JSON."""
    if value:
        _State.json = True
    return value


class _State:
    """Whether --json was given; an error may come before any command runs."""

    json = False


Json = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON on standard output.", callback=_remember_json)
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Replace a parameter of the series. You can repeat this option."),
]
Trust = Annotated[
    bool, typer.Option("--trust", help="Build and run the submission without a sandbox: you know whose it is.")
]
AllowBuildChanges = Annotated[
    bool,
    typer.Option("--allow-build-changes", help="Build the submission although it changes the build: you have looked."),
]
Assignment = Annotated[
    str | None,
    typer.Option(
        "--assignment", metavar="NAME|DIR", help="Work on this assignment; default: ASSIGNMENT's, or the first."
    ),
]
Base = Annotated[
    str | None, typer.Option("--base", metavar="NAME", help="Work on this kernel; default: linux-4.15, or BASE.")
]
OrPort = Annotated[
    bool,
    typer.Option(
        "--or-port", help="If no base is named and linux-4.15 cannot be had: work on the newest other base that can."
    ),
]
Only = Annotated[
    str, typer.Option("--only", "-k", metavar="TEXT", help="Run only scenarios that have TEXT in their name.")
]
Junit = Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write the results as JUnit XML too.")]
OutputDirectory = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="DIR", help="Write the results into this directory.")
]
OutputFile = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the archive to this file.")
]
# Options that had another name once, and what to say to those who still use it.
RENAMED = {
    "--points": "--stages",
    "--out": "--output",
    "--workers": "--jobs",
    "-n": "-j, or --workers of torture",
    "--series": "--assignment",
    "--sentence": "--requirement",
    "-s": "-r",
    "--html": "--lcov of coverage",
    "--submission": "an argument: patchgen boot PATH, patchgen run PATH -- 'COMMAND' …",
}


def jobs(what: str) -> Any:
    """Return the option for how many of something go on at a time."""
    return typer.Option("--jobs", "-j", metavar="N", min=1, help=what)


def load_settings(base: str | None = None, assignment: str | None = None) -> settings.Settings:
    """Return the settings of the current directory, with the base and the assignment that the command line names.

    Raises:
        UsageError: patchgen.toml or a variable of the environment is wrong.
    """
    found = settings.load(Path.cwd())
    named = {"base": base, "assignment": assignment}
    return found.model_copy(update={name: value for name, value in named.items() if value})


def choose(found: settings.Settings, or_port: bool) -> tuple[settings.Settings, str]:
    """Return the settings with the base to work on.

    Args:
        found: the user's settings.
        or_port: where linux-4.15 cannot be had, another base may stand in for it.

    Returns:
        The settings, and what to tell people about a base that stands in for linux-4.15; "" if none does.

    Raises:
        PatchgenError: no base can be had.
    """
    if not or_port:
        return found, ""
    from patchgen.cli import choice

    chosen = choice.choose(found)
    return found.model_copy(update={"base": chosen.name}), chosen.sentence()


def output_of(project: Project) -> Path:
    """Return where the results of a project go.

    Those of another assignment than the default one, and of a base that nothing is handed in for, keep out of the way.
    """
    own = OUTPUT if project.assignment.is_default else OUTPUT / project.assignment.name
    return own if project.base.submission else own / project.base.name


def parse_set(pairs: list[str] | None) -> dict[str, str]:
    """Return the overrides of `--set`.

    Raises:
        UsageError: one is not NAME=VALUE.
    """
    found = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {pair}: must be NAME=VALUE")
        found[name] = value
    return found


def emit(data: Mapping[str, Any]) -> None:
    """Print a result as JSON, in ASCII: there is nothing in it that a terminal would obey, whoever wrote it."""
    typer.echo(json.dumps(data, indent=2, default=str))


def show_error(error: PatchgenError) -> int:
    """Print an error and return the exit status it stands for."""
    if _State.json:
        emit(
            {
                "error": {
                    "kind": type(error).__name__,
                    "message": error.message,
                    "hint": error.hint,
                    "evidence": error.evidence,
                }
            }
        )
        return error.exit_status
    progress.say(f"error: {error.message}", "bold red")
    if error.evidence:
        for line in error.evidence.rstrip().splitlines():
            progress.say(f"  | {line}")
    if error.hint:
        progress.say(f"hint: {error.hint}")
    return error.exit_status
