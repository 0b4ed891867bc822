"""Frames of the control channel, over a socket pair in place of a guest."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchgen.guest import control
from patchgen.guest.control import PREAMBLE, Channel, ClosedError, DamagedError, Frame, SilentError, encode, words

frames = st.builds(Frame, kind=st.from_regex(r"[a-z]{1,7}", fullmatch=True), payload=st.binary(max_size=5000))


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    near, far = socket.socketpair()
    channel = Channel(near)
    assert far.recv(len(PREAMBLE)) == PREAMBLE
    with far:
        yield channel, far
    channel.close()


@given(sent=st.lists(frames, max_size=8), noise=st.binary(max_size=20))
def test_frames_survive_any_payload_and_noise_between_them(sent: list[Frame], noise: bytes) -> None:
    noise = noise.replace(b"\x02", b"")
    near, far = socket.socketpair()
    with far:
        channel = Channel(near)
        far.sendall(b"".join(noise + encode(frame) for frame in sent))
        assert [channel.receive(5) for _ in sent] == sent
        channel.close()


def test_whoever_is_gone_before_the_first_byte_is_missed_by_the_first_wait() -> None:
    near, far = socket.socketpair()
    far.close()
    channel = Channel(near)
    with pytest.raises(ClosedError):
        channel.receive(5)
    with pytest.raises(ClosedError):
        channel.send(Frame("ping"))
    channel.close()


def test_a_frame_inside_a_payload_is_payload(ends: tuple[Channel, socket.socket]) -> None:
    channel, far = ends
    inner = encode(Frame("exit", b"exited 0"))
    far.sendall(encode(Frame("out", inner)) + encode(Frame("exit", b"exited 1")))
    assert channel.receive(5) == Frame("out", inner)
    assert channel.receive(5).text == "exited 1"


def test_a_frame_may_come_in_pieces(ends: tuple[Channel, socket.socket]) -> None:
    channel, far = ends
    frame = Frame("out", b"\r\n\x00\xff" * 50)

    def trickle() -> None:
        for byte in encode(frame):
            far.sendall(bytes([byte]))

    thread = threading.Thread(target=trickle)
    thread.start()
    assert channel.receive(5) == frame
    thread.join()


def test_waiting_tells_of_bytes_that_select_does_not_see(ends: tuple[Channel, socket.socket]) -> None:
    channel, far = ends
    assert not channel.waiting()
    far.sendall(encode(Frame("out", b"a")) + encode(Frame("out", b"b")))
    channel.receive(5)
    assert channel.waiting()
    channel.receive(5)
    assert not channel.waiting()


def test_damage_is_noticed(ends: tuple[Channel, socket.socket]) -> None:
    channel, far = ends
    far.sendall(encode(Frame("out", b"hello")).replace(b"hello", b"hallo"))
    with pytest.raises(DamagedError, match="'out' of 5 bytes"):
        channel.receive(5)


def test_silence_ends_in_time_also_inside_a_frame(ends: tuple[Channel, socket.socket]) -> None:
    channel, far = ends
    far.sendall(encode(Frame("out", b"x" * 100))[:-1])
    begin = time.monotonic()
    with pytest.raises(SilentError):
        channel.receive(0.2)
    assert 0.1 < time.monotonic() - begin < 2


def test_a_frame_may_take_longer_than_a_look(
    ends: tuple[Channel, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_LOOK_SECONDS", 0.02)
    channel, far = ends
    data = encode(Frame("out", b"hello"))

    def halting() -> None:
        for part in (data[:10], data[10:-2], data[-2:]):
            time.sleep(0.1)
            far.sendall(part)

    thread = threading.Thread(target=halting)
    thread.start()
    assert channel.receive(5) == Frame("out", b"hello")
    thread.join()


def test_there_is_no_waiting_without_hope(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_LOOK_SECONDS", 0.02)
    near, far = socket.socketpair()
    with far:
        channel = Channel(near, lambda: True)
        begin = time.monotonic()
        with pytest.raises(SilentError):
            channel.receive(20)
        assert time.monotonic() - begin < 10
        channel.close()


@pytest.mark.parametrize("timeout", [0.0, -1.0])
def test_a_deadline_that_has_passed_is_silence(ends: tuple[Channel, socket.socket], timeout: float) -> None:
    with pytest.raises(SilentError):
        ends[0].receive(timeout)


def test_a_closed_line_is_noticed_on_both_ways(ends: tuple[Channel, socket.socket]) -> None:
    channel, far = ends
    far.close()
    with pytest.raises(ClosedError):
        channel.receive(5)
    with pytest.raises(ClosedError):
        channel.send(Frame("run"))


def test_a_line_that_nobody_reads_is_silence(ends: tuple[Channel, socket.socket]) -> None:
    channel, far = ends
    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    channel._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with pytest.raises(SilentError):
        channel.send(Frame("put", b"x" * 60000), timeout=0.2)


def test_words_end_with_nul_and_hold_none() -> None:
    assert words([30, "/root", ""]) == b"30\0/root\0\0"
    with pytest.raises(ValueError, match="NUL"):
        words(["a\0b"])
