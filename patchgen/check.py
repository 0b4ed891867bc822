"""The checks that need no kernel build: shape of the submission, git am, white space, checkpatch, the report."""

from __future__ import annotations

import io
import re

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from patchgen import apply, checkpatch, tree
from patchgen.cache import Cache
from patchgen.errors import ApplyError, SubmissionError
from patchgen.findings import Finding, Severity, Verdict
from patchgen.report import MAX_PAGES
from patchgen.source import Source
from patchgen.submission import Submission

_NAME = re.compile(r"^\d{4}-[A-Za-z0-9_.-]+\.patch$")


def check(submission: Submission, source: Source, cache: Cache) -> tuple[Verdict, apply.Applied | None]:
    """Check a submission as far as that goes without building it.

    Returns:
        The verdict, and what `git am` made of it (None if it does not apply).

    Raises:
        MachineError: a check could not be made.
    """
    findings = _shape(submission)
    facts = {
        "patches": str(len(submission.patches)),
        "lines added": str(sum(patch.added for patch in submission.patches)),
        "lines removed": str(sum(patch.removed for patch in submission.patches)),
    }
    applied: apply.Applied | None = None
    try:
        applied = apply.apply(source, submission.patches, cache)
        facts["git am"] = f"{len(applied.trees)} of {len(submission.patches)} patches apply"
        findings += [
            Finding("whitespace", Severity.WARNING, "git am complains about white space", name, said)
            for name, said in applied.complaints.items()
        ]
    except ApplyError as error:
        findings.append(Finding("apply", Severity.ERROR, error.message, evidence=error.evidence))
    styles = checkpatch.check(submission.patches, tree.pristine(source, cache), source.tree, cache)
    facts["checkpatch --strict"] = checkpatch.totals(styles)
    findings += [
        Finding("checkpatch", _style_severity(style), f"{checkpatch.totals([style])}", style.patch, style.remarks)
        for style in styles
        if not style.clean
    ]
    if source.base.submission:
        findings += _report(submission)
    return Verdict(tuple(findings), facts), applied


def _style_severity(style: checkpatch.Style) -> Severity:
    return Severity.ERROR if style.errors else Severity.WARNING


def _shape(submission: Submission) -> list[Finding]:
    findings = [
        Finding("shape", Severity.WARNING, "the name is not one that git format-patch gives", patch.name)
        for patch in submission.patches
        if not _NAME.match(patch.name)
    ]
    findings += [
        Finding("shape", Severity.WARNING, "does not belong in a submission", name) for name in submission.others
    ]
    return findings


def _report(submission: Submission) -> list[Finding]:
    if not submission.reports:
        return [Finding("report", Severity.WARNING, "there is no report.pdf or report.txt")]
    pdf = submission.reports.get("report.pdf")
    if pdf is None:
        return []
    try:
        pages = len(PdfReader(io.BytesIO(pdf)).pages)
    except (PyPdfError, ValueError, OSError) as error:
        return [Finding("report", Severity.WARNING, f"it cannot be read: {error}", "report.pdf")]
    if pages > MAX_PAGES:
        message = f"it has {pages} pages, {MAX_PAGES} are allowed"
        return [Finding("report", Severity.WARNING, message, "report.pdf")]
    return []


def require_report(submission: Submission) -> None:
    """Refuse a submission without a report, or with one that is too long or unreadable.

    Raises:
        SubmissionError: it has none, or says what is wrong with it.
    """
    for finding in _report(submission):
        raise SubmissionError(f"report: {finding.message}")
