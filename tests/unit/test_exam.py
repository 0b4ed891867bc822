"""Exams: programs from a seed, how a failing one is made small, and what a verdict makes of it."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
from pf_stat.model import exam as paper
from pf_stat.model import pages
from pfstat import ASSIGNMENT

from patchgen import assignment
from patchgen.errors import GuestError, MachineError, UsageError
from patchgen.findings import Result, Severity
from patchgen.grading import exam_part
from patchgen.testing import exam
from patchgen.testing.exam import Seat


@dataclass(frozen=True)
class Numbers:
    """A program of numbers, which prints them; it is wrong if 3 and 7 are among them."""

    found: tuple[int, ...]

    @property
    def command(self) -> str:
        return " ".join(map(str, self.found))

    def check(self, output: str) -> str:
        return "3 and 7" if {"3", "7"} <= set(output.split()) else ""

    def smaller(self) -> Iterator[Numbers]:
        for at in range(len(self.found)):
            yield Numbers(self.found[:at] + self.found[at + 1 :])


def bed(answer: Any = None) -> Any:
    """Return where guests come from that say what they were told, and count themselves."""

    class Guest:
        def __enter__(self) -> Guest:
            made.guests += 1
            return self

        def __exit__(self, *_: object) -> None:
            made.ended += 1

        def run(self, command: str, timeout: float = 0) -> Any:  # noqa: ARG002 - as a guest has it
            made.commands.append(command)
            plain = SimpleNamespace(status=0, timed_out=False, log=[], text=command)
            return answer(command, plain) if answer else plain

    made = SimpleNamespace(guests=0, ended=0, commands=[], ready=Guest)
    return made


def sheet(*programs: tuple[int, ...]) -> Any:
    ids = ("S1",)
    return SimpleNamespace(
        SUMMARY="It is right.",
        REQUIREMENTS=ids,
        PREPARE="prepare",
        programs=lambda _, count: map(Numbers, programs[:count]),
    )


def test_the_first_that_fails_is_made_small() -> None:
    place = bed()
    found = exam.sit(place, sheet((1, 2), (7, 1, 2, 3, 4), (3, 7)), 1, 3)
    assert (found.count, found.failed) == (3, 2)
    assert found.failure is not None
    assert found.failure.program.command == "7 3"
    assert place.commands[0] == "prepare"
    assert place.guests == place.ended == 1


def test_a_guest_that_has_seen_a_failure_is_not_used_again() -> None:
    def answer(command: str, plain: Any) -> Any:
        if command == "5":
            raise GuestError("it is gone", evidence="oops")
        return replace_status(plain, 1) if command == "6" else plain

    def replace_status(plain: Any, status: int) -> Any:
        plain.status = status
        return plain

    place = bed(answer)
    seat = Seat(place)
    for number, what in ((5, "the kernel died: it is gone"), (6, "it ended with status 1")):
        failure = exam.attempt(Numbers((number,)), seat)
        assert failure is not None
        assert failure.what == what
    assert exam.attempt(Numbers((1,)), seat) is None
    assert (place.guests, place.ended) == (3, 2)


def test_a_line_in_the_log_is_a_failure() -> None:
    def answer(_: str, plain: Any) -> Any:
        plain.log = [SimpleNamespace(text="random: crng init done"), SimpleNamespace(text="BUG: soft lockup")]
        return plain

    failure = exam.attempt(Numbers((1,)), Seat(bed(answer)))
    assert failure is not None
    assert failure.what == "the kernel logs: BUG: soft lockup"


def context(place: Any, seed: int | None = 1) -> Any:
    made: Any = SimpleNamespace(
        request=SimpleNamespace(exam=seed, programs=9), assignment=ASSIGNMENT, outcomes=[], facts={}, errors={}
    )
    made.reproduce = lambda command, in_guest: shlex.join(["patchgen", command, "p.tar.gz", "--", *in_guest])
    return made


def test_a_failure_is_a_scenario_and_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exam, "load", lambda _: sheet((3, 1, 7), (1,)))
    made = context(None)
    (finding,) = exam_part.sit(made, bed())
    assert (finding.check, finding.severity, finding.requirements) == ("exam", Severity.ERROR, ("S1",))
    assert finding.reproduce == "patchgen run p.tar.gz -- prepare '3 7'"
    (outcome,) = made.outcomes
    assert (outcome.result, outcome.violated, outcome.scenario.name) == (Result.FAIL, ("S1",), "exam")
    assert made.facts == {"exam": "1 of 2 random programs"}


def test_a_pass_and_what_the_machine_does_not_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exam, "load", lambda _: sheet((1,)))
    made = context(None)
    assert list(exam_part.sit(made, bed())) == []
    assert [one.result for one in made.outcomes] == [Result.PASS]

    def nothing(*_: object) -> Any:
        raise MachineError("no QEMU")

    broken = context(None)
    assert list(exam_part.sit(broken, SimpleNamespace(ready=nothing))) == []  # type: ignore[arg-type]
    assert [one.result for one in broken.outcomes] == [Result.ERROR]
    assert broken.errors == {"exam": "no QEMU"}
    silent = context(None, None)
    assert list(exam_part.sit(silent, bed())) == []
    assert silent.outcomes == []


# Of pf_stat.


def test_the_same_seed_gives_the_same_programs() -> None:
    first, again, other = (list(paper.programs(seed, 20)) for seed in (5, 5, 6))
    assert first == again
    assert first != other
    assert len(set(first)) == 20


def test_programs_are_of_all_kinds_and_certain() -> None:
    words = {word.partition(",")[0] for one in paper.programs(1, 150) for word in shlex.split(one.command)}
    assert words >= {
        "map", "ring", "unmap", "protect", "move", "shrink", "brk", "write", "read", "kwrite", "race", "hwrite",
        "hread", "fork", "thread", "run", "vrun", "name", "end",
    }  # fmt: skip
    for one in itertools.islice(paper.programs(2, 20), 20):
        played = pages.play(one.ops)
        assert set(range(played.moves)) <= played.certain


def test_smaller_programs_come_to_an_end() -> None:
    program = next(paper.programs(3, 1))
    steps = 0
    while smaller := next(program.smaller(), None):
        assert smaller != program
        program, steps = smaller, steps + 1
        assert steps < 1000
    assert program.ops == ()


def test_what_is_no_answer_is_wrong() -> None:
    program = paper.Program((pages.Map(1016, 1), pages.Touch("write", 1016, 1)))
    for output in ("", "maps\n", "ret 0\nnb 1\nret 0\n", "\nmaps\nnonsense\nendmaps\nret 0\nnb x\nret 0"):
        assert program.check(output)


def test_an_assignment_without_an_exam() -> None:
    assert exam.load(ASSIGNMENT).REQUIREMENTS == paper.REQUIREMENTS
    with pytest.raises(UsageError, match="has no exam"):
        exam.load(replace(ASSIGNMENT, exam=""))
    with pytest.raises(UsageError, match="no SUMMARY"):
        exam.load(replace(ASSIGNMENT, exam="model.pages"))


# Of kvs: the model is a dictionary, and here a dictionary answers.


def kvs_answer(command: str, forgets: bool) -> str:
    words, store, said = shlex.split(command)[1:], dict[str, str](), []
    while words:
        name, key, *words = words
        answer = f"{name} 0"
        if name == "insert":
            value, *words = words
            store[key] = value if not (forgets and key in store) else store[key]
        elif name == "delete":
            store.pop(key, None)
        elif key in store:
            answer = f"search 1 {store[key]}"
        said.append(answer)
    return "\n".join(said) + "\n"


def test_a_store_that_does_not_replace_is_found_out() -> None:
    kvs = exam.load(assignment.load("kvs"))

    def store(forgets: bool) -> Any:
        def answer(command: str, plain: Any) -> Any:
            plain.text = kvs_answer(command, forgets)
            return plain

        return bed(answer)

    right, wrong = (exam.sit(store(forgets), kvs, 4, 30) for forgets in (False, True))
    assert (right.count, right.failed) == (30, 0)
    assert wrong.failure is not None
    words = shlex.split(wrong.failure.program.command)
    assert [word for word in words if word in ("insert", "search", "delete")] == [
        "delete",
        "insert",
        "insert",
        "search",
    ]
    assert "must say search 1" in wrong.failure.what
