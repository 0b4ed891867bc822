"""The cache: where everything that is kept between runs lies, and how two runs share it.

A result appears under its final name in one rename, so whatever is there is whole; work under one name is
done by one process at a time (file lock). Nothing in it is precious: deleting it only costs time.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from patchgen import progress
from patchgen.errors import MachineError

_LAYOUT = "1"  # Part of the path: a patchgen with another layout starts afresh beside it.
_PATIENCE_SECONDS = 3  # until somebody wonders what is going on
_LOCK_SECONDS = 3600.0
_SCRATCH_PARTS = 3  # purpose, process id, random


def digest(*parts: object) -> str:
    """Return a short hash of values that JSON can hold (others by their str): the key of a cached result."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


NO_ROOM = "free some space, or set PATCHGEN_CACHE to a directory on another disk"
_NO_WRITE = "set PATCHGEN_CACHE to a directory that you can write to"
_HINTS = {
    errno.ENOSPC: NO_ROOM,
    errno.EDQUOT: NO_ROOM,
    errno.EROFS: _NO_WRITE,
    errno.EACCES: _NO_WRITE,
    errno.EPERM: _NO_WRITE,
}


@contextlib.contextmanager
def machine_faults(doing: str, hint: str = "") -> Iterator[None]:
    """Turn the operating system's refusals (full disk, read-only directory) inside the block into MachineError."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise MachineError(
            f"{doing}: {error.strerror or error}{where}", hint=_HINTS.get(error.errno or 0, hint)
        ) from error


class Cache:
    """The directories of the cache, made when first asked for.

    Args:
        root: the cache's top directory.
    """

    def __init__(self, root: Path) -> None:
        self.root = root / f"v{_LAYOUT}"

    def directory(self, *names: str) -> Path:
        """Return a directory of the cache, made if need be.

        Raises:
            MachineError: it cannot be made.
        """
        path = self.root.joinpath(*names)
        with machine_faults("cannot use the cache", _NO_WRITE):
            path.mkdir(parents=True, exist_ok=True)
        return path

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock `name` against other patchgen processes and threads; says so when it has to wait for long.

        Raises:
            MachineError: it was not free within an hour.
        """
        path = self.directory("locks") / f"{name}.lock"
        with machine_faults("cannot use the cache", _NO_WRITE):
            held = FileLock(path, timeout=_LOCK_SECONDS)
            try:
                held.acquire(timeout=_PATIENCE_SECONDS)
            except Timeout:
                progress.note(f"waiting for another patchgen that works on {name}")
                try:
                    held.acquire()
                except Timeout as error:
                    raise MachineError(f"another patchgen has held {path} for an hour") from error
        try:
            yield
        finally:
            held.release()

    @contextlib.contextmanager
    def scratch(self, purpose: str) -> Iterator[Path]:
        """Give a temporary directory on the cache's disk, gone when the block is left."""
        parent = self.directory("scratch")
        _sweep(parent)
        with machine_faults("cannot use the cache", _NO_WRITE):
            path = Path(tempfile.mkdtemp(prefix=f"{purpose}-{os.getpid()}-", dir=parent))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@functools.cache
def _sweep(parent: Path) -> None:
    """Remove, once per process, what processes that were killed have left in the scratch directory."""
    for path in parent.iterdir():
        parts = path.name.split("-")
        if len(parts) == _SCRATCH_PARTS and parts[1].isdigit() and not Path(f"/proc/{parts[1]}").exists():
            shutil.rmtree(path, ignore_errors=True)


def require_room(cache: Cache, megabytes: int, doing: str) -> None:
    """See that the cache's disk has room, before minutes are spent on finding out.

    Raises:
        MachineError: it has not.
    """
    free = shutil.disk_usage(cache.directory()).free >> 20
    if free < megabytes:
        raise MachineError(f"no room to {doing}: it takes {megabytes} MB, and {free} MB are free", hint=NO_ROOM)


def prune(parent: Path, keep: int) -> None:
    """Remove all but the `keep` youngest entries of a directory of the cache; what is being written counts for none."""
    with contextlib.suppress(OSError):
        entries = [path for path in parent.iterdir() if not path.name.startswith(".")]
        for path in sorted(entries, key=lambda path: path.stat().st_mtime, reverse=True)[keep:]:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a path to write a file or directory aside; on success it takes the place of `target` in one rename.

    What fails half-way leaves the old one untouched. A directory that is there already is moved away first: for
    an instant there is none, but never a mixture.
    """
    with machine_faults(f"cannot write {target}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    fresh, old = aside / "new", aside / "old"
    try:
        with machine_faults(f"cannot write {target}"):
            yield fresh
            if target.is_dir() and not target.is_symlink():
                target.rename(old)
            fresh.rename(target)
    except BaseException:
        if old.exists() and not target.exists():
            old.rename(target)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_text(target: Path, text: str) -> None:
    """Write a whole text file in one rename."""
    write_bytes(target, text.encode())


def write_bytes(target: Path, data: bytes) -> None:
    """Write a whole file in one rename."""
    with machine_faults(f"cannot write {target}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            umask = os.umask(0)
            os.umask(umask)
            Path(name).chmod(0o666 & ~umask)
            Path(name).rename(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
