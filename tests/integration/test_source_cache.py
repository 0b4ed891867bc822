"""What the cache keeps of a base, whoever interrupts it, on a toy kernel tree."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
import toytree
from toysource import BASE, assert_whole, checkout, obtain

from patchgen import process
from patchgen.cache import Cache
from patchgen.errors import DownloadError, MachineError


def test_cache_needs_no_git(tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    found = obtain(cache, checkout(tmp_path / "linux"))
    monkeypatch.setenv("PATH", "/nonexistent")
    assert obtain(cache, None).tree == found.tree


def test_damaged_cache_is_made_again(tmp_path: Path, cache: Cache) -> None:
    linux = checkout(tmp_path / "linux")
    found = obtain(cache, linux)
    pack = next((found.repository / "objects/pack").glob("*.pack"))
    pack.chmod(0o644)
    with pack.open("r+b") as file:
        file.truncate(100)
    with pytest.raises(DownloadError):
        obtain(cache, None)
    assert_whole(obtain(cache, linux))


CHILD = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import toytree
from patchgen import cache, progress
from patchgen.base import entries, from_git, memory, resolve, store
from patchgen.settings import Settings
{before}
found = resolve.obtain(toytree.base(), Settings(linux_src=Path({path!r})), cache.Cache(Path({root!r})), toytree.TOUCHED)
print(found.tree)
"""
DIE = "os.kill(os.getpid(), signal.SIGKILL)"
KILLED = {
    "while files are read": f"""
count, quoted = 0, entries._quoted
def dies(path):
    global count
    count += 1
    if count > 5: {DIE}
    return quoted(path)
entries._quoted = dies""",
    "before the index": f"""
rename = Path.rename
def dies(self, target):
    if self.suffix == ".idx": {DIE}
    return rename(self, target)
Path.rename = dies""",
    "before the record": f"store._write_record = lambda *_: {DIE}",
    "before it is remembered": f"memory.Memory.remember = lambda *_, **__: {DIE}",
}


def child(cache: Cache, path: Path, before: str = "") -> list[str]:
    tests = str(Path(toytree.__file__).parent)
    code = CHILD.format(tests=tests, before=before, path=str(path), root=str(cache.root.parent))
    return [sys.executable, "-c", code]


@pytest.mark.parametrize("before", KILLED.values(), ids=KILLED)
@pytest.mark.parametrize("kind", ["git", "directory"])
def test_killed_import_leaves_a_valid_cache(kind: str, before: str, tmp_path: Path, cache: Cache) -> None:
    linux = checkout(tmp_path / "linux") if kind == "git" else toytree.write(tmp_path / "linux")
    if kind == "git":
        before = before.replace("entries._quoted", "from_git._pack").replace("dies(path)", "dies(*_)")
        before = before.replace("count > 5", "count > 0")
    result = process.run(child(cache, linux, before), cwd=tmp_path, timeout=60, check=False)
    assert result.status == -signal.SIGKILL, result.stderr
    repo = cache.root / "objects.git"
    toytree.git(repo, "fsck", "--strict")
    found = obtain(cache, linux)
    assert_whole(found)
    assert not list(cache.root.glob("scratch/import-*"))


def test_two_processes_at_once(tmp_path: Path, cache: Cache) -> None:
    linux = toytree.write(tmp_path / "linux")
    with (
        process.started(child(cache, linux), cwd=tmp_path) as first,
        process.started(child(cache, linux), cwd=tmp_path) as second,
    ):
        with cache.lock("objects"):
            for running in (first, second):
                assert running.stderr
                assert b"waiting for another patchgen" in running.stderr.readline()
        said = [running.communicate(timeout=60) for running in (first, second)]
    assert [out.decode().strip() for out, _ in said] == [BASE.tree] * 2
    assert sum(b"importing" in err for _, err in said) == 1, said
    assert_whole(obtain(cache, None))


def test_full_disk_is_told_from_a_bad_source(tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    # As git 2.39 says it when the file system is full.
    words = {
        "pack-objects": "fatal: sha1 file 'objects/pack/tmp_pack_X' write error. Out of diskspace",
        "fast-import": "fatal: write error: No space left on device",
    }
    for command, said in words.items():
        fake = tmp_path / "bin" / "git"
        fake.parent.mkdir(exist_ok=True)
        real = shutil.which("git", path=os.defpath)
        says = f"""printf 'Counting objects:  98%% (64933/66258)\\r' >&2; echo "{said}" >&2"""
        fake.write_text(
            f'#!/bin/sh\n[ "$1" = {command} ] && {{ cat >/dev/null; {says}; exit 128; }}\nexec {real} "$@"\n'
        )
        fake.chmod(0o755)
        linux = toytree.write(tmp_path / command)
        if command == "pack-objects":
            toytree.commit(linux)
        with monkeypatch.context() as patch:
            patch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
            with pytest.raises(MachineError, match="the disk is full") as caught:
                obtain(cache, linux)
        assert "PATCHGEN_CACHE" in caught.value.hint
        assert caught.value.evidence == said
        assert_whole(obtain(cache, linux))
        shutil.rmtree(cache.root)
