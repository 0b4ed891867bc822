"""The edit engine: an anchor matches exactly once, and nothing else of the file changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchgen.errors import SeriesError
from patchgen.series import edits
from patchgen.series.model import Edit

TEXT = "int a;\nvoid f(void)\n{\n\tone();\n\ttwo();\n}\nvoid g(void)\n{\n\tone();\n}\n"


def edit(anchor: str, where: str = "after", text: str = "") -> Edit:
    return Edit.model_validate({"patch": "p", "anchor": anchor, "where": where, "text": text})


def apply(text: str, one: Edit, insert: str) -> str:
    return edits.apply(text, one, insert, "f.c", "edits/f.c.toml")


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ("after", "\tone();\n\ttwo();\n\tnew();\n}\n"),
        ("before", "\tone();\n\tnew();\n\ttwo();\n}\n"),
        ("replace", "\tone();\n\tnew();\n}\n"),
    ],
)
def test_places(where: str, wanted: str) -> None:
    assert wanted in apply(TEXT, edit("two();", where), "\tnew();\n")


def test_white_space_of_the_anchor_does_not_matter() -> None:
    assert "\t/* here */\n}\nvoid g" in apply(TEXT, edit("  one();\n      two();  "), "\t/* here */\n")


def test_several_lines_make_an_anchor_unique() -> None:
    changed = apply(TEXT, edit("void g(void)\n{\none();"), "\tthree();\n")
    assert changed.endswith("{\n\tone();\n\tthree();\n}\n")


def test_no_match_names_file_anchor_and_nearest_lines() -> None:
    with pytest.raises(SeriesError) as caught:
        apply(TEXT, edit("twoo();"), "x\n")
    assert "edits/f.c.toml" in caught.value.message
    assert "matches nowhere in f.c" in caught.value.message
    assert "twoo();" in caught.value.message
    assert "line 5: two();" in caught.value.hint


def test_two_matches_name_the_lines() -> None:
    with pytest.raises(SeriesError, match=r"matches 2 times in f.c, at lines 4, 9"):
        apply(TEXT, edit("one();"), "x\n")


def test_part_of_a_line_is_no_match() -> None:
    with pytest.raises(SeriesError, match="matches nowhere"):
        apply(TEXT, edit("void f"), "x\n")


def test_a_file_without_a_last_newline() -> None:
    assert apply("a\nb", edit("b"), "c") == "a\nb\nc\n"


LINES = st.lists(st.text(alphabet="abc \t{};", max_size=6).map(str.rstrip), min_size=1, max_size=12)


@given(LINES, st.data())
def test_only_the_anchored_place_changes(lines: list[str], data: st.DataObject) -> None:
    text = "".join(f"{line}\n" for line in lines)
    at = data.draw(st.integers(0, len(lines) - 1))
    count = data.draw(st.integers(1, len(lines) - at))
    anchor = "\n".join(lines[at : at + count])
    where = data.draw(st.sampled_from(["before", "after", "replace"]))
    if not anchor.strip() or anchor.startswith("\n") or anchor.endswith("\n"):
        return
    places = edits.locate(text.splitlines(keepends=True), anchor)
    assert at in places
    one = edit(anchor, where)
    if len(places) > 1:
        with pytest.raises(SeriesError, match=f"matches {len(places)} times"):
            apply(text, one, "NEW\n")
        return
    begin = at + count if where == "after" else at
    end = at + count if where in ("after", "replace") else at
    assert apply(text, one, "NEW\n") == "".join(f"{line}\n" for line in [*lines[:begin], "NEW", *lines[end:]])
