"""A submission while it is graded: what was asked, and what the stages have found out so far."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from patchgen.grading.builder import KernelBuilder
from patchgen.grading.rubric import Rubric
from patchgen.testing import suite

if TYPE_CHECKING:
    from concurrent.futures import Future

    from patchgen.assignment import Assignment
    from patchgen.findings import Finding
    from patchgen.grading.model import CostTable
    from patchgen.kernel.build import Kernel
    from patchgen.submission.apply import Applied
    from patchgen.submission.archive import Submission
    from patchgen.submission.inputs import Kind
    from patchgen.testing.runner import Outcome
    from patchgen.testing.suite import Suite


@dataclass(frozen=True)
class Request:
    """What is asked.

    Attributes:
        given: a path, or a range of commits in the form of one.
        rubric: what there are points for.
        stages: numbers of the stages to go through.
        trust: the user vouches for the submission.
        allow_build_changes: the user has looked at what it changes of the build.
        seed: of the torture, so that the same submission meets the same.
        torture_seconds: how long that is.
        exam: the seed of random programs, None for none.
        programs: how many of these.
    """

    given: Path
    rubric: Rubric
    stages: frozenset[int]
    trust: bool = False
    allow_build_changes: bool = False
    seed: int = 940
    torture_seconds: float = 20.0
    exam: int | None = None
    programs: int = 100


@dataclass
class GradingContext:
    """What is known so far; None where no stage has got that far.

    Attributes:
        request: what is asked.
        builder: where kernels are built and run.
        what: the kind of what was given.
        submission: as read.
        sized: the same, if it is not too large for tools to look at.
        applied: what git am made of it.
        buildable: the same, if it changes nothing of the build that the user has not allowed.
        style: what checkpatch says, once it has.
        kernel: the kernel with all patches.
        time_scale: how slow the machine is (patchgen.grading.timescale); 0 if that was not measured.
        accelerator: what the guests ran on.
        outcomes: of the scenarios.
        costs: what was measured.
        facts: of the stage under way.
        errors: checks of the stage under way that the machine did not allow, with the reason.
    """

    request: Request
    builder: KernelBuilder
    what: Kind = "archive"
    submission: Submission | None = None
    sized: Submission | None = None
    applied: Applied | None = None
    buildable: Applied | None = None
    style: Future[tuple[list[Finding], dict[str, str]]] | None = None
    kernel: Kernel | None = None
    time_scale: float = 0.0
    accelerator: str = ""
    outcomes: list[Outcome] = field(default_factory=list)
    costs: CostTable | None = None
    facts: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def assignment(self) -> Assignment:
        """What the submission is for."""
        return self.builder.project.assignment

    @property
    def suite(self) -> Suite:
        """What its kernel is tested by."""
        return suite.load(self.assignment, self.builder.project.series.parameters)

    def reproduce(self, command: str, *words: str, in_guest: tuple[str, ...] = ()) -> str:
        """Return the command line that does something to the submission once more, with lines for a guest's shell."""
        named = self.builder.project.settings.assignment
        options = ["--assignment", named] if named and not self.assignment.is_default else []
        options += ["--trust"] * self.request.trust + ["--allow-build-changes"] * self.request.allow_build_changes
        given = ["--"] * str(self.request.given).startswith("-") + [str(self.request.given)]
        return shlex.join(["patchgen", command, *words, *options, *given, *["--"] * bool(in_guest), *in_guest])
