"""Templates to text: Jinja2 with delimiters that C does not use.

    @{ name }                a value
    @% if since("ID") %@     a statement; a line with nothing else leaves no line behind
    @# remark #@             a comment
    @% filter fill %@        the lines up to `endfilter` as one paragraph of 72 columns

since("ID") is true in the patch of that id and in all after it: one template shows a file at every step.
"""

from __future__ import annotations

import functools
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template, TemplateError, TemplateSyntaxError
from jinja2.exceptions import UndefinedError

from patchgen.errors import SeriesError
from patchgen.series.model import Patch, Series

ENVIRONMENT = Environment(
    block_start_string="@%",
    block_end_string="%@",
    variable_start_string="@{",
    variable_end_string="}",
    comment_start_string="@#",
    comment_end_string="#@",
    undefined=StrictUndefined,
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,  # noqa: S701 - kernel source, not HTML
)

_MARK = "\ue000"  # in no template, and no white space to a filter
_NUMBER = re.compile(f"{_MARK}(\\d+){_MARK}")
# Jinja2's usual way to write a value, which C would be left with.
_FOREIGN = re.compile(r"\{\{\s*(\w+)\s*\}\}")

# What a name is replaced with may be longer: a commit message is wrapped anew.
ENVIRONMENT.filters["fill"] = lambda text: f"{textwrap.fill(' '.join(text.split()), 72, break_on_hyphens=False)}\n"


def context(series: Series, patch: Patch, authors: list[str]) -> dict[str, object]:
    """Return the names that the templates of one patch see: parameters, `authors`, `patch`, since() and `compat`.

    Raises:
        SeriesError: compat.j2 is wrong.
    """
    order = [one.id for one in series.patches]
    here = order.index(patch.id)

    def since(patch_id: str) -> bool:
        if patch_id not in order:
            raise UndefinedError(f"since({patch_id!r}): there is no such patch")
        return order.index(patch_id) <= here

    return {
        **series.parameters,
        "authors": authors,
        "patch": here + 1,
        "since": since,
        "compat": _compat(series.compat) if series.compat else None,
    }


def _compat(path: Path) -> object:
    """Return what a template sets and defines, as attributes."""
    try:
        return _compiled(path.read_text(encoding="utf-8")).module
    except TemplateSyntaxError as error:
        raise SeriesError(f"{path}:{error.lineno}: {error.message}") from error
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise SeriesError(f"{path}: {error}") from error


def render(text: str, names: Mapping[str, object], origin: Path, *, line: int = 1) -> str:
    """Render one template.

    Args:
        text: the template.
        names: what it may use.
        origin: the file it is from, for messages.
        line: the line of that file at which it starts.

    Raises:
        SeriesError: syntax error or undefined name, with file and line.
    """
    if foreign := next((one for one in _FOREIGN.finditer(text) if one[1] in names), None):
        number = line + text.count("\n", 0, foreign.start())
        raise SeriesError(
            f"{origin}:{number}: {foreign[0]} stays as it is", hint=f"a value is written @{{ {foreign[1]} }}"
        )
    try:
        return _compiled(text).render(names)
    except TemplateSyntaxError as error:
        raise SeriesError(f"{origin}:{line + error.lineno - 1}: {error.message}") from error
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise SeriesError(f"{origin}:{line + _failing_line(error) - 1}: {error}") from error


def numbered(text: str, names: Mapping[str, object], origin: Path, *, line: int = 1) -> list[tuple[int, str]]:
    """Render one template, and return each line with the number of the template's line that its end is from.

    A mark stands at the end of each line that is plain text, where it disturbs no statement. Where that fails (a filter
    that wraps a paragraph), a line has the number of the one before it.

    Raises:
        SeriesError: as `render`.
    """
    plain = render(text, names, origin, line=line)
    pieces, here = [], line
    for _, kind, value in ENVIRONMENT.lexer.tokeniter(text, None):
        ends = value.split("\n")
        marked_ends = (f"{one}{_MARK}{here + at}{_MARK}\n" for at, one in enumerate(ends[:-1]))
        pieces.append("".join([*marked_ends, ends[-1]]) if kind == "data" else value)
        here += len(ends) - 1
    if not text.endswith("\n"):
        pieces.append(f"{_MARK}{here}{_MARK}")
    marked = render("".join(pieces), names, origin, line=line)
    found, number = list[tuple[int, str]](), line
    for one in plain.splitlines():
        rest, _, marked = marked.partition("\n")
        for said in _NUMBER.findall(rest):
            number = int(said)
        found.append((number, one))
    return found


@functools.cache
def _compiled(text: str) -> Template:
    """Compile a template once, however many patches render it: that takes longer than rendering."""
    return ENVIRONMENT.from_string(text)


def _failing_line(error: BaseException) -> int:
    """Return the template's line that raised: Jinja2 gives its code objects the template's line numbers."""
    found, trace = 1, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            found = trace.tb_lineno
        trace = trace.tb_next
    return found
