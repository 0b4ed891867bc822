"""Which lines of a series' templates depend on the base: all that is to be written, or read, for another kernel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_COMMENTS = {".toml": "#", ".j2": "@#"}
_USE = "idiom."


@dataclass(frozen=True)
class Line:
    """A line of a template.

    Attributes:
        path: the file, relative to the series.
        number: from 1.
        text: without white space around it.
    """

    path: str
    number: int
    text: str


def lines(series: Path, base: str) -> list[Line]:
    """Return the lines that say what is particular to a base, and those of the base that the series was written for.

    Args:
        series: the series' directory.
        base: the base's name.
    """
    own = sorted(path for path in (series / "bases" / base).rglob("*") if path.is_file())
    idioms = [path for path in (series / "idioms.j2",) if path.is_file()]
    return [line for path in (*own, *idioms) for line in _lines(series, path)]


def uses(series: Path) -> list[Line]:
    """Return the lines of the templates themselves in which something is put that depends on the base."""
    files = sorted(path for folder in ("files", "edits", "messages") for path in (series / folder).rglob("*"))
    return [line for path in files if path.is_file() for line in _lines(series, path) if _USE in line.text]


def _lines(series: Path, path: Path) -> list[Line]:
    """Return what is neither blank nor a comment."""
    comment = _COMMENTS.get(path.suffix, "#")
    numbered = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    stripped = [(number, text.strip()) for number, text in numbered]
    name = path.relative_to(series).as_posix()
    return [Line(name, number, text) for number, text in stripped if text and not text.startswith(comment)]
