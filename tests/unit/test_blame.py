"""Who is to blame: what rests on a foundation that has failed is blocked."""

from __future__ import annotations

import dataclasses

from pfstat import ASSIGNMENT, SCENARIOS

from patchgen.assignment import Foundation
from patchgen.findings import Result
from patchgen.testing import blame
from patchgen.testing.lab import Scenario
from patchgen.testing.runner import Outcome

RESTING = dataclasses.replace(
    ASSIGNMENT, foundations=(Foundation(scenarios=("counts",), requirements=("2.5-*", "S1")),)
)


def outcome(name: str, *violated: str, result: Result = Result.FAIL, crashed: bool = False) -> Outcome:
    scenario = Scenario(name, violated or ("2.1-1",), lambda _: None, f"{name} works.")
    return Outcome(scenario, result, "wanted 1, got 2", "", 0.1, violated=violated, crashed=crashed)


def test_what_rests_on_it_is_blocked_and_accuses_nothing() -> None:
    counts, names, both = outcome("counts", "2.5-1"), outcome("names", "2.1-4"), outcome("both", "2.2-3", "S1")
    settled = blame.settle([names, counts, both], RESTING)
    assert [(one.result, one.violated) for one in settled] == [
        (Result.BLOCKED, ()),
        (Result.FAIL, ("2.5-1",)),
        (Result.FAIL, ("S1",)),
    ]
    assert settled[0].message.startswith("blocked by counts (counts works.)\nwanted 1")


def test_without_it_everything_stays() -> None:
    passed = outcome("counts", result=Result.PASS)
    names = outcome("names", "2.1-4")
    assert blame.settle([passed, names], RESTING) == [passed, names]
    assert blame.settle([names], RESTING) == [names], "it was not run"


def test_what_has_not_got_to_its_subject_rests_on_it_too() -> None:
    blocked = dataclasses.replace(outcome("names", "2.1-1", result=Result.BLOCKED), violated=("2.2-10",))
    settled = blame.settle([blocked, outcome("counts", "2.5-1")], RESTING)[0]
    assert (settled.result, settled.violated, settled.blocked_by) == (Result.BLOCKED, ("2.2-10",), "counts")


def test_what_nothing_else_shows_has_failed() -> None:
    """A call that fails in the middle of a scenario, and nowhere else: somebody must be told."""
    blocked = dataclasses.replace(outcome("names", "2.1-1", result=Result.BLOCKED), violated=("2.2-10",))
    alone = blame.settle([blocked, outcome("fine", result=Result.PASS)], RESTING)
    assert [(one.result, one.violated) for one in alone] == [(Result.FAIL, ("2.1-1",)), (Result.PASS, ())]
    explained = [blocked, outcome("errors", "2.2-10")]
    assert blame.settle(explained, RESTING) == explained


def test_what_fails_for_want_of_another_explains_those_behind_it() -> None:
    first = dataclasses.replace(
        outcome("first", "2.6-2", result=Result.BLOCKED), scenario=outcome("first", "2.3-1").scenario
    )
    second = dataclasses.replace(
        outcome("second", "2.3-1", result=Result.BLOCKED), scenario=outcome("x", "S11").scenario
    )
    settled = blame.settle([first, second], RESTING)
    assert [(one.result, one.violated) for one in settled] == [(Result.FAIL, ("2.3-1",)), (Result.BLOCKED, ("2.3-1",))]


def test_a_crash_is_blocked_by_nothing() -> None:
    dead = outcome("names", "2.1-4", "3-4", crashed=True)
    assert blame.settle([outcome("counts", "2.5-1"), dead], RESTING)[1] == dead
    crashed = outcome("counts", "2.5-1", "3-4", crashed=True)
    names = outcome("names", "2.1-4")
    assert blame.settle([crashed, names], RESTING) == [crashed, names], "a kernel that dies shows nothing of counting"


def test_the_foundations_of_pf_stat_are_about_what_they_say() -> None:
    names = {one.name: one for one in SCENARIOS}
    for foundation in ASSIGNMENT.foundations:
        for name in foundation.scenarios:
            about = names[name].requirements
            assert any(blame.fnmatchcase(one, each) for one in about for each in foundation.requirements)
