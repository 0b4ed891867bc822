"""How lines of a verdict are printed: whole where a program reads them, wrapped and coloured on a terminal."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable

import typer

from patchgen.grading import text

_LEAST = 40  # columns that a line is wrapped at
_MOST_LINES = 3  # that one line may take
_COLOURS = (
    (re.compile(r"^error\b|\bFAIL\b|(?<=^\d )\w+ +fail\b"), typer.colors.RED),
    (re.compile(r"^warning\b|\bNOT ALL GRADED\b|(?<=^\d )\w+ +error\b"), typer.colors.YELLOW),
    (re.compile(r"(?<=: )pass\b|(?<=^\d )\w+ +pass\b"), typer.colors.GREEN),
)


def lines(made: Callable[[], Iterable[str]]) -> None:
    """Print the lines that a function of text.py makes.

    A terminal gets them wrapped at words, and coloured unless NO_COLOR is set (https://no-color.org). Elsewhere nothing
    is cut off and nothing is added.
    """
    if not sys.stdout.isatty():
        with text.longest(None):
            for line in made():
                typer.echo(line)
        return
    width = max(shutil.get_terminal_size().columns, _LEAST)
    coloured = not os.environ.get("NO_COLOR")
    with text.longest(max(text.WIDTH, _MOST_LINES * width)):
        for line in made():
            typer.echo(painted(wrapped(line, width), coloured), color=True)


def wrapped(line: str, width: int) -> str:
    """Return a line wrapped at words; what follows stands below the beginning of its text."""
    if len(line) <= width:
        return line
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.fill(line, width, subsequent_indent=indent, break_on_hyphens=False, drop_whitespace=True)


def painted(line: str, coloured: bool) -> str:
    """Return a line with the words that matter in colour."""
    for pattern, colour in _COLOURS if coloured else ():
        line = pattern.sub(lambda found, colour=colour: typer.style(found[0], fg=colour), line, count=1)  # type: ignore[misc]
    return line
