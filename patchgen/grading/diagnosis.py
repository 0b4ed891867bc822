"""Which known mistakes explain what has failed: the fewest whose signatures cover it, and what stays unexplained.

The signature of a mistake is the set of scenarios that fail on a kernel which has it and no other (the kill matrix). A
scenario counts as failed if it shows a requirement of its own to be violated, just as in the matrix. One that was
blocked or skipped here says nothing about either, and is left out of the signatures; and so is one in which the kernel
crashed, of the signature of a mistake that crashes nothing.

A mistake is a candidate if two thirds of its signature have failed here, and one of the requirements that it breaks is
violated. Of the candidates the set is taken whose price is least: each failure that stays unexplained costs 1, each
scenario that should have failed and has not costs 1, a requirement that is violated on one side only costs a half,
and each mistake costs a little, so that of two explanations the shorter one is taken. The search adds, drops or
exchanges one mistake at a time for as long as the price falls.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from patchgen.findings import Finding, Result
from patchgen.grading import exam_part, scoring
from patchgen.grading.model import Diagnosis, Verdict
from patchgen.grading.places import Sources
from patchgen.grading.rubric import Rubric
from patchgen.grading.signatures import Signature

_SEEN = 2 / 3  # of a signature, before the mistake is a candidate
_SHORT = 0.4  # what a mistake costs; less than the one failure that it explains
_STRANGE = 0.5  # what a requirement costs that is violated and should not be, or the other way round
_MOST = 6  # mistakes of one submission
_CANDIDATES = 40
_ALIKE = 3


@dataclass(frozen=True)
class Observed:
    """What was seen of a submission.

    Attributes:
        failed: scenarios that show a requirement of theirs to be violated.
        unknown: scenarios that were blocked, skipped or not graded.
        violated: ids of the requirements that some scenario shows to be violated.
        crashed: scenarios in which the kernel dies or complains.
    """

    failed: frozenset[str]
    unknown: frozenset[str]
    violated: frozenset[str]
    crashed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Candidate:
    """A mistake, beside what was observed.

    Attributes:
        signature: its own.
        expected: the scenarios that should fail, of those that say something.
        hits: those of them that have failed.
        strange: how many requirements it violates that are not violated here.
    """

    signature: Signature
    expected: frozenset[str]
    hits: frozenset[str]
    strange: int

    @property
    def seen(self) -> float:
        return len(self.hits) / len(self.expected)


def observed(verdict: Verdict) -> Observed:
    """Return what was seen of a submission."""
    rows = [row for row in verdict.scenarios if row.name != exam_part.NAME]  # of which no mistake has a signature
    crashed = frozenset(one.where for one in verdict.findings if one.check in ("crash", "complaint"))
    failed = frozenset(row.name for row in rows if set(row.violated) & set(row.requirements))
    silent = (Result.BLOCKED, Result.SKIP, Result.ERROR, Result.NOT_RUN)
    unknown = frozenset(row.name for row in rows if row.result in silent) - failed
    return Observed(failed, unknown, frozenset(one for row in rows for one in row.violated), crashed)


def explain(seen: Observed, known: Sequence[Signature]) -> list[Signature]:
    """Return the fewest known mistakes that explain what has failed, the one that explains most first."""
    return [one.signature for one in _cheapest(seen, _candidates(seen, known))]


def _candidates(seen: Observed, known: Sequence[Signature]) -> list[_Candidate]:
    found = []
    for one in known:
        expected = one.scenarios - seen.unknown - (seen.crashed if one.sound else frozenset())
        hits = expected & seen.failed
        broken = not one.requirements or bool(set(one.requirements) & seen.violated)
        if hits and broken and len(hits) >= _SEEN * len(expected):
            found.append(_Candidate(one, expected, hits, len(one.violated - seen.violated)))
    found.sort(key=lambda one: len(one.expected) - len(one.hits) + _STRANGE * one.strange - len(one.hits))
    return found[:_CANDIDATES]


def _price(chosen: Sequence[_Candidate], seen: Observed) -> float:
    covered: set[str] = set().union(*(one.hits for one in chosen))
    missing: set[str] = set().union(*(one.expected - one.hits for one in chosen))
    told: set[str] = set().union(*(one.signature.violated for one in chosen))
    requirements = _STRANGE * len(told ^ seen.violated)
    return len(seen.failed - covered) + len(missing) + requirements + _SHORT * len(chosen)


def _cheapest(seen: Observed, candidates: Sequence[_Candidate]) -> list[_Candidate]:
    chosen: list[_Candidate] = []
    price = _price(chosen, seen)
    while True:
        steps = [[*chosen, one] for one in candidates if one not in chosen] if len(chosen) < _MOST else []
        steps += [[other for other in chosen if other is not one] for one in chosen]
        steps += [
            [*(other for other in chosen if other is not old), new]
            for old in chosen
            for new in candidates
            if new not in chosen
        ]
        best = min(steps, key=lambda step: _price(step, seen), default=chosen)
        if _price(best, seen) >= price - 1e-9:
            return sorted(chosen, key=lambda one: -len(one.hits))
        chosen, price = best, _price(best, seen)


def diagnosed(verdict: Verdict, known: Sequence[Signature], text: Sources) -> Verdict:
    """Return a verdict with its diagnosis, without points.

    Args:
        verdict: what was found.
        known: the assignment's mistakes.
        text: of the submission.
    """
    seen = observed(verdict)
    candidates = _candidates(seen, known)
    chosen = _cheapest(seen, candidates)
    made = tuple(_diagnosis(one, candidates, known, verdict, text) for one in chosen)
    covered = {name for one in made for name in one.scenarios}
    left = tuple(row.name for row in verdict.scenarios if row.name in seen.failed - covered)
    return verdict.model_copy(update={"diagnosis": made, "unexplained": left})


def _diagnosis(
    one: _Candidate, candidates: Sequence[_Candidate], known: Sequence[Signature], verdict: Verdict, text: Sources
) -> Diagnosis:
    own, failed = one.signature, observed(verdict).failed
    # What few mistakes fail tells most about this one.
    rarity = {name: sum(name in other.scenarios for other in known) for name in one.hits}
    names = sorted(one.hits, key=lambda name: (rarity[name], name))
    rows = {row.name: row for row in verdict.scenarios}
    place = next((found.place for found in _about(verdict.findings, names) if found.place), "")
    same = [other.signature for other in candidates if other.expected == one.expected and other is not one]
    return Diagnosis(
        name=own.name,
        mistake=own.mistake,
        requirements=own.requirements,
        scenarios=tuple(names),
        place=place,
        source=text.text(place),
        reproduce=next((rows[name].reproduce for name in names if rows[name].reproduce), ""),
        seen=round(one.seen, 3),
        explained=round(len(one.hits) / len(failed), 3),
        alike=tuple(other.mistake for other in same if other.violated == own.violated)[:_ALIKE],
    )


def _about(findings: Sequence[Finding], scenarios: Sequence[str]) -> Iterable[Finding]:
    by_name = {finding.where: finding for finding in findings if finding.stage == "behaviour"}
    return (by_name[name] for name in scenarios if name in by_name)


def priced(verdict: Verdict, rubric: Rubric) -> Verdict:
    """Return a verdict whose diagnosis has the points of a rubric, the dearest first.

    What a violated requirement has cost is shared out among the mistakes that explain a scenario which shows it, and
    what a crash has cost among those that explain one which crashes.
    """
    lost = scoring.costs(rubric, {row.id: row.scenarios for row in verdict.requirements})
    crashed = {one.where for one in verdict.findings if one.check == "crash"}
    rows = {row.name: row for row in verdict.scenarios}
    blamed: list[set[str]] = []
    for one in verdict.diagnosis:
        shown = {id_ for name in one.scenarios if name in rows for id_ in rows[name].violated}
        blamed.append(shown | ({"crash"} if crashed & set(one.scenarios) else set()))
    prices = lost | {"crash": verdict.marks.crash}
    shares = {id_: price / max(1, sum(id_ in ids for ids in blamed)) for id_, price in prices.items()}
    made = [
        one.model_copy(update={"points": round(sum(shares.get(id_, 0) for id_ in ids), 2)})
        for one, ids in zip(verdict.diagnosis, blamed, strict=True)
    ]
    return verdict.model_copy(update={"diagnosis": tuple(sorted(made, key=lambda one: -one.points))})
