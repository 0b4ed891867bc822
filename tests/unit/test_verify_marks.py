"""From findings to a mark: the rubric, mandatory items, what was not graded, the late penalty."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pfstat import ASSIGNMENT, REQUIREMENTS, SCENARIOS
from verdicts import MARKS_RUBRIC, finding, stages

from patchgen.errors import UsageError
from patchgen.findings import Finding, Severity
from patchgen.grading import rubric, scoring
from patchgen.grading.model import Marks, Result

DEADLINE = datetime.fromisoformat("2023-04-19T23:59:59+02:00")


def sentences(**results: Result) -> dict[str, dict[str, Result]]:
    known: dict[str, dict[str, Result]] = {"2.1-1": {"a": Result.PASS, "b": Result.PASS}, "2.1-2": {"b": Result.PASS}}
    return {one: {name: results.get(name, result) for name, result in found.items()} for one, found in known.items()}


def mark(*findings: Finding, scenarios: dict[str, dict[str, Result]] | None = None, **statuses: Result) -> Marks:
    return scoring.mark(MARKS_RUBRIC, stages(statuses), findings, scenarios or sentences())


def test_nothing_found() -> None:
    found = mark()
    assert (found.mark, found.earned, found.points, found.zero, found.complete) == (10, 10, 10, "", True)


def test_each_finding_costs_until_nothing_is_left() -> None:
    assert [mark(*[finding("checkpatch", "style")] * count).mark for count in (0, 1, 2, 5, 9)] == [10, 9.5, 9, 8, 8]


def test_the_first_finding_costs_all() -> None:
    assert [mark(*[finding("report", "archive")] * count).mark for count in (1, 2)] == [9, 9]


def test_what_does_not_count() -> None:
    notes = finding("checkpatch", "style", Severity.NOTE)
    elsewhere = finding("checkpatch", "build")
    assert mark(notes, elsewhere).mark == 10


def test_what_is_mandatory_decides() -> None:
    found = mark(finding("build", "build", Severity.ERROR))
    assert found.mark == 0
    assert found.zero.startswith("It compiles: ")
    assert found.earned == 10, "what was earned is still told"
    assert mark(finding("build-each", "build", Severity.ERROR)).mark == 10


@pytest.mark.parametrize(
    ("essential", "a", "wanted"),
    [
        (("a",), Result.PASS, 10),
        (("a",), Result.FAIL, 4),
        (("a",), Result.BLOCKED, 4),
        (("a", "not run"), Result.PASS, 7),
        ((), Result.PASS, 7),
    ],
)
def test_what_is_blocked_costs_nothing_if_the_least_works(essential: tuple[str, ...], a: Result, wanted: float) -> None:
    results = sentences(a=a, b=Result.BLOCKED)
    assert scoring.mark(MARKS_RUBRIC, stages({}), [], results, essential).mark == wanted


def test_points_are_shared_out_among_sentences() -> None:
    assert mark(scenarios=sentences(a=Result.FAIL)).mark == 7
    assert mark(scenarios=sentences(b=Result.FAIL)).mark == 4
    assert mark(scenarios=sentences(a=Result.FAIL, b=Result.FAIL)).mark == 4
    assert mark(scenarios=sentences(a=Result.SKIP)).mark == 10


def test_what_was_not_graded_is_no_point_lost() -> None:
    for found in (
        mark(scenarios=sentences(a=Result.ERROR)),
        mark(behaviour=Result.ERROR),
    ):
        assert (found.mark, found.earned, found.points) == (None, 4, 4)
        assert not found.complete
    whole = scoring.mark(MARKS_RUBRIC, stages({}, {"report": "no reader"}), [], sentences())
    assert (whole.mark, whole.earned, whole.points) == (None, 9, 9)


def crashed(*checks: str, share: float = 0.5, stage: str = "behaviour", **results: Result) -> Marks:
    findings = [finding(check, stage, Severity.ERROR) for check in checks]
    rubric_ = MARKS_RUBRIC.model_copy(update={"crash": share})
    return scoring.crashed(scoring.mark(rubric_, stages({}), findings, sentences(**results)), rubric_, findings)


def test_a_crash_takes_its_share_of_behaviour() -> None:
    assert [
        (one.crash, one.mark, one.earned) for one in (crashed("crash"), crashed("crash", "crash", a=Result.FAIL))
    ] == [
        (3, 7, 10),
        (3, 4, 7),
    ]


def test_a_crash_takes_no_more_than_there_is() -> None:
    found = crashed("crash", share=1, b=Result.FAIL)
    assert (found.crash, found.mark) == (0, 4), "all of behaviour is lost already; the rest stays"
    assert crashed("crash", share=1, a=Result.FAIL).mark == 4


def test_what_is_no_crash() -> None:
    assert crashed("complaint", "scenario", "boot").crash == 0
    assert crashed("crash", stage="robustness").crash == 0


def test_a_crash_leaves_what_is_not_known_alone() -> None:
    findings = [finding("build", "build", Severity.ERROR), finding("crash", "behaviour", Severity.ERROR)]
    for made in (mark(findings[0]), mark(cost=Result.ERROR, archive=Result.ERROR)):
        assert scoring.crashed(made, MARKS_RUBRIC, findings).mark == made.mark


def test_what_was_not_asked_for_has_no_points() -> None:
    found = mark(behaviour=Result.SKIP)
    assert (found.mark, found.earned, found.points, found.complete) == (4, 4, 4, False)


def test_what_was_not_reached_is_lost() -> None:
    found = mark(behaviour=Result.BLOCKED)
    assert (found.mark, found.earned, found.points) == (4, 4, 10)


def test_a_mark_of_zero_waits_for_nothing() -> None:
    found = mark(finding("build", "build", Severity.ERROR), behaviour=Result.ERROR)
    assert (found.mark, found.complete) == (0, True)


@pytest.mark.parametrize(
    ("late", "days", "less"),
    [
        (timedelta(days=-3), 0, 0),
        (timedelta(0), 0, 0),
        (timedelta(seconds=1), 1, 1),
        (timedelta(days=1), 1, 1),
        (timedelta(days=1, seconds=1), 2, 3),
        (timedelta(days=2, hours=12), 3, 7),
        (timedelta(days=4), 4, 15),
    ],
)
def test_the_late_penalty(late: timedelta, days: int, less: float) -> None:
    found = scoring.late(mark(), MARKS_RUBRIC, DEADLINE + late, DEADLINE)
    taken = min(less, 10)
    assert (found.days_late, found.penalty, found.mark) == (days, taken, 10 - taken), "never more than there is"


def test_zones_count() -> None:
    at_night = datetime.fromisoformat("2023-04-19T22:30:00+00:00")
    assert scoring.days_late(at_night, DEADLINE) == 1
    assert scoring.days_late(at_night.replace(tzinfo=None), DEADLINE) == 1, "without a zone it is UTC"


@given(st.timedeltas(min_value=timedelta(days=-9999), max_value=timedelta(days=99999)))
def test_a_later_submission_never_has_more(late: timedelta) -> None:
    now, later = (
        scoring.late(mark(), MARKS_RUBRIC, DEADLINE + more, DEADLINE) for more in (late, late + timedelta(hours=7))
    )
    assert now.mark is not None
    assert later.mark is not None
    assert 0 <= later.mark <= now.mark <= 10


def test_without_a_date_nobody_is_late() -> None:
    for submitted, deadline in ((None, DEADLINE), (datetime.now(UTC), None)):
        found = scoring.late(mark(), MARKS_RUBRIC, submitted, deadline)
        assert (found.days_late, found.penalty, found.mark) == (None, 0, 10)


def test_what_was_not_graded_stays_so_when_late() -> None:
    found = scoring.late(mark(behaviour=Result.ERROR), MARKS_RUBRIC, DEADLINE + timedelta(days=1), DEADLINE)
    assert (found.mark, found.penalty) == (None, 1)


def test_the_default_rubric() -> None:
    loaded = rubric.load(ASSIGNMENT)
    assert sum(item.points for item in loaded.items) == 20
    assert loaded.deadline is None, "a deadline is a course's, and of one year"
    assert [item.id for item in loaded.items if item.stage == "hand"] == ["report-content"]
    shared = [sentence for item in loaded.items for sentence in item.among(REQUIREMENTS)]
    assert len(shared) == len(set(shared)), "no sentence counts twice"
    graded = {requirement for one in SCENARIOS for requirement in one.requirements}
    assert graded <= set(shared), "each sentence that a scenario stands for has points"
    assert {item.id for item in loaded.items if item.mandatory} == {"readable", "applies", "compiles", "goes-on"}
    assert set(shared) <= set(REQUIREMENTS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title = 1", "title"),
        ("nonsense", "not valid TOML"),
        ('title = "x"\nitem = []', "item"),
        ('title = "x"\n[[item]]\nid = "a"\ntitle = "A"\nstage = "sleep"\npoints = 1', "stage"),
        ('title = "x"\n[[item]]\nid = "a"\ntitle = "A"\nstage = "style"', "neither points nor"),
        ('title = "x"\n[[item]]\nid = "a"\ntitle = "A"\nstage = "style"\npoints = -1', "points"),
        ('title = "x"\n[[item]]\nid = "a"\ntitle = "A"\nstage = "style"\npoints = nan', "points"),
        (
            'title = "x"\n[[item]]\nid = "a"\ntitle = "A"\nstage = "behaviour"\npoints = 1\nrequirements = ["9*"]',
            "no requirement",
        ),
        (
            'title = "x"\n[[item]]\nid = "a"\ntitle = "A"\nstage = "style"\npoints = 1\nrequirements = ["2.1-*"]',
            "shared out among",
        ),
        (2 * '[[item]]\nid = "a"\ntitle = "A"\nstage = "style"\npoints = 1\n' + "[x]\ny=1", "title"),
    ],
)
def test_a_wrong_rubric_says_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "rubric.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        rubric.load(ASSIGNMENT, path)


def test_two_items_of_one_id(tmp_path: Path) -> None:
    path = tmp_path / "rubric.toml"
    path.write_text('title = "x"\n' + 2 * '[[item]]\nid = "a"\ntitle = "A"\nstage = "style"\npoints = 1\n')
    with pytest.raises(UsageError, match="same id"):
        rubric.load(ASSIGNMENT, path)
    with pytest.raises(UsageError, match="cannot read"):
        rubric.load(ASSIGNMENT, tmp_path / "none.toml")
