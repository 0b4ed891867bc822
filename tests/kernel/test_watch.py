"""patchgen watch: an edit, and what comes of it, on the real kernel."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pexpect
import pytest

from patchgen import resources

ROOT = Path(__file__).parents[2]
SECONDS = 600

pytestmark = [pytest.mark.usefixtures("machine_environment", "origin"), pytest.mark.timeout(SECONDS)]


def test_each_change_is_tested_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    own = shutil.copytree(resources.TEMPLATES / "kvs", tmp_path / "mine")
    code = own / "files/kernel/kvs.c.j2"
    right = code.read_text()
    words = ["-P", "-m", "patchgen", "watch", "--assignment", str(own), "--only", "search-returns-1"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"}
    watching = pexpect.spawn(sys.executable, words, cwd=str(tmp_path), env=env, encoding="utf-8", timeout=SECONDS)
    try:
        watching.expect_exact("1 passed, 0 failed")
        assert right.count("ret = 1;") == 1
        code.write_text(right.replace("ret = 1;", "ret = 2;"))
        watching.expect_exact("changed: files/kernel/kvs.c.j2")
        watching.expect(r"fail +search-returns-1-or-0")
        watching.expect_exact("0 passed, 1 failed")
        code.write_text(right.replace("ret = 1;", "ret = ;"))
        watching.expect(r"kvs\.c:\d+:\d+: error")
        code.write_text(right)
        watching.expect_exact("1 passed, 0 failed")
        watching.sendintr()
        watching.expect(pexpect.EOF, timeout=10)
    finally:
        watching.close(force=True)
    assert watching.exitstatus == 130
