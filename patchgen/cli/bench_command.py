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
    from patchgen.checks import cost, cost_bars, cost_instead
    from patchgen.testing import results

    project = target.project()
    base = UnderTest(vanilla=True)
    vanilla, patched = base.testbed(project), target.testbed(project)
    traced = base.testbed(project, cost_instead.CONFIG)
    with progress.step("counting instructions"):
        costs = cost.measure(vanilla, patched)
        instead = cost_instead.measure(traced)
    judged = cost_bars.judge(costs)
    results.keep_costs(judged, vanilla, patched, project.cache)
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
    for table in (_costs(costs), _instead(instead), _scaling(costs), _memory(costs), _bars(judged)):
        console.print(table)


def _table(title: str, *heads: str, right: Iterable[int]) -> Table:
    """Return a table of which some columns are numbers, which stand on the right."""
    from rich.table import Table

    table = Table(*heads, title=title)
    for number in right:
        table.columns[number].justify = "right"
    return table


def _costs(costs: Costs) -> Table:
    from patchgen.checks import cost

    heads = ["", cost.VANILLA.title, *(state.title for state in cost.PATCHED)]
    table = _table("Instructions, and how many more than vanilla", *heads, right=range(1, len(heads)))
    last = ""
    for kind in cost.KINDS:
        if last and kind.group != last:
            table.add_section()
        last = kind.group
        more = (f"{costs.added(state.name, kind.name):+,}" for state in cost.PATCHED)
        table.add_row(kind.title, f"{costs.samples[cost.VANILLA.name][kind.name].typical:,}", *more)
    return table


def _instead(instead: Instead) -> Table:
    from patchgen.checks import cost_instead

    off = instead[cost_instead.OFF.name]
    heads = ["", cost_instead.OFF.title, *(state.title for state in cost_instead.ON)]
    title = "What the kernel has of its own: instructions, and how many more than with nothing traced"
    table = _table(title, *heads, right=range(1, len(heads)))
    for kind in cost_instead.KINDS:
        plain = off[kind.name].typical
        more = (f"{instead[state.name][kind.name].typical - plain:+,}" for state in cost_instead.ON)
        table.add_row(kind.title, f"{plain:,}", *more)
    return table


def _scaling(costs: Costs) -> Table:
    from patchgen.checks import cost

    heads = ["number of", "fault", "", *(f"{size:,}" for size in cost.SIZES)]
    table = _table("Instructions, by how many there are of something", *heads, right=range(3, len(heads)))
    kinds = {kind.name: kind.title for kind in cost.KINDS}
    for what, kind in costs.scaling["tracked"]:
        for state in ("vanilla", "idle", "tracked"):
            by_size = costs.scaling[state].get((what, kind))
            if by_size:
                table.add_row(what, kinds[kind], cost.title(state), *(f"{ticks:,}" for ticks in by_size.values()))
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
