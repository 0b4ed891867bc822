"""From a line of the kernel tree to the line of the template: the toy series, and our own."""

from __future__ import annotations

from pathlib import Path

import pytest
import toyseries
import toytree
from command import patchgen
from pfstat import ASSIGNMENT

from patchgen.base.resolve import Source
from patchgen.cache import Cache
from patchgen.errors import SeriesError
from patchgen.series import compose, model, render, trace
from patchgen.series.model import Series
from patchgen.settings import Submission

SUBMISSION = Submission(authors=["A Name <a@example.com>"])


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def origin(tmp_path: Path, cache: Cache) -> Source:
    return toytree.obtain(tmp_path / "linux", cache, ["fs/exec.c"])


@pytest.fixture
def toy(tmp_path: Path) -> Series:
    return model.load(toyseries.write(tmp_path / "toy"))


def test_a_new_file(toy: Series, origin: Source) -> None:
    found = trace.lines(toy, origin, SUBMISSION, "lib/toy.c")
    assert [(one.origin, one.text) for one in found] == [
        ("files/lib/toy.c.j2:1", "/* step 2 */"),
        ("files/lib/toy.c.j2:2", "void toy(int n)"),
        ("files/lib/toy.c.j2:3", "{"),
        ("files/lib/toy.c.j2:5", "\tn++;"),
        ("files/lib/toy.c.j2:7", "}"),
    ]


def test_an_edited_file(toy: Series, origin: Source) -> None:
    found = trace.lines(toy, origin, SUBMISSION, "fs/exec.c")
    assert [(one.origin, one.text) for one in found if one.origin] == [
        ("edits/fs/exec.c.toml:17", "\ttoy(42 + 1); /* hello */")
    ]
    step = compose.render_series(toy, origin, SUBMISSION)[-1]
    assert [one.text for one in found] == step.files["fs/exec.c"].decode().splitlines(), "it is the file itself"
    assert toyseries.EXEC.splitlines()[16] == "\ttoy(@{ answer } + 1); /* @{ word } */"


def test_what_a_compiler_says(toy: Series, origin: Source) -> None:
    said = (
        "../src/lib/toy.c:4:2: error: n\nlib/toy.c: In function\nfs/exec.c:1:1: warning\nmm/other.c:4: e\nlib/toy.c:99:"
    )
    assert trace.explained(said, toy, origin, SUBMISSION) == ["lib/toy.c:4 is line files/lib/toy.c.j2:5"]


def test_a_file_that_the_series_does_not_touch(toy: Series, origin: Source) -> None:
    with pytest.raises(SeriesError, match=r"does not touch mm/x\.c") as caught:
        trace.lines(toy, origin, SUBMISSION, "mm/x.c")
    assert caught.value.hint == "it touches fs/exec.c, lib/toy.c"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("a\nb\n", [1, 2]),
        ("a\n\n  @% if yes %@\nb\n  @% endif %@\nc", [1, 2, 4, 6]),
        ("@# one\ntwo #@\na\n@{ word } @% if yes %@x@% endif %@\nb\n", [3, 5]),
        ("@% raw %@\n@{ a }\n@% endraw %@\nb\n", [1, 2, 4]),
        ("@% for i in (1, 2) %@\nx@{ i }\n@% endfor %@\nb\n", [2, 2, 4]),
        ("@% filter fill %@\na\nb\n@% endfilter %@\nc\n", [3, 5]),
    ],
)
def test_numbers_of_lines(text: str, numbers: list[int]) -> None:
    names = {"yes": True, "word": "w"}
    found = render.numbered(text, names, Path("x.j2"))
    assert [one for _, one in found] == render.render(text, names, Path("x.j2")).splitlines()
    assert [number for number, _ in found] == numbers


def test_all_of_our_own_templates() -> None:
    """Each rendered line is the same with and without numbers, and most are the template's line itself."""
    ours = model.load(ASSIGNMENT.directory, base="linux-4.15")
    names = render.context(ours, ours.patches[-1], ["A <a@example.com>"])
    for path in sorted((ASSIGNMENT.directory / "files").rglob("*.j2")):
        text = path.read_text()
        lines, found = text.splitlines(), render.numbered(text, names, path)
        assert [one for _, one in found] == render.render(text, names, path).splitlines()
        odd = [(number, one) for number, one in found if "@{" not in lines[number - 1] and lines[number - 1] != one]
        assert len(odd) <= 2, odd


def test_a_template_mistake_names_file_and_line(tmp_path: Path, origin: Source) -> None:
    wrong = model.load(toyseries.write(tmp_path / "wrong", toy=toyseries.TOY.replace("n++;", "@{ nothing }")))
    with pytest.raises(SeriesError, match=r"files/lib/toy\.c\.j2:5: 'nothing' is undefined"):
        trace.lines(wrong, origin, SUBMISSION, "lib/toy.c")


def test_the_command_asks_for_a_path(tmp_path: Path) -> None:
    done = patchgen("render", cwd=tmp_path)
    assert done.returncode == 2
