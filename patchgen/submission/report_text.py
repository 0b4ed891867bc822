"""A report as a document: read from Markdown, and written as plain text.

What is here is all that a report may have: headings, paragraphs, bullet lists, tables and diagrams, made of
words that are plain, code, emphasised or strong. Whatever else Markdown knows is an error, so that nothing gets lost.
"""

from __future__ import annotations

import io
import itertools
import tomllib
from collections.abc import Callable, Iterable
from typing import Annotated, Literal, cast

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    computed_field,
    model_validator,
)
from rich.box import ASCII
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from patchgen.data import first_problem

WIDTH = 78
_GAP = 2  # Blank columns between two boxes of a diagram.


class DocumentError(ValueError):
    """The Markdown has something that a report cannot have.

    Args:
        message: what it is.
        line: where, counted in the Markdown from 1; None if not known.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Span(_Part):
    """Some words of one kind; "break" ends a line."""

    kind: Literal["text", "code", "emphasis", "strong", "break"]
    text: str


Spans = tuple[Span, ...]
Inline = Callable[[str], Spans]


class Heading(_Part):
    """A heading; that of level 1 is the title."""

    kind: Literal["heading"] = "heading"
    level: int
    spans: Spans


class Paragraph(_Part):
    """A paragraph."""

    kind: Literal["paragraph"] = "paragraph"
    spans: Spans


class Bullets(_Part):
    """A bullet list, one paragraph an item."""

    kind: Literal["list"] = "list"
    items: tuple[Spans, ...]


class Table(_Part):
    """A table; its first row is the head."""

    kind: Literal["table"] = "table"
    align: tuple[Literal["left", "center", "right"], ...]
    rows: tuple[tuple[Spans, ...], ...]

    @computed_field
    def widest(self) -> int:
        """Return the index of the column with the longest cell, which takes the room that the others leave."""
        return max(range(len(self.align)), key=lambda i: max(len(plain(row[i])) for row in self.rows))


def _as_spans(value: object, info: ValidationInfo) -> object:
    return cast(Inline, info.context)(value) if isinstance(value, str) else value


_Label = Annotated[Spans, BeforeValidator(_as_spans)]


class Arrow(_Part):
    """A vertical arrow and its label, written "down: label"; an empty string for none."""

    direction: Literal["none", "down", "up", "both"]
    label: _Label = ()

    @model_validator(mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        direction, _, label = value.partition(":")
        return {"direction": direction.strip() or "none", "label": label.strip()}


class DiagramRow(_Part):
    """One row of a diagram: either boxes, or the arrows between two rows of boxes.

    Attributes:
        boxes: what is in each.
        spans: how many columns each box is wide; one, if not given.
        arrows: one for each column.
        boundary: names of what is above and what is below a dashed line across the arrows, if there is one.
    """

    boxes: tuple[_Label, ...] = ()
    spans: tuple[Annotated[int, Field(ge=1)], ...] = ()
    arrows: tuple[Arrow, ...] = ()
    boundary: tuple[str, str] | None = None


class Diagram(_Part):
    """A diagram: rows of boxes with vertical arrows between them.

    Attributes:
        columns: the columns' widths, in characters.
        rows: from top to bottom.
    """

    kind: Literal["diagram"] = "diagram"
    columns: tuple[Annotated[int, Field(ge=6)], ...] = Field(min_length=1)
    rows: tuple[DiagramRow, ...] = Field(alias="row", min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> Diagram:
        count = len(self.columns)
        if sum(self.columns) + _GAP * (count - 1) > WIDTH:
            raise ValueError(f"columns and the {_GAP} blanks between them take more than {WIDTH} characters")
        for number, row in enumerate(self.rows, start=1):
            taken = len(row.arrows) or sum(row.spans) or len(row.boxes)
            if taken != count or bool(row.boxes) == bool(row.arrows) or len(row.spans) not in (0, len(row.boxes)):
                raise ValueError(f"row {number} must have either boxes or arrows, for {count} columns")
        return self


Block = Heading | Paragraph | Bullets | Table | Diagram


def plain(spans: Iterable[Span]) -> str:
    """Return the words alone, with the asterisks of *emphasis*."""
    return "".join(f"*{span.text}*" if span.kind == "emphasis" else span.text for span in spans)


class _Reader:
    """Turns Markdown's tree into the document's parts."""

    def __init__(self, fill: Callable[[str], str]) -> None:
        self._parser = MarkdownIt("commonmark", {"html": False}).enable("table")
        self._fill = fill

    def blocks(self, markdown: str) -> list[Block]:
        return [self._block(node) for node in SyntaxTreeNode(self._parser.parse(markdown)).children]

    def _block(self, node: SyntaxTreeNode) -> Block:
        match node.type:
            case "heading":
                return Heading(level=int(node.tag[1]), spans=self._inline(node.children[0]))
            case "paragraph":
                return Paragraph(spans=self._inline(node.children[0]))
            case "bullet_list":
                return Bullets(items=tuple(self._item(item) for item in node.children))
            case "table":
                rows = [row.children for section in node.children for row in section.children]
                align = tuple(str(cell.attrs.get("style", "left")).removeprefix("text-align:") for cell in rows[0])
                cells = tuple(tuple(self._inline(cell.children[0]) for cell in row) for row in rows)
                return Table.model_validate({"align": align, "rows": cells})
            case "fence" if node.info.strip() == "diagram":
                return self._diagram(node)
        raise _unsupported(node)

    def _item(self, node: SyntaxTreeNode) -> Spans:
        if [child.type for child in node.children] != ["paragraph"]:
            raise _unsupported(node, "a list item that is not one paragraph")
        return self._inline(node.children[0].children[0])

    def _diagram(self, node: SyntaxTreeNode) -> Diagram:
        try:
            return Diagram.model_validate(tomllib.loads(node.content), context=self._label)
        except tomllib.TOMLDecodeError as error:
            raise DocumentError(f"the diagram is not valid TOML: {error}", _line(node)) from error
        except ValidationError as error:
            where, what = first_problem(error)
            message = f"the diagram is wrong: {where}: {what}"
            raise DocumentError(message.replace(": :", ":"), _line(node)) from error

    def _label(self, text: str) -> Spans:
        tree = SyntaxTreeNode(self._parser.parseInline(text.replace("\n", "  \n")))
        return self._inline(tree.children[0])

    def _inline(self, node: SyntaxTreeNode, kind: Literal["text", "emphasis", "strong"] = "text") -> Spans:
        found: list[Span] = []
        for child in node.children:
            match child.type:
                case "text":
                    found.append(Span(kind=kind, text=self._fill(child.content)))
                case "softbreak":
                    found.append(Span(kind=kind, text=" "))
                case "hardbreak":
                    found.append(Span(kind="break", text="\n"))
                case "code_inline":
                    found.append(Span(kind="code", text=self._fill(child.content)))
                case "em":
                    found += self._inline(child, "emphasis")
                case "strong":
                    found += self._inline(child, "strong")
                case _:
                    raise _unsupported(child)
        joined = ((kind, "".join(s.text for s in run)) for kind, run in itertools.groupby(found, lambda s: s.kind))
        return tuple(Span(kind=kind, text=text) for kind, text in joined if text)


def _line(node: SyntaxTreeNode) -> int | None:
    while node.map is None and node.parent is not None:
        node = node.parent
    return node.map[0] + 1 if node.map else None


def _unsupported(node: SyntaxTreeNode, what: str = "") -> DocumentError:
    return DocumentError(f"a report cannot have {what or node.type.replace('_', ' ')}", _line(node))


def parse(markdown: str, fill: Callable[[str], str]) -> list[Block]:
    """Read a document.

    Args:
        markdown: its source.
        fill: called with every piece of text after Markdown has done with it; returns what is to stand there.

    Raises:
        DocumentError: the source has something that is not supported, or a diagram is wrong.
    """
    return _Reader(fill).blocks(markdown)


def to_text(blocks: Iterable[Block]) -> str:
    """Return the document as plain text, no line longer than WIDTH columns."""
    parts: list[list[str]] = []
    for block in blocks:
        match block:
            case Heading():
                lines = wrap(plain(block.spans))
                rule = ("=" if block.level == 1 else "-") * max(map(cell_len, lines))
                parts.append([*lines, rule])
            case Paragraph():
                parts.append(wrap(plain(block.spans)))
            case Bullets():
                for item in block.items:
                    first, *rest = wrap(plain(item), WIDTH - 2)
                    parts.append([f"- {first}", *(f"  {line}" for line in rest)])
            case Table():
                parts.append(_table_lines(block))
            case Diagram():
                parts.append(_diagram_lines(block))
    return "\n\n".join("\n".join(line.rstrip() for line in lines) for lines in parts) + "\n"


def _console(width: int) -> Console:
    # Nothing of the terminal that patchgen happens to run in may show.
    return Console(
        file=io.StringIO(),
        width=width,
        color_system=None,
        force_terminal=False,
        force_jupyter=False,
        legacy_windows=False,
        _environ={},
    )


def wrap(text: str, width: int = WIDTH) -> list[str]:
    """Return the text's lines of at most `width` columns (an East Asian character takes two), at least one line."""
    lines = Text(text).wrap(_console(width), width, overflow="fold")
    return [line.plain.rstrip() for line in lines] or [""]


def _table_lines(table: Table) -> list[str]:
    drawn = RichTable(box=ASCII)
    head, *rows = table.rows
    for cell, side in zip(head, table.align, strict=True):
        drawn.add_column(Text(plain(cell)), justify=side, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(plain(cell)) for cell in row))
    console = _console(WIDTH)
    with console.capture() as captured:
        console.print(drawn)
    return captured.get().splitlines()


def _diagram_lines(diagram: Diagram) -> list[str]:
    starts = [0, *itertools.accumulate(width + _GAP for width in diagram.columns)]
    lines: list[str] = []
    for row in diagram.rows:
        if row.boxes:
            column, boxes = 0, []
            for spans, taken in zip(row.boxes, row.spans or (1,) * len(row.boxes), strict=True):
                width = starts[column + taken] - starts[column] - _GAP
                boxes.append((width, wrap(plain(spans), width - 4)))
                column += taken
            lines += _box_lines(boxes)
        else:
            stems = [start + (after - start) // 4 for start, after in itertools.pairwise(starts)]
            lines += _arrow_lines(row, stems, starts[-1] - _GAP)
    return lines


def _box_lines(boxes: list[tuple[int, list[str]]]) -> list[str]:
    height = max(len(lines) for _, lines in boxes)
    edge = (" " * _GAP).join("+" + "-" * (width - 2) + "+" for width, _ in boxes)
    drawn = [edge]
    for i in range(height):
        cells = []
        for width, lines in boxes:
            at = i - (height - len(lines)) // 2
            text = lines[at] if 0 <= at < len(lines) else ""
            left = (width - 4 - cell_len(text)) // 2
            cells.append("| " + " " * left + text + " " * (width - 4 - left - cell_len(text)) + " |")
        drawn.append((" " * _GAP).join(cells))
    return [*drawn, edge]


def _arrow_lines(row: DiagramRow, stems: list[int], width: int) -> list[str]:
    """Draw arrows whose stems stand in the given columns of a text of the given width."""
    rooms = [after - stem - 3 for stem, after in itertools.pairwise([*stems, width + 1])]
    labels = [wrap(plain(arrow.label), room) for arrow, room in zip(row.arrows, rooms, strict=True)]
    bars = [" " if arrow.direction == "none" else "|" for arrow in row.arrows]
    tops = ["^" if a.direction in ("up", "both") else bar for a, bar in zip(row.arrows, bars, strict=True)]
    tips = ["v" if a.direction in ("down", "both") else bar for a, bar in zip(row.arrows, bars, strict=True)]
    lines = [_placed(tops, stems)]
    if row.boundary:
        lines.append(_boundary_line(" / ".join(row.boundary), bars, [*stems, width]))
    for texts in itertools.zip_longest(*labels, fillvalue=""):
        lines.append(_placed([f"{bar} {text}" for bar, text in zip(bars, texts, strict=True)], stems))
    return [*lines, _placed(tips, stems)]


def _placed(texts: list[str], columns: list[int]) -> str:
    line = ""
    for text, column in zip(texts, columns, strict=True):
        line += " " * (column - cell_len(line)) + text
    return line


def _boundary_line(name: str, bars: list[str], edges: list[int]) -> str:
    """Draw a dashed line up to the last of `edges`, crossed by bars at the others, its name in the widest space."""
    line = ("- " * edges[-1])[: edges[-1]]
    for bar, edge in zip(bars, edges, strict=False):
        line = line[:edge] + (bar.strip() or line[edge]) + line[edge + 1 :]
    room, start = max((after - edge, edge) for edge, after in itertools.pairwise(edges))
    at = start + (room - len(name)) // 2
    return f"{line[: at - 1]} {name} {line[at + len(name) + 1 :]}"
