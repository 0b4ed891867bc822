"""Lend the user's terminal to a shell in the guest.

Both ways in frames: keys go out as "in", a changed window as "size", what the shell prints comes as "out". The
terminal is put in raw mode, since the guest's pseudo terminal does the echo and the line editing, and is given
back as it was whatever happens.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator
from typing import TYPE_CHECKING

from patchgen.guest.control import Frame, words

if TYPE_CHECKING:
    from types import FrameType

    from patchgen.guest.control import Channel

# All escape sequences but those that move the cursor and choose colours (CSI), in both of their forms.
_WILD = re.compile(rb"\x1b(?!\[)|\xc2[\x80-\x9f]")
LEAVE = b"\x1d"  # Ctrl-]
_READ = 4096


def size() -> tuple[int, int]:
    """Return the terminal's columns and rows."""
    # Not shutil.get_terminal_size(): a COLUMNS in the environment is older than the window.
    found = os.get_terminal_size(sys.stdin.fileno())
    return found.columns, found.lines


def environment() -> dict[str, str]:
    """Return the variables by which programs in the guest know the terminal."""
    return {"TERM": os.environ.get("TERM", "linux")}


class User:
    """The user's side of the shell: standard input and output.

    Attributes:
        left: Ctrl-] was typed, or the terminal hung up.
    """

    def __init__(self) -> None:
        self.left = False
        self._input = sys.stdin.fileno()
        self._resized = False

    def frames(self, channel: Channel) -> list[Frame]:
        """Wait until there is something to do, and return what is to be sent."""
        found = []
        watched = [channel.fileno(), self._input]
        ready: list[int] = [] if channel.waiting() else select.select(watched, [], [], 0.5)[0]
        if self._input in ready:
            found.append(Frame("in", self._read()))
        if self._resized:
            self._resized = False
            found.append(Frame("size", words(size()).replace(b"\0", b" ")))
        return found

    def pending(self, channel: Channel) -> bool:
        """Whether something has come from the guest."""
        return channel.waiting() or bool(select.select([channel.fileno()], [], [], 0)[0])

    def on_resize(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's arguments
        """Note that the window has another size."""
        self._resized = True

    def _read(self) -> bytes:
        data = os.read(self._input, _READ)
        if LEAVE in data or not data:
            self.left = True
        return data.partition(LEAVE)[0]


class Silence:
    """How long a guest has given no answer to what was typed; a shell, and whatever runs in it, gives an echo.

    Args:
        seconds: from when on that is long.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None
        self._told = False

    def typed(self, frame: Frame) -> None:
        """Note that something was sent."""
        if frame.kind == "in" and frame.payload and self._since is None:
            self._since = time.monotonic()

    def broken(self) -> None:
        """Note that something has come."""
        self._since, self._told = None, False

    def is_long(self) -> bool:
        """Whether an answer is overdue."""
        return self._since is not None and time.monotonic() - self._since > self._seconds

    def is_new(self) -> bool:
        """Whether that has not been told yet; from then on it has."""
        self._told, before = self._told or self.is_long(), self._told
        return self._told and not before


def is_there() -> bool:
    """Whether there is a terminal to lend, rather than a script on standard input."""
    return sys.stdin.isatty()


def script() -> bytes:
    """Return the whole of standard input."""
    return sys.stdin.buffer.read()


def show(data: bytes) -> None:
    """Print bytes as they are."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def tamed(data: bytes) -> bytes:
    """Return what an untrusted guest printed without what would set a title, fill a clipboard or ask for a file."""
    return _WILD.sub(b"", data)


@contextlib.contextmanager
def raw() -> Iterator[User]:
    """Take the terminal, raw, and give it back at the end."""
    user = User()
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    handler = signal.signal(signal.SIGWINCH, user.on_resize)
    try:
        tty.setraw(descriptor)
        yield user
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, handler)
