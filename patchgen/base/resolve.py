"""Where the base comes from: the user's place, the cache, or the base's own origin; and whether it is the base at all.

Whatever the user has is judged here (is this tree the release, or close enough?) and brought into the cache's
repository by importer.py. A decision is remembered with what it rested on, so that a later run only looks whether
that still holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import stat
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

from patchgen import cache as caching
from patchgen import progress
from patchgen.base import apt, download, importing
from patchgen.base.bases import Base, Local, Package, Release
from patchgen.base.git import Repository, answer
from patchgen.cache import Cache
from patchgen.errors import BaseError, MachineError
from patchgen.settings import Settings

_MAX_ROOTS = 100
_VARIABLE = re.compile(r"^([A-Z]+)[ \t]*=[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_COMMIT_ID = re.compile(r"[0-9a-f]{40}$")
_NAMES_SHOWN = 3
# "blob", length and content: what git hashes. Here it is SHA-1's job to name a file, not to resist an attacker.
_BLOB = b"blob %d\0"
_PACKAGE_SECONDS = 1800.0


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


@dataclass(frozen=True)
class _Candidate:
    """A commit (or tag of a tree) in the user's repository that may be the base.

    Attributes:
        name: how it was found, as git spells it: a tag, HEAD, a commit id, LINUX_BASE's value.
        commit: id that the name stands for: of the commit, or of the tree.
        tree: id of its tree.
    """

    name: str
    commit: str
    tree: str


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
    path = place(base, settings)
    commit = settings.linux_base if base.submission else None
    if path is None:
        kept = known(base, cache) or _from_origin(base, cache, touched)
    elif (git_dir := _look_at(base, path)) is not None:
        kept = _from_git(base, path, git_dir, commit, cache, touched)
    else:
        if commit is not None:
            warnings.append(f"LINUX_BASE is not used: {path} is not a git repository")
        bring = _from_directory if path.is_dir() else _from_tarball
        kept = bring(base, path, cache, touched)
    if needed := sorted(set(touched) & set(kept.missing)):
        raise importing.missing_content(kept.origin, needed[0])
    return Source(
        base=base,
        tree=kept.tree,
        repository=importing.repository_path(cache),
        origin=kept.origin,
        missing=frozenset(kept.missing),
        warnings=(*warnings, *_warnings(base, kept)),
    )


def variable(base: Base) -> str:
    """Return the name of the variable that says where a base is."""
    return "LINUX_SRC" if base.submission else "BASE_SRC"


def place(base: Base, settings: Settings) -> Path | None:
    """Return where the user, or the base itself, says that it is on this machine; None if it has to be fetched."""
    named = settings.linux_src if base.submission else settings.base_src
    return named or (base.origin.path if isinstance(base.origin, Local) else None)


def known(base: Base, cache: Cache) -> importing.Stored | None:
    """Return what the cache has of a base that came from its origin; nothing is fetched."""
    tree = base.tree or _recall(_package_memory(base, cache)).get("tree", "")
    return importing.stored(cache, tree) if tree else None


def _look_at(base: Base, path: Path) -> Path | None:
    """Return the git directory of what the user names, None if that is a directory without git or a file.

    Raises:
        BaseError: it is not there, cannot be read or is something else.
    """
    try:
        if path.is_dir():
            return importing.git_directory(path)
        if path.is_file():
            return None
        there = path.exists()
    except OSError as error:
        raise BaseError(f"{variable(base)}: cannot read {error.filename or path}: {error.strerror}") from error
    raise BaseError(f"{variable(base)}: {path} {'is neither a directory nor a file' if there else 'does not exist'}")


def _warnings(base: Base, kept: importing.Stored) -> list[str]:
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


# --- is it the base? ------------------------------------------------------------------------------------------------


def _version(variables: Mapping[str, str]) -> str:
    numbers = (variables.get(name, "") for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
    return ".".join(number for number in numbers if number) + variables.get("EXTRAVERSION", "")


def _wrong_version(base: Base, makefile: str) -> str | None:
    """Return what is wrong with a top Makefile, None if it is that of the base."""
    said = dict(reversed(_VARIABLE.findall(makefile[:4096])))
    if "VERSION" not in said or "PATCHLEVEL" not in said:
        return "this is not Linux: its Makefile names no version"
    if any(said.get(name, "") != value for name, value in base.makefile.items()):
        return f"this is Linux {_version(said)}, wanted {_version(base.makefile).removesuffix('.0')}"
    return None


def _objection(base: Base, touched: Collection[str], makefile: str | None, blobs: Mapping[str, str]) -> str | None:
    """Return why a tree that is not exactly the base cannot stand in for it, None if it can.

    Args:
        base: the base.
        touched: paths that must be as released, as far as the base knows them.
        makefile: the top Makefile's text, None if there is none.
        blobs: blob ids of the tree's files, by path; at least those of `touched`.
    """
    if makefile is None:
        return "this is not Linux: it has no Makefile at its top"
    if wrong := _wrong_version(base, makefile):
        return wrong
    for path in sorted(set(touched) & set(base.blobs)):
        if path not in blobs:
            return f"{path} is not there, expected blob {base.blobs[path]}"
        if blobs[path] != base.blobs[path]:
            return f"{path} is not as released: blob {blobs[path]}, expected {base.blobs[path]}"
    return None


def _git_objection(base: Base, touched: Collection[str], repo: Repository, tree: str) -> str | None:
    """As `_objection`, for a tree in a git repository."""
    try:
        there = importing.listing(repo, tree, "-r", paths={"Makefile", *(set(touched) & set(base.blobs))})
    except BaseError as error:
        return error.message
    blobs = {path: object_id for path, (kind, object_id) in there.items() if kind == "blob"}
    makefile = None
    if "Makefile" in blobs:
        if not importing.present(repo, [blobs["Makefile"]]):
            return "the content of its Makefile is missing (a partial clone?)"
        makefile = answer(repo, "cat_file", "blob", blobs["Makefile"], data=b"").decode(errors="replace")
    return _objection(base, touched, makefile, blobs)


def _origin(path: Path, name: str) -> str:
    return f"{path} ({name[:12] if _COMMIT_ID.match(name) else name.removeprefix('refs/tags/')})"


def _refused(origin: str, why: str, hint: str = "", evidence: str = "") -> BaseError:
    return BaseError(f"{origin}: {why}", hint=hint, evidence=evidence)


def _judge(base: Base, touched: Collection[str], origin: str) -> importing.Accept:
    """Return what the importer asks whether a tree may be kept."""

    def accept(repo: Repository, tree: str) -> None:
        if tree != base.tree and (why := _git_objection(base, touched, repo, tree)):
            raise _refused(origin, why)

    return accept


# --- what was decided before ----------------------------------------------------------------------------------------


def _memory(base: Base, path: Path, cache: Cache, *more: object) -> Path:
    """Return the file that remembers what was found at `path`; another base, or a changed one, has another file."""
    key = caching.digest(str(path.resolve()), base.model_dump(), *more)
    return cache.directory("bases", "sources") / f"{key}.json"


def _recall(memory: Path) -> dict[str, str]:
    try:
        data = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _remember(memory: Path, **what: str) -> None:
    caching.write_text(memory, json.dumps(what, indent=1, sort_keys=True) + "\n")


def _once(base: Base, path: Path, cache: Cache, bring: Callable[[], importing.Stored]) -> importing.Stored:
    """Import a directory or tarball, unless that was done when it was in the state in which it is now."""
    memory, state = _memory(base, path, cache), _state(path)

    def recalled() -> importing.Stored | None:
        before = _recall(memory)
        kept = importing.stored(cache, before["tree"]) if before.get("state") == state and "tree" in before else None
        return replace(kept, origin=str(path)) if kept is not None and kept.complete else None

    if kept := recalled():
        return kept
    with importing.locked(cache):
        if kept := recalled():
            return kept
        kept = bring()
        _remember(memory, state=state, tree=kept.tree)
    return kept


def _state(path: Path) -> str:
    """Return what changes when a file, or the list of names in a directory, changes."""
    status = path.stat()
    size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    return f"{status.st_ino} {status.st_mtime_ns} {size}"


# --- the kinds of source --------------------------------------------------------------------------------------------


def _from_origin(base: Base, cache: Cache, touched: Collection[str]) -> importing.Stored:
    """Fetch a base from where it comes from, and import it."""
    # One lock for both: a second process finds the first one's result instead of importing it again.
    with cache.lock(f"download-{base.name}"):
        if kept := known(base, cache):
            return kept
        match base.origin:
            case Release():
                return _from_release(base, base.origin, cache)
            case Package():
                return _from_package(base, base.origin, cache, touched)
            case Local():
                raise AssertionError("place() names it")


def _from_release(base: Base, release: Release, cache: Cache) -> importing.Stored:
    """Download the release and import it."""
    tarball = cache.directory("downloads") / release.urls[0].rsplit("/", 1)[-1]
    came_from = download.fetch_from_any(
        release.urls,
        release.sha256,
        tarball,
        hint=f"set {variable(base)}=... to a checkout, directory or tarball of {base.name};"
        " 'patchgen bases' lists kernels that come from elsewhere",
    )

    def accept(_repo: Repository, tree: str) -> None:
        if tree != base.tree:
            raise _refused(came_from, f"its tree is {tree}, expected {base.tree}; the base's data is wrong")

    with importing.locked(cache):
        kept = importing.from_tarball(cache, tarball, base.ignored, came_from, accept)
    tarball.unlink(missing_ok=True)
    return kept


def _from_package(base: Base, package: Package, cache: Cache, touched: Collection[str]) -> importing.Stored:
    """Fetch a package with apt and import the tarball in it; its tree is remembered, as nothing says it beforehand."""
    hint = f"set {variable(base)}=... to a checkout, directory or tarball of {base.title}"
    apt.require(f"{base.title} is not here", hint)
    caching.require_room(cache, package.megabytes, f"fetch and import {base.title}")
    with cache.scratch("package") as scratch:
        with progress.step(f"fetching {package.package}"):
            file = apt.download(package.package, scratch, hint=hint, seconds=_PACKAGE_SECONDS)
            apt.unpack(file, scratch / "files")
        origin = f"{package}, {_version_of(file)}"
        tarball = scratch / "files" / package.member
        if not tarball.is_file():
            raise MachineError(f"{file.name} has no {package.member} in it", hint=hint)
        with importing.locked(cache):
            kept = _import_tarball(base, tarball, origin, cache, touched)
    _remember(_package_memory(base, cache), tree=kept.tree)
    return kept


def _package_memory(base: Base, cache: Cache) -> Path:
    """Return the file that remembers which tree came out of a base's package; more about the base may change."""
    return cache.directory("bases", "sources") / f"{caching.digest(base.name, base.makefile, str(base.origin))}.json"


def _version_of(package: Path) -> str:
    """Return the version in a package file's name, NAME_VERSION_ARCHITECTURE.deb."""
    return unquote(package.name.split("_")[1])


def _import_tarball(base: Base, path: Path, origin: str, cache: Cache, touched: Collection[str]) -> importing.Stored:
    """Import a tarball if it is the base."""

    def look(name: str, data: bytes) -> None:
        # The Makefile comes early in the archive: no need to read all of another release.
        if name == "Makefile" and (why := _wrong_version(base, data.decode(errors="replace"))):
            raise _refused(origin, why)

    return importing.from_tarball(cache, path, base.ignored, origin, _judge(base, touched, origin), look)


def _from_tarball(base: Base, path: Path, cache: Cache, touched: Collection[str]) -> importing.Stored:
    """Import a tarball, unless that was done before."""
    origin = str(path)

    def bring() -> importing.Stored:
        return _import_tarball(base, path, origin, cache, touched)

    kept = _once(base, path, cache, bring)
    if kept.tree != base.tree:
        with importing.opened(cache) as repo:
            # If it was imported before, then perhaps for a series that touches other files.
            _judge(base, touched, origin)(repo, kept.tree)
    return kept


def _from_directory(base: Base, path: Path, cache: Cache, touched: Collection[str]) -> importing.Stored:
    """Import an unpacked directory, unless that was done before.

    The touched files are read every time, and before anything else: one that is wrong rules out the exact release too.
    """
    origin = str(path)
    blobs = {name: blob for name in set(touched) & set(base.blobs) if (blob := _blob_on_disk(path / name))}
    makefile = path / "Makefile"
    text = makefile.read_text(encoding="utf-8", errors="replace") if makefile.is_file() else None
    if why := _objection(base, touched, text, blobs):
        raise _refused(origin, why)

    def bring() -> importing.Stored:
        return importing.from_directory(cache, path, base.ignored, origin, _judge(base, touched, origin))

    return _once(base, path, cache, bring)


def _blob_on_disk(path: Path) -> str | None:
    """Return the blob id of a regular file, None if there is none.

    Raises:
        BaseError: it cannot be read.
    """
    if path.is_symlink() or not path.is_file():
        return None
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BaseError(f"cannot read {path}: {error.strerror}") from error
    return hashlib.sha1(_BLOB % len(data) + data, usedforsecurity=False).hexdigest()


def _from_git(
    base: Base, path: Path, git_dir: Path, linux_base: str | None, cache: Cache, touched: Collection[str]
) -> importing.Stored:
    """Find the base in a git repository and copy it, unless that was done before."""
    memory = _memory(base, git_dir, cache, linux_base)
    with importing.borrowed(cache, git_dir) as view:
        before = _recall(memory)
        kept = importing.stored(cache, before.get("tree", ""))
        exact = not base.tree or before.get("tree") == base.tree
        if kept and exact and not _gives_more(view, kept) and _still(view, before):
            return replace(kept, origin=_origin(path, before["name"]))
        found, tree = _choose(base, path, view, linux_base, touched)
        origin = _origin(path, found.name)
        with importing.locked(cache):
            kept = importing.stored(cache, tree)
            if kept is None or _gives_more(view, kept):
                kept = importing.from_git(cache, view, tree, origin, touched)
    _remember(memory, name=found.name, commit=found.commit, tree=tree)
    return replace(kept, origin=origin)


def _gives_more(view: Repository, kept: importing.Stored) -> bool:
    """Whether a repository has content that earlier, partial sources did not."""
    return bool(kept.missing) and bool(importing.present(view, kept.missing.values()))


# --- the base in a git repository -----------------------------------------------------------------------------------


def _resolve(view: Repository, names: Collection[str]) -> list[_Candidate]:
    """Return those of the names that stand for a commit or a tree."""
    asked = [name for name in names if "\n" not in name]
    lines = "".join(f"{name}^{{commit}}\n{name}^{{tree}}\n" for name in asked)
    out = answer(view, "cat_file", "--batch-check=%(objectname)", data=lines.encode(errors="surrogateescape"))
    ids = [None if " " in line else line for line in out.decode(errors="replace").splitlines()]
    pairs = zip(asked, ids[::2], ids[1::2], strict=True)
    return [_Candidate(name, commit or tree, tree) for name, commit, tree in pairs if tree]


def _still(view: Repository, known: Mapping[str, str]) -> bool:
    """Whether the name that stood for the base stands for the same commit now."""
    now = _resolve(view, [known.get("name", "")])
    return bool(now) and now[0].commit == known.get("commit")


def _roots(view: Repository) -> list[str]:
    """Return the commits without parents; none where history cannot be read."""
    try:
        with progress.step("looking for the base among the first commits"):
            out = answer(view, "rev_list", "--max-parents=0", "--all", data=b"")
    except MachineError:  # a damaged branch says nothing about the others, and the error would hide their fault
        return []
    return out.decode().split()[:_MAX_ROOTS]


def _choose(
    base: Base, path: Path, view: Repository, linux_base: str | None, touched: Collection[str]
) -> tuple[_Candidate, str]:
    """Find the base in the user's repository.

    Returns:
        The commit and the tree to be used: the exact one of any commit if there is one, else that of the first commit
        in which the touched files are as released.

    Raises:
        BaseError: there is neither.
    """
    if linux_base is not None:
        candidates = _resolve(view, [linux_base])
        if not candidates:
            raise BaseError(f"LINUX_BASE: {linux_base} names no commit in {path}", hint="see 'git log --oneline' there")
    else:
        candidates = _resolve(view, [*(f"refs/tags/{tag}" for tag in base.tags), "HEAD"])
    if exact := _exact(base, view, candidates):
        return exact
    if linux_base is None:
        roots = _resolve(view, _roots(view))
        if exact := _exact(base, view, roots):
            return exact
        candidates += roots
    if not candidates:
        raise BaseError(f"{path} is a git repository in which no commit can be read")
    objections = []
    for candidate in candidates:
        why = _git_objection(base, touched, view, candidate.tree)
        if why is None:
            return candidate, candidate.tree
        objections.append((candidate.name, why))
    name, why = objections[0]
    hint = f"fetch the tag {base.tags[0]} into it, or " if base.tags else ""
    raise _refused(
        _origin(path, name),
        why,
        hint=f"{hint}set LINUX_BASE to the commit that is {base.title}",
        evidence="\n".join(f"{name}: {why}" for name, why in objections[1:]),
    )


def _exact(base: Base, view: Repository, candidates: Collection[_Candidate]) -> tuple[_Candidate, str] | None:
    """Return the first candidate that is the base, as it is or without the paths that the release ignores."""
    for candidate in candidates:
        if candidate.tree == base.tree:
            return candidate, base.tree
    for candidate in candidates:
        with contextlib.suppress(BaseError):  # a directory of it is missing; another may be whole
            if importing.without(view, candidate.tree, base.ignored) == base.tree:
                return candidate, base.tree
    return None
