"""A guest's memory in a file that QEMU maps, so that a saved guest need not be read in as a whole.

The stream of a saved guest then has its devices alone (QEMU's migration capability x-ignore-shared). Each restored
guest maps the memory privately: it shares what it does not write to with all others, and none sees what another writes.
"""

from __future__ import annotations

import fcntl
import functools
import os
import weakref
from pathlib import Path

from patchgen.errors import MachineError

_MIB = 1 << 20
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def arguments(place: str, size: int, *, shared: bool) -> list[str]:
    """Return QEMU's arguments for a guest whose memory is a file.

    Args:
        place: the file's path.
        size: MiB.
        shared: what the guest writes goes to the file.
    """
    path = place.replace(",", ",,")
    backend = f"memory-backend-file,id=ram,mem-path={path},size={size}M,share={'on' if shared else 'off'}"
    return ["-object", backend, "-machine", "memory-backend=ram"]


class Memory:
    """The memory of a saved guest, as a file without a name that nobody can change any more (memfd_create(2)).

    Attributes:
        descriptor: its descriptor; QEMU inherits it. It is closed with this object.
    """

    def __init__(self, file: Path) -> None:
        self.descriptor = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        weakref.finalize(self, os.close, self.descriptor)
        with file.open("rb") as source:
            copy(source.fileno(), self.descriptor)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, _SEALS)

    @property
    def place(self) -> str:
        """Its path for a process that has inherited the descriptor."""
        return f"/proc/self/fd/{self.descriptor}"


@functools.lru_cache(maxsize=4)
def of(file: Path, stamp: int) -> Memory:
    """Return a saved guest's memory; that of the last few is kept, since the next guest is likely to be the same one's.

    Args:
        file: where it is kept.
        stamp: of the file, so that one that was made anew is read anew.

    Raises:
        OSError: it cannot be read, or there is no memory.
    """
    del stamp
    return Memory(file)


def empty(file: Path, size: int) -> None:
    """Make a file for the memory of a guest that is to be saved.

    Args:
        file: its path.
        size: MiB.

    Raises:
        MachineError: it cannot be made.
    """
    try:
        with file.open("wb") as made:
            made.truncate(size * _MIB)
    except OSError as error:
        raise MachineError(f"cannot make {file}: {error.strerror}") from error


def copy(source: int, target: int) -> None:
    """Copy a file to an empty one; holes stay holes.

    Args:
        source: a descriptor of it.
        target: one of the other.

    Raises:
        OSError: it cannot be read or written.
    """
    size, at = os.fstat(source).st_size, 0
    os.truncate(target, size)
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
        except OSError:  # ENXIO: there is nothing but a hole
            return
        end = os.lseek(source, at, os.SEEK_HOLE)
        os.lseek(source, at, os.SEEK_SET)
        os.lseek(target, at, os.SEEK_SET)
        while at < end:
            at += os.sendfile(target, source, None, end - at)
