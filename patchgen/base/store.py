"""The kernel trees that are in the cache's bare repository, and the way into it.

An import makes one pack in a scratch repository and moves it into the cache's, its index last; the record of the tree
comes after that. So a run that is killed anywhere leaves the repository as it was, or with a pack more in it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from patchgen import cache as caching
from patchgen.base.git import Repository, bare_repository, disk_is_full, failed, scratch_repository
from patchgen.cache import Cache
from patchgen.errors import MachineError

_LOCK = "objects"
_SCRATCH = "import"  # Scratch directories of this name are made under the lock only, so any other is a dead run's.


@dataclass(frozen=True)
class Stored:
    """A tree that is in the cache's repository: the content of `bases/TREE.json`.

    Attributes:
        tree: its git id.
        origin: where it came from, for people.
        missing: paths whose content is not there, with their blob ids.
        packs: the packs that hold its objects (and maybe more), with their sizes in bytes.
    """

    tree: str
    origin: str
    missing: dict[str, str]
    packs: dict[str, int]

    @property
    def complete(self) -> bool:
        """Whether no content is missing."""
        return not self.missing


def repository_path(cache: Cache) -> Path:
    """Return where the cache's bare repository is."""
    return cache.directory("objects.git")


@contextlib.contextmanager
def locked(cache: Cache) -> Iterator[None]:
    """Hold the lock under which trees are imported: whoever had to wait looks again whether that is still needed."""
    with cache.lock(_LOCK):
        yield


@contextlib.contextmanager
def opened(cache: Cache) -> Iterator[Repository]:
    """Give the cache's bare repository; it must have been made."""
    with contextlib.closing(Repository(repository_path(cache))) as repo:
        yield repo


def stored(cache: Cache, tree: str) -> Stored | None:
    """Return what is known of a tree in the cache's repository, None if it is not there (any more)."""
    try:
        data = json.loads(_record(cache, tree).read_text(encoding="utf-8"))
        kept = Stored(tree=data["tree"], origin=data["origin"], missing=data["missing"], packs=data["packs"])
        packs = _packs_of(cache)
        whole = all(
            (packs / f"{name}.pack").stat().st_size == size and (packs / f"{name}.idx").is_file()
            for name, size in kept.packs.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # Not imported yet; or somebody tidied the cache: then it is imported again.
    return kept if whole and kept.tree == tree else None


def _record(cache: Cache, tree: str) -> Path:
    return cache.directory("bases") / f"{tree}.json"


def _packs_of(cache: Cache) -> Path:
    return repository_path(cache) / "objects" / "pack"


def _write_record(cache: Cache, kept: Stored) -> None:
    record = {**asdict(kept), "complete": kept.complete}
    caching.write_text(_record(cache, kept.tree), json.dumps(record, indent=1, sort_keys=True) + "\n")


@dataclass(frozen=True)
class Draft:
    """Objects on their way into the cache's repository.

    Attributes:
        cache: whose.
        origin: where they come from, for people.
        repository: a scratch repository for them; what is written to it and not kept is gone afterwards.
        known: an objects directory of the trees that the cache has, and of nothing else that is in its repository.
        packs: the packs that `known` consists of, with their sizes in bytes.
    """

    cache: Cache
    origin: str
    repository: Repository
    known: Path
    packs: Mapping[str, int]

    def keep(self, tree: str, missing: Mapping[str, str] | None = None) -> Stored:
        """Move the new objects into the cache's repository, unless that has all of the tree, and record the tree.

        Args:
            tree: its id.
            missing: paths whose content is not there, with their blob ids.

        Raises:
            MachineError: the disk is full.
        """
        before = stored(self.cache, tree)
        if before is not None and before.complete:
            return replace(before, origin=self.origin)
        kept = Stored(tree, self.origin, dict(missing or {}), {**self.packs, **self._adopt()})
        _write_record(self.cache, kept)
        return kept

    def _adopt(self) -> dict[str, int]:
        """Move the new packs into the cache's repository, and return their names and sizes in bytes."""
        source, target = Path(self.repository.git_dir) / "objects" / "pack", _packs_of(self.cache)
        packs = {file.stem: file.with_suffix(".pack").stat().st_size for file in source.glob("pack-*.idx")}
        for name in packs:
            # git looks for packs by their index: as long as that is not there, nothing is.
            for ending in ("pack", "rev", "idx"):
                file = source / f"{name}.{ending}"
                if file.exists():
                    file.rename(target / file.name)
        return packs


@contextlib.contextmanager
def draft(cache: Cache, origin: str, borrow: Path | None = None) -> Iterator[Draft]:
    """Begin an import. The caller holds the lock.

    Args:
        cache: where to.
        origin: where it comes from, for people.
        borrow: an objects directory whose objects the scratch repository sees; the cache's trees if not given.

    Raises:
        MachineError: the disk is full, also when it is git that says so.
    """
    doing = f"cannot import {origin}"
    try:
        with caching.machine_faults(doing):
            for leftover in cache.directory("scratch").glob(f"{_SCRATCH}-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            bare_repository(repository_path(cache)).close()
            packs = _known_packs(cache)
            with cache.scratch(_SCRATCH) as scratch:
                known = scratch / "known"
                _link(cache, packs, known / "pack")
                yield Draft(cache, origin, scratch_repository(scratch / "new.git", borrow or known), known, packs)
    except MachineError as error:
        if disk_is_full(error.evidence):
            raise failed(doing, error.evidence) from error
        raise


def _known_packs(cache: Cache) -> dict[str, int]:
    """Return the packs of all trees that are in the cache."""
    packs: dict[str, int] = {}
    for record in cache.directory("bases").glob("*.json"):
        kept = stored(cache, record.stem)
        packs.update(kept.packs if kept else {})
    return packs


def _link(cache: Cache, packs: Mapping[str, int], place: Path) -> None:
    """Make a directory with links to some packs of the cache's repository."""
    place.mkdir(parents=True)
    for name in packs:
        for ending in ("pack", "idx"):
            (place / f"{name}.{ending}").symlink_to(_packs_of(cache) / f"{name}.{ending}")
