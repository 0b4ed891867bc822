"""The command bench: what the kernel change costs, against its bars."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from patchgen.cli import common, under_test
from patchgen.cli.under_test import UnderTest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table

    from patchgen.checks.cost import Costs, Sample
    from patchgen.checks.cost_bars import Judged
    from patchgen.checks.cost_plan import Plan

    Instead = dict[str, dict[str, Sample]]


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(bench)


@under_test.options(without={"kernel", "vanilla"})
def bench(target: UnderTest, json: common.Json = False) -> None:
    """Count the instructions that faults and calls take.

    Compare them with the vanilla kernel's, and check the limits.
    """
    from patchgen import progress
    from patchgen.checks import cost, cost_bars, cost_plan, kept_costs

    project = target.project()
    plan = cost_plan.load(project.assignment, project.base.name)
    base = UnderTest(vanilla=True, assignment=target.assignment)
    vanilla, patched = base.testbed(project), target.testbed(project)
    traced = base.testbed(project, plan.instead.config) if plan.instead else None
    with progress.step("counting instructions"):
        costs = cost.measure(plan, vanilla, patched)
        instead = cost.measure_instead(plan, traced) if traced else {}
    judged = cost_bars.judge(costs)
    kept_costs.keep(judged, project.assignment, vanilla, patched, project.cache)
    if json:
        common.emit({**_as_dict(costs, judged, str(vanilla.kernel), str(patched.kernel)), "instead": _samples(instead)})
    else:
        _show(costs, judged, instead)
    raise typer.Exit(0 if all(one.met for one in judged) else 1)


def _as_dict(costs: Costs, judged: list[Judged], vanilla: str, patched: str) -> dict[str, object]:
    return {
        "vanilla": vanilla,
        "kernel": patched,
        "met": all(one.met for one in judged),
        "bars": [{**asdict(one), "met": one.met} for one in judged],
        "instructions": _samples(costs.samples),
        "scaling": [
            {"state": state, "number_of": what, "kind": kind, "instructions": by_size}
            for state, curves in costs.scaling.items()
            for (what, kind), by_size in curves.items()
        ],
        "memory": costs.memory,
    }


def _samples(samples: Instead) -> dict[str, dict[str, dict[str, object]]]:
    return {
        state: {kind: {**asdict(sample), "typical": sample.typical} for kind, sample in kinds.items()}
        for state, kinds in samples.items()
    }


def _show(costs: Costs, judged: list[Judged], instead: Instead) -> None:
    from rich.console import Console

    console = Console(width=110, highlight=False)
    own = [_instead(costs.plan, instead)] if instead else []
    for table in (_costs(costs), *own, _scaling(costs), _memory(costs), _bars(judged)):
        console.print(table)


def _table(title: str, *heads: str, right: Iterable[int]) -> Table:
    """Return a table of which some columns are numbers, which stand on the right."""
    from rich.table import Table

    table = Table(*heads, title=title)
    for number in right:
        table.columns[number].justify = "right"
    return table


def _costs(costs: Costs) -> Table:
    from patchgen.checks.cost_plan import VANILLA

    plan = costs.plan
    heads = ["", VANILLA.title, *(state.title for state in plan.state)]
    table = _table("Instructions, and how many more than vanilla", *heads, right=range(1, len(heads)))
    last = ""
    for kind in plan.kind:
        if last and kind.group != last:
            table.add_section()
        last = kind.group
        more = (f"{costs.added(state.name, kind.name):+,}" for state in plan.state)
        table.add_row(kind.title, f"{costs.samples[VANILLA.name][kind.name].typical:,}", *more)
    return table


def _instead(plan: Plan, instead: Instead) -> Table:
    assert plan.instead is not None, "it was measured"
    none, *others = plan.instead.states
    off = instead[none.name]
    heads = ["", none.title, *(state.title for state in others)]
    title = "What the kernel has of its own: instructions, and how many more than with nothing traced"
    table = _table(title, *heads, right=range(1, len(heads)))
    for kind in plan.instead_kinds:
        plain = off[kind.name].typical
        more = (f"{instead[state.name][kind.name].typical - plain:+,}" for state in others)
        table.add_row(kind.title, f"{plain:,}", *more)
    return table


def _scaling(costs: Costs) -> Table:
    plan = costs.plan
    heads = ["number of", "fault", "", *(f"{size:,}" for size in (plan.growth.sizes if plan.growth else ()))]
    table = _table("Instructions, by how many there are of something", *heads, right=range(3, len(heads)))
    kinds = {kind.name: kind.title for kind in plan.kind}
    for what, kind in costs.scaling.get(plan.shown[-1], {}):
        for state in plan.scaled:
            by_size = costs.scaling[state].get((what, kind))
            if by_size:
                table.add_row(what, kinds[kind], plan.title(state), *(f"{ticks:,}" for ticks in by_size.values()))
        table.add_section()
    return table


def _memory(costs: Costs) -> Table:
    table = _table("Memory, from /proc/slabinfo", "", "bytes", right=[1])
    for what, size in costs.memory.items():
        table.add_row(what, f"{size:,.1f}")
    return table


def _bars(judged: list[Judged]) -> Table:
    table = _table("Bars: instructions more than vanilla", "", "at most", "worst", "", right=[1, 2])
    for one in judged:
        table.add_row(one.what, f"+{one.limit}", f"{one.measured:+}", "ok" if one.met else "MISSED")
    return table
