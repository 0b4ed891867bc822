"""Getting the base from a git repository, on a toy kernel tree and real git."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import toytree
from toysource import BASE, BIG, assert_whole, checkout, files_of, obtain, snapshot
from toytree import RELEASE, UPSTREAM, File

from patchgen.cache import Cache
from patchgen.errors import BaseError, DownloadError


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
