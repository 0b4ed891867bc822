"""What `patchgen doctor` looks at."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from patchgen import base, host
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
    """Look at the host's programs, the cache, the disk and the kernel source; change nothing."""
    items = [
        Item(need.name, need.present(), need.optional, need.command, f"as root: {host.install_line([need])}")
        for need in host.needs()
    ]
    return [*items, _cache_item(settings), _room_item(settings), _source_item(settings)]


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


def _source_item(settings: Settings) -> Item:
    wanted = base.load()
    name = f"{wanted.title} source"
    if settings.linux_src:
        return Item(
            name, settings.linux_src.exists(), detail=f"LINUX_SRC={settings.linux_src}", fix="correct LINUX_SRC"
        )
    try:
        kept = Cache(settings.cache).root / "bases" / f"{wanted.tree}.json"
        if kept.is_file():
            return Item(name, True, detail="in the cache")
    except PatchgenError:
        pass
    detail = f"not in the cache; it will be downloaded from {wanted.download.url}"
    return Item(name, False, True, detail, "make patch, or LINUX_SRC=DIR make patch")
