"""What the kernel change may cost, and whether it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from patchgen.checks.cost import KINDS, SIZES, title

if TYPE_CHECKING:
    from patchgen.checks.cost import Costs, Kind


@dataclass(frozen=True)
class Bar:
    """How many instructions more than the vanilla kernel's something may cost in a state.

    Attributes:
        state: which.
        what: a group of kinds, or the name of one.
        limit: instructions.
    """

    state: str
    what: str
    limit: int

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What it is for."""
        return tuple(kind for kind in KINDS if self.what in (kind.group, kind.name))


BARS = (
    *(Bar(state, group, 3) for state in ("idle", "other1", "other100") for group in ("cow", "other")),
    Bar("tracked", "cow", 40),
    Bar("tracked", "other", 5),
    Bar("tracked", "exec", 2800),
    Bar("idle", "fork", 15),
)
# How much a fault may cost more with 1,000 of something than with 1, beyond what vanilla's costs more then.
GROWTH = 8


@dataclass(frozen=True)
class Judged:
    """A bar, and what was measured against it."""

    what: str
    limit: int
    measured: int

    @property
    def met(self) -> bool:
        """Whether the bar is met."""
        return self.measured <= self.limit


def judge(costs: Costs) -> list[Judged]:
    """Return every bar with the worst that was measured against it."""
    titles = {"cow": "copy-on-write fault", "other": "other fault"} | {kind.name: kind.title for kind in KINDS}
    found = []
    for bar in BARS:
        worst = max(costs.added(bar.state, kind.name) for kind in bar.kinds)
        found.append(Judged(f"{title(bar.state)}, {titles[bar.what]}", bar.limit, worst))
    for state in ("idle", "tracked"):
        for what, kind in costs.scaling[state]:
            text = f"{title(state)}, '{kind}' fault with {max(SIZES):,} {what} instead of {min(SIZES)}"
            found.append(Judged(text, GROWTH, costs.growth(state, what, kind)))
    return found
