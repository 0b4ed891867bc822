"""Guests that have booted already: saved once, right after boot, and continued from there each time.

Each caller so gets a freshly booted kernel of its own in a fraction of the time. The state is the guest's memory and
QEMU's migration stream of the rest, in files of the cache; it fits only the kernel, initramfs, machine and QEMU that it
was made with, and those make its key. The guest runs on while it is saved, so it does when it is restored.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from patchgen import cache as caching
from patchgen import progress
from patchgen.errors import GuestError, MachineError
from patchgen.guest import memory, migration
from patchgen.guest.machine import qemu_version
from patchgen.guest.session import Guest, Saved
from patchgen.sandbox import open_to

if TYPE_CHECKING:
    from patchgen.cache import Cache
    from patchgen.guest.initramfs import Image
    from patchgen.guest.machine import Machine

_KEPT = 24  # Saved guests of about 30 MB each; a kernel has two, one for each number of CPUs.
_STATE, _MEMORY, _CONSOLE, _SIZE = "state", "memory", "console", "size"


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
    return caching.digest("saved with its memory", caching.file_digest(kernel), image.digest, machine.digest(), version)


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
            saved = _read(stack, directory)
            return stack.enter_context(Guest(kernel, image, machine, saved=saved, time_scale=time_scale))
        except (OSError, GuestError, MachineError) as error:
            progress.note(f"a saved guest could not be restored, it is made anew: {error}")
            shutil.rmtree(directory, ignore_errors=True)
    return None


def _read(stack: contextlib.ExitStack, directory: Path) -> Saved:
    """Return a saved guest that looks whole. The stack closes the pipe with its state.

    Raises:
        MachineError: its files are not what was written.
        OSError: a file is not there.
    """
    state, kept = directory / _STATE, (directory / _MEMORY).stat()
    if f"{state.stat().st_size} {kept.st_size}" != (directory / _SIZE).read_text(encoding="utf-8"):
        raise MachineError(f"{directory} is cut off")
    ram = memory.of(directory / _MEMORY, kept.st_mtime_ns)
    descriptor = migration.stream(state)
    stack.callback(os.close, descriptor)
    return Saved(descriptor, ram, (directory / _CONSOLE).read_text("utf-8"))


def _make(cache: Cache, directory: Path, kernel: Path, image: Image, machine: Machine, time_scale: float) -> bool:
    """Boot a guest and save it; False if QEMU could not save it."""
    with cache.scratch("saved") as scratch:
        state, ram = scratch / _STATE, scratch / _MEMORY
        state.touch()
        memory.empty(ram, machine.memory)
        for path in (state, ram):
            open_to(path)
        with Guest(kernel, image, machine, to=(state, ram), time_scale=time_scale) as guest:
            try:
                migration.save(guest.qemu.monitor, state)
            except MachineError as error:
                progress.warn(f"the guest cannot be saved, so each one is booted: {error}")
                return False
            console = guest.console
        with caching.replacing(directory) as fresh:
            fresh.mkdir()
            # Copies: what QEMU wrote may belong to somebody else.
            shutil.copyfile(state, fresh / _STATE)
            with ram.open("rb") as source, (fresh / _MEMORY).open("wb") as target:
                memory.copy(source.fileno(), target.fileno())
            (fresh / _CONSOLE).write_text(console, encoding="utf-8")
            sizes = ((fresh / name).stat().st_size for name in (_STATE, _MEMORY))
            (fresh / _SIZE).write_text(" ".join(map(str, sizes)), encoding="utf-8")
    # One that is being restored just then is booted instead.
    caching.prune(directory.parent, _KEPT)
    return True
