"""Runs tests as an ordinary user: where root grades, files belong to somebody whom the sandbox's program is not."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Nobody's number: what it can write to is what everybody can, and what it makes itself.
_USER = "54321"
# Not `-m pytest`: this interpreter need not be the one that pytest is installed for.
_PYTEST = """
import json, sys
path, words = json.loads(sys.argv[1])
sys.path[:0] = path
import pytest
sys.exit(pytest.main(words))
"""


@functools.cache
def why_not() -> str:
    """Return why nothing can be run as an ordinary user here, "" if it can: that is tried."""
    if os.geteuid() != 0:
        return "these tests run as an ordinary user already"
    version = tuple(sys.version_info[:2])
    if not _python(version):
        return f"an ordinary user can execute no Python {version}"
    return f"an ordinary user cannot read {ROOT}" if _run(["test", "-r", str(ROOT / "tests")]) else ""


def pytest(*words: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with these arguments as an ordinary user who has a home of its own."""
    python = _python(tuple(sys.version_info[:2]))
    assert python, why_not()
    path = [entry for entry in sys.path if entry.startswith(str(ROOT)) or "site-packages" in entry]
    # Not below pytest's own temporary directory, which each pytest that starts closes to others.
    with tempfile.TemporaryDirectory(prefix="patchgen-user-") as home:
        os.chown(home, int(_USER), int(_USER))
        arguments = [*words, "-p", "no:cacheprovider", "-p", "no:xdist", "-rA", f"--basetemp={home}/tmp"]
        environment = {"HOME": home, "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            [*_as_user(), python, "-I", "-c", _PYTEST, json.dumps([path, arguments])],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=280,
        )  # fmt: skip


def _python(version: tuple[int, ...]) -> str | None:
    """Return a Python of that version which an ordinary user can execute: ours may lie in root's home."""
    known = (os.path.realpath(sys.executable), shutil.which("python3", path="/usr/bin"))
    probe = f"import sys; sys.exit(sys.version_info[:2] != {version})"
    return next((one for one in known if one and _run([one, "-I", "-c", probe]) == 0), None)


def _as_user() -> list[str]:
    return ["setpriv", "--reuid", _USER, "--regid", _USER, "--clear-groups", "--inh-caps=-all", "--"]


def _run(words: list[str]) -> int:
    return subprocess.run([*_as_user(), *words], cwd="/", capture_output=True, check=False).returncode
