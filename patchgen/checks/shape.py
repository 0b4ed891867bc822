"""The checks that need no kernel build: shape of the submission, git am, white space, checkpatch, the report."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from patchgen.assignment import Assignment, Form
from patchgen.base import worktree
from patchgen.base.resolve import Source
from patchgen.cache import Cache
from patchgen.checks import checkpatch
from patchgen.errors import ApplyError, SubmissionError
from patchgen.findings import Finding, Severity, Verdict
from patchgen.submission import apply, pdf
from patchgen.submission.archive import Submission

if TYPE_CHECKING:
    from patchgen.sandbox import Sandbox

_NAME = re.compile(r"^\d{4}-[A-Za-z0-9_.-]+\.patch$")
# An option and, in its entry, a type with a text behind it, or a prompt.
_PROMPT = re.compile(
    r"^config (?P<name>\w+)\n(?:[ \t].*\n)*?[ \t]+(?:bool|tristate|string|int|hex|prompt)[ \t]+[\"'].*", re.MULTILINE
)
_LEVELS = {"ERROR": Severity.ERROR, "WARNING": Severity.WARNING, "CHECK": Severity.NOTE}
# The smallest type that anybody would call readable, 9 points: nobody loses for the printer that was thought of.
_PAGE_LINES, _PAGE_COLUMNS = 88, 100
_TEXT_MAX = 1024 * 1024  # bytes; two pages have 18,000


def check(
    submission: Submission, source: Source, cache: Cache, box: Sandbox | None, assignment: Assignment
) -> tuple[Verdict, apply.Applied | None]:
    """Check a submission as far as that goes without building it.

    Args:
        submission: what was handed in.
        source: the base.
        cache: where results are kept.
        box: the sandbox that tools read it in; None for trusted work.
        assignment: what it is for.

    Returns:
        The verdict, and what `git am` made of it (None if it does not apply).

    Raises:
        MachineError: a check could not be made.
    """
    findings, facts = shape(submission), sizes(submission)
    more, said, applied = application(submission, source, cache, box)
    styles, totals = style(submission, source, cache, box)
    findings += [*more, *styles, *prompts(submission)]
    if source.base.submission:
        findings += report(submission, assignment.form, cache)
    return Verdict(tuple(assignment.blame(one) for one in findings), facts | said | totals), applied


def sizes(submission: Submission) -> dict[str, str]:
    """Return how much there is of it."""
    return {
        "patches": str(len(submission.patches)),
        "lines added": str(sum(patch.added for patch in submission.patches)),
        "lines removed": str(sum(patch.removed for patch in submission.patches)),
    }


def application(
    submission: Submission, source: Source, cache: Cache, box: Sandbox | None
) -> tuple[list[Finding], dict[str, str], apply.Applied | None]:
    """Apply the patches to the base, strictly and if that fails leniently.

    Returns:
        Findings, facts, and what git made of it (None if it does not apply).

    Raises:
        MachineError: git failed.
    """
    try:
        applied = apply.leniently(source, submission.patches, cache, box)
    except ApplyError as error:
        found = Finding("apply", Severity.ERROR, error.message, evidence=error.evidence)
        return [found], {"git am": "does not apply"}, None
    findings = [
        Finding("whitespace", Severity.WARNING, "git am complains about white space", name, said)
        for name, said in applied.complaints.items()
    ]
    how = f"{len(applied.trees)} of {len(submission.patches)} patches apply"
    if applied.leniency:
        how += f", but only with {applied.leniency}"
        message = f"git am applies them only with {applied.leniency}"
        findings.insert(0, Finding("apply-leniently", Severity.ERROR, message))
    return findings, {"git am": how}, applied


def style(
    submission: Submission, source: Source, cache: Cache, box: Sandbox | None
) -> tuple[list[Finding], dict[str, str]]:
    """Let the base's checkpatch look at each patch.

    Returns:
        A finding for each of its remarks, and the counts.

    Raises:
        SubmissionError: checkpatch does not come to an end with it.
        MachineError: it failed.
    """
    styles = checkpatch.check(submission.patches, worktree.pristine(source, cache), source.tree, cache, box)
    findings = [
        Finding(
            "checkpatch",
            _LEVELS[remark.level],
            _said(remark),
            one.patch,
            remark.source,
            path=remark.path,
            line=remark.line,
        )
        for one in styles
        for remark in one.records()
    ]
    return findings, {"checkpatch --strict": checkpatch.totals(styles)}


def prompts(submission: Submission) -> list[Finding]:
    """Return the Kconfig options that a submission adds with a prompt, as far as the patches alone tell.

    Whether make really asks, which depends on the configuration, shows when it is run (patchgen.kernel.questions).
    """
    found = []
    for patch in submission.patches:
        for file in patch.files:
            if PurePosixPath(file.path).name.startswith("Kconfig"):
                added = "".join(line.value for hunk in file for line in hunk if line.is_added)
                for option in _PROMPT.finditer(added):
                    message = f"{option['name']} has a prompt, for which make stops on a tree that has a .config"
                    found.append(Finding("prompt", Severity.WARNING, message, patch.name, option[0]))
    return found


def _said(remark: checkpatch.Remark) -> str:
    where = f"{remark.path}:{remark.line}: " if remark.path else ""
    return f"{where}{remark.type}: {remark.text}"


def shape(submission: Submission) -> list[Finding]:
    """Return what is wrong with the names of what was handed in."""
    findings = [
        Finding("name", Severity.WARNING, "the name is not one that git format-patch gives", patch.name, "")
        for patch in submission.patches
        if not _NAME.match(PurePosixPath(patch.name).name)
    ]
    findings += [
        Finding("others", Severity.WARNING, "does not belong in a submission", name, "") for name in submission.others
    ]
    return findings


def report(submission: Submission, form: Form, cache: Cache) -> list[Finding]:
    """Return what is wrong with the report: there is none, it cannot be read, or it is too long.

    Args:
        submission: what was handed in.
        form: what must be; without a report in it, none is looked at.
        cache: for scratch space.
    """
    if form.report is None:
        return []
    if not submission.reports:
        return [Finding("report", Severity.WARNING, "there is no report, .pdf or .txt")]
    # Beside a PDF, a text is taken for the same report once more.
    printed = {name: data for name, data in submission.reports.items() if name.endswith(".pdf")}
    chosen = printed or submission.reports
    return [found for name, data in chosen.items() for found in _one_report(name, data, form.report.pages, cache)]


def _one_report(name: str, data: bytes, most: int, cache: Cache) -> list[Finding]:
    try:
        pages = pdf.pages(data, cache) if name.endswith(".pdf") else text_pages(data)
    except SubmissionError as error:
        return [Finding("report-form", Severity.WARNING, error.message, name)]
    if pages <= most:
        return []
    return [Finding("report-form", Severity.WARNING, f"it has {pages} pages, {most} are allowed", name)]


def text_pages(data: bytes) -> int:
    """Return how many pages a text takes in print: A4 with 88 lines of 100 columns, a form feed ends a page.

    Raises:
        SubmissionError: it is far too large to be counted.
    """
    if len(data) > _TEXT_MAX:
        raise SubmissionError(f"it has {len(data)} bytes; {_TEXT_MAX} are allowed")
    pages = 0
    for sheet in data.decode(errors="replace").rstrip().split("\f"):
        lines = sum(max(1, -(-len(line.expandtabs()) // _PAGE_COLUMNS)) for line in sheet.splitlines())
        pages += max(1, -(-lines // _PAGE_LINES))
    return pages


def require_report(submission: Submission, form: Form, cache: Cache) -> None:
    """Refuse a submission without a report, or with one that is too long or unreadable.

    Raises:
        SubmissionError: it has none, or says what is wrong with it.
    """
    for finding in report(submission, form, cache):
        raise SubmissionError(f"report: {finding.message}")
