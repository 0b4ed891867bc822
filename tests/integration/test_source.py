"""Getting the base from whatever there is, on a toy kernel tree and real git."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import signal
import stat
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import toytree
from toytree import RELEASE, UPSTREAM, File, member

from patchgen import process
from patchgen.base import from_directory, from_tarball, resolve, wanted
from patchgen.cache import Cache
from patchgen.errors import BaseError, DownloadError, MachineError
from patchgen.settings import Settings

BASE = toytree.base()
BIG = "drivers/big.h"


def obtain(
    cache: Cache, path: Path | None, linux_base: str | None = None, touched: tuple[str, ...] = ()
) -> resolve.Source:
    settings = Settings(linux_src=path, linux_base=linux_base, cache=cache.root)
    return resolve.obtain(BASE, settings, cache, touched or toytree.TOUCHED)


def snapshot(directory: Path) -> dict[str, tuple[int, int, int]]:
    """Return mode, size and modification time of everything below a directory."""
    return {
        str(path): (status.st_mode, status.st_size, status.st_mtime_ns)
        for path in [directory, *directory.rglob("*")]
        for status in [path.lstat()]
    }


def checkout(directory: Path) -> Path:
    """Make a student's checkout: the release first, work on top, and a file that is not committed."""
    toytree.write(directory)
    toytree.commit(directory)
    (directory / "kernel/fork.c").write_text("changed\n")
    toytree.commit(directory, message="my work")
    (directory / "fs/exec.c").write_text("being changed\n")
    return directory


def files_of(found: resolve.Source) -> dict[str, File]:
    """Read a tree back from the cache's repository with nothing but git."""
    read = partial(toytree.git, found.repository)
    files = {}
    for line in read("ls-tree", "-r", "-z", found.tree).split("\0")[:-1]:
        meta, path = line.split("\t")
        mode, _, blob = meta.split()
        if path not in found.missing:
            data = process.run(["git", "cat-file", "blob", blob], cwd=found.repository, timeout=10).stdout
            files[path] = File(data.encode(), mode)
    return files


def assert_whole(found: resolve.Source, tree: str = BASE.tree) -> None:
    assert found.tree == tree
    assert not found.missing
    toytree.git(found.repository, "fsck", "--strict")
    # Every object of the tree is there, and nothing is borrowed.
    toytree.git(found.repository, "rev-list", "--objects", found.tree)
    assert not (found.repository / "objects/info/alternates").exists()


# --- git ------------------------------------------------------------------------------------------------------------


def test_release_is_found_under_later_work(tmp_path: Path, cache: Cache) -> None:
    found = obtain(cache, checkout(tmp_path / "linux"))
    assert found.warnings == ()
    assert "linux" in found.origin
    shutil.rmtree(tmp_path / "linux")
    assert_whole(found)
    assert files_of(found) == RELEASE
    assert obtain(cache, None).tree == BASE.tree


def test_upstream_tag_is_the_release_without_what_that_ignores(tmp_path: Path, cache: Cache) -> None:
    linux = tmp_path / "linux"
    toytree.write(linux, {"README": File(b"older history\n")})
    toytree.commit(linux)
    toytree.write(linux)
    (linux / "README").unlink()
    toytree.commit(linux, force=True, message="4.15")
    toytree.git(linux, "tag", "-m", "Linux 4.15", "v4.15")
    assert toytree.git(linux, "rev-parse", "HEAD^{tree}") == toytree.tree_id(UPSTREAM)
    (linux / "MAINTAINERS").write_text("more\n")
    toytree.commit(linux, message="later")
    found = obtain(cache, linux)
    assert found.warnings == ()
    assert "v4.15" in found.origin
    assert_whole(found)
    # The second time nothing is looked for, and the tree that no commit of the source has is still known.
    assert obtain(cache, linux) == found
    shutil.rmtree(cache.directory("objects.git"))
    assert_whole(obtain(cache, linux))


def test_linux_base_decides(tmp_path: Path, cache: Cache) -> None:
    linux = toytree.write(tmp_path / "linux")
    first = toytree.commit(linux)
    (linux / "README").write_text("not of the release\n")
    second = toytree.commit(linux, message="close enough")
    tree = toytree.git(linux, "rev-parse", "HEAD^{tree}")
    assert obtain(cache, linux, "HEAD~1").tree == BASE.tree
    found = obtain(cache, linux, second[:10])
    assert_whole(found, tree)
    assert len(found.warnings) == 1
    # The same name stands for something else later.
    assert obtain(cache, linux, "HEAD").tree == tree
    toytree.git(linux, "reset", "-q", "--hard", first)
    assert obtain(cache, linux, "HEAD").tree == BASE.tree
    toytree.git(linux, "reset", "-q", "--hard", second)
    assert obtain(cache, linux, "HEAD").tree == tree
    with pytest.raises(BaseError, match="LINUX_BASE: nonsense names no commit"):
        obtain(cache, linux, "nonsense")


def _worktree(linux: Path, place: Path) -> Path:
    toytree.git(linux, "worktree", "add", "-q", "--detach", str(place), "HEAD")
    return place


def _clone(linux: Path, place: Path, *options: str) -> Path:
    toytree.git(linux, "clone", "-q", *options, linux.as_uri(), str(place))
    return place


def _git_directory(linux: Path, _place: Path) -> Path:
    return linux / ".git"


def _shallow(linux: Path, place: Path) -> Path:
    """Clone so that the release is a first commit only because its parent is cut off."""
    older = toytree.write(linux.parent / "older", {"README": File(b"older history\n")})
    toytree.commit(older)
    (older / "README").unlink()
    toytree.write(older)
    toytree.commit(older, message="4.15")
    _clone(older, place, "--depth=1")
    (place / "README").write_text("mine\n")
    toytree.commit(place, message="work")
    return place


def _without_config(linux: Path, place: Path) -> Path:
    bare = _clone(linux, place, "--bare")
    for path in bare.iterdir():
        if path.name not in ("HEAD", "objects", "refs", "packed-refs"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return bare


@pytest.mark.parametrize(
    "make",
    [
        _clone,
        lambda linux, place: _clone(linux, place, "--bare"),
        _git_directory,
        _worktree,
        _shallow,
        _without_config,
    ],
    ids=["clone", "bare", "git directory", "worktree", "shallow", "no config"],
)
def test_kinds_of_repository(make: Callable[[Path, Path], Path], tmp_path: Path, cache: Cache) -> None:
    place = make(checkout(tmp_path / "linux"), tmp_path / "an odd: name\n")
    before = snapshot(place)
    found = obtain(cache, place)
    assert_whole(found)
    assert found.warnings == ()
    assert snapshot(place) == before


def test_worktree_whose_repository_is_gone(tmp_path: Path, cache: Cache) -> None:
    place = _worktree(checkout(tmp_path / "linux"), tmp_path / "work")
    shutil.rmtree(tmp_path / "linux")
    with pytest.raises(BaseError, match="points to a repository that is not there"):
        obtain(cache, place)


def test_checkout_is_neither_written_nor_run(tmp_path: Path, cache: Cache) -> None:
    linux, ran = checkout(tmp_path / "linux"), tmp_path / "ran"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {ran}\n")
    script.chmod(0o755)
    for hook in ("post-index-change", "reference-transaction", "post-checkout", "pre-auto-gc"):
        (linux / ".git/hooks").mkdir(exist_ok=True)
        shutil.copy(script, linux / ".git/hooks" / hook)
    (linux / ".git/info/attributes").write_text("* filter=evil diff=evil\n")
    for name in ("core.fsmonitor", "filter.evil.clean", "filter.evil.smudge", "diff.evil.textconv", "core.sshCommand"):
        toytree.git(linux, "config", name, str(script))
    for path in linux.rglob("*"):  # the index is out of date: git would like to refresh it
        if not path.is_symlink() and ".git" not in path.parts:
            os.utime(path, (1, 1))
    owner = linux.stat().st_uid
    if os.geteuid() == 0:  # a checkout of somebody else
        for path in [linux, *linux.rglob("*")]:
            os.chown(path, 12345, 12345, follow_symlinks=False)
    else:
        for path in linux.rglob("*"):
            if not path.is_symlink():
                path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)
    before = snapshot(linux)
    try:
        assert_whole(obtain(cache, linux))
        assert_whole(obtain(cache, linux))
        assert snapshot(linux) == before
        assert not ran.exists()
    finally:
        for path in [linux, *linux.rglob("*")] if os.geteuid() else []:
            if not path.is_symlink():
                path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o200)
        assert linux.stat().st_uid in (owner, 12345)


def test_only_touched_files_need_be_right(tmp_path: Path, cache: Cache) -> None:
    linux = toytree.write(tmp_path / "linux", {**UPSTREAM, "fs/other.c": File(b"x\n")})
    toytree.commit(linux)
    found = obtain(cache, linux)
    assert_whole(found, toytree.git(linux, "rev-parse", "HEAD^{tree}"))
    assert "not exactly Linux 4.15" in found.warnings[0]
    # It is not taken for the release later.
    with pytest.raises(DownloadError):
        obtain(cache, None)
    # The exact one, once it is there, is preferred.
    shutil.rmtree(linux / "fs")
    toytree.write(linux / "fs", {"exec.c": RELEASE["fs/exec.c"]})
    toytree.commit(linux, message="tidied")
    toytree.git(linux, "tag", "v4.15")
    toytree.write(linux, {"fs/other.c": File(b"x\n")})
    toytree.commit(linux, message="reproduce")
    assert obtain(cache, linux).tree == BASE.tree


def test_wrong_file_is_named(tmp_path: Path, cache: Cache) -> None:
    wrong = File(b"changed\n")
    linux = toytree.write(tmp_path / "linux", {**UPSTREAM, "fs/exec.c": wrong, "kernel/fork.c": wrong})
    toytree.commit(linux)
    with pytest.raises(BaseError) as caught:
        obtain(cache, linux)
    assert "fs/exec.c is not as released" in caught.value.message
    assert BASE.blobs["fs/exec.c"] in caught.value.message
    assert "LINUX_BASE" in caught.value.hint
    # A series that does not touch it does not mind.
    assert obtain(cache, linux, touched=("MAINTAINERS",)).warnings
    (linux / "fs/exec.c").unlink()
    toytree.commit(linux, message="gone")
    with pytest.raises(BaseError, match=r"fs/exec\.c is not there"):
        obtain(cache, linux, "HEAD")


OTHERS = [
    (
        {**UPSTREAM, "Makefile": File(toytree.MAKEFILE.replace(b"VERSION = 4\n", b"VERSION = 5\n"))},
        "this is Linux 5.15.0, ",
    ),
    (
        {**UPSTREAM, "Makefile": File(toytree.MAKEFILE.replace(b"ION =\n", b"ION = -rc1\n"))},
        "this is Linux 4.15.0-rc1, ",
    ),
    ({"Makefile": File(b"all:\n\techo\n"), "a.c": File(b"")}, "this is not Linux"),
    ({"README": File(b"hello\n"), "a.c": File(b"")}, "this is not Linux"),
]


@pytest.mark.parametrize("kind", ["git", "directory", "tarball"])
@pytest.mark.parametrize(("files", "words"), OTHERS, ids=["version", "rc", "no version", "no makefile"])
def test_something_else_is_called_that(
    kind: str, files: dict[str, File], words: str, tmp_path: Path, cache: Cache
) -> None:
    path = toytree.write(tmp_path / "linux", files)
    if kind == "git":
        toytree.commit(path)
    elif kind == "tarball":
        path = toytree.tarball(tmp_path / "linux.tar.xz", toytree.members(files))
    with pytest.raises(BaseError) as caught:
        obtain(cache, path)
    assert words in caught.value.message
    assert ("wanted 4.15" in caught.value.message) == ("Linux 4" in words or "Linux 5" in words)
    # Nothing of it stays.
    assert not list(cache.root.glob("objects.git/objects/pack/*"))
    assert not list(cache.root.glob("scratch/*"))


def test_empty_repository(tmp_path: Path, cache: Cache) -> None:
    toytree.git(tmp_path, "init", "-q", "linux")
    with pytest.raises(BaseError, match="no commit"):
        obtain(cache, tmp_path / "linux")


# --- content that is missing ----------------------------------------------------------------------------------------


def _partial(linux: Path, *lost: str) -> Path:
    """Make a checkout a partial clone without some files, whose remote notes that it was asked."""
    evil = linux.parent / "upload-pack"
    evil.write_text(f"#!/bin/sh\ntouch {linux.parent / 'asked'}\nexit 1\n")
    evil.chmod(0o755)
    settings = {
        "core.repositoryformatversion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.url": linux.parent.as_uri(),
        "remote.origin.promisor": "true",
        "remote.origin.partialclonefilter": "blob:none",
        "remote.origin.uploadpack": str(evil),
    }
    for name, value in settings.items():
        toytree.git(linux, "config", name, value)
    for path in lost:
        blob = toytree.blob_id(RELEASE[path].data)
        (linux / ".git/objects" / blob[:2] / blob[2:]).unlink()
    return linux


def test_missing_content_is_recorded_and_filled_in_later(tmp_path: Path, cache: Cache) -> None:
    linux = _partial(checkout(tmp_path / "partial"), BIG, "kernel/empty.c")
    found = obtain(cache, linux)
    assert found.tree == BASE.tree
    assert found.missing == {BIG, "kernel/empty.c"}
    assert found.warnings == (f"2 files have no content in {found.origin} and will be left out: {BIG}, kernel/empty.c",)
    assert files_of(found) == {path: file for path, file in RELEASE.items() if path not in found.missing}
    assert obtain(cache, linux).missing == found.missing
    assert obtain(cache, None).missing == found.missing
    assert not (tmp_path / "asked").exists()
    # The same clone gets one of them ...
    toytree.git(linux, "hash-object", "-w", BIG)
    assert obtain(cache, linux).missing == {"kernel/empty.c"}
    # ... and another source has all.
    assert_whole(obtain(cache, toytree.write(tmp_path / "whole")))
    assert_whole(obtain(cache, linux))
    assert files_of(obtain(cache, None)) == RELEASE


def test_gaps_of_a_tree_that_no_commit_has_are_filled_in(tmp_path: Path, cache: Cache) -> None:
    linux = toytree.write(tmp_path / "linux")
    toytree.commit(linux, force=True)
    assert obtain(cache, _partial(linux, BIG, ".mailmap")).missing == {BIG, ".mailmap"}
    toytree.git(linux, "hash-object", "-w", BIG, ".mailmap")
    assert_whole(obtain(cache, linux))


def test_missing_touched_file_is_an_error(tmp_path: Path, cache: Cache) -> None:
    linux = _partial(checkout(tmp_path / "linux"), BIG)
    with pytest.raises(BaseError, match=rf"the content of {BIG} is missing"):
        obtain(cache, linux, touched=(BIG,))
    assert obtain(cache, linux).missing
    with pytest.raises(BaseError, match=rf"the content of {BIG} is missing"):
        obtain(cache, None, touched=(BIG,))


def test_clone_without_directories(tmp_path: Path, cache: Cache) -> None:
    linux = checkout(tmp_path / "linux")
    tree = toytree.git(linux, "rev-parse", "HEAD~1:drivers")
    (linux / ".git/objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(BaseError, match="not all directories"):
        obtain(cache, linux)


def test_damaged_repository(tmp_path: Path, cache: Cache) -> None:
    linux = checkout(tmp_path / "linux")
    blob = toytree.blob_id(RELEASE[BIG].data)
    damaged = linux / ".git/objects" / blob[:2] / blob[2:]
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes()[:-40])
    with pytest.raises(BaseError, match="git cannot read all of it") as caught:
        obtain(cache, linux)
    assert blob in caught.value.evidence


# --- directory ------------------------------------------------------------------------------------------------------


def _must_not_run(*_: object, **__: object) -> None:
    raise AssertionError("this was not to be done again")


def test_directory(tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    # Inside somebody's repository, and with what a build leaves.
    toytree.write(tmp_path, {"homework.txt": File(b"x")})
    toytree.commit(tmp_path)
    linux = toytree.write(tmp_path / "linux")
    (linux / "kernel/fork.o").write_bytes(b"\x7fELF")
    os.mkfifo(linux / "pipe")
    before = snapshot(linux)
    found = obtain(cache, linux)
    assert_whole(found)
    assert found.warnings == ()
    assert files_of(found) == RELEASE
    assert snapshot(linux) == before
    monkeypatch.setattr(from_directory, "view", _must_not_run)
    monkeypatch.setattr(wanted, "answer", _must_not_run)
    assert obtain(cache, linux) == found
    (linux / "fs/exec.c").write_text("changed\n")
    with pytest.raises(BaseError, match=r"fs/exec\.c is not as released"):
        obtain(cache, linux)
    (linux / "fs/exec.c").unlink()
    (linux / "fs/exec.c").symlink_to("../MAINTAINERS")
    with pytest.raises(BaseError, match=r"fs/exec\.c is not there"):
        obtain(cache, linux)


def test_same_tree_from_elsewhere_is_not_kept_twice(tmp_path: Path, cache: Cache) -> None:
    found = obtain(cache, checkout(tmp_path / "linux"))
    packs = list(found.repository.glob("objects/pack/*"))
    linux = toytree.write(tmp_path / "unpacked")
    assert obtain(cache, linux).origin == str(linux)
    assert list(found.repository.glob("objects/pack/*")) == packs


def test_changed_directory_is_imported_again_and_only_what_is_new(tmp_path: Path, cache: Cache) -> None:
    linux = toytree.write(tmp_path / "linux")
    obtain(cache, linux)
    (linux / "new.c").write_text("int x;\n")
    files = {**RELEASE, "new.c": File(b"int x;\n")}
    found = obtain(cache, linux)
    assert_whole(found, toytree.tree_id(files))
    assert "not exactly" in found.warnings[0]
    packs = {path: path.stat().st_size for path in (found.repository / "objects/pack").glob("*.pack")}
    assert len(packs) == 2
    assert min(packs.values()) < 1000 < max(packs.values())
    (linux / "new.c").unlink()
    again = obtain(cache, linux)
    assert again.tree == BASE.tree
    assert {path: path.stat().st_size for path in (found.repository / "objects/pack").glob("*.pack")} == packs


@pytest.mark.parametrize("kind", ["directory", "tarball"])
def test_what_was_imported_for_another_series_is_looked_at_again(kind: str, tmp_path: Path, cache: Cache) -> None:
    files = {**RELEASE, "fs/exec.c": File(b"changed\n")}
    if kind == "tarball":
        path = toytree.tarball(tmp_path / "linux.tar.gz", toytree.members(files))
    else:
        path = toytree.write(tmp_path / "linux", files)
    assert obtain(cache, path, touched=("MAINTAINERS",)).tree == toytree.tree_id(files)
    with pytest.raises(BaseError, match=r"fs/exec\.c is not as released"):
        obtain(cache, path)
    if kind == "directory":
        (path / "fs/exec.c").write_bytes(RELEASE["fs/exec.c"].data)
        assert obtain(cache, path).tree == BASE.tree


# --- tarball --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tar", "tar.xz", "tar.gz", "tar.bz2"])
def test_tarball(kind: str, tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    path = toytree.tarball(tmp_path / f"linux.{kind}")
    found = obtain(cache, path)
    assert_whole(found)
    assert found.warnings == ()
    assert files_of(found) == RELEASE
    monkeypatch.setattr(from_tarball, "view", _must_not_run)
    assert obtain(cache, path) == found


def test_tarball_of_a_checkout(tmp_path: Path, cache: Cache) -> None:
    """Directories, a repository, a hard link, "./" before the names, and a file not of the release."""
    top = member("./linux-4.15/", type=tarfile.DIRTYPE, mode=0o755)
    below = [
        member("./linux-4.15/.git/config", b"[core]\n"),
        member("./linux-4.15/fs", type=tarfile.DIRTYPE, mode=0o755),
        member("./linux-4.15/fs/copy.c", type=tarfile.LNKTYPE, linkname="./linux-4.15/fs/exec.c"),
        member("./linux-4.15/" + "deep/" * 40 + "file", b"x"),
    ]
    path = toytree.tarball(tmp_path / "linux.tar.gz", [top, *toytree.members(top="./linux-4.15"), *below])
    files = {**RELEASE, "fs/copy.c": RELEASE["fs/exec.c"], "deep/" * 40 + "file": File(b"x")}
    found = obtain(cache, path)
    assert_whole(found, toytree.tree_id(files))
    assert len(found.warnings) == 1


ODD = {
    "absolute": member("/etc/passwd", b"x"),
    "leads out": member("linux-4.15/../../etc/passwd", b"x"),
    "device": member("linux-4.15/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    "pipe": member("linux-4.15/pipe", type=tarfile.FIFOTYPE),
    "second top": member("other/a", b"x"),
    "file at the top": member("a", b"x"),
    "file as the top": member("linux-4.15", b"x"),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_odd_tarball(odd: tuple[tarfile.TarInfo, bytes], tmp_path: Path, cache: Cache) -> None:
    path = tmp_path / "linux.tar"
    with tarfile.open(path, "w") as archive:
        for info, data in toytree.members():
            archive.addfile(info, io.BytesIO(data))
        archive.fileobj.write(odd[0].tobuf(tarfile.GNU_FORMAT) + odd[1].ljust(512, b"\0"))
    with pytest.raises(BaseError, match=r"linux\.tar is not a usable tarball: "):
        obtain(cache, path)
    assert not list(cache.root.glob("objects.git/objects/pack/*"))


@pytest.mark.parametrize("kind", ["tar", "tar.xz", "tar.gz", "tar.bz2"])
def test_cut_off_tarball(kind: str, tmp_path: Path, cache: Cache) -> None:
    path = toytree.tarball(tmp_path / f"linux.{kind}")
    with tarfile.open(path) as archive:
        headers = [member.offset for member in archive]
    whole = path.read_bytes()
    # In a header, in content, just after a member, just before the end.
    ends = [headers[-1], headers[-1] + 1024] if kind == "tar" else [len(whole) - 1]
    for cut in [0, 100, *(headers[3:6] if kind == "tar" else []), len(whole) // 2 + 100, *ends]:
        path.write_bytes(whole[:cut])
        with pytest.raises(BaseError, match=rf"linux\.{kind}"):
            obtain(cache, path)


@pytest.mark.parametrize("kind", ["tar", "tar.xz", "tar.gz", "tar.bz2"])
def test_damaged_tarball(kind: str, tmp_path: Path, cache: Cache) -> None:
    path = toytree.tarball(tmp_path / f"linux.{kind}")
    data = bytearray(path.read_bytes())
    place = len(data) // 2
    if kind == "tar":  # content has no checksum there, only headers have; touched files come before this one
        with tarfile.open(path) as archive:
            place = archive.getmember("linux-4.15/scripts/run.sh").offset
    data[place : place + 20] = b"\xff" * 20
    path.write_bytes(data)
    with pytest.raises(BaseError, match=r"is damaged or cut off"):
        obtain(cache, path)


def test_not_a_tarball(tmp_path: Path, cache: Cache) -> None:
    (tmp_path / "file").write_text("hello\n" * 1000)
    with pytest.raises(BaseError, match="file is damaged"):
        obtain(cache, tmp_path / "file")
    with pytest.raises(BaseError, match="does not exist"):
        obtain(cache, tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BaseError, match="neither a directory nor a file"):
        obtain(cache, tmp_path / "pipe")


# --- download -------------------------------------------------------------------------------------------------------


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "www").mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path / "www"))) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


def test_download(tmp_path: Path, cache: Cache, server: str) -> None:
    tarball = toytree.tarball(tmp_path / "www" / "linux-4.15.tar.xz")
    base = toytree.base(f"{server}/{tarball.name}", hashlib.sha256(tarball.read_bytes()).hexdigest())
    found = resolve.obtain(base, Settings(), cache, toytree.TOUCHED)
    assert_whole(found)
    assert found.warnings == ()
    tarball.unlink()
    assert resolve.obtain(base, Settings(), cache, toytree.TOUCHED) == found
    assert not list(cache.directory("downloads").iterdir())


def test_no_download(cache: Cache) -> None:
    with pytest.raises(DownloadError) as caught:
        obtain(cache, None)
    assert "set LINUX_SRC=... to a checkout, directory or tarball of linux-toy" in caught.value.hint


# --- the cache ------------------------------------------------------------------------------------------------------


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
