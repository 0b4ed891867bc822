"""Reading a series and rendering its templates: what is wrong is said with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
import toyseries

from patchgen import render, series
from patchgen.errors import SeriesError, UsageError


def names(directory: Path, patch: int = 0) -> dict[str, object]:
    loaded = series.load(directory)
    return render.context(loaded, loaded.patches[patch], ["A <a@b>"])


def test_load(tmp_path: Path) -> None:
    loaded = series.load(toyseries.write(tmp_path))
    assert loaded.touched == ["fs/exec.c", "lib/toy.c"]
    assert loaded.edited == ["fs/exec.c"]
    assert loaded.parameters == {"answer": 42, "word": "hello"}


def test_overrides_keep_their_kind(tmp_path: Path) -> None:
    loaded = series.load(toyseries.write(tmp_path), {"answer": "0x10", "word": "7"})
    assert loaded.parameters == {"answer": 16, "word": "7"}


@pytest.mark.parametrize(("override", "said"), [({"nope": "1"}, "no parameter nope"), ({"answer": "x"}, "a number")])
def test_wrong_overrides(tmp_path: Path, override: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        series.load(toyseries.write(tmp_path), override)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "series.toml"),
        (toyseries.SERIES.replace('"lib/toy.c"', '"/etc/passwd"'), "not a path inside a kernel tree"),
        (toyseries.SERIES.replace('"lib/toy.c"', '"../x"'), "not a path inside a kernel tree"),
        (toyseries.SERIES.replace('"lib/toy.c"', '"lib/other.c"'), "neither of files/lib/other.c.j2"),
        (toyseries.SERIES.replace('id = "second"', 'id = "first"'), "two patches have one id"),
        (toyseries.SERIES.replace('["fs/exec.c", "lib/toy.c"]', '["lib/toy.c"]'), "used by no patch|does not list"),
        (toyseries.SERIES + "\n[extra]\n", "extra"),
    ],
)
def test_wrong_series(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SeriesError, match=said):
        series.load(toyseries.write(tmp_path, series=text))


def test_unknown_series() -> None:
    with pytest.raises(UsageError, match="no series nothing"):
        series.find("nothing")


def test_delimiters_do_not_fight_c(tmp_path: Path) -> None:
    text = "int a[] = {{ 1, 2 }, { 3 % 2 }};\n#define X(a) {# a}\nx = 1 << n >> m; /* @name: %d */\n"
    assert render.render(text, names(toyseries.write(tmp_path)), Path("t")) == text


def test_a_statement_leaves_no_line_behind(tmp_path: Path) -> None:
    text = 'a\n@% if since("second") %@\nb\n@% endif %@\nc\n'
    assert render.render(text, names(toyseries.write(tmp_path)), Path("t")) == "a\nc\n"
    assert render.render(text, names(tmp_path, 1), Path("t")) == "a\nb\nc\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\nb @{ nope }\n", r"t.j2:2: 'nope' is undefined"),
        ("a\n\n@% if %@\n", r"t.j2:3: "),
        ("a\n@{ answer + word }\n", r"t.j2:2: unsupported operand"),
        ('a\nb\nc\n@% if since("x") %@@% endif %@\n', r"t.j2:4: .*no such patch"),
    ],
)
def test_template_errors_name_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SeriesError, match=said):
        render.render(text, names(toyseries.write(tmp_path)), Path("t.j2"))
