"""Whether a kernel change costs no more than it may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from patchgen.checks.cost import Costs
    from patchgen.checks.cost_plan import Plan


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
    found = list(of_kinds(plan, costs.added))
    if plan.growth is None:
        return found
    for state in plan.shown:
        for what, kind in costs.scaling[state]:
            least, most = min(plan.growth.sizes), max(plan.growth.sizes)
            text = f"{plan.title(state)}, '{kind}' fault with {most:,} {what} instead of {least}"
            found.append(Judged(text, plan.growth.limit, costs.growth(state, what, kind)))
    return found


def of_kinds(plan: Plan, added: Callable[[str, str], int]) -> Iterator[Judged]:
    """Yield the bars of groups and kinds.

    Args:
        plan: that has them.
        added: returns how many instructions more than on the vanilla kernel a kind takes, by state and kind.
    """
    titles = {name: group.title for name, group in plan.groups.items()} | {kind.name: kind.title for kind in plan.kind}
    for bar in plan.bar:
        for state in bar.states:
            worst = max(added(state, kind.name) for kind in plan.kinds(bar.what))
            yield Judged(f"{plan.title(state)}, {titles[bar.what]}", bar.limit, worst)
