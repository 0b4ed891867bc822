"""What was left behind in the lines that a patch adds: output that is no error's, code in comments, debugging aids.

It reads C without compiling it, so it says only what it is sure of, and warns; only the log lines are errors, since the
assignment names them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from unidiff import Hunk, PatchedFile

from patchgen.findings import Finding, Severity
from patchgen.submission.patches import PatchFile

_SOURCES = {".c", ".h", ".S"}
_JUNK = re.compile(r"(?:\.(?:o|ko|mod\.c|orig|rej|swp|swo|bak|cmd|a|so)|~|/\.DS_Store|/core|/a\.out)$")
# pr_err() and everything graver is for errors.
_PRINTS = re.compile(
    r"\b(?:(?P<raw>printk(?:_once|_ratelimited|_deferred)?)|"
    r"(?P<quiet>pr_(?:debug|devel|info|notice|warn|warning|cont)(?:_once|_ratelimited)?|trace_printk))\s*\("
)
_LEVEL = re.compile(r'\s*(?:(?P<level>KERN_[A-Z]+)|(?P<text>"))')
_GRAVE = {"KERN_ERR", "KERN_CRIT", "KERN_ALERT", "KERN_EMERG"}
_SWITCHED_OFF = re.compile(r"^\s*#\s*if\s+[01]\s*$")
_DEBUG = re.compile(r"^\s*#\s*(?:define\s+\w*DEBUG\w*\b|if(?:n?def)?\s+.*\bDEBUG\b|undef\s+DEBUG\b)|\bdump_stack\s*\(")
_CODE_MAX = 256  # characters of a comment's line that may be code; patterns take the square of it
_WORD = r"[A-Za-z_][\w.\[\]>-]*"
_CODE = re.compile(
    rf"^(?:\*?{_WORD}\s*(?:[-+|&^*/]|<<|>>)?=\s*[^=].*;|{_WORD}\s*\([^;]*\)\s*;|(?:else\s+)?if\s*\(.*\)\s*(?:\{{|.*;)|"
    rf"(?:for|while|switch)\s*\(.*\)\s*(?:\{{|.*;)|return\b[^.]*;|goto\s+\w+;|(?:break|continue);|"
    rf"(?:const\s+|static\s+|unsigned\s+)*(?:struct\s+\w+|int|long|char|void|bool|size_t|u(?:8|16|32|64))\s+"
    rf"\*?\w+(?:\[\w*\])?\s*(?:=.*)?;|#\s*(?:define|include|ifdef|endif)\b.*)$"
)
# What C is made of, as far as it matters here. pygments has a lexer for C, but lines of blanks keep it busy for hours.
_PART = re.compile(
    r"(?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z))|"
    r"(?P<quote>[\"'])(?P<rest>(?:\\.|(?!(?P=quote))[^\\\n])*(?P=quote)?)|"
    r"(?P<code>[^/\"']+|.)",
    re.DOTALL,
)
_WITHIN_LINE = re.compile(r"[^\n]+")


@dataclass(frozen=True)
class Line:
    """A line of a file as it is after the patch.

    Attributes:
        number: in that file.
        text: the whole line.
        added: whether the patch adds it.
        code: what of it is neither comment nor in quotes; the opening quotes stay.
        comment: what of it is comment, without its marks.
    """

    number: int
    text: str
    added: bool
    code: str
    comment: str


def find(patch: PatchFile) -> Iterator[Finding]:
    """Yield what a patch leaves behind."""
    for file in patch.files:
        if _JUNK.search(file.path) and file.added:
            message = f"{file.path}: a file that a compiler or an editor leaves behind"
            yield Finding("residue-file", Severity.WARNING, message, patch.name, path=file.path)
        if PurePosixPath(file.path).suffix in _SOURCES:
            yield from _in_file(patch.name, file)


def _in_file(name: str, file: PatchedFile) -> Iterator[Finding]:
    for hunk in file:
        lines = read(hunk)
        yield from _prints(name, file.path, lines)
        yield from _directives(name, file.path, lines)
        yield from _commented_out(name, file.path, lines)


def _found(check: str, severity: Severity, what: str, place: tuple[str, str, Line]) -> Finding:
    name, path, line = place
    message = f"{path}:{line.number}: {what}"
    return Finding(check, severity, message, name, f"+{line.text}", path=path, line=line.number)


def _prints(name: str, path: str, lines: Sequence[Line]) -> Iterator[Finding]:
    for number, line in enumerate(lines):
        end = len(line.code.rstrip())
        for match in _PRINTS.finditer(line.code) if line.added else ():
            place = (name, path, line)
            if match["quiet"]:
                what = f"{match['quiet']}() is no message about an error"
                yield _found("residue-print", Severity.ERROR, what, place)
                break  # one for a line
            # The level may stand on the next line; what is neither level nor text is a macro that nobody knows here.
            more = lines[number + 1].code if match.end() >= end and number + 1 < len(lines) else ""
            level = _LEVEL.match(more) if more else _LEVEL.match(line.code, match.end())
            if level and level["text"]:
                what = f"{match['raw']}() without a level: errors have KERN_ERR, and nothing else is printed"
                yield _found("residue-level", Severity.ERROR, what, place)
                break
            elif level and level["level"] not in _GRAVE:
                what = f"{match['raw']}({level['level']}) is no message about an error"
                yield _found("residue-print", Severity.ERROR, what, place)
                break


def _directives(name: str, path: str, lines: Sequence[Line]) -> Iterator[Finding]:
    for line in lines:
        if line.added and _SWITCHED_OFF.match(line.code):
            yield _found("residue-if", Severity.WARNING, "code that is switched off", (name, path, line))
        elif line.added and _DEBUG.search(line.code):
            yield _found("residue-debug", Severity.WARNING, "an aid for debugging", (name, path, line))


def _commented_out(name: str, path: str, lines: Sequence[Line]) -> Iterator[Finding]:
    """Yield one finding for each stretch of lines that have code in their comments."""
    last = -2  # no line
    for number, line in enumerate(lines):
        text = line.comment.strip()
        if line.added and len(text) <= _CODE_MAX and _CODE.match(text):
            if number != last + 1:
                yield _found("residue-code", Severity.WARNING, "code in a comment", (name, path, line))
            last = number


def read(hunk: Hunk) -> list[Line]:
    """Return the lines of a hunk as they are after it, told apart into code and comment."""
    after = [line for line in hunk if not line.is_removed and line.target_line_no]
    texts = [line.value.rstrip("\r\n") for line in after]
    whole = "\n".join(texts)
    # A hunk may begin inside a comment.
    close, begin = whole.find("*/"), whole.find("/*")
    whole = f"/*{whole}" if close >= 0 and (begin < 0 or close < begin) else whole
    code = _PART.sub(
        lambda part: part["code"] or f"{part['quote'] or ''}{_line_ends(part['rest'] or part['comment'] or '')}", whole
    )
    comments = _PART.sub(lambda part: part["comment"] or _line_ends(part[0]), whole)
    return [
        Line(line.target_line_no or 0, text, line.is_added, of_code, of_comment.removesuffix("*/").lstrip("*/ \t"))
        for line, text, of_code, of_comment in zip(after, texts, code.split("\n"), comments.split("\n"), strict=True)
    ]


def _line_ends(text: str) -> str:
    return _WITHIN_LINE.sub("", text)
