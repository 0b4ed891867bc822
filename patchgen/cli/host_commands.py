"""Commands about the host: doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from patchgen.cli import common


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(doctor)


def doctor(
    install: Annotated[
        bool, typer.Option("--install", help="Install what is missing, as root or with password-less sudo.")
    ] = False,
    json: common.Json = False,
) -> None:
    """Say what this machine lacks, and the command that installs it."""
    from patchgen import host
    from patchgen.cli.doctor import examine

    if install:
        host.ensure("test")
    items = examine(common.load_settings())
    bad = [item for item in items if not item.ok and not item.optional]
    lacking = [need for need in host.missing() if not need.optional]
    line = host.install_line(lacking) if lacking else ""
    if json:
        common.emit(
            {
                "ok": not bad,
                "items": [
                    {
                        "name": item.name,
                        "ok": item.ok,
                        "optional": item.optional,
                        "detail": item.detail,
                        "fix": item.fix,
                    }
                    for item in items
                ],
                "install": line,
            }
        )
    else:
        for item in items:
            mark = "ok     " if item.ok else "absent " if item.optional else "MISSING"
            typer.echo(f"{mark} {item.name}{': ' + item.detail if item.detail else ''}")
            if not item.ok and item.fix:
                typer.echo(f"        fix: {item.fix}")
        if line:
            typer.echo(f"\nAll at once, as root: {line}")
    raise typer.Exit(3 if bad else 0)
