"""The command bases: which kernels series can be made on."""

from __future__ import annotations

import typer

from patchgen.cli import common


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(bases)


def bases(json: common.Json = False) -> None:
    """List the kernels that a series can be made on."""
    from patchgen.base import bases as base

    found = [base.load(one) for one in base.names()]
    if json:
        rows = [{"name": one.name, "title": one.title, "submission": one.submission} for one in found]
        common.emit({"bases": [{**row, "origin": str(one.origin)} for row, one in zip(rows, found, strict=True)]})
        return
    for one in found:
        typer.echo(f"{one.name:12} {one.title}, {'for submissions, ' if one.submission else ''}from {one.origin}")
