"""What a sandbox is to those that start programs in it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol


class Bounds(Protocol):
    """How much a confined program may use, as far as it is counted here."""

    @property
    def output(self) -> int:
        """Bytes that it may print."""


class Confinement(Protocol):
    """What a program can be shut in. `sandbox.Sandbox` is one; its module imports this one to start programs."""

    @property
    def limits(self) -> Bounds:
        """How much the program may use."""

    @property
    def feed(self) -> Path | None:
        """A file that it reads through a pipe as its standard input, if it is to read anything."""

    def entered(self) -> contextlib.AbstractContextManager[int]:
        """Give, while the block runs, a descriptor that has the filter of system calls."""

    def argv(self, words: Sequence[str], cwd: Path, filtering: int, informed: int) -> list[str]:
        """Return the command that runs a command confined, in a directory as it sees it.

        The first descriptor has its filter; to the second it writes, as JSON, which process is the first one inside.
        """

    def environment(self, extra: Mapping[str, str] | None) -> dict[str, str]:
        """Return the program's whole environment."""

    def patience(self, timeout: float) -> float:
        """Return the seconds that a program may take which is meant to take so many."""

    def watch(self, process: subprocess.Popen[bytes]) -> contextlib.AbstractContextManager[None]:
        """Hold the program to its limits while the block runs; OverLimitError when it did not keep to them."""

    def status(self, status: int) -> int:
        """Return the program's exit status for the one that the confining command gave."""


class Pipe:
    """A pipe; its ends are closed when the block is left, if they are still open.

    Attributes:
        read: the descriptor of its one end.
        written: that of the other.
    """

    def __init__(self) -> None:
        self.read, self.written = os.pipe()
        self._open = {self.read, self.written}

    def __enter__(self) -> Pipe:
        """Give it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        for end in tuple(self._open):
            self.close(end)

    def close(self, end: int) -> None:
        """Close one end."""
        self._open.remove(end)
        os.close(end)


class Confined(subprocess.Popen[bytes]):
    """A program in a sandbox. It is over when no process is left there: the command that confines it ends before.

    Args:
        pipe: into which that command writes which process is the first one in the sandbox. When that has ended, so
            have all.
    """

    def __init__(self, pipe: Pipe, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._first: int | None = None
        self._waiting = threading.Lock()
        pipe.close(pipe.written)
        told = b"".join(iter(lambda: os.read(pipe.read, 4096), b""))
        with contextlib.suppress(ValueError, KeyError, OSError):  # it has failed, or ended already
            self._first = os.pidfd_open(json.loads(told)["child-pid"])

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it is over, and return its exit status.

        Raises:
            subprocess.TimeoutExpired: it is not over after so many seconds.
        """
        status = super().wait(timeout)
        with self._waiting:
            if self._first is not None:
                # It may have been ended before bubblewrap could see to it that the sandbox ends with it.
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._first, signal.SIGKILL)
                ended = select.poll()
                ended.register(self._first, select.POLLIN)
                ended.poll()
                os.close(self._first)
                self._first = None
        return status
