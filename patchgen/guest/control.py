r"""The control channel: frames over the guest's second serial line.

A frame is a line `\x02pg KIND NONCE LENGTH CRC`, then LENGTH bytes whose CRC-32 is CRC. Bytes between frames mean
nothing. So a program's output can hold anything, and a line that loses bytes is noticed. The other end, and what
the kinds mean, is in qemu/guest/agent.c.

NONCE is a random number of the request, which every answer to it repeats: what a kernel has prepared, or kept from an
earlier request, is no answer. (One that reads the agent's memory can answer in its place: docs/strangers.md.)
"""

from __future__ import annotations

import contextlib
import re
import secrets
import socket
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

MAX_PAYLOAD = 65536
# What a started but not yet restored machine's serial port can swallow before the saved state replaces it: its
# FIFO of 16 bytes. Sent before the first frame, these are lost in its place, or skipped.
PREAMBLE = b"\n" * 32

# Of what comes before anything is asked.
NOTHING_ASKED = "0" * 16
# A request has a nonce of its own; what is typed into a running shell belongs to the shell's.
_REQUESTS = ("run", "shell", "put", "ping")

_HEAD = re.compile(rb"\x02pg ([a-z]{1,7}) ([0-9a-f]{16}) ([0-9]{1,5}) ([0-9a-f]{8})\n")
_READ = 65536
# Bytes that are read for one frame, with those between frames and what is read ahead of the next.
_MOST = 4 * MAX_PAYLOAD
_LOOK_SECONDS = 1.0


class ChannelError(Exception):
    """The channel gave no frame. For this package only: session.py turns it into what it means."""


class ClosedError(ChannelError):
    """The other side is gone."""


class SilentError(ChannelError):
    """Nothing came in time."""


class DamagedError(ChannelError):
    """A frame's bytes are not those that were sent."""


@dataclass(frozen=True)
class Frame:
    """One message.

    Attributes:
        kind: a word of one to seven lowercase letters.
        payload: up to MAX_PAYLOAD bytes.
    """

    kind: str
    payload: bytes = b""

    @property
    def text(self) -> str:
        """The payload as text."""
        return self.payload.decode(errors="replace")


def encode(frame: Frame, nonce: str = NOTHING_ASKED) -> bytes:
    """Return a frame's bytes."""
    assert len(frame.payload) <= MAX_PAYLOAD, "the caller splits what is longer"
    sums = len(frame.payload), zlib.crc32(frame.payload)
    return b"\x02pg %s %s %d %08x\n" % (frame.kind.encode(), nonce.encode(), *sums) + frame.payload


def words(values: Iterable[str | int]) -> bytes:
    """Return values as the agent reads them: each ended by NUL.

    Raises:
        ValueError: one holds a NUL.
    """
    texts = [str(value) for value in values]
    if any("\0" in text for text in texts):
        raise ValueError("a command or variable for the guest holds a NUL")
    return b"".join(text.encode(errors="surrogateescape") + b"\0" for text in texts)


class Channel:
    """Frames both ways over a connected socket.

    Args:
        connection: the socket; the channel closes it.
        hopeless: asked every second while nothing comes; if it is true, the wait is over.
    """

    def __init__(self, connection: socket.socket, hopeless: Callable[[], bool] = lambda: False) -> None:
        import pexpect
        from pexpect.socket_pexpect import SocketSpawn

        self._socket, self._hopeless = connection, hopeless
        self._nonce = NOTHING_ASKED
        self._left = _MOST
        self._spawn = SocketSpawn(connection, maxread=_READ, timeout=None)
        self._spawn.delayafterread = None
        self._spawn.read_nonblocking = self._counted(self._spawn.read_nonblocking)
        self._ends = [pexpect.EOF, pexpect.TIMEOUT]
        # Who is gone already, a QEMU that refuses its arguments for example, is missed by the first to send or receive.
        with contextlib.suppress(OSError):
            connection.sendall(PREAMBLE)

    def send(self, frame: Frame, timeout: float = 30.0) -> None:
        """Send a frame.

        Raises:
            ClosedError: nobody is there to take it.
            SilentError: it was not taken in time.
        """
        self._socket.settimeout(timeout)
        if frame.kind in _REQUESTS:
            self._nonce = secrets.token_hex(8)
        try:
            self._spawn.send(encode(frame, self._nonce))
        except TimeoutError as error:
            raise SilentError from error
        except OSError as error:
            raise ClosedError from error

    def receive(self, timeout: float) -> Frame:
        """Return the next frame.

        Args:
            timeout: seconds until it must be there as a whole.

        Raises:
            ClosedError: the other side is gone.
            SilentError: it did not come in time, or there is no hope that it will.
            DamagedError: its checksum is wrong, it answers another request, or there is no end of bytes that are no
                frame.
        """
        deadline = time.monotonic() + timeout
        self._left = _MOST
        head = self._expect(_HEAD, deadline)
        kind, nonce, length, crc = head[1].decode(), head[2].decode(), int(head[3]), int(head[4], 16)
        if nonce != self._nonce:
            raise DamagedError(f"a frame '{kind}' answers nothing that was asked")
        payload = self._expect(re.compile(rb".{%d}" % length, re.DOTALL), deadline)[0] if length else b""
        if zlib.crc32(payload) != crc:
            raise DamagedError(f"a frame '{kind}' of {length} bytes has the wrong checksum")
        return Frame(kind, payload)

    def waiting(self) -> bool:
        """Whether bytes have been read that no frame has used yet: select() on the socket does not tell of them."""
        return bool(self._spawn.buffer)

    def fileno(self) -> int:
        """Return the socket's descriptor, for select()."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _counted(self, read: Any) -> Any:
        """Return pexpect's way to read, made to stop: it would keep, and search, whatever comes."""

        def limited(*args: Any, **kwargs: Any) -> bytes:
            data: bytes = read(*args, **kwargs)
            self._left -= len(data)
            if self._left < 0:
                raise DamagedError(f"more than {_MOST} bytes that are no frame")
            return data

        return limited

    def _expect(self, pattern: re.Pattern[bytes], deadline: float) -> re.Match[bytes]:
        while True:
            # Zero would make the socket non-blocking, which pexpect does not expect.
            left = max(deadline - time.monotonic(), 0.001)
            try:
                which = self._spawn.expect([pattern, *self._ends], timeout=min(left, _LOOK_SECONDS))
            except OSError as error:  # reset by a QEMU that was killed
                raise ClosedError from error
            if which == 0:
                break
            if which == 1:
                raise ClosedError
            if left <= _LOOK_SECONDS or self._hopeless():
                raise SilentError
        match = self._spawn.match
        assert isinstance(match, re.Match)
        return match
