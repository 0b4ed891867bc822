"""Guests that have booted already: saved once, right after boot, and continued from there each time.

Each caller so gets a freshly booted kernel of its own in a fraction of the time. The state is QEMU's migration
stream in a file of the cache; it fits only the kernel, initramfs, machine and QEMU that it was made with, and those
make its key. The guest runs on while it is saved, so it does when it is restored.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from patchgen import cache as caching
from patchgen import progress
from patchgen.errors import GuestError, MachineError
from patchgen.guest.machine import qemu_version
from patchgen.guest.session import Guest, Saved
from patchgen.sandbox import open_to

if TYPE_CHECKING:
    import socket

    from patchgen.cache import Cache
    from patchgen.guest.initramfs import Image
    from patchgen.guest.machine import Machine

_SAVE_SECONDS = 60.0
_KEPT = 24  # Saved guests of about 12 MB each; a kernel has two, one for each number of CPUs.
_BANDWIDTH = 1 << 33  # bytes/s: as fast as it goes


@contextlib.contextmanager
def ready_guest(
    cache: Cache,
    kernel: Path,
    image: Image,
    machine: Machine,
    *,
    time_scale: float = 1.0,
) -> Iterator[Guest]:
    """Give a guest that has just booted, restored from its saved state, which is made first if it is missing.

    A saved state that does not come back to life is thrown away and made anew; if that does not help, the guest
    is booted the long way.

    Args:
        cache: where saved states are kept.
        kernel: a bzImage.
        image: its initramfs.
        machine: what it runs on.
        time_scale: what the guest's time limits are multiplied by.

    Raises:
        GuestError: the kernel does not come up.
        MachineError: QEMU fails.
    """
    with contextlib.ExitStack() as stack:
        guest = _restore(stack, cache, kernel, image, machine, time_scale)
        if guest is None:
            guest = stack.enter_context(Guest(kernel, image, machine, time_scale=time_scale))
        yield guest


def key(cache: Cache, kernel: Path, image: Image, machine: Machine) -> str:
    """Return the name of the saved state of these."""
    version = qemu_version(cache, machine.binary)
    return caching.digest("saved", caching.file_digest(kernel), image.digest, machine.digest(), version)


def _restore(
    stack: contextlib.ExitStack, cache: Cache, kernel: Path, image: Image, machine: Machine, time_scale: float
) -> Guest | None:
    name = key(cache, kernel, image, machine)
    directory = cache.directory("guest", "saved") / name
    for _ in range(2):
        if not directory.is_dir():
            with cache.lock(f"saved-{name}"):
                if not directory.is_dir() and not _make(cache, directory, kernel, image, machine, time_scale):
                    return None
        try:
            console = _check(directory)
            saved = Saved(directory / "state", console)
            return stack.enter_context(Guest(kernel, image, machine, saved=saved, time_scale=time_scale))
        except (OSError, GuestError, MachineError) as error:
            progress.note(f"a saved guest could not be restored, it is made anew: {error}")
            shutil.rmtree(directory, ignore_errors=True)
    return None


def _check(directory: Path) -> str:
    """Return the console of a saved guest that looks whole. (QEMU waits for ever for the end of one cut off.)

    Raises:
        MachineError: its state is not what was written.
        OSError: a file is not there.
    """
    size = (directory / "state").stat().st_size
    if str(size) != (directory / "size").read_text(encoding="utf-8"):
        raise MachineError(f"{directory / 'state'} is cut off")
    return (directory / "console").read_text(encoding="utf-8")


def _make(cache: Cache, directory: Path, kernel: Path, image: Image, machine: Machine, time_scale: float) -> bool:
    """Boot a guest and save it; False if QEMU could not save it."""
    with cache.scratch("saved") as scratch:
        state = scratch / "state"
        state.touch()
        open_to(state)
        with Guest(kernel, image, machine, state=state, time_scale=time_scale) as guest:
            try:
                _migrate(guest.qemu.monitor, state)
            except MachineError as error:
                progress.warn(f"the guest cannot be saved, so each one is booted: {error}")
                return False
            console = guest.console
        with caching.replacing(directory) as fresh:
            fresh.mkdir()
            # A copy: what QEMU wrote may belong to somebody else.
            shutil.copyfile(state, fresh / "state")
            (fresh / "console").write_text(console, encoding="utf-8")
            (fresh / "size").write_text(str((fresh / "state").stat().st_size), encoding="utf-8")
    # One that is being restored just then is booted instead.
    caching.prune(directory.parent, _KEPT)
    return True


def _migrate(monitor: socket.socket, file: Path) -> None:
    """Save the machine behind a QMP line to a file.

    Raises:
        MachineError: QEMU refused, failed or took too long.
    """
    from qemu.qmp import QMPError
    from qemu.qmp.legacy import QEMUMonitorProtocol

    deadline = time.monotonic() + _SAVE_SECONDS
    try:
        with QEMUMonitorProtocol(monitor) as qmp:
            qmp.connect()
            qmp.settimeout(_SAVE_SECONDS)
            qmp.cmd("migrate-set-parameters", **{"max-bandwidth": _BANDWIDTH})
            qmp.cmd("migrate", uri=f"exec:cat > {shlex.quote(str(file))}")
            while (status := _status(qmp.cmd("query-migrate"))) != "completed":
                if status in ("failed", "cancelled") or time.monotonic() > deadline:
                    raise MachineError(f"QEMU could not save the guest: {status}")
                time.sleep(0.01)
    except (QMPError, OSError, TimeoutError) as error:
        raise MachineError(f"QEMU could not save the guest: {error}") from error


def _status(answer: object) -> str:
    return str(answer.get("status", "none")) if isinstance(answer, dict) else "none"
