"""Submissions that are unpacked where the grader works: what Python would take for modules of the program."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from attacks.catalogue import Attack
from command import patchgen

import patchgen as package

ROOT = Path(package.__file__).parents[1]
OWNS = "import pathlib; pathlib.Path({mark!r}).write_text('owned'); raise SystemExit(66)\n"
BATCH = Attack(
    "a submission unpacked as patchgen/ or typer.py where a batch is started",
    "each Python is isolated (-I) and starts in a directory of its own",
    ("patchgen/__init__.py", "typer.py", "json.py", "pydantic/__init__.py"),
)
MODULE = Attack(
    "a submission unpacked as typer.py where `python -m patchgen` is started",
    "the current directory is taken out of the search path before anything is imported",
    ("typer.py", "rich/__init__.py"),
)
VARIABLE = Attack(
    "the same where PYTHONPATH has an empty name, which is the current directory",
    "the current directory is taken out of the search path before anything is imported",
    ("typer.py", "rich/__init__.py"),
)
ATTACKS = (BATCH, MODULE, VARIABLE)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "mark"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def unpack(attack: Attack, here: Path, mark: Path) -> None:
    for name in attack.means:
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).write_text(OWNS.format(mark=str(mark)))


def test_a_batch_runs_nothing_of_its_directory(here: Path, mark: Path) -> None:
    unpack(BATCH, here, mark)
    (here / "a.tar.gz").write_bytes(b"")
    done = patchgen("verify", "--output", "out", "a.tar.gz", cwd=here, LINUX_SRC="/nonexistent")
    assert not mark.exists(), "code of the grader's directory ran"
    # It was graded by the program, as far as that goes without a kernel.
    assert done.returncode == 3, done.stdout + done.stderr
    assert "/nonexistent" in done.stdout, done.stdout


@pytest.mark.parametrize("attack", [MODULE, VARIABLE], ids=["module", "variable"])
def test_a_command_imports_nothing_of_its_directory(attack: Attack, here: Path, mark: Path) -> None:
    unpack(attack, here, mark)
    isolated, path = ([], f"{ROOT}") if attack is MODULE else (["-P"], f":{ROOT}")
    words = [sys.executable, *isolated, "-m", "patchgen", "--help"]
    done = subprocess.run(words, cwd=here, env={**os.environ, "PYTHONPATH": path}, capture_output=True, check=False)
    assert not mark.exists(), "code of the current directory ran"
    assert done.returncode == 0, done.stderr


def test_a_batch_has_the_settings_of_its_directory(here: Path) -> None:
    """It starts elsewhere all the same: a path in patchgen.toml starts from there."""
    (here / "patchgen.toml").write_text('linux_src = "no/such/kernel"\n')
    (here / "a.tar.gz").write_bytes(b"")
    done = patchgen("verify", "--output", "out", "a.tar.gz", cwd=here)
    assert str(here / "no/such/kernel") in (here / "out" / "results.csv").read_text(), done.stdout


def test_each_python_of_the_program_is_isolated() -> None:
    """The line that starts an interpreter has -I; in the Makefile, if it runs code of ours."""
    for path in (ROOT / "patchgen").rglob("*.py"):
        for line in path.read_text().splitlines():
            if re.search(r"\[(sys\.executable|python)\b", line):
                assert '"-I"' in line, f"{path}: {line}"
    started = re.findall(r"\(PYTHON\) (.*)", (ROOT / "Makefile").read_text())
    assert all("patchgen" not in one or one.startswith("-I ") for one in started), started
