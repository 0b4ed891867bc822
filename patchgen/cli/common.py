"""What all commands share: options, settings, and how results and errors are printed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from patchgen import progress, settings
from patchgen.base.bases import DEFAULT
from patchgen.errors import PatchgenError, UsageError

if TYPE_CHECKING:
    from patchgen.handling import Handling
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
    typer.Option("--set", metavar="NAME=VALUE", help="Replace a parameter of the series. Can be given many times."),
]
Trust = Annotated[
    bool, typer.Option("--trust", help="Build and run the submission without a sandbox: you know whose it is.")
]
AllowBuildChanges = Annotated[
    bool,
    typer.Option("--allow-build-changes", help="Build the submission although it changes the build: you have looked."),
]
SeriesName = Annotated[
    str | None, typer.Option("--series", metavar="NAME|DIR", help="The series; default: pf_stat, or patchgen.toml's.")
]
Base = Annotated[
    str | None, typer.Option("--base", metavar="NAME", help="The kernel to work on; default: linux-4.15, or BASE.")
]
OrPort = Annotated[
    bool,
    typer.Option(
        "--or-port", help="If no base is named and linux-4.15 cannot be had: work on the newest other base that can."
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where results are written.")]


def load_settings(base: str | None = None) -> settings.Settings:
    """Return the settings of the current directory, with the base that the command line names.

    Raises:
        UsageError: patchgen.toml or a variable of the environment is wrong.
    """
    found = settings.load(Path.cwd())
    return found.model_copy(update={"base": base}) if base else found


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
    """Return where the results of a project go: those of a base that nothing is handed in for keep out of the way."""
    return OUTPUT if project.base.submission else OUTPUT / project.base.name


def handling(submission: Path | None, trust: bool, allow_build_changes: bool) -> Handling:
    """Return how a submission is handled; without one, our own series.

    Raises:
        MachineError: it must be shut in, and this machine cannot do it.
    """
    from patchgen import handling

    return handling.untrusted(trust, allow_build_changes) if submission else handling.OURS


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


def again(
    command: str,
    words: Sequence[str],
    submission: Path | None,
    kernel: Path | None,
    vanilla: bool,
    set_: list[str] | None,
    base: str = DEFAULT,
) -> str:
    """Return the command line that does something to the same kernel once more.

    Args:
        command: the subcommand.
        words: its own options.
        submission: as it was given, like the following.
        kernel: the bzImage.
        vanilla: the base without any patch.
        set_: replaced parameters.
        base: its name.
    """
    words = [*(["--base", base] if base != DEFAULT else []), *words]
    line = ["patchgen", command, *words, *(["--kernel", str(kernel)] if kernel else []), *["--vanilla"] * vanilla]
    line += [word for pair in set_ or [] for word in ("--set", pair)]
    return shlex.join([*line, *([str(submission)] if submission else [])])


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
    console = progress.console
    console.print(f"error: {error.message}", style="bold red", markup=False)
    if error.evidence:
        for line in error.evidence.rstrip().splitlines():
            console.print(f"  | {line}", markup=False)
    if error.hint:
        console.print(f"hint: {error.hint}", markup=False)
    return error.exit_status
