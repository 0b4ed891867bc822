"""What the report says was measured: what the cache has for exactly this tree, and nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import toytree
from pfstat import ASSIGNMENT, COSTS, SUITE
from pfstat import SCENARIOS as ALL

from patchgen import pipeline
from patchgen.base.resolve import Source
from patchgen.cache import Cache
from patchgen.checks import checkpatch, cost_bars, kept_costs, measured
from patchgen.checks.checkpatch import Style
from patchgen.checks.measured import CHECKPATCH, SCENARIOS
from patchgen.errors import ToolMissingError
from patchgen.findings import Result
from patchgen.guest import machine
from patchgen.guest.initramfs import Image
from patchgen.guest.testbed import Testbed
from patchgen.pipeline import Measured
from patchgen.settings import Settings
from patchgen.submission.patches import PatchFile
from patchgen.testing import results
from patchgen.testing.runner import Outcome

OURS, OTHER = "1" * 40, "2" * 40
BARS = {name: number for number, name in enumerate(ASSIGNMENT.measured, 30)}


@pytest.fixture
def origin(tmp_path: Path, cache: Cache) -> Source:
    return toytree.obtain(tmp_path / "linux", cache, ())


@pytest.fixture
def beds(tmp_path: Path, cache: Cache, origin: Source, monkeypatch: pytest.MonkeyPatch) -> dict[str, Testbed]:
    """Return the testbeds of the trees that were built: the base's and ours, not the other one's."""
    found = {}
    for tree in (origin.tree, OURS):
        (tmp_path / tree).write_text(tree)
        found[tree] = Testbed(tmp_path / tree, Image(tmp_path / tree, "1"), machine.load(), cache)
    monkeypatch.setattr(measured, "_testbed", lambda _, tree, *__: found.get(tree))
    return found


def patch(name: str) -> PatchFile:
    return PatchFile(name, name.encode(), "subject", "A <a@b>", "", "", ())


def known(origin: Source, cache: Cache, tree: str = OURS, *patches: PatchFile) -> Measured:
    return measured.known(
        pipeline.open_project(Settings(cache=cache.root.parent), {}), tree, patches or (patch("a"),), origin
    )


def outcome(number: int, result: Result = Result.PASS) -> Outcome:
    return Outcome(ALL[number], result, "" if result is Result.PASS else "x", "", 0.1)


def test_what_was_not_run_is_left_out(origin: Source, cache: Cache, beds: dict[str, Testbed]) -> None:
    found = known(origin, cache)
    assert (found.checks, found.figures) == ({}, {})
    assert set(found.missing) == {CHECKPATCH, SCENARIOS, *ASSIGNMENT.measured.values()}


def test_all_scenarios(origin: Source, cache: Cache, beds: dict[str, Testbed]) -> None:
    results.keep(
        [outcome(number, Result.PASS if number else Result.FAIL) for number in range(len(ALL))],
        beds[OURS],
        SUITE,
        cache,
    )
    found = known(origin, cache)
    assert found.checks == {SCENARIOS: f"{len(ALL) - 1} of {len(ALL)}"}
    assert SCENARIOS not in found.missing


def test_some_scenarios_are_not_all(origin: Source, cache: Cache, beds: dict[str, Testbed]) -> None:
    ran = [outcome(0), outcome(1, Result.FAIL), outcome(2, Result.SKIP)]
    results.keep(ran, beds[OURS], SUITE, cache)
    assert known(origin, cache).checks == {SCENARIOS: f"1 of 2 that were run, {len(ALL)} in all"}


def test_costs(origin: Source, cache: Cache, beds: dict[str, Testbed]) -> None:
    bars = [cost_bars.Judged(name, 40, number) for name, number in {**BARS, "something else": 5}.items()]
    kept_costs.keep(bars, ASSIGNMENT, beds[origin.tree], beds[OURS], cache)
    assert known(origin, cache).figures == {ASSIGNMENT.measured[name]: f"+{number}" for name, number in BARS.items()}


def test_the_costs_are_bars_of_bench() -> None:
    titles = {name: group.title for name, group in COSTS.groups.items()}
    bars = {f"{COSTS.title(state)}, {titles.get(bar.what, bar.what)}" for bar in COSTS.bar for state in bar.states}
    assert set(ASSIGNMENT.measured) <= bars


def test_another_tree_has_nothing_of_it(origin: Source, cache: Cache, beds: dict[str, Testbed]) -> None:
    results.keep([outcome(0)], beds[OURS], SUITE, cache)
    kept_costs.keep([cost_bars.Judged(name, 40, 32) for name in BARS], ASSIGNMENT, beds[origin.tree], beds[OURS], cache)
    found = known(origin, cache, OTHER)
    assert (found.checks, found.figures) == ({}, {})


def test_checkpatch_of_all_patches_or_none(origin: Source, cache: Cache, beds: dict[str, Testbed]) -> None:
    both = (patch("a"), patch("b"))
    for one in both:
        assert CHECKPATCH not in known(origin, cache, OURS, *both).checks
        style = Style(one.name, 0, 1, 2, 30, "")
        checkpatch._file(one, origin.tree, cache).write_text(json.dumps(asdict(style)))
    assert known(origin, cache, OURS, *both).checks == {CHECKPATCH: "0 errors, 2 warnings, 4 checks"}


def test_a_machine_that_cannot_build_has_a_report_too(
    origin: Source, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*_: object) -> None:
        raise ToolMissingError("gcc is not installed")

    monkeypatch.setattr(measured, "_testbed", lacking)
    found = known(origin, cache)
    assert (found.checks, found.figures) == ({}, {})
