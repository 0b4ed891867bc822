"""The report of a submission: `report.pdf` and `report.txt` from one Markdown source.

The source, `report.md.j2` in the series' report directory, is a Jinja2 template. What it puts in is never taken for
markup: the template leaves numbered marks in the Markdown, and the values take their places after it was parsed.
typst then gets the document as data and `report.typ`, beside the source, draws it; so typst cannot mistake text
for code either.
"""

from __future__ import annotations

import io
import json
import re
import traceback
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from patchgen import settings
from patchgen.errors import SeriesError, SubmissionError

if TYPE_CHECKING:
    import pypdf

MAX_PAGES = 2
SOURCE_NAME = "report.md.j2"
STYLE_NAME = "report.typ"
TO_FILL_IN = "(to be filled in)"

_MARK = re.compile("\ue000(\\d+)\ue001")  # Private-use characters: Markdown sees a letter without any meaning.


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
        parameters: those of the series, such as set_param_nr; one that the source uses must be there.
        checks: a check's name and its result; only of checks that were run.
        measured: what else was measured, and the figure.
    """

    patches: tuple[PatchFact, ...] = ()
    parameters: Mapping[str, str | int] = field(default_factory=dict)
    checks: Mapping[str, str] = field(default_factory=dict)
    measured: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """A report, ready to be written to files.

    Attributes:
        pdf: content of report.pdf.
        text: content of report.txt.
        pages: number of pages of the PDF, at most MAX_PAGES.
        placeholders: what nobody has filled in yet, by its name in patchgen.toml.
        missing_glyphs: characters that the PDF's fonts do not have and show as boxes; the text has them.
    """

    pdf: bytes
    text: str
    pages: int
    placeholders: tuple[str, ...]
    missing_glyphs: str = ""


def render(directory: Path, submission: settings.Submission, facts: Facts) -> Report:
    """Make the report. Same arguments and same files, same bytes, on any machine with the same typst.

    Args:
        directory: the series' report directory, with SOURCE_NAME and STYLE_NAME.
        submission: who hands in, and what they say of the work.
        facts: what is known of the series.

    Raises:
        SeriesError: the source or the style is wrong, missing, or uses an undefined name.
        SubmissionError: the report has too many pages.
    """
    from patchgen.submission import report_text

    authors = [settings.split_identity(who)[0] for who in submission.authors if who != settings.PLACEHOLDER]
    is_open = settings.PLACEHOLDER in submission.authors
    unfilled = {
        "submission.authors": is_open,
        "submission.hours": submission.hours is None,
        "submission.difficulties": not submission.difficulties,
    }
    markdown, values = _markdown(
        directory,
        {
            **facts.parameters,
            "authors": [*authors, TO_FILL_IN] if is_open else authors,
            "hours": _hours(submission.hours),
            "difficulties": submission.difficulties,
            "to_fill_in": TO_FILL_IN,
            "patches": facts.patches,
            "checks": facts.checks,
            "measured": facts.measured,
        },
    )

    def fill(text: str) -> str:
        return _MARK.sub(lambda mark: values[int(mark[1])], text)

    try:
        blocks = report_text.parse(markdown, fill)
    except report_text.DocumentError as error:
        shown = fill("\n".join(markdown.splitlines()[error.line - 1 :][:5])) if error.line else ""
        raise SeriesError(f"{directory / SOURCE_NAME}: {error}", evidence=shown) from error
    text = report_text.to_text(blocks)
    date = submission.date if submission.date.tzinfo else submission.date.replace(tzinfo=UTC)
    title = next((report_text.plain(b.spans) for b in blocks if isinstance(b, report_text.Heading)), "")
    data = {"title": title, "authors": authors, "blocks": [block.model_dump(mode="json") for block in blocks]}
    pdf = _pdf(directory / STYLE_NAME, json.dumps(data), int(date.timestamp()))
    pages = len(_pages(pdf))
    if pages > MAX_PAGES:
        words = sum(len(difficulty.split()) for difficulty in submission.difficulties)
        raise SubmissionError(
            f"the report has {pages} pages and may have {MAX_PAGES}: "
            f"shorten submission.difficulties in {settings.FILE_NAME} ({words} words now)"
        )
    placeholders = tuple(name for name, is_unfilled in unfilled.items() if is_unfilled)
    return Report(pdf, text, pages, placeholders, _missing_glyphs(text))


def _hours(hours: float | None) -> str | None:
    if hours is None:
        return None
    return "1 hour" if hours == 1 else f"{round(hours, 1):.12g} hours"


def _markdown(directory: Path, context: dict[str, object]) -> tuple[str, list[str]]:
    """Render the source; return the Markdown with marks in it, and the values that belong to the marks.

    Raises:
        SeriesError: with the source's file and line.
    """
    import jinja2

    from patchgen.series import render as render_module

    values: list[str] = []

    def mark(value: object) -> str:
        # One line of visible characters: line ends and other control characters would only break the layout.
        visible = "".join(" " if unicodedata.category(c) == "Cc" else c for c in str(value))
        values.append(" ".join(visible.split()))
        return f"\ue000{len(values) - 1}\ue001"

    # `finalize` keeps values from being read as markup.
    environment = render_module.ENVIRONMENT.overlay(loader=jinja2.FileSystemLoader(directory), finalize=mark)
    try:
        return environment.get_template(SOURCE_NAME).render(context), values
    except jinja2.TemplateNotFound as error:
        raise SeriesError(f"{directory / str(error.name)} does not exist or cannot be read") from error
    except jinja2.TemplateSyntaxError as error:
        raise SeriesError(f"{error.filename or directory / SOURCE_NAME}:{error.lineno}: {error.message}") from error
    except Exception as error:  # What an expression in the template does wrong can be of any class.
        frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent == directory]
        if not frames:
            raise
        raise SeriesError(
            f"{frames[-1].filename}:{frames[-1].lineno}: {error}", evidence=frames[-1].line or ""
        ) from error


def _pdf(style: Path, document: str, timestamp: int) -> bytes:
    """Let typst draw the document.

    Raises:
        SeriesError: with what typst said.
    """
    import typst

    if not style.is_file():
        raise SeriesError(f"{style} does not exist")
    try:
        return typst.compile(
            str(style),
            root=str(style.parent),
            format="pdf",
            ignore_system_fonts=True,
            sys_inputs={"report": document},
            timestamp=timestamp,
        )
    except typst.TypstError as error:
        hint = "; ".join(error.hints)
        raise SeriesError(f"{style}: typst: {error.message}", hint=hint, evidence=error.diagnostic) from error


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
