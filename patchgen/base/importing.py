"""Bringing a kernel tree into the cache's bare repository: from git, from a directory, from a tarball.

What the user has is only ever read. git never runs in the user's repository, so that none of its configuration
counts (fsmonitor, filters, a promisor remote to fetch from; GIT_NO_LAZY_FETCH came with git 2.45 only): it runs in
a scratch repository that borrows the user's references and objects by links, as git's contrib/git-new-workdir does.

Every import makes one pack aside and moves it into the repository, its index last; the record of the tree comes
after that. So a run that is killed anywhere leaves the repository as it was, or with a pack more in it.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import json
import lzma
import os
import re
import shutil
import stat
import subprocess
import tarfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, BinaryIO, Self, cast

from patchgen import cache as caching
from patchgen import progress
from patchgen.base.git import Repository, answer, bare_repository, disk_is_full, failed, feeding
from patchgen.cache import Cache
from patchgen.errors import BaseError, MachineError

_LOCK = "objects"
_SCRATCH = "import"  # Scratch directories of this name are made under the lock only, so any other is a dead run's.
_MEBI = 1 << 20
# linux-4.15 has 62,290 files and 0.8 GB, the largest of 14 MB; later releases have twice that.
_MAX_FILE, _MAX_TOTAL, _MAX_MEMBERS, _MAX_HEADER = 256 * _MEBI, 8192 * _MEBI, 500_000, _MEBI
_EXECUTABLE, _REGULAR, _SYMLINK = b"100755", b"100644", b"120000"
_WRITTEN = re.compile(rb"Writing objects:\s+\d+% \((\d+)/\d+\)[^\r\n]*[\r\n]*")

Accept = Callable[[Repository, str], None]
"""Looks at an imported tree before it is kept; raises BaseError if it will not do."""


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


@dataclass(frozen=True)
class _Entry:
    """One file on its way into a tree.

    Attributes:
        path: its path in the tree.
        mode: git's mode.
        data: its content, or a symlink's target.
        same_as: path of an earlier entry to be copied instead (a hard link in a tarball).
    """

    path: bytes
    mode: bytes = _REGULAR
    data: bytes = b""
    same_as: bytes | None = None


# --- what is in the cache -------------------------------------------------------------------------------------------


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


def _record(cache: Cache, tree: str) -> Path:
    return cache.directory("bases") / f"{tree}.json"


def stored(cache: Cache, tree: str) -> Stored | None:
    """Return what is known of a tree in the cache's repository, None if it is not there (any more)."""
    try:
        data = json.loads(_record(cache, tree).read_text(encoding="utf-8"))
        kept = Stored(tree=data["tree"], origin=data["origin"], missing=data["missing"], packs=data["packs"])
        packs = repository_path(cache) / "objects" / "pack"
        whole = all(
            (packs / f"{name}.pack").stat().st_size == size and (packs / f"{name}.idx").is_file()
            for name, size in kept.packs.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # Not imported yet; or somebody tidied the cache: then it is imported again.
    return kept if whole and kept.tree == tree else None


def _keep(cache: Cache, kept: Stored) -> Stored:
    record = {**asdict(kept), "complete": kept.complete}
    caching.write_text(_record(cache, kept.tree), json.dumps(record, indent=1, sort_keys=True) + "\n")
    return kept


def _known_packs(cache: Cache) -> dict[str, int]:
    """Return the packs of all trees that are in the cache."""
    packs: dict[str, int] = {}
    for record in cache.directory("bases").glob("*.json"):
        kept = stored(cache, record.stem)
        packs.update(kept.packs if kept else {})
    return packs


# --- scratch repositories -------------------------------------------------------------------------------------------


def _scratch_repository(place: Path, *, borrow: Path | None = None, settings: str = "") -> Repository:
    """Make a bare repository without running git.

    Args:
        place: directory to make.
        borrow: an objects directory whose objects it sees.
        settings: lines of configuration.
    """
    with caching.machine_faults("cannot use the cache"):
        for name in ("objects/info", "objects/pack", "refs"):
            (place / name).mkdir(parents=True, exist_ok=True)
        if borrow is not None:
            # Through a link of a plain name: the alternates file has its own rules for quotes and line ends.
            (place / "borrowed").symlink_to(borrow)
            (place / "objects" / "info" / "alternates").write_text("../borrowed\n")
        (place / "HEAD").write_text("ref: refs/heads/none\n")
        # Few objects too go into one pack (git would make loose ones of less than a hundred).
        (place / "config").write_text(f"[core]\n\tbare = true\n[fastimport]\n\tunpackLimit = 0\n{settings}")
    return Repository(place)


def git_directory(path: Path) -> Path | None:
    """Return the git directory of a checkout, linked worktree or bare repository at `path`; None if it is not one.

    Only `path` itself counts: an unpacked kernel inside somebody's repository is a directory without git.

    Raises:
        BaseError: `path` is a linked worktree or submodule whose repository is gone.
    """
    dot_git = path / ".git"
    if dot_git.is_file():
        pointer = dot_git.read_text(encoding="utf-8", errors="surrogateescape").strip()
        target = path / pointer.removeprefix("gitdir:").strip()
        if not pointer.startswith("gitdir:") or not (target / "HEAD").is_file():
            raise BaseError(f"{dot_git} points to a repository that is not there: {pointer}")
        return target
    for candidate in (dot_git, path):
        if (candidate / "HEAD").is_file() and all((candidate / name).is_dir() for name in ("objects", "refs")):
            return candidate
    return None


def _common_directory(git_dir: Path) -> Path:
    """Return where the references and objects are: for a linked worktree, the main repository's git directory."""
    pointer = git_dir / "commondir"
    if not pointer.is_file():
        return git_dir
    return git_dir / pointer.read_text(encoding="utf-8", errors="surrogateescape").strip()


@contextlib.contextmanager
def borrowed(cache: Cache, git_dir: Path) -> Iterator[Repository]:
    """Give a scratch repository that sees the references and objects of the one at `git_dir`.

    What git writes there stays there, and is gone when the block is left.

    Raises:
        BaseError: `git_dir` cannot be read, or is of a kind that cannot hold the base.
    """
    common = _common_directory(git_dir)
    try:
        head = (git_dir / "HEAD").read_bytes()
        config = common / "config"
        config_text = config.read_text(encoding="utf-8", errors="replace") if config.is_file() else ""
    except OSError as error:
        raise BaseError(f"cannot read {error.filename}: {error.strerror}") from error
    if re.search(r"^\s*objectformat\s*=\s*sha256", config_text, re.IGNORECASE | re.MULTILINE):
        raise BaseError(f"{git_dir} names its objects by SHA-256; a base is known by SHA-1 ids")
    # References in one binary table, of which git must be told (git 2.45 and newer).
    reftable = (common / "reftable").is_dir()
    settings = "[core]\n\trepositoryformatversion = 1\n[extensions]\n\trefStorage = reftable\n" if reftable else ""
    with cache.scratch("view") as scratch:
        place = scratch / "view.git"
        repo = _scratch_repository(place, borrow=(common / "objects").resolve(), settings=settings)
        with caching.machine_faults("cannot use the cache"):
            (place / "refs").rmdir()
            for name in ("refs", "packed-refs", "shallow", "reftable"):
                if (common / name).exists():
                    (place / name).symlink_to((common / name).resolve())
            # HEAD is copied: git does not take a link for it. A linked worktree has its own.
            (place / "HEAD").write_bytes(head)
        yield repo
        repo.close()


@contextlib.contextmanager
def _importing(cache: Cache, doing: str) -> Iterator[tuple[Path, dict[str, int]]]:
    """Give a scratch directory with `known`, an objects directory of what the cache has already.

    The caller holds the lock.

    Yields:
        The directory and the packs that `known` consists of.

    Raises:
        MachineError: full disk, also when it is git that says so.
    """
    try:
        with caching.machine_faults(doing):
            for leftover in cache.directory("scratch").glob(f"{_SCRATCH}-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            bare_repository(repository_path(cache)).close()
            packs = _known_packs(cache)
            with cache.scratch(_SCRATCH) as scratch:
                known = scratch / "known" / "pack"
                known.mkdir(parents=True)
                for name in packs:
                    for ending in ("pack", "idx"):
                        link = known / f"{name}.{ending}"
                        link.symlink_to(repository_path(cache) / "objects" / "pack" / link.name)
                yield scratch, packs
    except MachineError as error:
        if disk_is_full(error.evidence):
            raise failed(doing, error.evidence) from error
        raise


def _adopt(cache: Cache, objects: Path) -> dict[str, int]:
    """Move the packs of a scratch objects directory into the cache's repository.

    Returns:
        Their names and sizes in bytes.
    """
    packs = {file.stem: file.stat().st_size for file in (objects / "pack").glob("pack-*.idx")}
    target = repository_path(cache) / "objects" / "pack"
    for name in packs:
        # git looks for packs by their index: as long as that is not there, nothing is.
        for ending in ("pack", "rev", "idx"):
            file = objects / "pack" / f"{name}.{ending}"
            if file.exists():
                file.rename(target / file.name)
    return {name: (target / f"{name}.pack").stat().st_size for name in packs}


# --- from git -------------------------------------------------------------------------------------------------------


def present(repo: Repository, ids: Iterable[str]) -> set[str]:
    """Return those of the object ids that `repo` has."""
    wanted = sorted(set(ids))
    out = answer(
        repo, "cat_file", "--batch-check=%(objectname)", "--buffer", data="".join(f"{i}\n" for i in wanted).encode()
    )
    return {line for line in out.decode().splitlines() if not line.endswith(" missing")}


def listing(repo: Repository, tree: str, *options: str, paths: Collection[str] = ()) -> dict[str, tuple[str, str]]:
    """Return type ("blob", "tree") and id of what is in a tree, by path.

    Args:
        repo: where the tree is.
        tree: its id.
        options: of git ls-tree.
        paths: only these.

    Raises:
        BaseError: a directory of it cannot be read.
    """
    env = {"GIT_LITERAL_PATHSPECS": "1"}
    try:
        out = answer(repo, "ls_tree", "-z", "--full-tree", *options, tree, "--", *sorted(paths), data=b"", env=env)
    except MachineError as error:
        raise BaseError(
            f"not all directories of tree {tree} are there",
            hint="a clone made with --filter=tree:0 cannot be used",
            evidence=error.evidence,
        ) from error
    entries: dict[str, tuple[str, str]] = {}
    for line in out.decode(errors="surrogateescape").split("\0")[:-1]:
        meta, path = line.split("\t", 1)
        _, kind, object_id = meta.split(" ")
        entries[path] = kind, object_id
    return entries


def without(repo: Repository, tree: str, ignored: Collection[str]) -> str:
    """Return the id of `tree` without some paths, made in `repo`; `tree` itself if it has none of them."""
    there = listing(repo, tree, "-r", paths=ignored)
    if not there:
        return tree
    env = {"GIT_INDEX_FILE": str(Path(repo.git_dir) / f"index-{tree}")}
    answer(repo, "read_tree", tree, data=b"", env=env)
    removals = "".join(f"0 {'0' * 40}\t{path}\0" for path in there).encode(errors="surrogateescape")
    answer(repo, "update_index", "-z", "--index-info", data=removals, env=env)
    # A partial clone's blobs may be missing: that is looked at later.
    return answer(repo, "write_tree", "--missing-ok", data=b"", env=env).decode().strip()


def from_git(cache: Cache, view: Repository, tree: str, origin: str, required: Collection[str]) -> Stored:
    """Copy a tree from a repository given by `borrowed` into the cache. The caller holds the lock.

    Args:
        cache: where to.
        view: where from.
        tree: id of the tree.
        origin: where it comes from, for people.
        required: paths whose content must be there.

    Raises:
        BaseError: a directory of the tree cannot be read, or the content of a required path is missing.
        MachineError: git or the disk failed.
    """
    with _importing(cache, f"cannot import {origin}") as (scratch, known_packs):
        entries = listing(view, tree, "-r", "-t")
        blobs = {path: object_id for path, (kind, object_id) in entries.items() if kind == "blob"}
        ids = {tree, *(object_id for kind, object_id in entries.values() if kind != "commit")}
        known = _scratch_repository(scratch / "cached.git", borrow=scratch / "known")
        # Not asked of nothing: git looks through the directory of packs again for each object it does not find.
        wanted = ids - present(known, ids) if known_packs else ids
        found = present(view, wanted)
        lost = wanted - found
        missing = {path: object_id for path, object_id in blobs.items() if object_id in lost}
        if absent := sorted(set(missing) & set(required)):
            raise missing_content(origin, absent[0])
        new = _scratch_repository(scratch / "new.git", borrow=Path(view.git_dir) / "objects")
        packs = {}
        if found:
            _pack(new, found, origin)
            packs = _adopt(cache, Path(new.git_dir) / "objects")
        return _keep(cache, Stored(tree, origin, missing, {**known_packs, **packs}))


def missing_content(origin: str, path: str) -> BaseError:
    """Return the error for a needed file that a partial clone does not have."""
    return BaseError(
        f"{origin}: the content of {path} is missing, and the series needs it",
        hint="this looks like a partial clone: 'git checkout' of the base in it fetches the files",
    )


def _pack(repo: Repository, ids: Collection[str], origin: str) -> None:
    """Make one pack of objects in the scratch repository that sees them, reusing the deltas they are stored as.

    Raises:
        BaseError: git cannot read one of them.
        MachineError: git failed in another way.
    """
    prefix = Path(repo.git_dir) / "objects" / "pack" / "pack"
    # No search for new deltas: it would take minutes and save little.
    process = repo.git.pack_objects(
        "--window=0", "--progress", "--all-progress", str(prefix), istream=subprocess.PIPE, as_process=True
    )
    said = b""
    try:
        with progress.step(f"copying {origin}", total=len(ids), counted=True) as step:
            with contextlib.suppress(BrokenPipeError):  # git says why below
                process.stdin.write("".join(f"{i}\n" for i in sorted(ids)).encode())
                process.stdin.close()
            while chunk := process.stderr.read1(4096):
                said = (said + chunk)[-8192:]
                if done := _WRITTEN.findall(said):
                    step.update(int(done[-1]))
        process.stdout.read()
    except BaseException:
        process.proc.kill()
        process.proc.wait()
        raise
    status = process.proc.wait()
    if status == 0:
        return
    failure = failed(f"git pack-objects ended with status {status}", said.decode(errors="replace"))
    if status < 0 or disk_is_full(failure.evidence):
        raise failure
    raise BaseError(f"{origin}: git cannot read all of it", evidence=failure.evidence)


# --- from a directory -----------------------------------------------------------------------------------------------


def from_directory(cache: Cache, directory: Path, ignored: Collection[str], origin: str, accept: Accept) -> Stored:
    """Import what `git add .` would take of an unpacked directory. The caller holds the lock.

    Args:
        cache: where to.
        directory: where from; it is only read.
        ignored: paths to leave out as well.
        origin: where it comes from, for people.
        accept: called with the scratch repository and the tree before anything is kept.

    Raises:
        BaseError: a file cannot be read, or `accept` refused the tree.
        MachineError: git or the disk failed.
    """
    with _importing(cache, f"cannot import {origin}") as (scratch, known_packs):
        new = _scratch_repository(scratch / "new.git", borrow=scratch / "known")
        paths = _addable(new, directory)
        dropped = {os.fsencode(path) for path in ignored}
        with progress.step(f"importing {origin}", total=len(paths), counted=True) as step:

            def entries() -> Iterator[_Entry]:
                for number, path in enumerate(paths):
                    step.update(number)
                    if path not in dropped:
                        yield _read(directory, path)

            tree = _write_tree(new, entries())
        return _settle(cache, new, Stored(tree, origin, {}, known_packs), accept)


def _addable(repo: Repository, directory: Path) -> list[bytes]:
    """Return the paths of the files in `directory` that its .gitignore files do not leave out."""
    env = {"GIT_DIR": str(repo.git_dir), "GIT_WORK_TREE": str(directory.resolve())}
    out = answer(repo, "ls_files", "-z", "--others", "--exclude-standard", data=b"", env=env)
    # A path that ends with a slash is a repository inside the directory, which is no part of a kernel tree.
    return [path for path in out.split(b"\0") if path and not path.endswith(b"/")]


def _read(directory: Path, path: bytes) -> _Entry:
    """Read one file or symlink of a directory.

    Raises:
        BaseError: it cannot be read.
    """
    full = os.path.join(os.fsencode(directory), path)  # noqa: PTH118 - a name need not be text
    try:
        status = os.lstat(full)
        if stat.S_ISLNK(status.st_mode):
            return _Entry(path, _SYMLINK, os.readlink(full))  # noqa: PTH115
        # Neither through a link nor waiting for a pipe's other end, should the file be replaced just now.
        with open(os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123
            return _Entry(path, _EXECUTABLE if status.st_mode & stat.S_IXUSR else _REGULAR, file.read())
    except OSError as error:
        raise BaseError(f"cannot read {os.fsdecode(full)}: {error.strerror}") from error


# --- from a tarball -------------------------------------------------------------------------------------------------


class _Header(tarfile.TarInfo):
    """A tar header that does not make tarfile read megabytes of "long name" into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        extended = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
        names = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
        if header.type in (*extended, *names) and header.size > _MAX_HEADER:
            raise _BadTarballError(f"a header of {header.size:,} bytes")
        return header


class _BadTarballError(Exception):
    """A tarball that no kernel release looks like; the message says how."""


class _Watched:
    """A stream that notes how far its content other than zeros goes.

    tarfile takes a damaged header in the middle for the archive's end; only the zeros after it tell the two apart.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.position = 0
        self.content_end = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        if content := len(data.rstrip(b"\0")):
            self.content_end = self.position + content
        self.position += len(data)
        return data


def from_tarball(
    cache: Cache,
    path: Path,
    ignored: Collection[str],
    origin: str,
    accept: Accept,
    look: Callable[[str, bytes], None] | None = None,
) -> Stored:
    """Import a tarball with one top-level directory, member by member. The caller holds the lock.

    Args:
        cache: where to.
        path: the tarball: plain, gzip, bzip2 or xz.
        ignored: paths below the top-level directory to leave out.
        origin: where it comes from, for people.
        accept: called with the scratch repository and the tree before anything is kept.
        look: called with each file's path and content as it is read, to refuse early.

    Raises:
        BaseError: it is damaged, cut off or hostile, or was refused.
        MachineError: git or the disk failed.
    """
    dropped = {os.fsencode(name) for name in ignored}
    with _importing(cache, f"cannot import {origin}") as (scratch, known_packs):
        new = _scratch_repository(scratch / "new.git", borrow=scratch / "known")
        try:
            with _opened(path) as raw, progress.step(f"importing {origin}", total=path.stat().st_size) as step:

                def entries() -> Iterator[_Entry]:
                    for entry in _members(_decompressed(raw)):
                        step.update(raw.tell())
                        if look is not None:
                            look(os.fsdecode(entry.path), entry.data)
                        if entry.path not in dropped:
                            yield entry

                tree = _write_tree(new, entries())
        except _BadTarballError as error:
            raise BaseError(f"{origin} is not a usable tarball: {error}") from error
        except (EOFError, tarfile.TarError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
            raise BaseError(f"{origin} is damaged or cut off: {error}") from error
        except OSError as error:  # only the tarball is read here, and a pipe written
            raise BaseError(f"cannot read {path}: {error.strerror or error}") from error
        return _settle(cache, new, Stored(tree, origin, {}, known_packs), accept)


def _opened(path: Path) -> BinaryIO:
    """Open the user's file; what is wrong with it is not the cache's fault."""
    try:
        return path.open("rb")
    except OSError as error:
        raise BaseError(f"cannot read {path}: {error.strerror}") from error


def _decompressed(raw: BinaryIO) -> BinaryIO:
    """Return the stream of a tarball's content, by the magic number it begins with."""
    magic = raw.read(6)
    raw.seek(0)
    if magic.startswith(b"\xfd7zXZ\0"):
        return cast(BinaryIO, lzma.open(raw))
    if magic.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.open(raw))
    if magic.startswith(b"BZh"):
        return cast(BinaryIO, _Bzip2(raw))
    return raw


class _Bzip2(bz2.BZ2File):
    """bzip2 whose "invalid data" is not an OSError, which here means the disk."""

    def read(self, size: int | None = -1) -> bytes:
        try:
            return super().read(-1 if size is None else size)
        except OSError as error:
            raise error if error.errno else EOFError(str(error)) from error


def _members(stream: BinaryIO) -> Iterator[_Entry]:
    """Read a tar stream to its end.

    Raises:
        _BadTarballError: a member is hostile, or the archive does not end as it should.
        tarfile.TarError, EOFError, lzma.LZMAError, zlib.error: it is damaged.
    """
    watched = _Watched(stream)
    top, seen, total, count = b"", set[bytes](), 0, 0
    with tarfile.open(fileobj=cast(IO[bytes], watched), mode="r|", tarinfo=_Header) as archive:
        while (member := _next(archive)) is not None:
            count, total = count + 1, total + member.size
            if count > _MAX_MEMBERS or not 0 <= member.size <= _MAX_FILE or total > _MAX_TOTAL:
                raise _BadTarballError(f"{member.name} makes it larger than any kernel")
            parts = _parts(member.name)
            if not parts or (len(parts) == 1 and member.isdir()):
                continue
            top = top or parts[0]
            if parts[0] != top or len(parts) == 1:
                first, other = os.fsdecode(top), os.fsdecode(parts[0])
                raise _BadTarballError(f"it should hold one directory, and has {first} and {other} at its top")
            entry = _entry(archive, member, parts[1:], seen)
            if entry is not None:
                seen.add(entry.path)
                yield entry
        end = archive.offset
    while watched.read(_MEBI):
        pass  # also lets the decompressor see its checksum
    if watched.position < end + tarfile.BLOCKSIZE or watched.content_end > end:
        raise _BadTarballError("it is damaged or cut off")


def _next(archive: tarfile.TarFile) -> tarfile.TarInfo | None:
    """Return the next member, None at the end of the archive (or what tarfile takes for it)."""
    try:
        member = archive.next()
    except (ValueError, OverflowError, IndexError, RecursionError) as error:  # tarfile on headers that make no sense
        raise _BadTarballError(f"a header makes no sense: {error}") from error
    archive.members.clear()  # type: ignore[attr-defined] # tarfile would keep all of them
    return member


def _parts(name: str) -> list[bytes]:
    """Split a member's name.

    Raises:
        _BadTarballError: it is absolute or leads out of the archive.
    """
    parts = [part for part in os.fsencode(name).split(b"/") if part not in (b"", b".")]
    if name.startswith("/") or b".." in parts:
        raise _BadTarballError(f"a member is called {name}")
    return parts


def _entry(archive: tarfile.TarFile, member: tarfile.TarInfo, parts: list[bytes], seen: set[bytes]) -> _Entry | None:
    """Return the entry for one member below the top-level directory, None for what git does not keep.

    Raises:
        _BadTarballError: it is a device, or a hard link to something that was not there before.
    """
    path = b"/".join(parts)
    if member.isdir() or any(part.lower() == b".git" for part in parts):
        return None
    if member.issym():
        return _Entry(path, _SYMLINK, os.fsencode(member.linkname))
    if member.islnk():
        target = b"/".join(_parts(member.linkname)[1:])
        if target not in seen:
            raise _BadTarballError(f"{member.name} is a hard link to {member.linkname}, which is not before it")
        return _Entry(path, same_as=target)
    file = archive.extractfile(member) if member.isreg() else None
    if file is None:
        raise _BadTarballError(f"{member.name} is a device or something else that is no file")
    return _Entry(path, _EXECUTABLE if member.mode & stat.S_IXUSR else _REGULAR, file.read())


# --- into git -------------------------------------------------------------------------------------------------------


def _quoted(path: bytes) -> bytes:
    return b'"' + path.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'


def _write_tree(repo: Repository, entries: Iterable[_Entry]) -> str:
    """Write files into one pack of a scratch repository (git fast-import).

    Returns:
        The id of their tree.
    """
    # fast-import makes commits; this one is a way to the tree and nothing refers to it later.
    with feeding(repo, "fast_import", "--quiet", "--done", "--depth=0") as stdin:
        stdin.write(b"commit refs/heads/import\ncommitter patchgen <patchgen@invalid> 0 +0000\ndata 0\n")
        for entry in entries:
            if entry.same_as is not None:
                stdin.write(b"C %b %b\n" % (_quoted(entry.same_as), _quoted(entry.path)))
            else:
                stdin.write(b"M %b inline %b\ndata %d\n" % (entry.mode, _quoted(entry.path), len(entry.data)))
                stdin.write(entry.data)
                stdin.write(b"\n")
        stdin.write(b"\ndone\n")
    return answer(repo, "rev_parse", "refs/heads/import^{tree}", data=b"").decode().strip()


def _settle(cache: Cache, new: Repository, found: Stored, accept: Accept) -> Stored:
    """Keep an imported tree, if `accept` lets it and the cache does not have all of it."""
    accept(new, found.tree)
    before = stored(cache, found.tree)
    if before is not None and before.complete:
        return replace(before, origin=found.origin)
    packs = _adopt(cache, Path(new.git_dir) / "objects")
    return _keep(cache, replace(found, packs={**found.packs, **packs}))
