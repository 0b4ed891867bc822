"""Packing a submission, and reading anybody's: limits, and the same bytes from the same content."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from patchgen import pipeline
from patchgen.cache import Cache
from patchgen.errors import SubmissionError, UsageError
from patchgen.settings import Settings
from patchgen.submission import archive as submission
from patchgen.submission import bundle

FILES = {"0001-a.patch": b"one\n", "0002-b.patch": b"two\n", "report.pdf": b"%PDF"}
PATCH = b"""\
From 1111111111111111111111111111111111111111 Mon Sep 17 00:00:00 2001
From: A <a@b>
Date: Sat, 1 Apr 2023 12:00:00 +0000
Subject: [PATCH] x: Add y

---
diff --git a/y b/y
new file mode 100644
index 0000000000000000000000000000000000000000..975fbec8256d3e8a3797e7a3611380f27c49f4ac
--- /dev/null
+++ b/y
@@ -0,0 +1 @@
+y
"""


def archive(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for info, data in members:
            info.size = len(data) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(data))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_known_digest() -> None:
    """The promise across machines: this hash may only change with a new major version."""
    packed = bundle.pack(FILES, 1680350400)
    assert packed.digest == "311e3fef03374d87f99a43bf540ab836f019cd0786529d96cc71cd7364c6b471"
    assert packed.digest == hashlib.sha256(gzip.decompress(packed.data)).hexdigest()
    assert packed.names == ("patch/0001-a.patch", "patch/0002-b.patch", "patch/report.pdf")


def test_order_does_not_matter() -> None:
    turned = dict(reversed(list(FILES.items())))
    assert bundle.pack(turned, 0).data == bundle.pack(FILES, 0).data


def test_plain_members() -> None:
    with tarfile.open(fileobj=io.BytesIO(bundle.pack(FILES, 7).data)) as tar:
        for info in tar:
            assert (info.mode, info.uid, info.gid, info.uname, info.mtime) == (0o644, 0, 0, "root", 7)


def test_a_report_is_needed() -> None:
    with pytest.raises(SubmissionError, match="no report"):
        pipeline.pack({"0001-a.patch": b""}, Settings())


def test_text_only_without_pdf() -> None:
    both = pipeline.pack({**FILES, "report.txt": b"t"}, Settings())
    assert both.names[-1] == "patch/report.pdf"
    assert pipeline.pack({"0001-a.patch": b"", "report.txt": b"t"}, Settings()).names[-1] == "patch/report.txt"


def test_read_back(tmp_path: Path, cache: Cache) -> None:
    path = archive(tmp_path / "p.tar.gz", [(member("patch/0001-x.patch"), PATCH), (member("patch/report.txt"), b"r")])
    loaded = submission.load(path, cache, None)
    assert [patch.subject for patch in loaded.patches] == ["x: Add y"]
    assert loaded.reports == {"report.txt": b"r"}
    assert loaded.others == ()


def test_what_lies_elsewhere_is_named(tmp_path: Path, cache: Cache) -> None:
    members = [(member("patch/0001-x.patch"), PATCH), (member("notes.txt"), b""), (member("patch/.DS_Store"), b"")]
    assert submission.load(archive(tmp_path / "p.tar.gz", members), cache, None).others == ("./notes.txt", ".DS_Store")


@pytest.mark.parametrize(
    ("info", "said"),
    [
        (member("/etc/passwd"), "unpacked elsewhere"),
        (member("patch/../../x.patch"), "unpacked elsewhere"),
        (member("patch/x.patch", tarfile.SYMTYPE, "/etc/passwd"), "not a plain file"),
        (member("patch/x.patch", tarfile.LNKTYPE, "patch/y"), "not a plain file"),
        (member("patch/x.patch", tarfile.CHRTYPE), "not a plain file"),
        (member("patch/x.patch", tarfile.FIFOTYPE), "not a plain file"),
    ],
)
def test_hostile_members(tmp_path: Path, cache: Cache, info: tarfile.TarInfo, said: str) -> None:
    with pytest.raises(SubmissionError, match=said):
        submission.load(archive(tmp_path / "p.tar.gz", [(info, PATCH)]), cache, None)


def test_a_bomb(tmp_path: Path, cache: Cache) -> None:
    members = [(member("patch/0001-x.patch"), bytes(submission.MAX_TOTAL + 1))]
    with pytest.raises(SubmissionError, match="unpacks to more than"):
        submission.load(archive(tmp_path / "p.tar.gz", members), cache, None)


def test_too_many_members(tmp_path: Path, cache: Cache) -> None:
    members = [(member(f"patch/{n:04}-x.patch"), PATCH) for n in range(submission.MAX_MEMBERS + 1)]
    with pytest.raises(SubmissionError, match="more than 200 members"):
        submission.load(archive(tmp_path / "p.tar.gz", members), cache, None)


def test_no_archive(tmp_path: Path, cache: Cache) -> None:
    whole = archive(tmp_path / "p.tar.gz", [(member("patch/0001-x.patch"), PATCH * 50)]).read_bytes()
    for name, data in (("text", b"hello"), ("cut", whole[: len(whole) // 2]), ("empty", b"")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SubmissionError, match="not a gzipped tar archive"):
            submission.load(tmp_path / name, cache, None)
    with pytest.raises(UsageError, match="does not exist"):
        submission.load(tmp_path / "nothing", cache, None)
    (tmp_path / "directory").mkdir()
    with pytest.raises(SubmissionError, match=r"no \.patch file"):
        submission.load(tmp_path / "directory", cache, None)
