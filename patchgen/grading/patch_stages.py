"""The stages that need no build: the archive, the patches, their style."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

from patchgen.checks import diff_lint, shape
from patchgen.errors import ApplyError, SubmissionError
from patchgen.findings import Finding, Severity
from patchgen.grading.context import GradingContext
from patchgen.submission import allowed, apply, inputs
from patchgen.submission.apply import Applied
from patchgen.submission.archive import DIRECTORY, Submission
from patchgen.submission.patches import PatchFile

_FROM = re.compile(rb"^From [0-9a-f]{40} Mon Sep 17 00:00:00 2001\r?$", re.MULTILINE)
_NUMBER = re.compile(rb"^Subject: \[[^\]\n]{0,80}?(\d{1,4})/(\d{1,4})\]", re.MULTILINE)


def archive(context: GradingContext) -> Iterator[Finding]:
    """Read what was given, and look at its form."""
    try:
        context.what = inputs.kind(context.request.given)
        given = inputs.load(context.request.given, context.builder.project.cache, context.builder.box())
    except SubmissionError as error:
        yield Finding("unreadable", Severity.ERROR, error.message, "", error.evidence)
        return
    context.submission = given
    context.facts["form"] = f"{context.what}, {_count(len(given.patches), 'patch', 'patches')}"
    if context.what == "archive":
        yield from archive_shape(given, context.assignment.form.archive)
    yield from shape.shape(given)
    if context.what in ("archive", "directory"):
        yield from shape.report(given, context.assignment.form, context.builder.project.cache)
        if context.assignment.form.report:
            context.facts["report"] = ", ".join(given.reports) or "none"


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def archive_shape(given: Submission, name: str) -> Iterator[Finding]:
    """Yield what is wrong with an archive as such: its name, and where things lie in it."""
    if given.origin.name != name:
        yield Finding("archive", Severity.NOTE, f"it is not called {name}", given.origin.name)
    tops = sorted({PurePosixPath(path).parts[0] if "/" in path else "." for path in given.members})
    if tops != [DIRECTORY]:
        shown = "\n".join(given.members[:20])
        message = f"what is in it does not lie in one directory {DIRECTORY}, but in: {', '.join(tops)}"
        yield Finding("directory", Severity.ERROR, message, "", shown)


def patches(context: GradingContext) -> Iterator[Finding]:
    """Look at the patches as such, and apply them."""
    given = context.submission
    assert given is not None, "the stage before has read it"
    where = (given, context.builder.origin, context.builder.project.cache, context.builder.box())
    try:
        apply.require_size(context.builder.origin, given.patches)
    except ApplyError as error:
        yield Finding("apply", Severity.ERROR, error.message, "", error.evidence)
        return
    context.sized = given
    # checkpatch runs meanwhile, and the next stage takes what came of it: a refusal takes no longer than git am.
    pool = ThreadPoolExecutor(1)
    context.style = pool.submit(shape.style, *where)
    pool.shutdown(wait=False)
    found, facts, context.applied = shape.application(*where)
    yield from found
    if context.applied:
        yield from build_changes(context, context.applied)
    sizes = shape.sizes(given)
    paths = {path for patch in given.patches for path in patch.paths}
    context.facts |= {
        **facts,
        "size": f"{_count(len(paths), 'file', 'files')}, +{sizes['lines added']} -{sizes['lines removed']}",
    }
    for number, patch in enumerate(given.patches, 1):
        yield from made_by_git(patch, number, len(given.patches))
        yield from diff_lint.find(patch)


def build_changes(context: GradingContext, applied: Applied) -> Iterator[Finding]:
    """Yield what changes how the kernel is built, and let the rest of the stages have what does not, or is allowed."""
    assert context.submission is not None, "it was applied"
    rules = allowed.load(context.assignment)
    found = allowed.changes(rules, context.submission.patches, applied)
    ours = context.request.trust or context.request.allow_build_changes
    if ours or not found:
        context.buildable = applied
    for one in found:
        message = f"it changes the build: {one.path}: {one.what}"
        yield Finding("build-changes", Severity.NOTE if ours else Severity.ERROR, message, one.patch, one.line)


def made_by_git(patch: PatchFile, number: int, count: int) -> Iterator[Finding]:
    """Yield what shows that a patch is not as git format-patch makes it, or not in its place.

    Args:
        patch: the patch.
        number: its place in the order of the file names, from 1.
        count: how many there are.
    """

    def wrong(message: str, severity: Severity = Severity.WARNING) -> Finding:
        return Finding("format", severity, message, patch.name, "")

    if not _FROM.search(patch.data):
        yield wrong("it does not begin as git format-patch begins a patch ('From COMMIT Mon Sep 17 00:00:00 2001')")
    if not patch.subject.strip():
        yield wrong("it has no subject")
    place = _NUMBER.search(patch.data)
    if place and (int(place[1]), int(place[2])) != (number, count):
        yield wrong(f"it says that it is {place[1].decode()} of {place[2].decode()}, but it is {number} of {count}")
    if b"GIT binary patch" in patch.data or any(file.is_binary_file for file in patch.files):
        yield wrong("it changes a file that is not text", Severity.ERROR)
    if b"\r\n" in patch.data:
        yield wrong("its lines end with CR and LF")


def style(context: GradingContext) -> Iterator[Finding]:
    """Let the base's own checkpatch look at each patch."""
    assert context.submission is not None, "the first stage has read it"
    if context.style:
        found, facts = context.style.result()
    else:
        found, facts = shape.style(
            context.submission, context.builder.origin, context.builder.project.cache, context.builder.box()
        )
    context.facts |= facts
    yield from found
