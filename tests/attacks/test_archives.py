"""Archives and directories that are no submission but an attack."""

from __future__ import annotations

import gzip
import os
import resource
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import toytree
from attacks.catalogue import Attack, named
from toytree import member

from patchgen import sandbox
from patchgen.cache import Cache
from patchgen.errors import SubmissionError
from patchgen.submission import archive as submission

MIB = 1 << 20
BOX = None if sandbox.why_not() else sandbox.Sandbox()
Member = tuple[tarfile.TarInfo, bytes]


def archive(*members: Member) -> Callable[[Path], object]:
    return lambda path: toytree.tarball(path, members)


def raw(*chunks: tuple[bytes, int]) -> Callable[[Path], None]:
    """Write chunks, each so many times, compressed."""

    def write(path: Path) -> None:
        with gzip.open(path, "wb", compresslevel=1) as out:
            for chunk, times in chunks:
                for _ in range(times):
                    out.write(chunk)

    return write


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def negative() -> bytes:
    """A member of -512 bytes, after which comes itself."""
    block = bytearray(header("patch/0001-a.patch", 0))
    block[124:136] = (-512).to_bytes(12, "big", signed=True)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def nested() -> bytes:
    """Headers that each announce the next one, thousands of them: tarfile reads them by recursion."""
    return (header("x", 11, tarfile.XHDTYPE) + b"11 path=xy\n".ljust(512, b"\0")) * 5000


def directory(fill: Callable[[Path], object]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.mkdir()
        fill(path)

    return write


ATTACKS = (
    Attack(
        "a tar bomb: 1 GB of zeros in 4 MB",
        "decompressed up to a limit, before tar is looked at",
        raw((header("patch/0001-a.patch", 1024 * MIB), 1), (b"\0" * MIB, 1024)),
        "unpacks to more than",
    ),
    Attack(
        "a tar bomb in a header: a name of 1 GB",
        "decompressed up to a limit, before tar is looked at",
        raw((header("x", 1024 * MIB, tarfile.GNUTYPE_LONGNAME), 1), (b"a" * MIB, 1024)),
        "unpacks to more than",
    ),
    Attack(
        "a sparse member of 8 GB that takes no room",
        "limit on a member's size",
        raw((header("patch/0001-a.patch", 8 << 30), 1)),
        "unpacks to more than",
    ),
    Attack(
        "10,000 empty members",
        "limit on their number",
        archive(*(member(f"patch/{number}") for number in range(10000))),
        "more than 200 members",
    ),
    Attack(
        "a member whose size is negative, so that it comes again and again",
        "sizes are looked at",
        raw((negative() * 4, 1)),
        "unpacks to more than or not a gzipped tar archive",  # newer Pythons look at it themselves
    ),
    Attack(
        "5,000 headers inside each other",
        "an error of the archive, not of ours",
        raw((nested(), 1)),
        "not a gzipped tar archive",
    ),
    Attack(
        "a member with an absolute path",
        "paths are looked at; nothing is unpacked to disk",
        archive(member("/etc/cron.d/patch", b"x")),
        "would be unpacked elsewhere",
    ),
    Attack(
        "a member whose path climbs: patch/../../x",
        "paths are looked at; nothing is unpacked to disk",
        archive(member("patch/../../x.patch", b"x")),
        "would be unpacked elsewhere",
    ),
    Attack(
        "a symbolic link to /etc/passwd as a patch",
        "plain files only",
        archive(member("patch/0001-a.patch", type=tarfile.SYMTYPE, linkname="/etc/passwd")),
        "not a plain file",
    ),
    Attack(
        "a hard link to /etc/shadow as the report",
        "plain files only",
        archive(member("patch/report.txt", type=tarfile.LNKTYPE, linkname="/etc/shadow")),
        "not a plain file",
    ),
    Attack(
        "a device node: the disk",
        "plain files only",
        archive(member("patch/sda", type=tarfile.BLKTYPE)),
        "not a plain file",
    ),
    Attack(
        "a named pipe, to wait at for ever",
        "plain files only",
        archive(member("patch/pipe", type=tarfile.FIFOTYPE)),
        "not a plain file",
    ),
    Attack(
        "the same name twice, for two readers to see two things",
        "a name may come once",
        archive(member("patch/0001-a.patch", b"a"), member("patch/0001-a.patch", b"b")),
        "twice",
    ),
    Attack(
        "a member with terminal escapes in its name",
        "names that can be printed only",
        archive(member("patch/0001-\x1b]0;owned\x07.patch", b"x")),
        r"\x1b]0;owned",
    ),
    Attack(
        "a member with a newline in its name",
        "names that can be printed only",
        archive(member("patch/0001-a\nok: everything.patch", b"x")),
        r"0001-a\nok",
    ),
    Attack(
        "a member whose name is no UTF-8",
        "names that can be printed only",
        archive(member("patch/0001-\udcff\udcfe.patch", b"x")),
        r"\udcff",
    ),
    Attack(
        "an archive that is cut off",
        "an error of the archive, not of ours",
        lambda path: path.write_bytes(gzip.compress(os.urandom(4096))[:2000]),
        "not a gzipped tar archive",
    ),
    Attack(
        "a directory with a link to a file of the grader's",
        "plain files only",
        directory(lambda path: (path / "0001-a.patch").symlink_to("/etc/passwd")),
        "not a plain file",
    ),
    Attack(
        "a directory with a named pipe",
        "plain files only",
        directory(lambda path: os.mkfifo(path / "0001-a.patch")),
        "not a plain file",
    ),
    Attack(
        "a directory whose patch is a link to somebody else's patches",
        "directories are opened without following links",
        directory(lambda path: (path / "patch").symlink_to("/usr")),
        "'patch' is a link",
    ),
    Attack("a named pipe in the archive's place", "plain files only", os.mkfifo, "not a plain file"),
    Attack(
        "a link to nothing in the archive's place",
        "plain files only",
        lambda path: path.symlink_to("nowhere"),
        "not a plain file",
    ),
    Attack(
        "16 KB of archive with 5 million lines of one character",
        "limit on the lines of all patches",
        archive(*(member(f"patch/{number:04}-a.patch", b"+a\n" * (2 * MIB // 3)) for number in range(8))),
        "more than 50000 lines",
    ),
)


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_a_hostile_archive_is_refused(attack: Attack, tmp_path: Path) -> None:
    given, cache = tmp_path / "patch.tar.gz", Cache(tmp_path / "cache")
    attack.means(given)
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(cache.root)}
    begin, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SubmissionError) as caught:
        submission.load(given, cache, BOX)
    assert any(said in caught.value.message for said in attack.said.split(" or "))
    assert "\x1b" not in str(caught.value)
    assert time.monotonic() - begin < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 400 * 1024, "KiB"
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(cache.root)} == before


SWAPPED = Attack(
    "a plain file that becomes a link between the look and the reading",
    "a file is opened once, and what was opened is looked at",
    None,
    "not a plain file",
)
OTHERS = (SWAPPED,)


@pytest.mark.parametrize("swap", [lambda path: path.symlink_to("/etc/hostname"), os.mkfifo])
def test_a_file_that_is_swapped_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swap: Callable[[Path], None]
) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "0001-a.patch").write_text("x")
    listdir = os.listdir

    def swapping(where: int) -> list[str]:
        names = listdir(where)
        (given / "0001-a.patch").unlink(missing_ok=True)
        swap(given / "0001-a.patch")
        monkeypatch.setattr(os, "listdir", listdir)
        return names

    monkeypatch.setattr(os, "listdir", swapping)
    with pytest.raises(SubmissionError, match=SWAPPED.said):
        submission.load(given, Cache(tmp_path / "cache"), None)
