"""What `patchgen doctor` looks at."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from patchgen import host
from patchgen.base import bases, origins, resolve
from patchgen.base.bases import Base, Package
from patchgen.base.store import Stored
from patchgen.cache import Cache
from patchgen.errors import PatchgenError
from patchgen.settings import Settings

_ROOM = 4 * 1024**3  # A kernel tree, two build directories and their objects.


@dataclass(frozen=True)
class Item:
    """One thing that was looked at.

    Attributes:
        name: what.
        ok: whether it is fine.
        optional: things work without it.
        detail: what was found.
        fix: the command or setting that mends it.
    """

    name: str
    ok: bool
    optional: bool = False
    detail: str = ""
    fix: str = ""


def examine(settings: Settings) -> list[Item]:
    """Look at the host's programs, the cache, the disk and the kernel sources; change nothing."""
    items = [
        Item(need.name, need.present(), need.optional, need.what(), f"as root: {host.install_line([need])}")
        for need in host.needs()
    ]
    sources = [_source_item(bases.load(name), settings) for name in bases.names()]
    return [*items, _cache_item(settings), _room_item(settings), *sources]


def _existing(path: Path) -> Path:
    """Return the path, or its nearest parent that exists."""
    while not path.exists():
        path = path.parent
    return path


def _cache_item(settings: Settings) -> Item:
    there = _existing(settings.cache)
    ok = there.is_dir() and os.access(there, os.W_OK)
    return Item(
        "cache can be written", ok, detail=str(settings.cache), fix="set PATCHGEN_CACHE to a directory of yours"
    )


def _room_item(settings: Settings) -> Item:
    free = shutil.disk_usage(_existing(settings.cache)).free
    detail = f"{free / 1024**3:.1f} GiB free, {_ROOM / 1024**3:.0f} GiB wanted from nothing"
    return Item("room on the cache's disk", free >= _ROOM, True, detail, "set PATCHGEN_CACHE to another disk")


def _source_item(base: Base, settings: Settings) -> Item:
    """Look whether a base is at hand; only the one that is to be worked on may be called missing."""
    name = f"{base.title} source"
    named, variable = resolve.place(base, settings), base.variable
    make = "make patch" if base.submission else f"BASE={base.name} make patch"
    if named:
        return Item(name, named.exists(), base.name != settings.base, str(named), f"correct {variable}")
    kept = _kept(base, settings)
    if kept:
        return Item(name, True, detail=f"in the cache, from {kept.origin}")
    own = f"{variable}=DIR {make}"
    if isinstance(base.origin, Package) and not shutil.which("apt-get"):
        return Item(name, False, True, f"not in the cache, and there is no apt-get to fetch {base.origin}", own)
    return Item(name, False, True, f"not in the cache; it will come from {base.origin}", f"{make}, or {own}")


def _kept(base: Base, settings: Settings) -> Stored | None:
    """Return what the cache has of a base, without making the cache."""
    if not settings.cache.is_dir():
        return None
    try:
        return origins.known(base, Cache(settings.cache))
    except PatchgenError:
        return None
