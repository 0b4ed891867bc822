"""The cache: whole results only, one writer at a time, and clear words when the disk refuses."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from patchgen.cache import Cache, machine_faults, replacing, write_text
from patchgen.errors import MachineError


def test_replacing_a_directory(tmp_path: Path) -> None:
    target = tmp_path / "dist" / "patch"
    for text in ("one", "two"):
        with replacing(target) as fresh:
            fresh.mkdir()
            (fresh / text).write_text(text)
    assert [path.name for path in target.iterdir()] == ["two"]
    assert [path.name for path in target.parent.iterdir()] == ["patch"]


def test_what_fails_half_way_leaves_the_old(tmp_path: Path) -> None:
    target = tmp_path / "patch"
    target.mkdir()
    (target / "old").touch()

    def fail() -> None:
        with replacing(target) as fresh:
            fresh.mkdir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["patch"]
    assert (target / "old").exists()


def test_replacing_a_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "1")
    write_text(tmp_path / "a", "2")
    assert (tmp_path / "a").read_text() == "2"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk() -> None:
    """/dev/full refuses every byte, as a full disk does."""
    with pytest.raises(MachineError, match="No space left") as caught, machine_faults("cannot write it"):
        with open("/dev/full", "wb", buffering=0) as file:  # noqa: PTH123 - unbuffered
            file.write(b"x")
    assert "free some space" in caught.value.hint


def test_a_cache_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="cannot use the cache") as caught:
        Cache(tmp_path / "file").directory("x")
    assert "PATCHGEN_CACHE" in caught.value.hint


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from patchgen.cache import Cache\n"
        f"root = Path({str(tmp_path)!r})\n"
        "with Cache(root).lock('x'):\n"
        "    with (root / 'log').open('a') as f: f.write('in\\n'); f.flush(); time.sleep(0.3); f.write('out\\n')\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    deadline = time.monotonic() + 60
    for process in processes:
        assert process.wait(timeout=deadline - time.monotonic()) == 0
    assert (tmp_path / "log").read_text().split() == ["in", "out"] * 3


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    parent = cache.directory("scratch")
    dead = subprocess.Popen(["true"])
    dead.wait()
    (parent / f"tree-{dead.pid}-abc").mkdir()
    with cache.scratch("own") as mine:
        assert [path.name for path in parent.iterdir()] == [mine.name]
    assert list(parent.iterdir()) == []
