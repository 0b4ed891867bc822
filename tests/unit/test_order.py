"""What people are told first, and what is told once: kinds of findings, causes and their consequences."""

from __future__ import annotations

import dataclasses

import pytest
from pfstat import ASSIGNMENT

from patchgen import assignment
from patchgen.findings import Finding, Kind, Severity
from patchgen.grading import order
from patchgen.grading.model import Diagnosis
from patchgen.grading.order import Cause

KVS = assignment.load("kvs")


def found(check: str, *requirements: str, message: str = "", where: str = "", because: str = "") -> Finding:
    severity = Severity.NOTE if check == "blocked" else Severity.ERROR
    one = Finding(check, severity, message or check, where, requirements=requirements, because=because)
    return dataclasses.replace(one, kind=order.kind(ASSIGNMENT.blame(one), ASSIGNMENT))


def at(place: str, finding: Finding) -> Finding:
    path, _, line = place.partition(":")
    return dataclasses.replace(finding, path=path, line=int(line))


@pytest.mark.parametrize(
    ("check", "requirements", "kind"),
    [
        ("crash", ("2.2-1", "3-4"), Kind.CRASH),
        ("complaint", ("2.2-1", "3-4"), Kind.CRASH),
        ("stress-nth", (), Kind.BEHAVIOUR),
        ("boot", (), Kind.BOOT),
        ("build", (), Kind.BUILD),
        ("build-each", (), Kind.BUILD),
        ("apply", (), Kind.BUILD),
        ("unreadable", (), Kind.BUILD),
        ("question", (), Kind.BUILD),
        ("stress-leaks", (), Kind.LEAK),
        ("scenario", ("S15", "2.3-1", "3-4"), Kind.LEAK),
        ("scenario", ("2.3-1", "S12"), Kind.BEHAVIOUR),
        ("scenario", ("2.2-5",), Kind.BEHAVIOUR),
        ("scenario", ("2.6-4", "S13", "2.2-5"), Kind.BEHAVIOUR),
        ("scenario", ("2.6-4", "S13"), Kind.LOG),
        ("on-the-way", ("3-5", "S13"), Kind.LOG),
        ("residue-print", (), Kind.LOG),
        ("residue-code", (), Kind.STYLE),
        ("whitespace", (), Kind.STYLE),
        ("checkpatch", (), Kind.STYLE),
        ("report", (), Kind.STYLE),
    ],
)
def test_kinds(check: str, requirements: tuple[str, ...], kind: Kind) -> None:
    assert found(check, *requirements).kind is kind


def test_torture_that_makes_the_kernel_complain_is_a_crash() -> None:
    complaint = Finding("stress-nth", Severity.ERROR, "the kernel complains", evidence="BUG: scheduling while atomic")
    assert order.kind(complaint, ASSIGNMENT) is Kind.CRASH


def test_another_assignment_has_its_own_leaks_and_log() -> None:
    kinds = [order.kind(Finding("scenario", Severity.ERROR, "x", requirements=(one,)), KVS) for one in ("4-1", "S3")]
    assert kinds == [Kind.LEAK, Kind.LOG]
    assert order.kind(Finding("scenario", Severity.ERROR, "x", requirements=("3-5",)), KVS) is Kind.BEHAVIOUR


def test_the_order() -> None:
    checks = ["whitespace", "residue-print", "scenario", "stress-leaks", "build-each", "boot", "crash"]
    told = order.ranked([found(check) for check in checks])
    assert [one.check for one in told] == checks[::-1]
    assert [one.kind for one in told] == list(Kind)


def test_what_is_blocked_lies_beneath_what_blocks_it() -> None:
    counts = found("scenario", "2.5-1", message="counts", where="counts")
    style = found("checkpatch")
    by_name = found("blocked", message="names", where="names", because="counts")
    by_requirement = found("blocked", "2.5-1", message="runs", where="runs")
    of_nothing = found("blocked", "2.4-1", where="lost")
    causes = order.causes([style, by_name, counts, by_requirement, of_nothing])
    assert causes == [Cause(counts, (by_name, by_requirement)), Cause(style)]


def test_one_line_is_one_cause() -> None:
    line = "arch/x86/mm/pf_stat.c:7"
    said = [at(line, found("on-the-way", "3-5", "S13", message=f"log of call {number}")) for number in range(83)]
    residue = at(line, found("residue-print", message="printk below KERN_ERR"))
    other = at("arch/x86/mm/pf_stat.c:9", found("on-the-way", "3-5", "S13", message="log of call 1"))
    assert [len(one.rest) for one in order.causes([*said, residue, other])] == [83, 0]


def test_what_a_known_mistake_explains_is_one_cause() -> None:
    failed = [found("scenario", "2.2-5", message=f"it does {name}", where=name) for name in "abc"]
    known = Diagnosis(name="m", mistake="M.", requirements=(), scenarios=("a", "c"), seen=1, explained=1)
    causes = order.causes(failed, [known])
    assert [[one.where for one in (cause.head, *cause.rest)] for cause in causes] == [["a", "c"], ["b"]]


def test_crashes_at_one_place_are_one_cause() -> None:
    here = [at("mm/x.c:3", found("crash", "3-4", message=f"it dies {number}")) for number in (1, 2)]
    there = at("mm/x.c:4", found("crash", "3-4", message="it dies"))
    assert [[one.message for one in (cause.head, *cause.rest)] for cause in order.causes([*here, there])] == [
        ["it dies 1", "it dies 2"],
        ["it dies"],
    ]
