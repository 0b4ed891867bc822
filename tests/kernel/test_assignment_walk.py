"""docs/assignment.md, done as it says: its files, its commands, and what it shows of them, on the real kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import patchgen
from kernels import Kernels

PAGE = (Path(__file__).parents[2] / "docs/assignment.md").read_text()
FILE = re.compile(r"^`(answer/[^`]+)`:\n\n```\w+\n(.*?)^```$", re.M | re.S)
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)
# A command and what it prints.
COMMAND = re.compile(r"^\$ patchgen (.*)\n((?:(?!\$ ).*\n)*)", re.M)
OTHER_BASE = "--base debian-6.12"
FAILING = "--vanilla"
SECONDS = 1500  # of all commands: the kernel is built three times

pytestmark = [pytest.mark.usefixtures("machine_environment", "origin"), pytest.mark.timeout(SECONDS)]


def commands() -> Iterator[tuple[str, str]]:
    """Yield each command of the page, with what it shows."""
    for block in CONSOLE.finditer(PAGE):
        for match in COMMAND.finditer(block[1]):
            yield match[1], match[2]


def shown(text: str) -> re.Pattern[str]:
    """Return the pattern of what the page shows: `...` stands for anything."""
    return re.compile(re.escape(text.rstrip()).replace(re.escape("..."), r".*"), re.S)


def printed(text: str) -> str:
    """Return what a command printed, without blanks at the ends of lines."""
    return "\n".join(line.rstrip() for line in text.splitlines()).rstrip()


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Return an empty directory with the files of the page."""
    for name, content in FILE.findall(PAGE):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path


def test_the_page_has_what_it_speaks_of() -> None:
    words = [line.split()[0] for line, _ in commands()]
    assert {"patch", "check", "build", "test", "verify", "mutants"} <= set(words)
    assert len(FILE.findall(PAGE)) == PAGE.count("\n`answer/")
    assert all("--assignment answer" in line for line, _ in commands())


@pytest.mark.only_linux_4_15("the page shows what comes of it there")
def test_the_walk(here: Path) -> None:
    for line, wanted in commands():
        if OTHER_BASE in line:
            continue
        done = patchgen(*line.split(), cwd=here)
        assert done.returncode == (1 if FAILING in line else 0), f"{line}\n{done.stdout}{done.stderr}"
        assert shown(wanted).fullmatch(printed(done.stdout)), f"{line}\n{done.stdout}"
    assert (here / "answer/kill_matrix.json").is_file()


def test_the_walk_on_another_base(here: Path, kernels: Kernels) -> None:
    if "debian-6.12" not in (kernels.main, kernels.second):
        pytest.skip(kernels.sentence())
    [(line, wanted)] = [one for one in commands() if OTHER_BASE in one[0]]
    done = patchgen(*line.split(), cwd=here)
    assert done.returncode == 0, done.stderr
    assert shown(wanted).fullmatch(printed(done.stdout)), done.stdout
    [patch] = (here / "dist/answer/debian-6.12/patch").iterdir()
    assert "+463\ti386\tanswer" in patch.read_text()
