"""What people are told first, and what is one thing: findings by kind, and one box for a cause.

A crash comes first, then what does not boot, what does not build (or apply, or can be read at all), leaks, wrong
behaviour, the kernel log, and style. What says the same as something before it, or could not be tried because of it,
is a consequence and lies beneath it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from patchgen.assignment import Assignment
from patchgen.findings import Finding, Kind, Severity
from patchgen.grading.model import Diagnosis

# By the check; what is not named here is style.
_CHECKS = {
    "crash": Kind.CRASH,
    "complaint": Kind.CRASH,
    "cost-failed": Kind.CRASH,
    "boot": Kind.BOOT,
    "stress-boot": Kind.BOOT,
    "stress-*": Kind.CRASH,
    "build*": Kind.BUILD,
    "unreadable": Kind.BUILD,
    "apply": Kind.BUILD,
    "question": Kind.BUILD,
    "failed": Kind.BUILD,
    "scenario": Kind.BEHAVIOUR,
    "on-the-way": Kind.BEHAVIOUR,
    "blocked": Kind.BEHAVIOUR,
    "cost": Kind.BEHAVIOUR,
    "exam": Kind.BEHAVIOUR,
    "residue-print": Kind.LOG,
    "residue-level": Kind.LOG,
}
_KINDS = list(Kind)
_SEVERITIES = list(Severity)


@dataclass(frozen=True)
class Cause:
    """One thing that is wrong.

    Attributes:
        head: the finding that shows it best.
        rest: what says the same, and what it has blocked.
    """

    head: Finding
    rest: tuple[Finding, ...] = ()


def kind(finding: Finding, assignment: Assignment) -> Kind:
    """Return what is wrong if there is such a finding; the assignment says what leaks are, and what the log is."""
    if _matches((finding.check,), assignment.leak):
        return Kind.LEAK
    of_check = next((kind for check, kind in _CHECKS.items() if fnmatchcase(finding.check, check)), Kind.STYLE)
    if finding.check.startswith("stress-") and of_check is Kind.CRASH and not finding.evidence:
        of_check = Kind.BEHAVIOUR  # said by a program of the guest: the kernel itself has not complained
    against = set(finding.requirements) - set(assignment.sound)
    if of_check is not Kind.BEHAVIOUR or not against:
        return of_check
    leaks = {one for one in against if _matches((one,), assignment.leak)}
    logged = {one for one in against if _matches((one,), assignment.log)}
    if leaks | logged < against:
        return of_check
    return Kind.LEAK if leaks else Kind.LOG


def _matches(words: Iterable[str], patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(word, pattern) for word in words for pattern in patterns)


def ranked(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings that are no notes: by kind, then the gravest first, then in the order of the stages."""
    told = [finding for finding in findings if finding.severity is not Severity.NOTE]
    return sorted(told, key=lambda one: (_KINDS.index(one.kind or Kind.STYLE), _SEVERITIES.index(one.severity)))


def causes(findings: Sequence[Finding], diagnosis: Sequence[Diagnosis] = ()) -> list[Cause]:
    """Return the findings of a verdict as causes with their consequences, in the order in which people are told.

    Failed scenarios that a known mistake explains are one cause. Notes that a cause has blocked are among its
    consequences; other notes are not there.
    """
    found: dict[tuple[str, ...], list[Finding]] = {}
    explained = {name: one.name for one in reversed(diagnosis) for name in one.scenarios}
    for finding in ranked(findings):
        mistake = explained.get(finding.where) if finding.check == "scenario" else None
        found.setdefault((mistake,) if mistake else _same(finding), []).append(finding)
    groups = list(found.values())
    for note in findings:
        if note.check == "blocked" and (group := _blocker(note, groups)):
            group.append(note)
    return [Cause(group[0], tuple(group[1:])) for group in groups]


def _blocker(note: Finding, groups: Sequence[list[Finding]]) -> list[Finding] | None:
    """Return the group of what has blocked a scenario: another scenario, or what is against the same requirement."""
    by_name = (group for group in groups if note.because and any(one.where == note.because for one in group))
    by_requirement = (group for group in groups if set(note.requirements) & set(group[0].requirements))
    return next(by_name, None) or next(by_requirement, None)


def _same(finding: Finding) -> tuple[str, ...]:
    """Return what findings of one cause have in common.

    The line of the submission, as far as it is known. Without it: of scenarios what came instead of what was wanted;
    of other checks the message without the place in it, and of what was logged the requirements.
    """
    kind = str(finding.kind)
    if finding.place and finding.kind in (Kind.CRASH, Kind.LOG, Kind.LEAK):
        return kind, finding.place
    if finding.check in ("on-the-way",):
        return kind, finding.check, *finding.requirements
    if finding.check in ("crash", "complaint"):
        return kind, finding.message
    words = finding.message.partition(": ")[2] or finding.message
    if finding.check == "checkpatch":
        words = words.partition(":")[0]
    return kind, finding.check, finding.severity, words
