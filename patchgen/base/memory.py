"""What was decided about a place or a package before, and on what that rested."""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from pathlib import Path

from patchgen import cache as caching
from patchgen.base.bases import Base
from patchgen.cache import Cache


@dataclass(frozen=True)
class Memory:
    """One decision.

    Attributes:
        file: where it is kept.
    """

    file: Path

    def recall(self) -> dict[str, str]:
        """Return what is remembered, nothing if there is nothing that can be read."""
        try:
            data = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    def remember(self, **what: str) -> None:
        """Keep a decision in place of the one before.

        Raises:
            MachineError: it cannot be written.
        """
        caching.write_text(self.file, json.dumps(what, indent=1, sort_keys=True) + "\n")


def of_place(base: Base, path: Path, cache: Cache, *more: object) -> Memory:
    """Return what was found at `path`; another base, a changed one or other words in `more` have another memory."""
    return _named(caching.digest(str(path.resolve()), base.model_dump(), *more), cache)


def of_package(base: Base, cache: Cache) -> Memory:
    """Return which tree came out of a base's package; more about the base may change."""
    return _named(caching.digest(base.name, base.makefile, str(base.origin)), cache)


def _named(key: str, cache: Cache) -> Memory:
    return Memory(cache.directory("bases", "sources") / f"{key}.json")


def state_of(path: Path) -> str:
    """Return what changes when a file, or the list of names in a directory, changes."""
    status = path.stat()
    size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    return f"{status.st_ino} {status.st_mtime_ns} {size}"
