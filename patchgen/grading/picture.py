"""The address space of a process as a row of blocks, one for each VMA: where each is drawn, and what is in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from patchgen.testing.picture import Picture

_MOST = 40  # blocks
_NARROWEST, _PER_DOUBLING = 34.0, 7.0  # units of the drawing
_GAP, _BREAK = 3.0, 16.0
_PAGE = 4096
_NAMES = {10: "KB", 20: "MB", 30: "GB"}


@dataclass(frozen=True)
class Column:
    """A VMA in both rows of the drawing.

    Attributes:
        x: where it begins.
        width: how wide it is.
        start: first address.
        end: address after the last.
        expected: faults that it should have; None if nothing is known.
        found: faults that were reported; None if it was not listed.
        wanted: it should be listed; None if that is not known.
        gap: addresses are left out before it.
    """

    x: float
    width: float
    start: int
    end: int
    expected: int | None
    found: int | None
    wanted: bool | None
    gap: bool

    @property
    def wrong(self) -> bool:
        """Whether what was found is not what was expected."""
        if self.found is None:
            return bool(self.wanted) or self.expected is not None
        return self.wanted is False or (self.expected is not None and self.expected != self.found)

    @property
    def size(self) -> str:
        """For people."""
        size = self.end - self.start
        unit = max((power for power in _NAMES if size >= 1 << power), default=10)
        return f"{size / (1 << unit):.3g} {_NAMES[unit]}"

    @property
    def depth(self) -> float:
        """How dark it is drawn, from 0 for no fault to 1 for a thousand."""
        return round(min(1.0, math.log10(1 + (self.found or 0)) / 3), 2)


@dataclass(frozen=True)
class Drawing:
    """All of it.

    Attributes:
        columns: in the order of their addresses.
        width: of the drawing.
        left_out: VMAs that are not drawn.
        total: faults that were reported altogether.
    """

    columns: tuple[Column, ...]
    width: float
    left_out: int
    total: int


def columns(picture: Picture) -> Drawing:
    """Lay out a picture: blocks as wide as the logarithm of their pages, so that one of a page can be read."""
    found = {(vma.start, vma.end): vma.faults for vma in picture.found}
    expected = {(vma.start, vma.end): vma.faults for vma in picture.expected}
    listed = {(vma.start, vma.end) for vma in picture.listed}
    every = sorted({*found, *expected, *listed})
    # What is wrong must be among those that are drawn.
    odd = [one for one in every if one in expected or (listed and (one in listed) != (one in found))]
    drawn = sorted({*odd[:_MOST], *every[: max(_MOST - len(odd), 0)]})
    made: list[Column] = []
    x = 0.0
    last: int | None = None
    for start, end in drawn:
        gap = last is not None and start != last
        x += (_BREAK if gap else _GAP) if made else 0
        pages = max((end - start) / _PAGE, 1)
        width = round(_NARROWEST + _PER_DOUBLING * math.log2(pages), 1)
        bounds = (start, end)
        wanted = bounds in listed if listed else None
        made.append(Column(round(x, 1), width, start, end, expected.get(bounds), found.get(bounds), wanted, gap))
        x, last = x + width, end
    return Drawing(tuple(made), round(x, 1), len(every) - len(drawn), picture.total)
