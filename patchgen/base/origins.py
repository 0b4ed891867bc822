"""A base fetched from where it comes from: a download or a package."""

from __future__ import annotations

from urllib.parse import unquote

from patchgen import cache as caching
from patchgen import progress
from patchgen.base import apt, download, from_tarball, memory, store
from patchgen.base.bases import Base, Local, Package, Release
from patchgen.base.store import Stored
from patchgen.base.wanted import Wanted
from patchgen.cache import Cache
from patchgen.errors import BaseError, MachineError

_PACKAGE_SECONDS = 1800.0


def known(base: Base, cache: Cache) -> Stored | None:
    """Return what the cache has of a base that came from its origin; nothing is fetched."""
    tree = base.tree or memory.of_package(base, cache).recall().get("tree", "")
    return store.stored(cache, tree) if tree else None


def fetch(wanted: Wanted, cache: Cache) -> Stored:
    """Fetch a base and import it, unless the cache has it.

    Raises:
        DownloadError: it cannot be downloaded.
        BaseError: what came is not the base.
        MachineError: apt, git or the disk failed.
    """
    base = wanted.base
    if kept := known(base, cache):
        return kept
    # One lock for both: a second process finds the first one's result instead of importing it again.
    with cache.lock(f"download-{base.name}"):
        if kept := known(base, cache):
            return kept
        match base.origin:
            case Release():
                return _from_release(base, base.origin, cache)
            case Package():
                return _from_package(wanted, base.origin, cache)
            case Local():
                raise AssertionError("a base that is on this machine is not fetched")


def _from_release(base: Base, release: Release, cache: Cache) -> Stored:
    """Download the release and import it."""
    tarball = cache.directory("downloads") / release.urls[0].rsplit("/", 1)[-1]
    origin = download.fetch_from_any(
        release.urls,
        release.sha256,
        tarball,
        hint=f"set {base.variable}=... to a checkout, directory or tarball of {base.name};"
        " 'patchgen bases' lists kernels that come from elsewhere",
    )
    with store.locked(cache), from_tarball.view(cache, tarball, base.ignored, origin) as (draft, tree):
        if tree != base.tree:
            raise BaseError(f"{origin}: its tree is {tree}, expected {base.tree}; the base's data is wrong")
        kept = draft.keep(tree)
    tarball.unlink(missing_ok=True)
    return kept


def _from_package(wanted: Wanted, package: Package, cache: Cache) -> Stored:
    """Fetch a package with apt and import the tarball in it; its tree is remembered, as nothing says it beforehand."""
    base = wanted.base
    hint = f"set {base.variable}=... to a checkout, directory or tarball of {base.title}"
    apt.require(f"{base.title} is not here", hint)
    caching.require_room(cache, package.megabytes, f"fetch and import {base.title}")
    with cache.scratch("package") as scratch:
        with progress.step(f"fetching {package.package}"):
            file = apt.download(package.package, scratch, hint=hint, seconds=_PACKAGE_SECONDS)
            apt.unpack(file, scratch / "files")
        tarball = scratch / "files" / package.member
        if not tarball.is_file():
            raise MachineError(f"{file.name} has no {package.member} in it", hint=hint)
        # A package file is called NAME_VERSION_ARCHITECTURE.deb.
        origin = f"{package}, {unquote(file.name.split('_')[1])}"
        with store.locked(cache), from_tarball.view(cache, tarball, base.ignored, origin) as (draft, tree):
            wanted.check(draft.repository, tree, origin)
            kept = draft.keep(tree)
    memory.of_package(base, cache).remember(tree=kept.tree)
    return kept
