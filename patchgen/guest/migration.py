"""Saving a machine through QEMU's monitor, and restoring one: all but its memory (see memory.py)."""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from patchgen.errors import MachineError

if TYPE_CHECKING:
    import socket

    from qemu.qmp.legacy import QEMUMonitorProtocol

_SECONDS = 60.0
_BANDWIDTH = 1 << 33  # bytes/s: as fast as it goes
_WITHOUT_MEMORY = {"capabilities": [{"capability": "x-ignore-shared", "state": True}]}


def save(monitor: socket.socket, file: Path) -> None:
    """Save the machine behind a QMP line to a file.

    Raises:
        MachineError: QEMU refused, failed or took too long.
    """
    deadline = time.monotonic() + _SECONDS
    with _speaking(monitor, "save") as qmp:
        qmp.cmd("migrate-set-parameters", **{"max-bandwidth": _BANDWIDTH})
        qmp.cmd("migrate", uri=f"exec:cat > {shlex.quote(str(file))}")
        while (status := _status(qmp.cmd("query-migrate"))) != "completed":
            if status in ("failed", "cancelled") or time.monotonic() > deadline:
                raise MachineError(f"QEMU could not save the guest: {status}")
            time.sleep(0.01)


def restore(monitor: socket.socket, descriptor: int) -> None:
    """Let the machine behind a QMP line, which waits for that, go on from a file.

    Args:
        monitor: the line.
        descriptor: of the pipe that the file is in (`stream`); QEMU has inherited it.

    Raises:
        MachineError: QEMU refused, failed or took too long.
    """
    with _speaking(monitor, "restore") as qmp:
        qmp.cmd("migrate-incoming", uri=f"fd:{descriptor}")


def stream(file: Path) -> int:
    """Return the descriptor of a pipe with all of a file in it; the caller closes it.

    QEMU does not get the file's own: an untrusted kernel that has taken QEMU over could open it again for writing.

    Raises:
        OSError: the file cannot be read, or is larger than a pipe may be (1 MiB: see pipe(7)). A state has a quarter.
    """
    data = file.read_bytes()
    read, written = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.fcntl(written, fcntl.F_SETPIPE_SZ, len(data))
        if os.write(written, data) < len(data):
            raise OSError(errno.EFBIG, "does not fit into a pipe", str(file))
        os.set_blocking(read, True)
    except BaseException:
        os.close(read)
        raise
    finally:
        os.close(written)
    return read


@contextmanager
def _speaking(monitor: socket.socket, what: str) -> Iterator[QEMUMonitorProtocol]:
    """Speak to QEMU, which has been told that memory is none of its business.

    Raises:
        MachineError: QEMU refused, failed or took too long.
    """
    import asyncio  # here, as it takes long to load, and only a guest that is saved needs it

    from qemu.qmp import QMPError
    from qemu.qmp.legacy import QEMUMonitorProtocol

    try:
        # The protocol takes the event loop that it finds, or makes one, and never closes it: so it finds this one.
        with asyncio.Runner(), QEMUMonitorProtocol(monitor) as qmp:
            qmp.connect()
            qmp.settimeout(_SECONDS)
            qmp.cmd("migrate-set-capabilities", **_WITHOUT_MEMORY)
            yield qmp
    except (QMPError, OSError, TimeoutError) as error:
        raise MachineError(f"QEMU could not {what} the guest: {error}") from error


def _status(answer: object) -> str:
    return str(answer.get("status", "none")) if isinstance(answer, dict) else "none"
