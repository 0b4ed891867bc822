"""The way from templates to `dist/`: each stage's result is the next one's input."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from patchgen import assignment, progress
from patchgen.assignment import Assignment
from patchgen.base import bases, resolve, worktree
from patchgen.base.bases import Base
from patchgen.base.resolve import Source
from patchgen.cache import Cache, replacing, write_bytes
from patchgen.errors import SubmissionError, UsageError
from patchgen.kernel.configs import KERNELS, Config
from patchgen.series import compose
from patchgen.series import model as series
from patchgen.series.model import Series
from patchgen.settings import Settings
from patchgen.submission import allowed, apply, bundle, patches, report
from patchgen.submission.archive import DIRECTORY
from patchgen.submission.patches import PatchFile

if TYPE_CHECKING:
    from patchgen.guest.testbed import Testbed
    from patchgen.sandbox import Sandbox
    from patchgen.sandbox.handling import Handling


@dataclass(frozen=True)
class Project:
    """What every command starts from.

    Attributes:
        settings: as read.
        cache: where things are kept.
        assignment: what is worked on.
        series: its series, parameters applied.
        base: what that is made on.
    """

    settings: Settings
    cache: Cache
    assignment: Assignment
    series: Series
    base: Base

    @property
    def workspace(self) -> str:
        """The workspace that the series is built in: each assignment has its own, whose objects stay."""
        return "series" if self.assignment.is_default else f"series-{self.assignment.name}"

    def source(self) -> Source:
        """Return the base, brought into the cache if need be, and tell the user what is odd about it.

        Raises:
            BaseError: what was given is not the base.
            MachineError: it cannot be had.
        """
        found = resolve.obtain(self.base, self.settings, self.cache, self.series.edited)
        # What the source lacks is told once, before the tree is laid out without it.
        laid_out = (self.cache.root / "trees" / worktree.variant(found)).is_dir()
        for warning in found.warnings:
            if not (laid_out and "no content" in warning):
                progress.warn(warning)
        return found


@dataclass(frozen=True)
class Generated:
    """A series that was made.

    Attributes:
        origin: the base it was made on.
        composed: its commits.
        patches: its patch files, parsed.
        files: content of everything that belongs into dist/patch, by name.
        report: the report, with what is still missing in it; None on a base that is none of submissions.
    """

    origin: Source
    composed: compose.Composed
    patches: tuple[PatchFile, ...]
    files: dict[str, bytes]
    report: report.Report | None


@dataclass(frozen=True)
class Measured:
    """What is known of a series from runs before.

    Attributes:
        checks: a check's name and its result.
        figures: what was measured, and the figure.
        missing: what is not known, with the command that finds it out.
    """

    checks: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


Known = Callable[[Project, str, Sequence[PatchFile], Source], Measured]


def _nothing(project: Project, tree: str, made: Sequence[PatchFile], origin: Source) -> Measured:
    del project, tree, made, origin
    return Measured()


def open_project(settings: Settings, overrides: Mapping[str, str]) -> Project:
    """Load the assignment that the settings choose, and its series.

    Raises:
        SeriesError: its data is wrong.
        UsageError: there is no assignment or base of that name, its data is wrong, or an override is.
    """
    parameters = {**settings.parameters, **overrides}
    base, chosen = bases.load(settings.base), assignment.load(settings.assignment)
    found = series.load(chosen.directory, parameters, base.name)
    return Project(settings, Cache(settings.cache), chosen, found, base)


def commit(project: Project, origin: Source) -> compose.Composed:
    """Render the series and make its commits.

    Raises:
        SeriesError: a template or an anchor is wrong.
    """
    ours = project.settings.submission
    steps = compose.render_series(project.series, origin, ours)
    return compose.commit(origin, steps, ours, project.cache)


def tree_under_test(project: Project, origin: Source, given: Path | None, how: Handling) -> tuple[str, str]:
    """Return the git tree id of a submission, or of our series without one, and the workspace for such trees.

    Args:
        project: whose series.
        origin: the base.
        given: the submission, if there is one.
        how: how it is handled.

    Raises:
        SeriesError: a template or an anchor is wrong.
        SubmissionError: the submission does not apply, or changes how the kernel is built.
    """
    if given:
        from patchgen.submission import inputs

        loaded = inputs.load(given, project.cache, how.sandbox)
        applied = apply.leniently(origin, loaded.patches, project.cache, how.sandbox)
        if not how.may_change_build:
            allowed.require(allowed.load(project.assignment), loaded.patches, applied)
        return applied.trees[-1], "submission"
    return commit(project, origin).tree, project.workspace


def patched_for(config: Config, tree_id: str, origin: Source, project: Project) -> str:
    """Return the tree with the patches on top that a kernel configuration needs for itself.

    Args:
        config: the configuration.
        tree_id: git tree id in the base's repository.
        origin: the base.
        project: whose cache and settings the commits are made with.

    Raises:
        SeriesError: the tree has not the lines that these patches edit.
    """
    if not config.patches:
        return tree_id
    own = series.load(KERNELS / config.patches)
    below = dataclasses.replace(origin, tree=tree_id)
    ours = project.settings.submission
    return compose.commit(below, compose.render_series(own, below, ours), ours, project.cache).tree


def testbed_of(project: Project, kernel: Path, sandbox: Sandbox | None = None) -> Testbed:  # noqa: PT028 - no test
    """Return what guests of a kernel are made of, with the programs that the project's settings and series choose.

    Args:
        project: whose.
        kernel: its bzImage.
        sandbox: what guests of an untrusted kernel run in.

    Raises:
        UsageError: the user's program does not compile.
        MachineError: a tool is missing.
    """
    from patchgen.guest import testbed

    what = testbed.Contents(project.settings, project.assignment, project.series.parameters)
    return testbed.make(kernel, what, project.cache, sandbox)


def generate(project: Project, known: Known = _nothing) -> Generated:
    """Make the whole submission in memory, and see that git takes it.

    Args:
        project: whose.
        known: says what is known of the series (of its tree and patches, on a base) for its report.

    Raises:
        SeriesError: a template or an anchor is wrong.
        SubmissionError: the report is too long, or the patches do not apply cleanly.
        MachineError: git failed.
    """
    origin = project.source()
    composed = commit(project, origin)
    with project.cache.scratch("patches") as scratch:
        paths = compose.format_patch(composed, scratch)
        made = tuple(patches.read_all(paths, project.cache))
    with ThreadPoolExecutor(1) as pool:
        # git am is other processes' work: the report is typeset meanwhile.
        applying = pool.submit(verify, made, origin, project.cache)
        written = None
        if project.base.submission and project.assignment.form.report:
            facts = _facts(project, made, known(project, composed.tree, made, origin))
            written = report.render(project.series.directory / "report", project.settings.submission, facts)
        applying.result()
    files = {patch.name: patch.data for patch in made}
    if written:
        files["report.pdf"] = written.pdf
    return Generated(origin, composed, made, files, written)


def _facts(project: Project, made: Sequence[PatchFile], found: Measured) -> report.Facts:
    """Return what the report says of a series: its patches, and what was measured on exactly its tree."""
    rows = tuple(
        report.PatchFact(number, patch.subject, len(patch.files), patch.added, patch.removed)
        for number, patch in enumerate(made, 1)
    )
    sizes = {
        "files touched": str(len({path for patch in made for path in patch.paths})),
        "lines added": str(sum(patch.added for patch in made)),
        "lines removed": str(sum(patch.removed for patch in made)),
    }
    if found.missing:
        missing = "; ".join(f"{name} ({command})" for name, command in found.missing.items())
        progress.note(f"the report does not have what was not run on this tree: {missing}")
    return report.Facts(rows, project.series.parameters, found.checks, {**found.figures, **sizes})


def require_submission(base: Base) -> None:
    """See that submissions are made on a base.

    Raises:
        UsageError: they are not.
    """
    if not base.submission:
        raise UsageError(
            f"{base.title} is no base of a submission, so nothing is packed for it",
            hint=f"submissions are patches on {bases.DEFAULT}: leave out --base and BASE",
        )


def pack(files: Mapping[str, bytes], project: Project) -> bundle.Bundle:
    """Pack what is handed in: the patches, and the report, as PDF or without one as text, where there must be one.

    Raises:
        SubmissionError: there is no report.
    """
    chosen = ""
    if project.assignment.form.report:
        chosen = "report.pdf" if "report.pdf" in files else "report.txt"
        if chosen not in files:
            raise SubmissionError("there is no report.pdf or report.txt to hand in")
    wanted = {name: data for name, data in files.items() if name.endswith(".patch") or name == chosen}
    return bundle.pack(wanted, int(project.settings.submission.date.timestamp()))


def verify(made: Sequence[PatchFile], origin: Source, cache: Cache) -> apply.Applied:
    """Make sure that what is packed applies to the base with `git am`, cleanly.

    Raises:
        SubmissionError: it does not, or git complains about white space.
    """
    applied = apply.apply(origin, made, cache)
    for name, said in applied.complaints.items():
        raise SubmissionError(f"git am complains about white space in {name}", evidence=said)
    return applied


def write(generated: Generated, packed: bundle.Bundle | None, archive: Path) -> None:
    """Write `patch/` beside where the archive goes and, if there is one, the archive, each in one rename.

    Raises:
        MachineError: it cannot be written.
    """
    with replacing(archive.parent / DIRECTORY) as fresh:
        fresh.mkdir()
        for name, data in generated.files.items():
            (fresh / name).write_bytes(data)
    if packed:
        write_bytes(archive, packed.data)
