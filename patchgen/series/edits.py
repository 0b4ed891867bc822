"""Anchored edits: change a text file at the one place where some lines stand."""

from __future__ import annotations

import difflib

from patchgen.errors import SeriesError
from patchgen.series.model import Edit

_CANDIDATES = 3


def _normal(line: str) -> str:
    """Return a line with its white space made the same everywhere, so that anchors need not copy tabs."""
    return " ".join(line.split())


def locate(lines: list[str], anchor: str) -> list[int]:
    """Return the indices of `lines` at which the anchor's lines stand, one after the other."""
    wanted = [_normal(line) for line in anchor.splitlines()]
    # Few lines hold the longest word, and only these are looked at closely: MAINTAINERS has 15,000.
    word = max(wanted[0].split(), key=len, default="")
    return [
        index
        for index in range(len(lines) - len(wanted) + 1)
        if word in lines[index] and [_normal(line) for line in lines[index : index + len(wanted)]] == wanted
    ]


def _candidates(lines: list[str], anchor: str) -> str:
    """Return the lines most like the anchor's first telling line, with their numbers."""
    wanted = max((_normal(line) for line in anchor.splitlines()), key=len)
    by_text: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        by_text.setdefault(_normal(line), number)
    close = difflib.get_close_matches(wanted, list(by_text), n=_CANDIDATES, cutoff=0.4)
    return "\n".join(f"  line {by_text[text]}: {text}" for text in close)


def apply(text: str, edit: Edit, insert: str, path: str, origin: str) -> str:
    """Return `text` with one edit made.

    Args:
        text: the file's content.
        edit: where, by its anchor.
        insert: the rendered lines to put there; a missing newline at the end is added.
        path: the file's name in the kernel tree, for messages.
        origin: the file that holds the edit, for messages.

    Raises:
        SeriesError: the anchor does not match exactly once.
    """
    lines = text.splitlines(keepends=True)
    found = locate(lines, edit.anchor)
    if len(found) != 1:
        shown = "\n".join(f"  {line}" for line in edit.anchor.splitlines())
        if found:
            where = ", ".join(str(index + 1) for index in found)
            raise SeriesError(
                f"{origin}: the anchor matches {len(found)} times in {path}, at lines {where}:\n{shown}",
                hint="add a neighbouring line to the anchor",
            )
        near = _candidates(lines, edit.anchor)
        raise SeriesError(
            f"{origin}: the anchor matches nowhere in {path}:\n{shown}",
            hint=f"the nearest lines are:\n{near}" if near else "",
        )
    begin, end = found[0], found[0] + len(edit.anchor.splitlines())
    fresh = insert if insert.endswith("\n") or not insert else f"{insert}\n"
    if edit.where == "after":
        begin = end
        if begin and not lines[begin - 1].endswith("\n"):
            lines[begin - 1] += "\n"
    elif edit.where == "before":
        end = begin
    return "".join([*lines[:begin], fresh, *lines[end:]])
