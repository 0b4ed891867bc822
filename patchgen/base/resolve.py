"""Where the base comes from: the user's place, the cache, or the base's own origin.

The way is the same for all: resolve what is meant, view it through git, see that it is the base (`wanted`), and import
it into the cache's repository. A decision is remembered with what it rested on, so that a later run only looks whether
that still holds.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from patchgen.base import candidates, from_directory, from_git, from_tarball, memory, origins, store, views
from patchgen.base.bases import Base, Local
from patchgen.base.git import Repository
from patchgen.base.memory import Memory
from patchgen.base.store import Stored
from patchgen.base.wanted import Wanted
from patchgen.cache import Cache
from patchgen.errors import BaseError
from patchgen.settings import Settings

_NAMES_SHOWN = 3


@dataclass(frozen=True)
class Source:
    """A base that is in the cache's repository, ready to have commits made on it.

    Attributes:
        base: which base was asked for.
        tree: id of its tree, which is there.
        repository: the cache's bare repository.
        origin: where the tree came from, for people.
        missing: paths of the tree whose content is not there.
        warnings: what people should know about it, a sentence each.
    """

    base: Base
    tree: str
    repository: Path
    origin: str
    missing: frozenset[str]
    warnings: tuple[str, ...]


def obtain(base: Base, settings: Settings, cache: Cache, touched: Collection[str]) -> Source:
    """Get the base into the cache's repository, from whatever the user has.

    Args:
        base: which one.
        settings: `linux_src` and `linux_base`, for a base of no submission `base_src`, say where to look.
        cache: where it is kept.
        touched: paths that the series edits or adds; those that the base knows must be as released.

    Raises:
        BaseError: what the settings name is not the base, or lacks a file that is needed.
        DownloadError: it cannot be downloaded.
        MachineError: git or the disk failed.
    """
    warnings: list[str] = []
    wanted, path = Wanted(base, frozenset(touched)), place(base, settings)
    commit = settings.linux_base if base.submission else None
    if path is None:
        kept = origins.fetch(wanted, cache)
    elif (git_dir := _look_at(base, path)) is not None:
        kept = _from_git(wanted, path, git_dir, commit, cache)
    else:
        if commit is not None:
            warnings.append(f"LINUX_BASE is not used: {path} is not a git repository")
        kept = _from_files(wanted, path, cache)
    from_git.require(kept.origin, kept.missing, wanted.touched)
    return Source(
        base=base,
        tree=kept.tree,
        repository=store.repository_path(cache),
        origin=kept.origin,
        missing=frozenset(kept.missing),
        warnings=(*warnings, *_warnings(base, kept)),
    )


def place(base: Base, settings: Settings) -> Path | None:
    """Return where the user, or the base itself, says that it is on this machine; None if it has to be fetched."""
    named = settings.linux_src if base.submission else settings.base_src
    return named or (base.origin.path if isinstance(base.origin, Local) else None)


def _look_at(base: Base, path: Path) -> Path | None:
    """Return the git directory of what the user names, None if that is a directory without git or a file.

    Raises:
        BaseError: it is not there, cannot be read or is something else.
    """
    try:
        if path.is_dir():
            return views.git_directory(path)
        if path.is_file():
            return None
        there = path.exists()
    except OSError as error:
        raise BaseError(f"{base.variable}: cannot read {error.filename or path}: {error.strerror}") from error
    raise BaseError(f"{base.variable}: {path} {'is neither a directory nor a file' if there else 'does not exist'}")


def _from_git(wanted: Wanted, path: Path, git_dir: Path, linux_base: str | None, cache: Cache) -> Stored:
    """Find the base in a git repository and copy it, unless that was done before."""
    remembered = memory.of_place(wanted.base, git_dir, cache, linux_base)
    with views.borrowed(cache, git_dir) as view:
        before = remembered.recall()
        kept = store.stored(cache, before.get("tree", ""))
        exact = not wanted.base.tree or before.get("tree") == wanted.base.tree
        if kept and exact and not _gives_more(view, kept) and candidates.still(view, before):
            return replace(kept, origin=candidates.origin(path, before["name"]))
        found = candidates.choose(wanted, path, view, linux_base)
        origin = candidates.origin(path, found.name)
        with store.locked(cache):
            kept = store.stored(cache, found.tree)
            if kept is None or _gives_more(view, kept):
                kept = from_git.copy(cache, view, found.tree, origin, wanted.touched)
    remembered.remember(name=found.name, commit=found.commit, tree=found.tree)
    return replace(kept, origin=origin)


def _gives_more(view: Repository, kept: Stored) -> bool:
    """Whether a repository has content that earlier, partial sources did not."""
    return bool(kept.missing) and bool(views.present(view, kept.missing.values()))


def _from_files(wanted: Wanted, path: Path, cache: Cache) -> Stored:
    """Import a directory or tarball, unless that was done when it was in the state in which it is now.

    The touched files of a directory are read every time, and before anything else: one that is wrong rules out the
    exact release too.
    """
    if path.is_dir():
        wanted.check_files(path)
    remembered, state = memory.of_place(wanted.base, path, cache), memory.state_of(path)
    if kept := _recalled(wanted, remembered, state, cache):
        return replace(kept, origin=str(path))
    with store.locked(cache):
        if kept := _recalled(wanted, remembered, state, cache):
            return replace(kept, origin=str(path))
        ignored = wanted.base.ignored
        view = from_directory.view(cache, path, ignored) if path.is_dir() else from_tarball.view(cache, path, ignored)
        with view as (draft, tree):
            wanted.check(draft.repository, tree, draft.origin)
            kept = draft.keep(tree)
        remembered.remember(state=state, tree=kept.tree)
    return kept


def _recalled(wanted: Wanted, remembered: Memory, state: str, cache: Cache) -> Stored | None:
    """Return what came of a place in that state; None if that is not known, or not good enough for this series."""
    before = remembered.recall()
    kept = store.stored(cache, before["tree"]) if before.get("state") == state and "tree" in before else None
    if kept is None or not kept.complete:
        return None
    if kept.tree != wanted.base.tree:
        with store.opened(cache) as repo:
            if wanted.objection(repo, kept.tree):  # it was imported for a series that touches other files
                return None
    return kept


def _warnings(base: Base, kept: Stored) -> list[str]:
    """Say what people should know about a tree in the cache."""
    warnings = []
    if base.tree and kept.tree != base.tree:
        warnings.append(
            f"{kept.origin} is not exactly {base.title} (tree {kept.tree[:12]}, expected {base.tree[:12]});"
            " it is used because the files that the series edits are as released"
        )
    if kept.missing:
        first = ", ".join(sorted(kept.missing)[:_NAMES_SHOWN])
        more = ", ..." if len(kept.missing) > _NAMES_SHOWN else ""
        files = "1 file has" if len(kept.missing) == 1 else f"{len(kept.missing)} files have"
        warnings.append(f"{files} no content in {kept.origin} and will be left out: {first}{more}")
    return warnings
