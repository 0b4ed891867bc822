"""Which known mistakes explain what has failed: on made-up signatures, and on the kept kill matrices."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from fnmatch import fnmatchcase

import pytest
from pfstat import suite_of
from verdicts import MARKS_RUBRIC, verdict

from patchgen import assignment
from patchgen.assignment import KILL_MATRIX
from patchgen.findings import Finding, Result, Severity
from patchgen.grading import diagnosis, rubric, scoring, signatures
from patchgen.grading.diagnosis import Observed
from patchgen.grading.model import RequirementRow, ScenarioRow, Verdict
from patchgen.grading.places import Sources
from patchgen.grading.signatures import Signature
from patchgen.mutation import catalogue

ASSIGNMENTS = [assignment.load(name) for name in assignment.names()]
KEPT = {one.name: signatures.load(one) for one in ASSIGNMENTS}
MARKED = [
    pytest.param(name, marks=pytest.mark.skipif(len(KEPT[name]) < 20, reason="there is NO kill matrix: make mutants"))
    for name in KEPT
]
NOTHING = Sources({})


def known(name: str, requirement: str, *scenarios: str) -> Signature:
    return Signature(name, f"It is {name}.", (requirement,), frozenset(scenarios), frozenset({requirement}))


A, B, C = known("a", "2.1-1", "s1", "s2", "s3"), known("b", "2.1-2", "s3", "s4"), known("c", "2.1-3", *"tuvwx")
KNOWN = (A, B, C)
DIES = dataclasses.replace(A, name="dies", sound=False)


def seen(*mistakes: Signature, unknown: Sequence[str] = (), more: Sequence[str] = ()) -> Observed:
    """Return what is seen of a kernel with these mistakes."""
    failed = frozenset(more).union(*(one.scenarios for one in mistakes)) - set(unknown)
    return Observed(failed, frozenset(unknown), frozenset().union(*(one.violated for one in mistakes)))


def names(found: Sequence[Signature]) -> list[str]:
    return sorted(one.name for one in found)


def test_the_fewest_mistakes_explain_it() -> None:
    assert names(diagnosis.explain(seen(), KNOWN)) == []
    assert names(diagnosis.explain(seen(A), KNOWN)) == ["a"]
    assert names(diagnosis.explain(seen(A, B), KNOWN)) == ["a", "b"]
    assert names(diagnosis.explain(seen(A, B, C), KNOWN)) == ["a", "b", "c"]
    both = Signature("both", "It is both.", ("2.1-1",), A.scenarios | B.scenarios, A.violated | B.violated)
    assert names(diagnosis.explain(seen(A, B), (*KNOWN, both))) == ["both"]


def test_what_should_have_failed_and_has_not_speaks_against_a_mistake() -> None:
    large = Signature(
        "large", "It is large.", ("2.1-1",), A.scenarios | B.scenarios | {"y", "z"}, A.violated | B.violated
    )
    assert names(diagnosis.explain(seen(A, B), (*KNOWN, large))) == ["a", "b"]
    assert names(diagnosis.explain(seen(A, B, more="y"), (*KNOWN, large))) == ["large"]


def test_most_of_a_signature_must_be_there() -> None:
    few = Observed(frozenset("tuv"), frozenset(), frozenset({"2.1-3"}))
    assert names(diagnosis.explain(few, KNOWN)) == []
    assert names(diagnosis.explain(Observed(frozenset("tuvw"), frozenset(), few.violated), KNOWN)) == ["c"]


def test_what_was_blocked_says_nothing() -> None:
    assert names(diagnosis.explain(seen(C, unknown="tuvw"), KNOWN)) == ["c"]
    assert names(diagnosis.explain(seen(C, unknown="tuvwx"), KNOWN)) == []


def test_a_crash_is_no_sign_of_what_does_not_crash() -> None:
    all_crash = Observed(A.scenarios, frozenset(), A.violated, A.scenarios)
    assert diagnosis.explain(all_crash, KNOWN) == []
    assert names(diagnosis.explain(all_crash, (*KNOWN, DIES))) == ["dies"]


def test_a_mistake_breaks_its_requirement() -> None:
    assert diagnosis.explain(Observed(A.scenarios, frozenset(), frozenset({"2.1-9"})), KNOWN) == []


def test_signatures_need_kills() -> None:
    mutants = [{"name": name, "mistake": "M.", "names": ["2.1-1", "robustness"]} for name in ("a", "b", "c")]
    rows: dict[str, dict[str, object]] = {"a": {"kills": ["s"], "violated": ["2.1-1"]}, "b": {"kills": []}}
    made = signatures.made(mutants, rows, frozenset({"2.1-1"}), frozenset())
    assert made == (Signature("a", "M.", ("2.1-1",), frozenset({"s"}), frozenset({"2.1-1"})),)


def row(name: str, *violated: str, result: Result = Result.FAIL) -> ScenarioRow:
    return ScenarioRow(
        name=name,
        requirements=violated or ("2.1-2",),
        violated=violated,
        summary=name,
        result=result,
        reproduce=f"patchgen test --only {name}",
    )


def graded(*rows: ScenarioRow, findings: Sequence[Finding] = ()) -> Verdict:
    ids = ("2.1-1", "2.1-2", "2.1-3")
    results = {
        id_: {one.name: Result.FAIL if id_ in one.violated else Result.PASS for one in rows if id_ in one.requirements}
        for id_ in ids
    }
    made = verdict(*findings)
    marks = scoring.crashed(scoring.mark(MARKS_RUBRIC, made.stages, findings, results), MARKS_RUBRIC, findings)
    requirements = tuple(
        RequirementRow(id=id_, text=id_, result=Result.FAIL, scenarios=results[id_], findings=0) for id_ in ids
    )
    return made.model_copy(update={"scenarios": rows, "requirements": requirements, "marks": marks})


def test_a_diagnosis_says_what_it_was_and_what_it_cost() -> None:
    rows = (row("s1", "2.1-1"), row("s2", "2.1-1"), row("s3", "2.1-1", "2.1-2"), row("s4", "2.1-2"), row("z", "2.1-3"))
    where = Finding("scenario", Severity.ERROR, "x", "s4", stage="behaviour", path="mm/x.c", line=3)
    text = Sources({"mm/x.c": {3: "\treturn 0;"}})
    made = diagnosis.diagnosed(graded(*rows, findings=[where]), KNOWN, text)
    made = diagnosis.priced(made, MARKS_RUBRIC)
    assert sorted((one.name, one.mistake, one.requirements) for one in made.diagnosis) == [
        ("a", "It is a.", ("2.1-1",)),
        ("b", "It is b.", ("2.1-2",)),
    ]
    by_name = {one.name: one for one in made.diagnosis}
    assert by_name["b"].scenarios == ("s4", "s3"), "what only it fails shows it best"
    assert by_name["b"].reproduce == "patchgen test --only s4"
    assert (by_name["b"].place, by_name["b"].source) == ("mm/x.c:3", "return 0;")
    assert (by_name["a"].seen, by_name["a"].explained) == (1, 0.6)
    assert made.unexplained == ("z",)
    # Each of three requirements costs 2 of 6 points; both mistakes show the first two (s3).
    assert sum(one.points for one in made.diagnosis) == 4
    assert by_name["a"].points == by_name["b"].points == 2


def test_what_a_crash_costs_is_of_the_mistake_that_crashes() -> None:
    rows = (row("s1", "2.1-1"), row("s2", "2.1-1"), row("s3", "2.1-1"), row("fine", result=Result.PASS))
    crash = Finding("crash", Severity.ERROR, "it dies", "s1", stage="behaviour")
    made = diagnosis.priced(diagnosis.diagnosed(graded(*rows, findings=[crash]), (DIES,), NOTHING), MARKS_RUBRIC)
    assert made.marks.crash == 1.98, "a third of 6 points"
    assert [(one.name, one.points) for one in made.diagnosis] == [("dies", 3 + 1.98)]


def test_mistakes_that_look_the_same_are_named() -> None:
    twin = known("twin", "2.1-1", *A.scenarios)
    rows = (row("s1", "2.1-1"), row("s2", "2.1-1"), row("s3", "2.1-1"))
    made = diagnosis.diagnosed(graded(*rows), (*KNOWN, twin), NOTHING)
    assert [(one.name, one.alike) for one in made.diagnosis] == [("a", ("It is twin.",))]


# On what is kept.


@pytest.mark.parametrize("name", MARKED)
def test_without_its_own_row_a_mutant_is_explained_by_its_like_or_not_at_all(name: str) -> None:
    wrong = []
    for one in KEPT[name]:
        found = diagnosis.explain(seen(one), [other for other in KEPT[name] if other is not one])
        covered = frozenset().union(*(other.scenarios for other in found))
        like = any(set(other.requirements) & ({*one.requirements} | one.violated) for other in found)
        if one.scenarios <= covered and not like:
            wrong.append(one.name)
    assert wrong == []


def hidden(members: Sequence[Signature]) -> bool:
    """Whether all that fails on one of them fails on the others anyway: nobody could tell that it is there."""
    others = ([other for other in members if other is not one] for one in members)
    return any(
        one.scenarios <= frozenset().union(*(other.scenarios for other in rest))
        for one, rest in zip(members, others, strict=True)
    )


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("name", MARKED)
def test_combinations_name_their_members(name: str, size: int) -> None:
    """Of 150 unions of signatures, four fifths name all members, and nine tenths if each has something of its own.

    What looks just the same is as good.
    """
    draw = random.Random(940)
    pools = [draw.sample(KEPT[name], size) for _ in range(150)]
    right = []
    for members in pools:
        found = diagnosis.explain(seen(*members), KEPT[name])
        looks = [(other.scenarios, other.violated) for other in found]
        right.append(all((one.scenarios, one.violated) in looks for one in members))
    shown = [one for one, members in zip(right, pools, strict=True) if not hidden(members)]
    assert sum(shown) >= 0.9 * len(shown), f"{sum(shown)} of {len(shown)}"
    assert sum(right) >= 0.8 * len(right), f"{sum(right)} of {len(right)}"


@pytest.mark.parametrize("one", ASSIGNMENTS, ids=lambda one: one.name)
def test_the_item_that_loses_most_is_that_of_the_call_that_the_mutant_is_in(one: assignment.Assignment) -> None:
    """A kernel that dies, or in which the least does not work that has to, loses more: there it must lose at all."""
    if not one.has(KILL_MATRIX):
        pytest.skip("there is NO kill matrix: make mutants")
    calls = {mutant.name: mutant.call for mutant in catalogue.load(one)}
    shown = {name for scenario in suite_of(one.name).scenarios for name in scenario.requirements}
    items = [item for item in rubric.load(one).items if item.requirements]
    wrong = {}
    for mutant in KEPT[one.name]:
        # What is blocked costs nothing, so all that is lost is what is violated.
        lost = {item.id: item.points * len(item.among(mutant.violated)) / len(item.among(shown)) for item in items}
        about = [id_ for id_ in shown if any(fnmatchcase(id_, each) for each in calls[mutant.name])]
        own = {item.id for item in items if item.among([*mutant.requirements, *about])}
        whole = mutant.sound and not mutant.scenarios & set(one.essential)
        most = {item for item, points in lost.items() if points > (max(lost.values()) - 0.001 if whole else 0)}
        if own and not own & most:
            wrong[mutant.name] = (mutant.requirements, sorted(mutant.violated), lost)
    assert wrong == {}


@pytest.mark.parametrize("one", ASSIGNMENTS, ids=lambda one: one.name)
def test_a_mistake_in_the_kernel_log_costs_what_is_about_the_log_only(one: assignment.Assignment) -> None:
    if not one.has(KILL_MATRIX):
        pytest.skip("there is NO kill matrix: make mutants")

    def logged(id_: str) -> bool:
        return any(fnmatchcase(id_, pattern) for pattern in one.log)

    items = [item for item in rubric.load(one).items if item.requirements]
    about = {item.id for item in items if any(logged(id_) for id_ in item.among(one.requirements))}
    mutants = [mutant for mutant in KEPT[one.name] if mutant.requirements and all(map(logged, mutant.requirements))]
    assert mutants
    for mutant in mutants:
        assert {item.id for item in items if item.among(mutant.violated)} <= about, mutant
