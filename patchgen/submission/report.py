"""The report of a submission: `report.pdf`, made by typst from `report.typ` in the series' report directory.

The template gets what is said of this very submission as data, in JSON. So typst never takes a text of the user's for
markup or code, whatever is in it.
"""

from __future__ import annotations

import io
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from patchgen import settings
from patchgen.errors import SeriesError, SubmissionError
from patchgen.text import everywhere

if TYPE_CHECKING:
    import pypdf

MAX_PAGES = 2
TEMPLATE_NAME = "report.typ"
TO_FILL_IN = "(to be filled in)"


@dataclass(frozen=True)
class PatchFact:
    """What the report says of one patch.

    Attributes:
        number: its place in the series, from 1.
        subject: first line of the commit message.
        files: number of files that it touches.
        added: number of lines added.
        removed: number of lines removed.
    """

    number: int
    subject: str
    files: int
    added: int
    removed: int


@dataclass(frozen=True)
class Facts:
    """What the report says beyond the submission's own settings.

    Attributes:
        patches: the series, in order.
        parameters: those of the series; one that the template uses must be there.
        checks: a check's name and its result; only of checks that were run.
        measured: what else was measured, and the figure.
    """

    patches: tuple[PatchFact, ...] = ()
    parameters: Mapping[str, str | int] = field(default_factory=dict)
    checks: Mapping[str, str] = field(default_factory=dict)
    measured: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """A report, ready to be written to a file.

    Attributes:
        pdf: content of report.pdf.
        pages: number of its pages, at most MAX_PAGES.
        placeholders: what nobody has filled in yet, by its name in patchgen.toml.
        missing_glyphs: given characters that the PDF's fonts do not have and show as boxes.
    """

    pdf: bytes
    pages: int
    placeholders: tuple[str, ...]
    missing_glyphs: str = ""


def render(directory: Path, submission: settings.Submission, facts: Facts) -> Report:
    """Make the report. Same arguments and same files, same bytes, on any machine with the same typst.

    Args:
        directory: the series' report directory, with TEMPLATE_NAME.
        submission: who hands in, and what they say of the work.
        facts: what is known of the series.

    Raises:
        SeriesError: the template is wrong, missing, or uses an undefined name.
        SubmissionError: the report has too many pages.
    """
    authors = [settings.split_identity(who)[0] for who in submission.authors if who != settings.PLACEHOLDER]
    is_open = settings.PLACEHOLDER in submission.authors
    unfilled = {
        "submission.authors": is_open,
        "submission.hours": submission.hours is None,
        "submission.difficulties": not submission.difficulties,
    }
    data = {
        **asdict(facts),
        "authors": [*authors, TO_FILL_IN] if is_open else authors,
        "hours": _hours(submission.hours),
        "difficulties": submission.difficulties,
        "to_fill_in": TO_FILL_IN,
    }
    given = json.dumps(everywhere(data, _printable), ensure_ascii=False)
    date = submission.date if submission.date.tzinfo else submission.date.replace(tzinfo=UTC)
    pdf = _pdf(directory / TEMPLATE_NAME, given, int(date.timestamp()))
    pages = len(_pages(pdf))
    if pages > MAX_PAGES:
        words = sum(len(difficulty.split()) for difficulty in submission.difficulties)
        raise SubmissionError(
            f"the report has {pages} pages and may have {MAX_PAGES}: "
            f"shorten submission.difficulties in {settings.FILE_NAME} ({words} words now)"
        )
    placeholders = tuple(name for name, is_unfilled in unfilled.items() if is_unfilled)
    return Report(pdf, pages, placeholders, _missing_glyphs(given))


def _hours(hours: float | None) -> str | None:
    if hours is None:
        return None
    return "1 hour" if hours == 1 else f"{round(hours, 1):.12g} hours"


def _printable(text: str) -> str:
    """Return the text on one line: a line end or a control character would break the layout."""
    return " ".join("".join(" " if unicodedata.category(c) == "Cc" else c for c in text).split())


def _pdf(template: Path, given: str, timestamp: int) -> bytes:
    """Let typst draw the report.

    Raises:
        SeriesError: with what typst said.
    """
    import typst

    if not template.is_file():
        raise SeriesError(f"{template} does not exist")
    try:
        return typst.compile(
            str(template),
            root=str(template.parent),
            format="pdf",
            ignore_system_fonts=True,
            sys_inputs={"report": given},
            timestamp=timestamp,
        )
    except typst.TypstError as error:
        hint = "; ".join(error.hints)
        raise SeriesError(f"{template}: typst: {error.message}", hint=hint, evidence=error.diagnostic) from error


def _pages(pdf: bytes) -> list[pypdf.PageObject]:
    import pypdf

    return list(pypdf.PdfReader(io.BytesIO(pdf)).pages)


def _missing_glyphs(text: str) -> str:
    """Return the characters of the text that none of typst's own fonts has.

    typst does not tell, but such a character cannot be read back from a PDF. The characters are tried alone,
    since reading the pages of a whole report takes long.
    """
    import typst

    # Latin letters are in every font; control characters, marks and blanks are not drawn alone.
    unusual = sorted({c for c in text if ord(c) >= 0x250 and unicodedata.category(c)[0] not in "CMZ"})
    if not unusual:
        return ""
    source = b"#for c in sys.inputs.characters.clusters() [#c\\ ]"
    characters = {"characters": "".join(unusual)}
    pdf = typst.compile(source, format="pdf", ignore_system_fonts=True, sys_inputs=characters)
    drawn = "".join(page.extract_text() for page in _pages(pdf))
    return "".join(c for c in unusual if c not in drawn)
