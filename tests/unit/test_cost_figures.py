"""What is made of the figures that come out of the guest."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from pfstat import ASSIGNMENT, COSTS
from typer.testing import CliRunner

from patchgen.checks import cost, cost_bars, cost_plan, kept_costs
from patchgen.checks.cost import Costs, Sample
from patchgen.cli import app, bench_command, common
from patchgen.cli.under_test import UnderTest
from patchgen.errors import GuestError

assert COSTS.growth is not None
GROWTH = COSTS.growth
PLOT = Path(__file__).parents[2] / "docs/cost/plot.py"
SLABINFO = """slabinfo - version: 2.1
# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> ...
mm_struct             24     24    672   24    4 : tunables    0    0    0 : slabdata      1      1      0
kmalloc-8192          12     12   8192    4    8 : tunables    0    0    0 : slabdata      3      3      0
kmalloc-96            84     84     96   42    1 : tunables    0    0    0 : slabdata      2      2      0
"""


def made(tracked_reuse: int = 533, tracked_many: int = 533) -> Costs:
    """Return costs that meet every bar unless told otherwise."""
    states = ["vanilla", *(state.name for state in COSTS.state)]
    costs = Costs(COSTS)
    for state in states:
        costs.samples[state] = {kind.name: Sample(500, 0.9, 501, 2048) for kind in COSTS.kind}
    costs.samples["tracked"]["reuse"] = Sample(tracked_reuse, 0.9, 0, 2048)
    for state, ticks in (("vanilla", 500), ("idle", 502), ("tracked", 533)):
        costs.scaling[state] = {
            (what, kind): dict.fromkeys(GROWTH.sizes, ticks)
            for what in ("VMAs", "faults so far", "tracked names", "processes")
            for kind in GROWTH.kinds
            if state != "vanilla" or what != "tracked names"
        }
    costs.scaling["tracked"]["tracked names", "reuse"][1000] = tracked_many
    return costs


def missed(costs: Costs) -> list[str]:
    return [one.what for one in cost_bars.judge(costs) if not one.met]


def test_the_mode_is_the_most_frequent_and_the_median_the_middle_one() -> None:
    assert cost.parse("474 5\n480 3\n9000 2\n") == Sample(474, 0.5, 480, 10)
    assert cost.parse("474 5\n480 3\n9000 2\n").typical == 474
    assert cost.parse("1 4\n2 3\n3 3\n").typical == 2
    assert cost.parse("7 1\n").median == 7


@pytest.mark.parametrize("text", ["", "cost: mmap: error 12\n", "474\n", "474 5\nx\n", "-3 4\n"])
def test_anything_else_is_the_guests_fault(text: str) -> None:
    with pytest.raises(GuestError, match="something else"):
        cost.parse(text)


def test_only_what_kmalloc_has_taken_is_summed_up() -> None:
    assert cost.slab_bytes(SLABINFO) == 3 * 8 * 4096 + 2 * 4096


def test_a_bar_is_missed_by_one_instruction() -> None:
    assert missed(made(tracked_reuse=540)) == []
    assert missed(made(tracked_reuse=541)) == ["tracked, copy-on-write fault"]
    costs = made()
    costs.samples["other100"]["file"] = Sample(504, 1.0, 504, 2048)
    assert missed(costs) == ["100 other names, other fault"]
    costs = made()
    costs.samples["tracked"]["exec"] = Sample(500 + 2801, 1.0, 0, 64)
    assert missed(costs) == ["tracked, execve"]


def test_growth_is_missed_too() -> None:
    assert missed(made(tracked_many=533 + GROWTH.limit)) == []
    assert missed(made(tracked_many=534 + GROWTH.limit)) == [
        "tracked, 'reuse' fault with 1,000 tracked names instead of 1"
    ]


def test_growth_that_vanilla_has_as_well_is_not_ours() -> None:
    costs = made()
    for state in costs.scaling:
        costs.scaling[state]["VMAs", "reuse"][1000] += 400
    assert missed(costs) == []


def test_the_plot_shows_what_the_bars_are_held_to() -> None:
    """docs/cost/plot.py has nothing but the JSON; what it draws must be what the command has measured."""
    plot = runpy.run_path(str(PLOT))
    costs = made(tracked_many=600)
    costs.scaling["vanilla"]["VMAs", "first"][100] = 480
    as_json = json.loads(json.dumps(bench_command._as_dict(costs, cost_bars.judge(costs), "vanilla", "patched")))
    drawn = {
        (state, what, kind): plot["added"](as_json, state, what, kind)
        for state in plot["STATES"]
        for what in plot["PANELS"]
        for kind in plot["KINDS"]
        if (what, kind) in costs.scaling[state]
    }
    assert drawn == {(state, what, kind): costs.curve(state, what, kind) for state, what, kind in drawn}
    assert drawn["tracked", "tracked names", "reuse"][1000] == 100
    assert drawn["idle", "VMAs", "first"][100] == 22
    assert {what for _, what, _ in drawn} == set(plot["PANELS"])


@pytest.mark.parametrize(("ticks", "status"), [(540, 0), (541, 1)])
def test_the_command_fails_when_a_bar_is_missed(ticks: int, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common._State, "json", False)  # put back afterwards: --json below sets it for the process
    monkeypatch.setattr(UnderTest, "testbed", lambda *_: SimpleNamespace(kernel="bzImage"))
    monkeypatch.setattr(cost, "measure", lambda *_: made(tracked_reuse=ticks))
    other = {kind.name: Sample(1333, 1.0, 1333, 2048) for kind in COSTS.instead_kinds}
    instead = {"off": made().samples["vanilla"], "tracepoint": other, "kprobe": other}
    monkeypatch.setattr(cost, "measure_instead", lambda *_: instead)
    kept: list[object] = []
    monkeypatch.setattr(kept_costs, "keep", lambda judged, *_: kept.append(judged))
    shown = CliRunner().invoke(app, ["bench"])
    assert shown.exit_code == status, shown.output
    assert ("MISSED" in shown.output) == bool(status)
    assert "+833" in shown.output, "what the kernel has of its own"
    as_json = CliRunner().invoke(app, ["bench", "--json"])
    assert as_json.exit_code == status
    assert json.loads(as_json.stdout)["met"] == (status == 0)
    assert kept == 2 * [cost_bars.judge(made(tracked_reuse=ticks))]


def test_another_base_has_limits_of_its_own() -> None:
    there = cost_plan.load(ASSIGNMENT, "debian-6.12")
    assert there.model_copy(update={"bar": COSTS.bar}) == COSTS
    higher = [bar.what for bar, here in zip(there.bar, COSTS.bar, strict=True) if bar.limit > here.limit]
    assert higher == ["cow", "exec", "fork"]
    assert cost_plan.load(ASSIGNMENT, "linux-4.15") == COSTS
