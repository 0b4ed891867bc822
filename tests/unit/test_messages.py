"""What people read: summaries in a pipe and on a terminal, and hints for those who gave something else."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from verdicts import finding, verdict

from patchgen import settings
from patchgen.cache import Cache
from patchgen.cli import show
from patchgen.errors import GuestError, PatchgenError, SeriesError
from patchgen.findings import Severity
from patchgen.grading import text
from patchgen.guest import session, terminal
from patchgen.guest.control import Frame
from patchgen.guest.session import Guest
from patchgen.series import render
from patchgen.submission import archive, inputs

LONG = "arch/x86/mm/" + "very_" * 15 + "long.c:403: printk() is no message about an error"
FOUND = verdict(finding("residue-print", "patches", Severity.ERROR, message=LONG, where="0005-x86-mm.patch"))


class Terminal(io.StringIO):
    def __init__(self, there: bool) -> None:
        super().__init__()
        self.there = there

    def isatty(self) -> bool:
        return self.there


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool, int], str]:
    def of(there: bool, columns: int) -> str:
        out = Terminal(there)
        monkeypatch.setattr("sys.stdout", out)
        monkeypatch.setenv("COLUMNS", str(columns))
        show.lines(lambda: text.summary(FOUND))
        return out.getvalue()

    return of


def test_a_pipe_gets_whole_lines(shown: Callable[[bool, int], str]) -> None:
    printed = shown(False, 80)
    assert f"0005-x86-mm.patch: {LONG}" in printed
    assert "\x1b" not in printed


def test_a_narrow_terminal_gets_whole_words(shown: Callable[[bool, int], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    printed = shown(True, 60)
    assert "\x1b" not in printed
    words = {word for line in text.summary(FOUND) for word in line.split() if len(word) < 56}
    assert all(word in printed.split() for word in words), "no word is cut"
    assert all(len(line) <= 60 for line in printed.splitlines() if "very_" not in line)
    assert ":403:" in printed


def test_a_terminal_gets_colours(shown: Callable[[bool, int], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    printed = shown(True, 100)
    assert "\x1b[31merror\x1b[0m" in printed
    assert re.sub(r"\x1b\[\d+m", "", printed).startswith("plain: pass")


# Hints.


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("patch/0001-x.patch", "x")
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        info = tarfile.TarInfo("patch/0001-x.patch")
        info.size = 3000
        file.addfile(info, io.BytesIO(os.urandom(3000)))
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (zipped(), "it is a zip archive; make it with tar -czf"),
        (gzip.compress(tarred())[:900], "cut off or damaged"),
        (tarred(), "a tar archive, but not gzipped"),
        (b"From x\n\ndiff --git a/x b/x\n--- a/x\n", "it is a patch; call it"),
        (b"", "it is empty"),
    ],
)
def test_what_is_no_archive(tmp_path: Path, data: bytes, hint: str) -> None:
    path = tmp_path / "patch.tar.gz"
    path.write_bytes(data)
    with pytest.raises(PatchgenError) as caught:
        archive.load(path, Cache(tmp_path / "cache"), None)
    assert hint in caught.value.hint


def test_a_directory_of_archives_or_a_kernel(tmp_path: Path) -> None:
    for name in ("archives", "kernel"):
        (tmp_path / name).mkdir()
    (tmp_path / "archives" / "s1.tar.gz").write_bytes(b"x")
    (tmp_path / "kernel" / "Kconfig").write_bytes(b"x")
    for name, hint in (("archives", "--output verdicts"), ("kernel", "kernel:v4.15..HEAD")):
        with pytest.raises(PatchgenError) as caught:
            archive.load(tmp_path / name, Cache(tmp_path / "cache"), None)
        assert hint in caught.value.hint


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "patch.tar.gz").touch()
    for given, hint in (("pacth.tar.gz", "there is .*/patch.tar.gz"), ("nowhere/x", "no directory .*/nowhere")):
        with pytest.raises(PatchgenError) as caught:
            inputs.kind(tmp_path / given)
        assert re.search(hint, caught.value.hint)


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ('[submission]\nauthors = "A B <a@b>"', 'it is a list: authors = ["A B <a@b>"]'),
        ('[submission]\nauthors = ["A B"]', 'authors = ["First Last <name@host>"]'),
        ('authors = ["A B <a@b>"]', "it stands in the section [submission]"),
    ],
)
def test_authors_that_are_written_otherwise(tmp_path: Path, content: str, hint: str) -> None:
    (tmp_path / "patchgen.toml").write_text(content)
    with pytest.raises(PatchgenError) as caught:
        settings.load(tmp_path)
    assert hint in caught.value.hint


def test_braces_that_c_would_be_left_with() -> None:
    origin = Path("files/a.c.j2")
    with pytest.raises(SeriesError, match=r"files/a\.c\.j2:2: \{\{ prefix \}\} stays as it is") as caught:
        render.render('int a;\nchar *b = "{{ prefix }}";\n', {"prefix": "x"}, origin)
    assert caught.value.hint == "a value is written @{ prefix }"
    array = "int a[1][1] = {{ other }};\n"
    assert render.render(array, {"prefix": "x"}, origin) == array


# A guest that hangs.


def test_silence_is_told_once_until_it_is_broken() -> None:
    silence = terminal.Silence(0.05)
    time.sleep(0.06)
    assert not silence.is_long(), "nobody has typed anything"
    silence.typed(Frame("size", b"1 2"))
    silence.typed(Frame("in", b""))
    time.sleep(0.06)
    assert not silence.is_long()
    silence.typed(Frame("in", b"l"))
    assert not silence.is_new()
    time.sleep(0.06)
    silence.typed(Frame("in", b"s"))
    assert [silence.is_new(), silence.is_new(), silence.is_long()] == [True, False, True]
    silence.broken()
    assert not silence.is_long()


@pytest.mark.parametrize("hangs", [True, False])
def test_leaving_a_hung_kernel_is_an_error(monkeypatch: pytest.MonkeyPatch, hangs: bool) -> None:
    """Somebody types ls, waits, and types Ctrl-]."""
    shown: list[bytes] = []
    keys = [[Frame("in", b"ls\n")], [], [], []]

    class User:
        left = False

        def frames(self, _: object) -> list[Frame]:
            time.sleep(0.06)
            self.left = len(keys) == 1
            return keys.pop(0)

        def pending(self, _: object) -> bool:
            return not hangs and len(keys) == 3 and not shown

    @contextlib.contextmanager
    def raw() -> Iterator[User]:
        yield User()

    guest = Guest.__new__(Guest)
    guest._time_scale, guest._channel = 1.0, SimpleNamespace()  # type: ignore[assignment]
    guest.machine = SimpleNamespace(sandbox=None)  # type: ignore[assignment]
    monkeypatch.setattr(guest, "_start_of", lambda *_: [])
    monkeypatch.setattr(guest, "_send", lambda *_: None)
    monkeypatch.setattr(guest, "_receive", lambda *_, **__: Frame("out", b"file\n"))
    for name, stand_in in (
        ("is_there", lambda: True),
        ("size", lambda: (80, 24)),
        ("raw", raw),
        ("show", shown.append),
    ):
        monkeypatch.setattr(terminal, name, stand_in)
    monkeypatch.setattr(session, "_SILENT_SECONDS", 0.05)
    if hangs:
        with pytest.raises(GuestError, match="did not answer any more") as caught:
            guest.interact()
        assert caught.value.exit_status == 1
        assert shown == [b"\r\n[the kernel does not answer; Ctrl-] ends it]\r\n"]
    else:
        assert guest.interact() == 0
        assert shown == [b"file\n"]
