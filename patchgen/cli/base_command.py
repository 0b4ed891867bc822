"""The command bases: which kernels series can be made on, and what of the templates depends on one."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from patchgen.cli import common

if TYPE_CHECKING:
    from patchgen.series.portability import Line


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(bases)


def bases(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Print the lines of the series that depend on this base.")
    ] = None,
    series: common.SeriesName = None,
    json: common.Json = False,
) -> None:
    """List the kernels that a series can be made on, or what depends on one of them."""
    from patchgen.base import bases as base
    from patchgen.series import portability
    from patchgen.series.model import find

    settings = common.load_settings()
    if name:
        base.load(name)  # an unknown name is an error
        directory = find(series or settings.series.name)
        particular, used = portability.lines(directory, name), portability.uses(directory)
        if json:
            common.emit({"lines": [asdict(one) for one in particular], "uses": [asdict(one) for one in used]})
            return
        _show(particular, f"lines of the templates are about {name}, or about {base.DEFAULT} where that differs")
        _show(used, "lines use them")
        return
    found = [base.load(one) for one in base.names()]
    if json:
        rows = [{"name": one.name, "title": one.title, "submission": one.submission} for one in found]
        common.emit({"bases": [{**row, "origin": str(one.origin)} for row, one in zip(rows, found, strict=True)]})
        return
    for one in found:
        typer.echo(f"{one.name:12} {one.title}, {'for submissions, ' if one.submission else ''}from {one.origin}")


def _show(found: list[Line], what: str) -> None:
    for line in found:
        typer.echo(f"{line.path}:{line.number}: {line.text}")
    typer.echo(f"{len(found)} {what}")
