"""Kernels that attack whoever talks to them: hostile bytes in place of the agent's answers. Real ones: tests/kernel."""

from __future__ import annotations

import resource
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from attacks.catalogue import Attack, named

from patchgen.errors import GuestError
from patchgen.guest import failures, kernel_log, machine, terminal
from patchgen.guest.control import PREAMBLE, Channel, Frame, encode
from patchgen.guest.initramfs import Image
from patchgen.guest.qemu import Qemu
from patchgen.guest.session import Guest
from patchgen.sandbox import Sandbox

Answer = Callable[[bytes, str], Iterator[bytes]]
OK = b"exited 0"


def nonce_of(request: bytes) -> str:
    """Return the nonce that a request has; only who can read the agent's memory knows it."""
    return request.split(b"\x02pg ", 1)[1].split()[1].decode()


def frames(*parts: Frame | bytes, nonce: str | None = None) -> Answer:
    def answer(request: bytes, right: str) -> Iterator[bytes]:
        for part in parts:
            yield part if isinstance(part, bytes) else encode(part, nonce or right)

    return answer


def forever(frame: Frame | bytes) -> Answer:
    def answer(request: bytes, right: str) -> Iterator[bytes]:
        data = frame if isinstance(frame, bytes) else encode(frame, right)
        while True:
            yield data

    return answer


def prepared(request: bytes, right: str) -> Iterator[bytes]:
    """Answer with what would have been right for the request before."""
    yield encode(Frame("exit", OK), "0" * 16)


NONCE = "each answer repeats a random number of the request"
CHECKED = "answers are read as data, with a limit"
ATTACKS = (
    Attack("an answer prepared before anything was asked", NONCE, prepared, "answers nothing that was asked"),
    Attack(
        "an answer recorded from an earlier command",
        NONCE,
        frames(Frame("exit", OK), nonce="deadbeef12345678"),
        "answers nothing that was asked",
    ),
    Attack(
        "answers with guessed numbers",
        NONCE,
        frames(*(encode(Frame("exit", OK), f"{n:016x}") for n in range(100))),
        "answers nothing that was asked",
    ),
    Attack("an answer in the format without a number", NONCE, frames(b"\x02pg exit 8 3d13ea1a\nexited 0"), "no answer"),
    Attack("bytes that are no answer, without end", CHECKED, forever(b"\x00noise\xff" * 4096), "that are no frame"),
    Attack("the beginning of a frame, again and again", CHECKED, forever(b"\x02pg exit " * 4096), "that are no frame"),
    Attack("a program's output without end", CHECKED, forever(Frame("out", b"x" * 60000)), "it does not stop"),
    Attack("a kernel log without end", CHECKED, forever(Frame("log", b"6,1,1,-;x\n" * 6000)), "it does not stop"),
    Attack(
        "a kernel log of seven million lines of one character",
        "limit on the number of records",
        frames(*[Frame("log", b"x\n" * 32000)] * 220, Frame("exit", OK)),
        "it does not stop",
    ),
    Attack("an end that is no end", CHECKED, frames(Frame("exit", b"owned")), "ended with 'owned'"),
    Attack(
        "an end with a number of 5,000 digits", CHECKED, frames(Frame("exit", b"exited " + b"9" * 5000)), "ended with"
    ),
    Attack(
        "an end with escapes in its notes", CHECKED, frames(Frame("exit", b"exited 0 \x1b]0;owned\x07")), "ended with"
    ),
    Attack(
        "an error of the agent's with escapes in it",
        "what is shown is spelled out",
        frames(Frame("error", b"\x1b[2J\x1b]0;owned\x07")),
        r"\x1b[2J",
    ),
    Attack("a frame of a kind that nobody asked for", CHECKED, frames(Frame("ready", b"4.15")), "an unexpected frame"),
    Attack(
        "a frame longer than there can be",
        CHECKED,
        frames(b"\x02pg out NONCE 99999 00000000\n" + b"x" * 99999),
        "nonsense",
    ),
    Attack(
        "a frame whose bytes are not those that were sent",
        CHECKED,
        frames(encode(Frame("exit", OK)).replace(b"exited 0", b"exited 1")),
        "nonsense",
    ),
)


class Silent:
    """A Qemu that is there and says nothing."""

    def __init__(self, connection: socket.socket) -> None:
        self.control = connection
        self.console, self.over, self.flooded = "", None, False

    def __enter__(self) -> Silent:
        return self

    def ended(self, timeout: float = 0.0) -> None:  # noqa: ARG002 - Qemu's
        return None

    def stop(self) -> None:
        self.control.close()


def guest(connection: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Guest:
    monkeypatch.setattr("patchgen.guest.session.check_kernel", lambda _: None)
    monkeypatch.setattr("patchgen.guest.session._GRACE_SECONDS", 1.0)
    made = Guest(tmp_path / "bzImage", Image(tmp_path / "image", "x"), machine.load())
    made.qemu = Silent(connection)  # type: ignore[assignment]
    made._channel = Channel(connection)
    return made


def serve(far: socket.socket, answer: Answer) -> None:
    """Read one request and answer it, until nobody listens any more."""
    request = b""
    while b"\x02pg " not in request or b"\n" not in request.split(b"\x02pg ", 1)[1]:
        request += far.recv(65536)
    right = nonce_of(request)
    try:
        for data in answer(request, right):
            far.sendall(data.replace(b"NONCE", right.encode()))
    except OSError:
        return


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_a_hostile_answer(attack: Attack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    near, far = socket.socketpair()
    with far:
        asking = guest(near, monkeypatch, tmp_path)
        assert far.recv(len(PREAMBLE)) == PREAMBLE
        thread = threading.Thread(target=serve, args=(far, attack.means), daemon=True)
        thread.start()
        begin, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(GuestError) as caught:
            asking.run("true", timeout=0.5)
        asking.qemu.stop()
        thread.join(10)
    assert attack.said in f"{caught.value.message} no answer"
    assert "\x1b" not in caught.value.message
    assert time.monotonic() - begin < 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 200 * 1024, "KiB"


def test_an_honest_answer_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So that the attacks fail for what they are."""
    near, far = socket.socketpair()
    with far:
        asking = guest(near, monkeypatch, tmp_path)
        answer = frames(b"noise", Frame("out", b"hi"), Frame("exit", b"exited 3 truncated lost"))
        threading.Thread(target=serve, args=(far, answer), daemon=True).start()
        result = asking.run("true", timeout=5)
        assert (result.status, result.output, result.truncated, result.log_lost) == (3, b"hi", True, True)
        asking.qemu.stop()


RECORDS = Attack(
    "log records that are none: numbers of 5,000 digits, no number at all, escapes",
    "records are read as data; what is shown is spelled out",
    b"%s,1,1,-;x\n,,,;y\n3,1,1,-;\\x1b]0;owned\\x07\n" % (b"9" * 5000),
)
CONSOLE = Attack(
    "a console with terminal escapes around a panic",
    "what is shown is spelled out",
    "\x1b[2J\x1b]0;owned\x07Kernel panic - not syncing: \x1b[31mowned\x9b31m\u202e",
)
SHORT = Attack(
    "a console of twenty million lines of two characters, which take 1.2 GB as a list",
    "limit on what is read of a console, and lines are looked at one by one",
    b"BU\n" * 22_000_000,
)
OTHERS = (RECORDS, CONSOLE, SHORT)


def test_an_interactive_guest_gets_no_further_than_colours() -> None:
    shown = terminal.tamed(b"\x1b]52;c;b3duZWQ=\x07\x1b[31mred\x1bP\xc2\x9d0;x\x1bc" + "ä".encode())
    assert shown == b"]52;c;b3duZWQ=\x07\x1b[31mredP0;xc" + "ä".encode()


def test_hostile_log_records() -> None:
    lines = kernel_log.parse_records(RECORDS.means)
    assert [line.level for line in lines][-1] == "err"
    assert len(lines) == 3


def test_a_hostile_console() -> None:
    error: Any = failures.ended(0, "", CONSOLE.means, "at boot")
    for text in (error.message, error.evidence):
        assert "owned" in text
        assert not set(text) & set("\x1b\x07\x9b\u202e")


def test_a_console_of_short_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # An eighth of the real limit, and of the memory: tracemalloc is slow with millions of lines.
    monkeypatch.setattr("patchgen.guest.qemu.CONSOLE_MAX", 1 << 20)
    qemu = Qemu(replace(machine.load(), sandbox=Sandbox()), [], [])
    qemu.directory = tmp_path
    (tmp_path / "console").write_bytes(SHORT.means)
    tracemalloc.start()
    assert kernel_log.complaints(qemu.console) == ()
    assert len(kernel_log.excerpt(qemu.console).splitlines()) == 25
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert qemu.flooded
    assert peak < 8 << 20


def test_a_line_without_an_end_is_not_shown_whole() -> None:
    assert len(kernel_log.fatal("Oops: " + "x" * 100_000) or "") == 4000


def test_saved_states_of_untrusted_guests_are_not_restored_elsewhere() -> None:
    plain = machine.load()
    assert plain.digest() != replace(plain, sandbox=Sandbox()).digest()
