"""Starting programs: environment, time limits, and nothing left behind."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from patchgen import process
from patchgen.errors import CommandError, TimeoutExpiredError, ToolMissingError
from patchgen.sandbox import BUILD, Sandbox

HERE = Path("/")


def test_the_callers_habits_do_not_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_DIR", "MAKEFLAGS", "CFLAGS", "LC_ALL"):
        monkeypatch.setenv(name, "leaked")
    out = process.run(["env"], cwd=HERE, timeout=10, env={"EXTRA": "1"}).stdout
    assert "leaked" not in out
    assert "EXTRA=1" in out
    assert "LC_ALL=C.UTF-8" in out


def test_a_failure_carries_the_end_of_the_output() -> None:
    with pytest.raises(CommandError) as caught:
        process.run(["sh", "-c", "echo out; echo err >&2; exit 3"], cwd=HERE, timeout=10)
    assert caught.value.status == 3
    assert caught.value.evidence.splitlines() == ["out", "err"]
    assert process.run(["sh", "-c", "exit 3"], cwd=HERE, timeout=10, check=False).status == 3


def test_a_missing_program() -> None:
    with pytest.raises(ToolMissingError, match="no-such-program"):
        process.run(["no-such-program"], cwd=HERE, timeout=10)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


@pytest.mark.parametrize("how", ["run", "follow"])
def test_a_time_limit_ends_the_whole_group(how: str, tmp_path: Path) -> None:
    script = ["sh", "-c", f"sleep 1000 & echo $! > {tmp_path}/pid; echo ready; wait"]

    def start() -> None:
        if how == "run":
            process.run(script, cwd=HERE, timeout=0.5)
        else:
            process.follow(script, cwd=HERE, timeout=0.5, on_line=lambda _: None)

    with pytest.raises(TimeoutExpiredError, match="did not end within"):
        start()
    assert gone(int((tmp_path / "pid").read_text()))


def test_follow_hands_over_lines_as_they_come() -> None:
    seen: list[str] = []
    result = process.follow(["sh", "-c", "echo a; echo b >&2; exit 2"], cwd=HERE, timeout=10, on_line=seen.append)
    assert (seen, result.status) == (["a", "b"], 2)


def test_ctrl_c_ends_what_is_just_being_started(tmp_path: Path) -> None:
    """Popen is interrupted when the program runs already, before anybody has its process id."""
    code = f"""
import os, signal, subprocess, time
from pathlib import Path
from patchgen import process
signal.signal(signal.SIGINT, signal.default_int_handler)
pid, start = Path({str(tmp_path)!r}) / "pid", subprocess.Popen._execute_child
def interrupted(*words):
    start(*words)
    while not (pid.is_file() and pid.read_text().strip()):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
subprocess.Popen._execute_child = interrupted
try:
    process.run(["sh", "-c", f"sleep 1000 & echo $! > {{pid}}; wait"], cwd=Path("/"), timeout=60)
except KeyboardInterrupt:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    print("interrupted")
"""
    done = process.run([sys.executable, "-c", code], cwd=tmp_path, timeout=60)
    assert done.stdout == "interrupted\n"
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_program_that_cannot_be_started_leaves_ctrl_c_as_it_was() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ToolMissingError):
        process.run(["no-such-program"], cwd=HERE, timeout=10)
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_ends_the_whole_group(tmp_path: Path) -> None:
    code = (
        # A shell that starts us in the background has SIGINT ignored, and children inherit that.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path; from patchgen import process\n"
        f"process.run(['sh', '-c', 'sleep 1000 & echo $! > {tmp_path}/pid; wait'], cwd=Path('/'), timeout=60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=20) != 0
    assert gone(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize(("load", "times"), [(0.1, 1.0), (3.0, 3.0), (900.0, 8.0)])
def test_a_busy_machine_ends_no_honest_build(load: float, times: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load * len(os.sched_getaffinity(0)), 0.0, 0.0))
    shut = Sandbox(limits=dataclasses.replace(BUILD, seconds=100.0))
    assert shut.patience(60.0) == 60.0 * times
    assert shut.patience(5000.0) == 100.0 * times, "whatever the caller asks for"
