"""Commands that need a kernel: build, boot, run."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from patchgen.cli import common, under_test
from patchgen.cli.under_test import UnderTest
from patchgen.errors import UsageError
from patchgen.text import visible

if TYPE_CHECKING:
    from patchgen.guest.session import CommandResult
    from patchgen.pipeline import Project

_COMMAND_SECONDS = 60.0


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (build, boot):
        app.command()(command)
    app.command(cls=_WithCommands)(run)


@under_test.options(without={"kernel"})
def build(
    target: UnderTest,
    config: Annotated[
        str, typer.Option("--config", metavar="NAME", help="Build this configuration of qemu/kernel/kernels.toml.")
    ] = "small",
    json: common.Json = False,
) -> None:
    """Build the kernel under test.

    Print where its bzImage is.
    """
    built = target.build(target.project(), config)
    if json:
        common.emit({**asdict(built), "image": str(built.image)})
        return
    typer.echo(str(built.image))


@under_test.options()
def boot(
    target: UnderTest,
    gdb: Annotated[
        bool, typer.Option("--gdb", help="Wait for gdb before the first instruction, and print the command for it.")
    ] = False,
) -> None:
    """Boot the kernel under test and open a shell in it.

    The assignment's programs are there. Ctrl-] ends the guest.
    """
    import sys

    from patchgen import progress

    if not sys.stdin.isatty():
        raise UsageError("patchgen boot needs a terminal", hint="patchgen run -- 'COMMAND' … does not")
    project = target.project()
    bed = target.testbed(project, "symbols" if gdb else "small")
    symbols = bed.kernel.with_name("vmlinux")

    def wait(socket: Path) -> None:
        if not symbols.is_file():
            progress.warn(f"gdb has no symbols: there is no vmlinux beside {bed.kernel}")
        words = ["gdb", *([str(symbols)] if symbols.is_file() else []), "-ex", f"target remote {socket}"]
        progress.note(f"It waits for a debugger, which lets it boot with `continue`: {shlex.join(words)}")

    with bed.debugged(wait) if gdb else bed.ready() as guest:
        first = project.assignment.guest.try_first
        progress.note("Type exit, or Ctrl-], to end." + (f" Try: {first}" if first else ""))
        guest.interact()


class _WithCommands(TyperCommand):
    """What stands after `--` is for the guest, so what stands before it can name a submission, as for any command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        ctx.obj = args[end + 1 :]
        return super().parse_args(ctx, args[:end])

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "-- 'COMMAND' …"]


@under_test.options()
def run(
    context: typer.Context,
    target: UnderTest,
    copy: Annotated[
        list[str] | None,
        typer.Option("--copy", metavar="FILE[:/PATH]", help="Copy a file into the guest; a .c file is compiled first."),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="Give each command this long.", min=0.1)
    ] = _COMMAND_SECONDS,
    json: common.Json = False,
) -> None:
    """Boot the kernel under test and run commands in it.

    Each COMMAND is a shell line. Print its output, its status, and what the kernel logs meanwhile.
    """
    commands: list[str] = context.obj
    if not commands:
        raise UsageError("there is no command to run", hint="patchgen run [PATH] -- 'COMMAND' …")
    project = target.project()
    # Before the kernel is built: a wrong name must not cost the minutes that this may take.
    files = dict(_copied(project, item) for item in copy or [])
    bed = target.testbed(project)
    results = []
    with bed.booted(files) if files else bed.ready() as guest:
        for command in commands:
            results.append(guest.run(command, timeout=timeout))
            if not json:
                _show_result(results[-1])
    if json:
        common.emit({"kernel": str(bed.kernel), "commands": [_as_dict(result) for result in results]})
    raise typer.Exit(0 if all(result.status == 0 for result in results) else 1)


def _copied(project: Project, item: str) -> tuple[str, Path]:
    """Return where in the guest a `--copy FILE[:/PATH]` goes, and the file; a C file is compiled first."""
    from patchgen.guest import programs

    name, colon, target = item.partition(":/")
    file = Path(name)
    if not file.is_file():
        raise UsageError(f"--copy {item}: there is no file {file}")
    if file.suffix == ".c":
        built = programs.build(project.cache, programs.Recipe(file, "dynamic", ours=False))
        return (f"/{target}" if colon else f"/root/{file.stem}"), built
    return (f"/{target}" if colon else f"/root/{file.name}"), file


def _as_dict(result: CommandResult) -> dict[str, object]:
    return {
        "command": result.command,
        "status": result.status,
        "signal": result.signal,
        "output": result.text,
        "log": [{"level": line.level, "text": line.text} for line in result.log],
    }


def _show_result(result: CommandResult) -> None:
    text = visible(result.text)
    typer.echo(f"$ {result.command}")
    typer.echo(text, nl=not text.endswith("\n") and bool(text))
    for line in result.log:
        typer.echo(f"[kernel {line.level}] {visible(line.text)}")
    if result.timed_out:
        typer.echo("[it did not end in time and was killed]")
    elif result.signal:
        typer.echo(f"[ended by signal {result.signal}]")
    elif result.status:
        typer.echo(f"[status {result.status}]")
