"""The verdict as data: what `--json` prints, what batches keep, and what every other form of it is made from.

Its JSON schema is published as docs/verdict.schema.json. A change that a reader could stumble over raises SCHEMA.
"""

from __future__ import annotations

import json
from typing import Literal

from pydantic import Field

from patchgen.data import Model
from patchgen.findings import Finding, Result, Severity
from patchgen.testing.picture import Picture

SCHEMA: Literal[2] = 2


class Stage(Model):
    """One of the seven stages.

    Attributes:
        number: from 1.
        name: in a word.
        status: NOT_JUDGED if the machine failed; NOT_REACHED if an earlier stage left nothing to look at.
        why: the reason of such a status, "" otherwise.
        facts: short measured facts by name.
        errors: checks of the stage that could not be made for the machine's fault, with the reason.
        seconds: wall time.
    """

    number: int
    name: str
    status: Result
    why: str = ""
    facts: dict[str, str] = Field(default={})
    errors: dict[str, str] = Field(default={})
    seconds: float = 0.0


class PatchRow(Model):
    """One patch.

    Attributes:
        name: its file name.
        subject: without [PATCH n/m].
        author: "Name <mail>".
        paths: the kernel's files that it touches.
        added: lines.
        removed: lines.
    """

    name: str
    subject: str
    author: str
    paths: tuple[str, ...]
    added: int
    removed: int


class ScenarioRow(Model):
    """What came of a scenario.

    Attributes:
        name: its name.
        requirements: ids of the sentences that it stands for.
        violated: ids of the requirements that it shows to be violated.
        summary: what it asks for, for people.
        result: in a word.
        message: what the kernel did instead.
        evidence: the end of the kernel's console.
        reproduce: the command that runs it once more.
        seconds: wall time, with the guest's start.
        picture: the address space that it saw last; of a failure, and of the example of the assignment.
    """

    name: str
    requirements: tuple[str, ...]
    violated: tuple[str, ...] = ()
    summary: str
    result: Result
    message: str = ""
    evidence: str = ""
    reproduce: str = ""
    seconds: float = 0.0
    picture: Picture | None = None


class RequirementRow(Model):
    """A sentence of the assignment, and how the submission stands to it.

    Attributes:
        id: its id (requirements.toml).
        text: the sentence.
        result: the worst of its scenarios'; for one that no
            scenario stands for, whether a finding names it.
        scenarios: result of each of its scenarios.
        findings: how many findings that are errors or warnings name it.
    """

    id: str
    text: str
    result: Result
    scenarios: dict[str, Result]
    findings: int


class CostRow(Model):
    """What something costs.

    Attributes:
        kind: short name.
        title: for people.
        group: what it belongs to.
        vanilla: instructions on the unpatched kernel.
        added: how many more with the patches, by state (see `states`).
    """

    kind: str
    title: str
    group: str
    vanilla: int
    added: dict[str, int]


class CostTable(Model):
    """The instructions that faults and calls take.

    Attributes:
        states: what each state of the kernel is called.
        rows: what was measured.
        charts: the chart that shows a group, by the group.
        shown: the two states that charts show.
        reproduce: the command that measures it once more.
    """

    states: dict[str, str]
    rows: tuple[CostRow, ...]
    charts: dict[str, str]
    shown: tuple[str, str]
    reproduce: str = ""


class ItemMark(Model):
    """What an item of the rubric has come to.

    Attributes:
        id: the item's.
        title: the item's.
        points: that there are.
        earned: of these; None if the item was not graded, or not asked for.
        status: OK if nothing was lost.
        mandatory: without it the mark is 0.
        why: what points were lost for, or why it was not graded; the reason of points that were given by hand.
        by_hand: the grader has given these points.
    """

    id: str
    title: str
    points: float
    earned: float | None
    status: Result
    mandatory: bool = False
    why: str = ""
    by_hand: bool = False


class Marks(Model):
    """The mark.

    Attributes:
        rubric: the rubric's title.
        items: each item.
        points: the points of the items that were graded.
        earned: of these, before what a crash takes and before the penalty.
        crash: points that are taken off because the kernel crashes, besides what the items have lost.
        zero: the reason why the mark is 0 whatever was earned, "" if it is not.
        days_late: days begun after the deadline; None if not both dates are known.
        penalty: marks taken off for these.
        mark: what is left; None while something that has points was not graded.
        complete: every item of the rubric was graded.
    """

    rubric: str
    items: tuple[ItemMark, ...]
    points: float
    earned: float
    crash: float = 0.0
    zero: str = ""
    days_late: int | None = None
    penalty: float = 0.0
    mark: float | None
    complete: bool


class Diagnosis(Model):
    """A known mistake that explains failures of a submission.

    Attributes:
        name: the mistake's, in the assignment's mutants.toml.
        mistake: what it is, in a sentence.
        requirements: ids of those that it breaks.
        scenarios: the failed ones that it explains, first the one that shows it best.
        points: what these have cost; of what several mistakes explain, each has its share.
        place: file and line of the submission, "PATH:LINE", as far as they can be told.
        source: that line.
        reproduce: the command that shows it.
        seen: share of the scenarios which this mistake fails that have failed here.
        explained: share of the failures here that it explains.
        alike: other mistakes that these failures would fit as well, in a sentence each.
    """

    name: str
    mistake: str
    requirements: tuple[str, ...]
    scenarios: tuple[str, ...]
    points: float = 0.0
    place: str = ""
    source: str = ""
    reproduce: str = ""
    seen: float
    explained: float
    alike: tuple[str, ...] = ()


class Verdict(Model):
    """Everything that is known of a submission.

    Attributes:
        schema_version: of this form; other versions may mean something else.
        patchgen: the program's version.
        suite: hash of everything that grades.
        submission: what was given, as text.
        content: hash of the patches and the report.
        base: the kernel release.
        boot: the command that boots a kernel with the patches.
        accelerator: what the guests ran on, "" if none did.
        time_scale: what time limits were multiplied by, measured on the vanilla kernel; 0 if nothing was.
        status: in a word: ERROR if the machine kept something from being graded.
        stages: all seven.
        diagnosis: the known mistakes that explain its failed scenarios, the one that cost most first.
        unexplained: the failed scenarios that no known mistake explains.
        findings: everything that there is to say, in the order of the stages.
        patches: the patches.
        scenarios: what came of them.
        requirements: of the assignment.
        costs: if they were measured.
        marks: by the rubric.
        seconds: wall time.
    """

    schema_version: Literal[2] = SCHEMA
    patchgen: str
    suite: str
    submission: str
    content: str
    base: str
    boot: str = ""
    accelerator: str = ""
    time_scale: float = 0.0
    status: Literal[Result.PASS, Result.FAIL, Result.ERROR]
    stages: tuple[Stage, ...]
    diagnosis: tuple[Diagnosis, ...] = ()
    unexplained: tuple[str, ...] = ()
    findings: tuple[Finding, ...]
    patches: tuple[PatchRow, ...] = ()
    scenarios: tuple[ScenarioRow, ...] = ()
    requirements: tuple[RequirementRow, ...] = ()
    costs: CostTable | None = None
    marks: Marks
    seconds: float = Field(ge=0)

    @property
    def exit_status(self) -> int:
        """0 all good, 1 something is wrong, 3 the machine kept something from being graded."""
        return {Result.PASS: 0, Result.FAIL: 1, Result.ERROR: 3}[self.status]

    def count(self, severity: Severity) -> int:
        """Return how many findings have that severity."""
        return sum(finding.severity is severity for finding in self.findings)


def schema() -> str:
    """Return the JSON schema of a verdict, as docs/verdict.schema.json has it."""
    data = Verdict.model_json_schema(mode="serialization")
    data["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(data, indent=2) + "\n"
