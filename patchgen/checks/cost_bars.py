"""Whether a kernel change costs no more than it may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from patchgen.checks.cost import Costs


@dataclass(frozen=True)
class Judged:
    """A bar, and what was measured against it.

    Attributes:
        what: the state, and what was measured in it.
        limit: instructions more than vanilla's.
        measured: the worst that was measured.
    """

    what: str
    limit: int
    measured: int

    @property
    def met(self) -> bool:
        """Whether the bar is met."""
        return self.measured <= self.limit


def judge(costs: Costs) -> list[Judged]:
    """Return every bar with the worst that was measured against it."""
    plan = costs.plan
    titles = {name: group.title for name, group in plan.groups.items()} | {kind.name: kind.title for kind in plan.kind}
    found = []
    for bar in plan.bar:
        for state in bar.states:
            worst = max(costs.added(state, kind.name) for kind in plan.kinds(bar.what))
            found.append(Judged(f"{plan.title(state)}, {titles[bar.what]}", bar.limit, worst))
    if plan.growth is None:
        return found
    for state in plan.shown:
        for what, kind in costs.scaling[state]:
            least, most = min(plan.growth.sizes), max(plan.growth.sizes)
            text = f"{plan.title(state)}, '{kind}' fault with {most:,} {what} instead of {least}"
            found.append(Judged(text, plan.growth.limit, costs.growth(state, what, kind)))
    return found
