"""The guest's shell: a static i386 busybox, the user's, the host's, or Debian's.

Debian's is fetched by apt without root (patchgen/apt.py).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from patchgen import cache as caching
from patchgen import progress
from patchgen.base import apt
from patchgen.cache import Cache
from patchgen.errors import MachineError, UsageError

VARIABLE = "PATCHGEN_BUSYBOX"
_PACKAGE = "busybox-static"
_HINT = f"set {VARIABLE} to a statically linked i386 busybox (its 'sh' is the guest's shell)"


def find(cache: Cache) -> Path:
    """Return a static i386 busybox.

    Raises:
        UsageError: PATCHGEN_BUSYBOX names something else.
        MachineError: there is none, and apt could not fetch one.
    """
    named = os.environ.get(VARIABLE)
    if named:
        path = Path(named).absolute()
        if not is_static_i386(path):
            raise UsageError(f"{VARIABLE}: {path} is not a statically linked i386 program")
        return path
    installed = shutil.which("busybox")
    if installed and is_static_i386(Path(installed)):
        return Path(installed)
    target = cache.directory("guest", "busybox") / "busybox"
    if not target.is_file():
        with cache.lock("busybox"):
            if not target.is_file():
                _fetch(cache, target)
    return target


def is_static_i386(path: Path) -> bool:
    """Whether a file is an ELF32 executable for i386 that asks for no loader (elf(5))."""
    try:
        head = path.read_bytes()[:4096]
    except OSError:
        return False
    if len(head) < 52 or head[:6] != b"\x7fELF\x01\x01" or _number(head, 18, 2) != 3:  # 32 bits, little endian, EM_386
        return False
    start, size, count = _number(head, 28, 4), _number(head, 42, 2), _number(head, 44, 2)
    kinds = [_number(head, start + index * size, 4) for index in range(count)]
    return 3 not in kinds  # PT_INTERP


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def _fetch(cache: Cache, target: Path) -> None:
    apt.require("there is no i386 busybox", _HINT)
    with cache.scratch("busybox") as directory, progress.step("fetching busybox for the guest"):
        package = apt.download(_PACKAGE, directory, hint=_HINT, architecture="i386")
        apt.unpack(package, directory / "root")
        found = [path for path in _programs(directory / "root") if is_static_i386(path)]
        if not found:
            raise MachineError(f"{package.name} holds no static i386 busybox", hint=_HINT)
        caching.write_bytes(target, found[0].read_bytes())


def _programs(root: Path) -> Iterator[Path]:
    yield from (root / place / "busybox" for place in ("bin", "usr/bin"))
