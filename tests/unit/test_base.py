"""Bases as data: what is refused, and that those of the repository fit together."""

from __future__ import annotations

from pathlib import Path

import pytest

from patchgen import resources
from patchgen.base import bases
from patchgen.base.bases import DEFAULT, Local, Package, Release
from patchgen.errors import UsageError
from patchgen.series import model as series

OTHERS = [name for name in bases.names() if name != DEFAULT]
SERIES = resources.TEMPLATES / "pf_stat"
TOY = """\
name = "toy"
title = "Toy"
submission = false
[makefile]
VERSION = "6"
[origin]
kind = "package"
package = "linux-source-toy"
member = "usr/src/toy.tar.xz"
megabytes = 9
"""


def load(directory: Path, text: str) -> bases.Base:
    (directory / "toy.toml").write_text(text)
    return bases.load("toy", directory)


def test_the_default_is_first_and_the_only_one_of_submissions() -> None:
    assert bases.names()[0] == DEFAULT
    assert [name for name in bases.names() if bases.load(name).submission] == [DEFAULT]


@pytest.mark.parametrize("name", bases.names())
def test_each_is_called_what_its_file_is(name: str) -> None:
    assert bases.load(name).name == name


def test_where_a_base_comes_from_is_one_of_three_kinds(tmp_path: Path) -> None:
    assert isinstance(bases.load(DEFAULT).origin, Release)
    assert isinstance(load(tmp_path, TOY).origin, Package)
    head, _, _ = TOY.partition("[origin]")
    assert load(tmp_path, head + '[origin]\nkind = "path"\npath = "/src"\n').origin == Local(kind="path", path="/src")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('kind = "package"', 'kind = "parcel"', "parcel"),
        ('kind = "package"', 'kind = "release"', "urls"),
        ('"linux-source-toy"', '"--option"', "package"),
        ("megabytes = 9", "megabytes = 0", "megabytes"),
        ("submission = false", "submission = true", "known by its tree"),
        ("submission = false", "submission = false\nodd = 1", "odd"),
        (
            'kind = "package"\npackage = "linux-source-toy"\nmember = "usr/src/toy.tar.xz"\nmegabytes = 9',
            f'kind = "release"\nurls = ["http://127.0.0.1:1/x"]\nsha256 = "{"0" * 64}"',
            "a release has a tree",
        ),
    ],
)
def test_wrong_data_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in TOY
    with pytest.raises(UsageError, match=said):
        load(tmp_path, TOY.replace(old, new))


def test_an_unknown_base() -> None:
    with pytest.raises(UsageError) as caught:
        bases.load("linux-1.0")
    assert DEFAULT in caught.value.hint


@pytest.mark.parametrize("name", OTHERS)
def test_the_numbers_that_scenarios_expect_are_those_that_the_series_gives(name: str) -> None:
    numbers = bases.load(name).quirks.numbers
    assert numbers is not None
    parameters = series.load(SERIES, base=name).parameters
    assert [parameters[key] for key in ("set_param_nr", "get_info_nr", "cleanup_nr")] == [
        numbers.first + offset for offset in range(3)
    ]


@pytest.mark.parametrize("name", OTHERS)
def test_few_lines_of_the_templates_depend_on_the_base(name: str) -> None:
    """Counted as `git grep` lists them (docs/bases.md): what is neither blank nor a comment."""
    files = [path for path in (SERIES / "bases" / name).rglob("*") if path.is_file()] + [SERIES / "compat.j2"]
    lines = [line.strip() for path in files for line in path.read_text().splitlines()]
    lines += [line for line in (SERIES / "cost.toml").read_text().splitlines() if line.startswith("elsewhere")]
    assert 1 <= len([line for line in lines if line and not line.startswith(("#", "@#"))]) <= 60


def test_no_template_asks_which_base_it_is_on() -> None:
    """What quirks has a name; a condition on a base or a version would be a line that is not in the list."""
    templates = [path for folder in ("files", "edits", "messages") for path in (SERIES / folder).rglob("*.*")]
    assert len(templates) > 15
    for path in (*templates, SERIES / "series.toml"):
        text = path.read_text()
        assert not [name for name in OTHERS if name in text], path
        for line in text.splitlines():
            assert "@% if" not in line or "since(" in line, f"{path}: {line}"
