"""Getting the base from a directory, a tarball and the download, on a toy kernel tree."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import toytree
from toysource import BASE, assert_whole, checkout, files_of, obtain, snapshot
from toytree import RELEASE, File, member

from patchgen.base import from_directory, from_tarball, resolve, wanted
from patchgen.cache import Cache
from patchgen.errors import BaseError, DownloadError
from patchgen.settings import Settings

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
