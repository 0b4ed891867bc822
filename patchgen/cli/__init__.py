"""The `patchgen` command: exit status 0 ok, 1 the thing checked is wrong, 2 usage, 3 the machine failed."""

from __future__ import annotations

import contextlib
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from patchgen import __version__, progress
from patchgen.cli import (
    base_command,
    bench_command,
    common,
    coverage_commands,
    host_commands,
    kernel_commands,
    mark_command,
    mutants_command,
    series_commands,
    static_commands,
    test_command,
    torture_commands,
    verify_command,
    watch_command,
)
from patchgen.errors import PatchgenError, UsageError

_INTERRUPTED = 130

app = typer.Typer(
    name="patchgen",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Generate a Linux patch series from templates, build and boot it, check it, package it, and grade others.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"patchgen {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and end.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


host_commands.register(app)
series_commands.register(app)
base_command.register(app)
kernel_commands.register(app)
coverage_commands.register(app)
static_commands.register(app)
test_command.register(app)
watch_command.register(app)
torture_commands.register(app)
bench_command.register(app)
mutants_command.register(app)
verify_command.register(app)
mark_command.register(app)


def _crash_log() -> Path | None:
    """Write the traceback of a bug of ours to a file, and return where it is."""
    with contextlib.suppress(OSError, PatchgenError):
        path = common.load_settings().cache / "crash.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(traceback.format_exc())
        return path
    return None


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        # A name of its own, so that completion asks the same way however this was started.
        status = app(prog_name="patchgen", standalone_mode=False)
    except PatchgenError as error:
        status = common.show_error(error)
    except typer.Abort:
        status = _INTERRUPTED
    except typer.TyperException as error:
        # Of these only the usage errors have a text of their own, but the class does not say so.
        getattr(error, "show", lambda: None)()
        new_name = common.RENAMED.get(getattr(error, "option_name", ""))
        if new_name:
            progress.say(f"hint: that option is now {new_name}")
        status = getattr(error, "exit_code", UsageError.exit_status)
    except KeyboardInterrupt:
        progress.note("interrupted; nothing is left half-done")
        status = _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone; Python must not complain about it at exit.
        sys.stdout = None
        status = 0
    except Exception as error:
        path = _crash_log()
        common.show_error(PatchgenError(f"internal error: {type(error).__name__}: {error}"))
        if path:
            progress.say(f"This is a bug in patchgen. The traceback is in {path}")
        status = PatchgenError.exit_status
    sys.exit(status or 0)
