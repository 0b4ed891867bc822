"""Coverage as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2

from patchgen.checks.coverage import Coverage, Line

_TEMPLATE = Path(__file__).with_suffix(".html.j2")
_CONTEXT = 3  # Lines of the base shown around those that the series adds.


@dataclass(frozen=True)
class _Row:
    number: int
    text: str
    state: str = ""
    count: str = ""
    ways: tuple[bool, ...] = ()
    hint: str = ""


def render(coverage: Coverage, title: str, base: str) -> str:
    """Return the page.

    Args:
        coverage: what was counted.
        title: what it was counted on.
        base: the title of the kernel release.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.globals |= {"percent": percent, "anchor": _anchor}
    paths = dict.fromkeys(function.path for function in coverage.functions)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        title=title,
        base=base,
        lines=coverage.lines,
        branches=coverage.branches,
        runs=coverage.runs,
        functions=coverage.functions,
        files=[{"path": path, "rows": list(_rows(coverage, path))} for path in paths],
    )


def percent(both: tuple[int, int]) -> str:
    """Return a share in percent, which says 100 only if nothing is missing."""
    part, whole = both
    return "100 %" if part == whole else f"{min(100 * part / whole, 99.9):.1f} %"


def _anchor(path: str, number: int) -> str:
    return f"{path}:{number}"


def _rows(coverage: Coverage, path: str) -> Iterator[_Row | None]:
    """Give the lines of a file that the series adds, with a few around them, and None where others are left out."""
    added, text = coverage.added[path], coverage.text[path]
    counted = {line.number: line for one in coverage.functions if one.path == path for line in one.lines}
    shown = sorted({near for number in added for near in range(number - _CONTEXT, number + _CONTEXT + 1)})
    last = 0
    for number in (number for number in shown if 1 <= number <= len(text)):
        if number != last + 1:
            yield None
        yield _row(number, text[number - 1], added, counted, len(coverage.runs))
        last = number
    if last != len(text):
        yield None


def _row(number: int, text: str, added: frozenset[int], counted: Mapping[int, Line], runs: int) -> _Row:
    if number not in added:
        return _Row(number, text, "old")
    line = counted.get(number)
    if line is None:
        return _Row(number, text)
    ways = tuple(count > 0 for count in line.branches)
    state = "miss" if not line.count else "hit" if all(ways) else "part"
    taken = f"; ways taken: {', '.join(map(str, line.branches))}" if ways else ""
    return _Row(number, text, state, f"{line.count:,}", ways, f"ran in {line.runs} of {runs} guests{taken}")
