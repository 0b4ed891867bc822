"""Downloading, from a server that can be told to misbehave."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from patchgen.base import download
from patchgen.errors import DownloadError, MachineError

CONTENT = bytes(range(256)) * 8192  # 2 MiB: several pieces
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HINT = "set LINUX_SRC"


class Server(ThreadingHTTPServer):
    """Serves `content` under every address.

    Attributes:
        content: what it serves.
        ranges: whether it knows Range.
        shift: how far off the range is that it sends.
        cut: bytes of an answer after which it hangs up, as often as `cuts` says.
        status: says only this, if not 0.
        asked: the Range of each request.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.ranges, self.shift, self.cut, self.cuts, self.status = CONTENT, True, 0, 0, 0, 0
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/linux.tar.xz"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range")
        server.asked.append(asked)
        begin = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and server.ranges else 0  # type: ignore[index]
        size = len(server.content)
        if server.status:
            self.send_error(server.status)
            return
        if begin and begin >= size:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if begin else 200)
        if begin:
            begin += server.shift
            self.send_header("Content-Range", f"bytes {begin}-{size - 1}/{size}")
        body = server.content[begin:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.cuts:
            server.cuts -= 1
            body = body[: server.cut]
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as made:
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "linux.tar.xz"


def fetch(server: Server, target: Path, sha256: str = SHA256) -> None:
    target.parent.mkdir(exist_ok=True)
    download.fetch(server.url, sha256, target, hint=HINT)


def only(target: Path) -> bool:
    """Whether the target is whole and nothing lies beside it."""
    return target.read_bytes() == CONTENT and list(target.parent.iterdir()) == [target]


def test_whole_and_only_once(server: Server, target: Path) -> None:
    fetch(server, target)
    assert only(target)
    fetch(server, target)
    assert server.asked == [None]


def test_goes_on_after_a_cut_in_the_same_run(server: Server, target: Path) -> None:
    server.cut, server.cuts = 1 << 20, 1
    fetch(server, target)
    assert only(target)
    assert server.asked == [None, f"bytes={1 << 20}-"]


def test_goes_on_where_an_earlier_run_was_cut_off(server: Server, target: Path) -> None:
    server.cut, server.cuts = 100_000, 99
    with pytest.raises(DownloadError) as caught:
        fetch(server, target)
    assert caught.value.hint == HINT
    assert not target.exists()
    have = (target.parent / "linux.tar.xz.part").stat().st_size
    assert len(server.asked) == 5
    assert 5 * 65_000 < have <= 5 * 100_000  # the piece that was under way is lost
    server.cuts = 0
    server.asked.clear()
    fetch(server, target)
    assert only(target)
    assert server.asked == [f"bytes={have}-"]


def _part(target: Path, data: bytes) -> None:
    target.parent.mkdir(exist_ok=True)
    (target.parent / f"{target.name}.part").write_bytes(data)


def test_server_without_ranges(server: Server, target: Path) -> None:
    server.ranges = False
    _part(target, CONTENT[:1000])
    fetch(server, target)
    assert only(target)
    assert len(server.asked) == 1


def test_all_of_it_was_there(server: Server, target: Path) -> None:
    _part(target, CONTENT)
    fetch(server, target)
    assert only(target)
    assert server.asked == [f"bytes={len(CONTENT)}-"]


def test_more_than_all_was_there(server: Server, target: Path) -> None:
    _part(target, CONTENT + b"x")
    fetch(server, target)
    assert only(target)


@pytest.mark.parametrize("size", [1000, len(CONTENT)])
def test_beginning_of_another_file(size: int, server: Server, target: Path) -> None:
    _part(target, b"x" * size)
    fetch(server, target)
    assert only(target)
    assert server.asked == [f"bytes={size}-", None]


def test_another_range_than_asked_for(server: Server, target: Path) -> None:
    server.shift = 7
    _part(target, CONTENT[:1000])
    with pytest.raises(DownloadError):
        fetch(server, target)
    fetch(server, target)
    assert only(target)


def test_wrong_content(server: Server, target: Path) -> None:
    server.content = b"something else"
    with pytest.raises(DownloadError, match="wrong content") as caught:
        fetch(server, target)
    assert caught.value.hint == HINT
    assert list(target.parent.iterdir()) == []


def test_wrong_file_in_its_place(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"something else")
    fetch(server, target)
    assert only(target)


def test_error_of_the_server(server: Server, target: Path) -> None:
    server.status = 404
    with pytest.raises(DownloadError, match="404") as caught:
        fetch(server, target)
    assert caught.value.hint == HINT


def test_no_network(target: Path) -> None:
    target.parent.mkdir()
    with pytest.raises(DownloadError, match="no connection") as caught:
        download.fetch("http://127.0.0.1:1/linux.tar.xz", SHA256, target, hint=HINT)
    assert caught.value.hint == HINT


def test_full_disk(server: Server, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target.parent.mkdir()
    (target.parent / "linux.tar.xz.part").symlink_to("/dev/full")
    with pytest.raises(MachineError, match="No space left") as caught:
        fetch(server, target)
    assert not isinstance(caught.value, DownloadError)


def test_the_next_mirror_where_one_has_nothing(server: Server, target: Path) -> None:
    target.parent.mkdir()
    urls = ["http://127.0.0.1:1/linux.tar.xz", server.url]
    assert download.fetch_from_any(urls, SHA256, target, hint=HINT) == server.url
    assert only(target)


def test_the_next_mirror_where_one_serves_another_version(server: Server, target: Path) -> None:
    with Server() as other:
        threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        other.content = b"something else"
        target.parent.mkdir()
        assert download.fetch_from_any([other.url, server.url], SHA256, target, hint=HINT) == server.url
        other.shutdown()
    assert only(target)


def test_no_mirror_has_it(server: Server, target: Path) -> None:
    server.status = 404
    target.parent.mkdir()
    with pytest.raises(DownloadError, match=r"linux\.tar\.xz: none of 2 mirrors") as caught:
        download.fetch_from_any(["http://127.0.0.1:1/linux.tar.xz", server.url], SHA256, target, hint=HINT)
    assert "no connection" in caught.value.evidence
    assert "404" in caught.value.evidence
    assert caught.value.hint == HINT
    assert list(target.parent.iterdir()) == []
