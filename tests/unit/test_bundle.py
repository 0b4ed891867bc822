"""Packing a submission, and reading anybody's: limits, and the same bytes from the same content."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from attacks.mails import addition
from toytree import member, tarball

from patchgen import pipeline
from patchgen.cache import Cache
from patchgen.errors import SubmissionError, UsageError
from patchgen.pipeline import Project
from patchgen.settings import Settings
from patchgen.submission import archive as submission
from patchgen.submission import bundle

FILES = {"0001-a.patch": b"one\n", "0002-b.patch": b"two\n", "report.pdf": b"%PDF"}
PATCH = addition("y", "", "y\n")


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


def project() -> Project:
    return pipeline.open_project(Settings(), {})


def test_a_report_is_needed() -> None:
    with pytest.raises(SubmissionError, match="no report"):
        pipeline.pack({"0001-a.patch": b""}, project())


def test_text_only_without_pdf() -> None:
    both = pipeline.pack({**FILES, "report.txt": b"t"}, project())
    assert both.names[-1] == "patch/report.pdf"
    assert pipeline.pack({"0001-a.patch": b"", "report.txt": b"t"}, project()).names[-1] == "patch/report.txt"


def test_read_back(tmp_path: Path, cache: Cache) -> None:
    path = tarball(tmp_path / "p.tar.gz", [member("patch/0001-x.patch", PATCH), member("patch/report.txt", b"r")])
    loaded = submission.load(path, cache, None)
    assert [patch.subject for patch in loaded.patches] == ["x"]
    assert loaded.reports == {"report.txt": b"r"}
    assert loaded.others == ()


def test_what_lies_elsewhere_is_named(tmp_path: Path, cache: Cache) -> None:
    members = [member("patch/0001-x.patch", PATCH), member("notes.txt"), member("patch/.DS_Store")]
    assert submission.load(tarball(tmp_path / "p.tar.gz", members), cache, None).others == ("./notes.txt", ".DS_Store")


def test_no_archive(tmp_path: Path, cache: Cache) -> None:
    whole = tarball(tmp_path / "p.tar.gz", [member("patch/0001-x.patch", PATCH * 50)]).read_bytes()
    for name, data in (("text", b"hello"), ("cut", whole[: len(whole) // 2]), ("empty", b"")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SubmissionError, match="not a gzipped tar archive"):
            submission.load(tmp_path / name, cache, None)
    with pytest.raises(UsageError, match="does not exist"):
        submission.load(tmp_path / "nothing", cache, None)
    (tmp_path / "directory").mkdir()
    with pytest.raises(SubmissionError, match=r"no \.patch file"):
        submission.load(tmp_path / "directory", cache, None)
