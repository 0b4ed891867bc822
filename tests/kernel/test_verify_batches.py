"""Verdicts on many submissions at once: on this machine, and on workers of which one dies."""

from __future__ import annotations

import contextlib
import csv
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import patchgen

from patchgen.grading.model import Result

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.only_linux_4_15("a submission is made on no other base"),
    pytest.mark.usefixtures("machine_environment"),
]


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "results.csv").open(newline="") as file:
        return {Path(row["submission"]).name: row for row in csv.DictReader(file)}


@pytest.fixture
def pile(ours: Path, foreign: Path, idle: Path, tmp_path: Path) -> list[str]:
    """Return archives and patches, two of them the same."""
    (tmp_path / "same.tar.gz").write_bytes(ours.read_bytes())
    (tmp_path / "broken.tar.gz").write_bytes(ours.read_bytes()[:4000])
    made = [ours, tmp_path / "same.tar.gz", tmp_path / "broken.tar.gz", foreign, next(idle.glob("*.patch"))]
    return [str(path) for path in made]


WANTED = {
    "patch.tar.gz": Result.PASS,
    "same.tar.gz": Result.PASS,
    "broken.tar.gz": Result.FAIL,
    "0001-x86-Change-it.patch": "",
}


def test_many(pile: list[str], tmp_path: Path) -> None:
    words = ["verify", "--stages", "1-3", "--output", "out", "--jobs", "2", *pile]
    done = patchgen(*words, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    found = rows(tmp_path / "out")
    assert {name: found[name]["status"] for name in WANTED if WANTED[name]} == {k: v for k, v in WANTED.items() if v}
    assert len(list((tmp_path / "out/verdicts").iterdir())) == 4, "two have the same content"
    assert len(list((tmp_path / "out/pages").iterdir())) == 5
    again = patchgen(*words, cwd=tmp_path)
    assert again.stdout == done.stdout
    assert "5 of 5 were graded before" in again.stderr


@contextlib.contextmanager
def cluster(place: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Start a scheduler and two workers, each a process of its own."""
    file = place / "scheduler.json"
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    started = [subprocess.Popen([sys.executable, "-P", "-m", "distributed.cli.dask_scheduler", "--port", "0", *common])]
    try:
        for name in ("one", "two"):
            words = ["--no-nanny", "--nthreads", "1", "--name", name, "--local-directory", str(place), *common]
            started.append(subprocess.Popen([sys.executable, "-P", "-m", "distributed.cli.dask_worker", *words]))
        for _ in range(600):
            if file.is_file():
                break
            time.sleep(0.1)
        yield json.loads(file.read_text())["address"], started[1:]
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_a_worker_that_dies_half_way(pile: list[str], tmp_path: Path) -> None:
    """Two workers of which one is killed with a task in hand give the same results as this machine alone."""
    pytest.importorskip("distributed")
    assert patchgen("verify", "--stages", "1-3", "--output", "alone", *pile, cwd=tmp_path).returncode == 1
    with cluster(tmp_path) as (address, workers):
        words = [
            sys.executable,
            "-P",
            "-m",
            "patchgen",
            "verify",
            "--stages",
            "1-3",
            "--output",
            "out",
            "--scheduler",
            address,
            *pile,
        ]
        running = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while not (children := _children(workers[0].pid)) and running.poll() is None:
            time.sleep(0.02)
        assert children, "the first worker has a task in hand"
        workers[0].kill()
        _, err = running.communicate(timeout=200)
    assert running.returncode == 1, err
    alone, shared = ({name: _graded_row(row) for name, row in rows(tmp_path / one).items()} for one in ("alone", "out"))
    assert shared == alone


def _graded_row(row: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in row.items() if name not in ("verdict",)}


def _children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            if f"\nPPid:\t{pid}\n" in status.read_text():
                found.append(int(status.parent.name))
    return found
