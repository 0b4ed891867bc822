"""Reading a series and rendering its templates: what is wrong is said with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
import toyseries

from patchgen import assignment
from patchgen.errors import SeriesError, UsageError
from patchgen.series import model as series
from patchgen.series import render


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


BASE = """\
[parameters]
answer = 43
[moved]
"fs/exec.c" = "fs/execute.c"
[anchors]
"fs/execute.c"."setup_new" = "int begin_new_exec(void)\\n{"
"""


def write_base(directory: Path, text: str = BASE) -> Path:
    toyseries.write(directory)
    (directory / "bases/other").mkdir(parents=True)
    (directory / "bases/other/base.toml").write_text(text)
    return directory


def test_another_base(tmp_path: Path) -> None:
    write_base(tmp_path)
    assert series.load(tmp_path) == series.load(tmp_path, base="linux-4.15")
    assert series.load(tmp_path).parameters["answer"] == 42
    other = series.load(tmp_path, base="other")
    assert other.edited == ["fs/execute.c"]
    assert [patch.paths for patch in other.patches] == [["fs/execute.c", "lib/toy.c"]] * 2
    assert other.parameters["answer"] == 43
    assert series.load(tmp_path, {"answer": 44}, "other").parameters["answer"] == 44
    first, second = other.edits["fs/execute.c"]
    assert first.anchor == "int begin_new_exec(void)\n{"
    before = series.load(tmp_path).edits["fs/exec.c"]
    assert first == before[0].model_copy(update={"anchor": first.anchor})
    assert second == before[1]


def test_an_edit_that_a_base_has_at_two_places(tmp_path: Path) -> None:
    several = BASE.replace('"int begin_new_exec(void)\\n{"', '["int one(void)\\n{", "int two(void)\\n{"]')
    other = series.load(write_base(tmp_path, several), base="other")
    first, second, third = other.edits["fs/execute.c"]
    assert (first.anchor, second.anchor) == ("int one(void)\n{", "int two(void)\n{")
    before = series.load(tmp_path).edits["fs/exec.c"]
    assert (first.text, second.text) == (before[0].text, before[0].text)
    assert third == before[1]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("answer = 43", "question = 43", "no parameter question"),
        ('"fs/exec.c" =', '"fs/other.c" =', "fs/other.c, which no patch lists"),
        ('"setup_new"', '"o"', "2 anchors of the series have 'o' in them"),
        ('"setup_new"', '"nowhere"', "0 anchors of the series have 'nowhere' in them"),
        ('"fs/execute.c".', '"lib/toy.c".', "0 anchors"),
        ("[moved]", "[odd]", "odd"),
        ('"int begin_new_exec(void)\\n{"', '" "', "not blank"),
    ],
)
def test_a_wrong_base(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in BASE
    with pytest.raises((SeriesError, UsageError), match=said):
        series.load(write_base(tmp_path, BASE.replace(old, new)), base="other")


def test_compatibility_macros(tmp_path: Path) -> None:
    write_base(tmp_path)
    (tmp_path / "compat.j2").write_text('@% set lock = "sem" %@\n@% macro free(a) %@kfree(@{ a });@% endmacro %@\n')
    text = "@{ compat.lock }: @{ compat.free('x') }"

    def rendered(base: str | None) -> str:
        loaded = series.load(tmp_path, base=base)
        return render.render(text, render.context(loaded, loaded.patches[0], []), Path("t.j2"))

    assert rendered(None) == rendered("other") == "sem: kfree(x);"
    (tmp_path / "bases/other/compat.j2").write_text('@% set lock = "mutex" %@\n')
    assert rendered(None) == "sem: kfree(x);"
    with pytest.raises(SeriesError, match=r"t.j2:1: .*no attribute 'free'"):
        rendered("other")
    (tmp_path / "bases/other/compat.j2").write_text("@% set %@\n")
    with pytest.raises(SeriesError, match=r"compat.j2:1: "):
        rendered("other")


def test_a_paragraph_is_filled_anew(tmp_path: Path) -> None:
    line = "nine char " * 7 + "12"
    text = f"@% filter fill %@\n{line}\nand more\n@% endfilter %@\nnext\n"
    assert render.render(text, names(toyseries.write(tmp_path)), Path("t")) == f"{line}\nand more\nnext\n"
    text = text.replace("12", "123")
    wanted = f"{line.removesuffix(' 12')}\n123 and more\nnext\n"
    assert render.render(text, names(tmp_path), Path("t")) == wanted


def test_unknown_assignment() -> None:
    with pytest.raises(UsageError, match="no assignment nothing") as caught:
        assignment.find("nothing")
    assert "pf_stat" in caught.value.hint


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
