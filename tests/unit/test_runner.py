"""Running scenarios: which start when and share a guest, and that nobody fails by what another has left."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest
from pfstat import SUITE

from patchgen.base.bases import Quirks
from patchgen.errors import GuestError, MachineError
from patchgen.findings import Result
from patchgen.guest.testbed import Testbed
from patchgen.testing import runner, sharing
from patchgen.testing.lab import Failed, Lab, Scenario, Skipped
from patchgen.testing.runner import Outcome
from patchgen.testing.suite import Suite

GENERIC = dataclasses.replace(SUITE, lab=Lab)


def scenario(
    name: str, run: Callable[[Lab], None] = lambda _: None, *, cpus: int = 1, long: bool = False, alone: bool = False
) -> Scenario:
    return Scenario(name, ("2.1-1",), run, name, cpus, long, alone)


@dataclass
class _Bed:
    """A stand-in in which no kernel runs: it hands out guests, and notes what was run in each."""

    guests: list[SimpleNamespace] = field(default_factory=list)
    untidy: int = 0
    tidied: int = 0
    quirks: Quirks = field(default_factory=Quirks)

    def with_cpus(self, _: int) -> _Bed:
        return self

    @contextlib.contextmanager
    def ready(self) -> Iterator[SimpleNamespace]:
        def tidy(*_: object, **how: object) -> SimpleNamespace:
            self.tidied += bool(how)
            return SimpleNamespace(text="|", status=self.untidy)

        guest = SimpleNamespace(ran=list[str](), console="", said="", complaints=(), run=tidy)
        self.guests.append(guest)
        yield guest

    def ran(self) -> list[list[str]]:
        return [guest.ran for guest in self.guests]


def run_all(bed: _Bed, *scenarios: Scenario) -> list[tuple[str, Result]]:
    def noted(one: Scenario) -> Scenario:
        def run(lab: Lab) -> None:
            cast("SimpleNamespace", lab.guest).ran.append(one.name)
            one.run(lab)

        return dataclasses.replace(one, run=run)

    outcomes = runner.run_all([noted(one) for one in scenarios], cast("Testbed", bed), GENERIC, 1)
    return [(one.scenario.name, one.result) for one in outcomes]


def after_others(error: Exception) -> Callable[[Lab], None]:
    """Return a scenario that fails in a guest that another one has used."""

    def run(lab: Lab) -> None:
        if cast("SimpleNamespace", lab.guest).ran[1:]:
            raise error

    return run


def fails(_: Lab) -> None:
    raise Failed("it is wrong")


def test_the_long_ones_start_first_and_outcomes_come_in_order() -> None:
    names = ("one", "two", "three")
    scenarios = [scenario(name, long=name == "three") for name in names]
    started, told = list[str](), list[str]()

    def run(some: Sequence[Scenario], _bed: Testbed, _suite: Suite) -> list[Outcome]:
        started.append(some[0].name)
        return [Outcome(some[0], Result.PASS, "", "", 0.1)]

    bed = cast("Testbed", None)
    outcomes = runner.run_all(scenarios, bed, SUITE, 1, run, lambda one: told.append(one.scenario.name))
    assert started == ["three", "one", "two"]
    assert tuple(told) == tuple(one.scenario.name for one in outcomes) == names


def test_which_share_a_guest() -> None:
    many = [scenario(str(number)) for number in range(sharing.TOGETHER)]
    long, alone = scenario("long", long=True), scenario("alone", alone=True)
    two, too = scenario("two", cpus=2), scenario("too", cpus=2)
    given = [two, *many[:3], alone, *many[3:], long, too, scenario("last")]
    found = [[one.name for one in group] for group in sharing.groups(given, "true")]
    assert found == [["long"], ["two", "too"], [one.name for one in many], ["alone"], ["last"]]
    assert [len(group) for group in sharing.groups(given, "")] == [1] * len(given)


def test_those_that_pass_share_a_guest() -> None:
    bed = _Bed()
    assert run_all(bed, scenario("one"), scenario("two")) == [("one", Result.PASS), ("two", Result.PASS)]
    assert bed.ran() == [["one", "two"]]


def test_a_failure_is_one_in_a_guest_of_its_own() -> None:
    bed = _Bed()
    found = run_all(bed, scenario("one"), scenario("two", fails), scenario("three"))
    assert found == [("one", Result.PASS), ("two", Result.FAIL), ("three", Result.PASS)]
    assert bed.ran() == [["one", "two"], ["two"], ["three"]], "no guest is used any more after a failure"


@pytest.mark.parametrize(
    "error",
    [Failed("something was left"), ValueError("what is that?"), GuestError("it died"), MachineError("QEMU was ended")],
)
def test_what_another_scenario_has_left_fails_nobody(error: Exception) -> None:
    bed = _Bed()
    others = scenario("two"), scenario("four")
    found = run_all(bed, scenario("one"), others[0], scenario("three", after_others(error)), others[1])
    assert {result for _, result in found} == {Result.PASS}
    assert bed.ran() == [["one", "two", "three"], ["three", "four"]]


def test_a_guest_that_cannot_be_tidied_up_is_not_used_again() -> None:
    bed = _Bed(untidy=1)
    found = run_all(bed, scenario("one"), scenario("two"), scenario("three"))
    assert {result for _, result in found} == {Result.PASS}
    assert bed.ran() == [["one"], ["two"], ["three"]]
    assert bed.tidied == 1, "if it hangs, it is waited for once"


def test_what_cannot_be_run_is_not_run_again() -> None:
    def skips(_: Lab) -> None:
        raise Skipped("the kernel has no CONFIG_FAILSLAB")

    bed = _Bed()
    run_all(bed, scenario("one"), scenario("two", skips), scenario("three"))
    assert bed.ran() == [["one", "two", "three"]]


def test_the_machine_fails() -> None:
    def dies(_: Lab) -> None:
        raise MachineError("QEMU was ended")

    with pytest.raises(MachineError):
        run_all(_Bed(), scenario("one"), scenario("two", dies), scenario("three"))


def test_ctrl_c_ends_guests_and_waits_for_no_scenario(monkeypatch: pytest.MonkeyPatch) -> None:
    qemu_ended = threading.Event()
    monkeypatch.setattr(runner.running, "interrupt_all", lambda _: qemu_ended.set())

    def waits(_: Lab) -> None:
        assert qemu_ended.wait(60)
        raise MachineError("somebody has ended QEMU")

    def interrupted(_: Outcome) -> None:
        raise KeyboardInterrupt

    both = [scenario("one"), scenario("two", waits, alone=True)]
    with pytest.raises(KeyboardInterrupt):
        runner.run_all(both, cast("Testbed", _Bed()), GENERIC, 2, told=interrupted)
    assert qemu_ended.is_set()
