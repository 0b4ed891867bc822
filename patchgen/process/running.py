"""The programs that run at this moment: a Ctrl-C reaches only the main thread, and others wait for them, too."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator

_programs: set[subprocess.Popen[bytes]] = set()


@contextlib.contextmanager
def noted(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Count a program among those that run while the block does."""
    _programs.add(process)
    try:
        yield
    finally:
        _programs.discard(process)


def interrupt_all(seconds: float) -> None:
    """Pass a Ctrl-C on to all programs that threads of this process wait for, and end those that do not heed it.

    Args:
        seconds: that they have to clean up.
    """
    until = time.monotonic() + seconds
    found = list(_programs)
    for process in found:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGINT)
    for process in found:
        # Another thread waits for it, too; Popen shares what came of it.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=max(until - time.monotonic(), 0.01))
            continue
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
