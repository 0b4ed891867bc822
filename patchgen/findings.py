"""What checks have to say, and the verdict that it adds up to."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from patchgen.text import visible


class Severity(StrEnum):
    """How much a finding weighs: only an error makes the thing checked wrong."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Kind(StrEnum):
    """What is wrong, in the order in which people are told of it."""

    CRASH = "crash"
    BOOT = "boot"
    BUILD = "build"
    LEAK = "leak"
    BEHAVIOUR = "behaviour"
    LOG = "log"
    STYLE = "style"


class Result(StrEnum):
    """What came of something that was tried, in the words of KTAP and JUnit.

    PASS and FAIL speak of what was tried. ERROR: the machine could not try it, which says nothing of it. BLOCKED:
    something before it failed, so it could not be tried. SKIP: nobody asked for it, or it does not apply. NOT_RUN:
    nothing is known.
    """

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    ERROR = "error"
    BLOCKED = "blocked"
    SKIP = "skip"
    NOT_RUN = "not run"


# From the worst on: what several things come to is the first that is among them.
ORDER = (Result.FAIL, Result.ERROR, Result.BLOCKED, Result.NOT_RUN, Result.SKIP, Result.PASS)


def worst(found: Collection[Result]) -> Result:
    """Return what several things come to; PASS if there are none."""
    return next((one for one in ORDER if one in found), Result.PASS)


@dataclass(frozen=True)
class Finding:
    """One thing that a check has to say.

    Attributes:
        check: which check.
        severity: how much it weighs.
        message: what was found.
        where: the patch or file, "" for the whole submission.
        evidence: text that shows it.
        requirements: ids of the sentences of the assignment that it stands on (requirements.toml).
        stage: of a verdict (patchgen.grading), "" elsewhere.
        reproduce: the command that shows it once more, "" if there is none.
        path: the file of the kernel's tree that it is about, "" if it is about none.
        line: its number there, as all patches leave it; 0 if that is not known.
        kind: of a verdict's findings, what is wrong.
        because: the scenario that blocked this one, "" if none did.
        details: more evidence, which nobody reads at first: registers, the console.
    """

    check: str
    severity: Severity
    message: str
    where: str = ""
    evidence: str = ""
    requirements: tuple[str, ...] = ()
    stage: str = ""
    reproduce: str = ""
    path: str = ""
    line: int = 0
    kind: Kind | None = None
    because: str = ""
    details: str = ""

    def __post_init__(self) -> None:
        """Spell out what a terminal would obey: these are an untrusted submission's words and names."""
        for name in ("message", "where", "evidence", "path", "details"):
            object.__setattr__(self, name, visible(getattr(self, name)))

    @property
    def place(self) -> str:
        """File and line, "PATH:LINE"; "" if the line is not known."""
        return f"{self.path}:{self.line}" if self.path and self.line else ""


@dataclass(frozen=True)
class Verdict:
    """All findings on a submission, and the figures that were measured on the way.

    Attributes:
        findings: in the order of the checks.
        facts: short measured facts by name, for the report and for people.
    """

    findings: tuple[Finding, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether no finding is an error."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)

    def as_dict(self) -> dict[str, object]:
        """Return the verdict for JSON."""
        return {"ok": self.ok, "findings": [asdict(finding) for finding in self.findings], "facts": self.facts}


def count(findings: Sequence[Finding], severity: Severity) -> int:
    """Return how many findings have that severity."""
    return sum(finding.severity is severity for finding in findings)
