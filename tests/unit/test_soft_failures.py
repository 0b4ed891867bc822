"""What a scenario meets and is not about: it goes on, fails at its end, and only the right sentences are broken."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import cast

import pytest
from pf_stat.scenarios.lab import Call, Info, Lab
from pfstat import SUITE

from patchgen.base.bases import Quirks
from patchgen.errors import GuestError
from patchgen.findings import Result
from patchgen.grading import grader
from patchgen.grading.context import GradingContext
from patchgen.guest.testbed import Testbed
from patchgen.testing import runner
from patchgen.testing.lab import Scenario, expect

PREFIX = "[INFO940][ERROR]"
GOOD = ("err", f"{PREFIX} pf_cleanup: nothing is tracked")
CHATTY = ("info", "here")


class _Guest:
    """A stand-in in which no kernel runs."""

    console = said = ""
    complaints: tuple[str, ...] = ()


class _Bed:
    def __init__(self, guest: _Guest) -> None:
        self.guest = guest
        self.quirks = Quirks()

    def with_cpus(self, _: int) -> _Bed:
        return self

    @contextlib.contextmanager
    def ready(self) -> Iterator[_Guest]:
        yield self.guest


def outcome(
    monkeypatch: pytest.MonkeyPatch,
    answers: list[Call],
    check: Callable[[Lab], None],
    guest: _Guest | None = None,
) -> runner.Outcome:
    monkeypatch.setattr(Lab, "call", lambda *_: answers.pop(0))
    scenario = Scenario("one", ("2.1-1",), check, "")
    return runner.run_one(scenario, cast("Testbed", _Bed(guest or _Guest())), SUITE)


def succeed(lab: Lab) -> None:
    lab.succeed("set", "x", "-")


def fail(lab: Lab) -> None:
    lab.fail("EACCES", "cleanup")


@pytest.mark.parametrize(
    ("check", "call", "violated"),
    [
        (succeed, Call(0, None, ()), ()),
        (succeed, Call(0, None, (CHATTY,)), ("3-5", "S13")),
        (succeed, Call(-38, None, ()), ("2.1-1",)),
        (succeed, Call(-38, None, (CHATTY,)), ("2.1-1",)),
        (fail, Call(-13, None, (GOOD,)), ()),
        (fail, Call(-13, None, ()), ("2.6-4", "2.6-5", "S13")),
        (fail, Call(-13, None, (GOOD, GOOD)), ("2.6-4", "2.6-5", "S13")),
        (fail, Call(-13, None, (("warn", GOOD[1]),)), ("2.6-4", "2.6-5", "S13")),
        (fail, Call(-22, None, (GOOD,)), ("2.3-3", "2.6-2")),
        (fail, Call(0, None, ()), ("2.3-3", "2.6-2")),
    ],
)
def test_what_is_broken(
    monkeypatch: pytest.MonkeyPatch, check: Callable[[Lab], None], call: Call, violated: tuple[str, ...]
) -> None:
    found = outcome(monkeypatch, [call], check)
    assert (found.violated, found.passed) == (violated, not violated)


def test_it_goes_on_after_a_soft_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(lab: Lab) -> None:
        lab.succeed("set", "x", "-")
        expect("faults", lab.get_info("x").total, 3)

    calls = [Call(0, None, (CHATTY,)), Call(0, Info(0, 4, ()), ())]
    found = outcome(monkeypatch, calls, both)
    assert found.message == "faults: wanted 3, got 4", "what it is about comes first"
    assert found.violated == ("2.1-1", "3-5", "S13")
    assert calls == []


@pytest.mark.parametrize(("ended", "other"), [(True, Result.PASS), (False, Result.BLOCKED)])
def test_what_comes_to_its_end_was_right_about_the_rest(ended: bool, other: Result) -> None:
    scenario = next(one for one in SUITE.scenarios if {"2.2-10", "S13"} <= set(one.requirements))
    met = runner.Outcome(scenario, Result.FAIL, "a line too much", "", 0.1, violated=("S13",), ended=ended)
    context = cast("GradingContext", SimpleNamespace(suite=SUITE, outcomes=[met]))
    rows = {row.id: row.scenarios.get(scenario.name) for row in grader._requirement_rows(context)}
    assert (rows["S13"], rows["2.2-10"]) == (Result.FAIL, other)


def test_whether_a_scenario_came_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcome(monkeypatch, [Call(0, None, (CHATTY,))], succeed).ended
    assert not outcome(monkeypatch, [Call(-38, None, ())], succeed).ended


def test_a_kernel_that_complains_is_not_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    guest = _Guest()
    guest.complaints = ("WARNING: at mm/x.c",)
    assert outcome(monkeypatch, [Call(0, None, ())], succeed, guest).violated == ("2.5-1", "2.5-2", "3-4")

    def dies(lab: Lab) -> None:
        raise GuestError("the kernel died")

    assert outcome(monkeypatch, [], dies).violated == ("2.5-1", "2.5-2", "3-4")


def test_what_is_skipped_is_violated_nothing() -> None:
    scenario = Scenario("one", ("2.1-1",), succeed, "")
    for result in (Result.SKIP, Result.ERROR):
        assert runner.Outcome(scenario, result, "x", "", 0.1).violated == ()
