"""The Makefile's environment in a checkout that is moved or copied. A stand-in for Python makes it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Makes an environment whose patchgen says for which place it was made, and which run of pip installed it.
PYTHON = """\
#!/bin/sh
case "$*" in
-V) echo Python 3.11.2 ;;
"-m venv .venv")
	mkdir -p .venv/bin
	cp "$0" .venv/bin/python
	;;
"-m pip install"*)
	echo pip >>pip.log
	printf '#!/bin/sh\\necho "%s: $*"\\n' "$(pwd -P)" >.venv/bin/patchgen
	chmod +x .venv/bin/patchgen
	;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    place = tmp_path / "check out"
    place.mkdir()
    shutil.copy(ROOT / "Makefile", place)
    shutil.copy(ROOT / "pyproject.toml", place)
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    return place


def make_patch(place: Path) -> str:
    python = place.parent / "python"
    command = ["env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "make", "patch", f"PYTHON={python}"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def installed(place: Path) -> int:
    return len((place / "pip.log").read_text().splitlines())


def test_it_is_made_once(checkout: Path) -> None:
    assert make_patch(checkout) == f"{checkout}: patch --or-port"
    make_patch(checkout)
    assert installed(checkout) == 1


def test_a_checkout_that_was_moved(checkout: Path) -> None:
    make_patch(checkout)
    moved = checkout.rename(checkout.with_name("moved"))
    assert make_patch(moved) == f"{moved}: patch --or-port"
    make_patch(moved)
    assert installed(moved) == 2


def test_a_copy_runs_its_own_templates(checkout: Path) -> None:
    make_patch(checkout)
    copy = checkout.with_name("copy")
    shutil.copytree(checkout, copy, symlinks=True)  # with the dates, as cp -a
    assert make_patch(copy) == f"{copy}: patch --or-port"
    assert make_patch(checkout) == f"{checkout}: patch --or-port"
    assert installed(checkout) == 1, "the original is left alone"


def test_another_python(checkout: Path) -> None:
    make_patch(checkout)
    python = checkout.parent / "python"
    python.write_text(PYTHON.replace("3.11.2", "3.13.5"))
    make_patch(checkout)
    assert installed(checkout) == 2


def test_other_requirements_are_installed_into_the_same_environment(checkout: Path) -> None:
    make_patch(checkout)
    (checkout / ".venv/mine").touch()
    stamp = (checkout / ".venv/.made").stat()
    later = stamp.st_mtime_ns + 10**9
    os.utime(checkout / "pyproject.toml", ns=(later, later))
    make_patch(checkout)
    assert installed(checkout) == 2
    assert (checkout / ".venv/mine").exists()
