"""A tarball, seen as the tree of its one top-level directory. It is read member by member, and not unpacked to disk.

It is the user's own file or one whose checksum is known, so what is looked for here is damage and mistakes, not malice.
"""

from __future__ import annotations

import contextlib
import lzma
import os
import stat
import tarfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

from patchgen import progress
from patchgen.base import store
from patchgen.base.entries import EXECUTABLE, REGULAR, SYMLINK, Entry, write_tree
from patchgen.base.git import Repository
from patchgen.base.store import Draft
from patchgen.cache import Cache
from patchgen.errors import BaseError

_PIECE = 1 << 20
_DAMAGE = (EOFError, tarfile.TarError, lzma.LZMAError, zlib.error)  # and OSErrors without a number: of gzip and bzip2


@contextlib.contextmanager
def view(cache: Cache, path: Path, ignored: Collection[str], origin: str = "") -> Iterator[tuple[Draft, str]]:
    """Give the tree of a tarball, in a draft that is to be kept or not. The caller holds the lock.

    Args:
        cache: where the draft is kept.
        path: the tarball: plain, gzip, bzip2 or xz.
        ignored: paths below the top-level directory to leave out.
        origin: where it comes from, for people; its path if not given.

    Yields:
        The draft and the tree's id.

    Raises:
        BaseError: it cannot be read, is damaged or cut off, or is no tarball of a kernel.
        MachineError: git or the disk failed.
    """
    origin = origin or str(path)
    with store.draft(cache, origin) as draft:
        try:
            tree = _written(draft.repository, path, {os.fsencode(name) for name in ignored}, origin)
        except (*_DAMAGE, OSError) as error:  # only the tarball is read here, and a pipe written
            if isinstance(error, OSError) and error.errno is not None:
                raise BaseError(f"cannot read {path}: {error.strerror}") from error
            raise BaseError(
                f"{origin} is damaged or cut off: {str(error).partition(chr(10))[0].rstrip(':')}"
            ) from error
        yield draft, tree


def _written(repo: Repository, path: Path, dropped: Collection[bytes], origin: str) -> str:
    """Write a tarball's files into a repository and return the id of their tree."""
    with path.open("rb") as raw, progress.step(f"importing {origin}", total=path.stat().st_size) as step:
        with tarfile.open(fileobj=raw) as archive:

            def entries() -> Iterator[Entry]:
                for entry in _members(archive, origin):
                    step.update(raw.tell())
                    if entry.path not in dropped:
                        yield entry

            return write_tree(repo, entries())


def _members(archive: tarfile.TarFile, origin: str) -> Iterator[Entry]:
    """Read an archive to its end, and see that it is the end.

    Raises:
        BaseError: there is not one directory at its top, or a member is no file.
        tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, OSError: it is damaged or cannot be read.
    """
    top = ""
    while (member := archive.next()) is not None:
        archive.members = []  # type: ignore[attr-defined] # it would keep all of them
        parts = PurePosixPath(member.name).parts
        if not parts or (len(parts) == 1 and member.isdir()):
            continue
        top = top or parts[0]
        if parts[0] != top or len(parts) == 1 or ".." in parts:
            raise BaseError(
                f"{origin} is not a usable tarball: it should hold one directory, and has {member.name} in it"
            )
        if not member.isdir() and not any(part.lower() == ".git" for part in parts):
            yield _entry(archive, member, origin)
    # tarfile takes a damaged header for the end. Behind the end there is a block of zeros at least, and nothing else.
    assert archive.fileobj is not None
    archive.fileobj.seek(archive.offset)
    rest = 0
    while piece := archive.fileobj.read(_PIECE):  # also lets the decompressor see its checksum
        rest += len(piece)
        if piece.strip(b"\0"):
            raise tarfile.ReadError("there is a damaged header in it")
    if rest < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("its end is missing")


def _entry(archive: tarfile.TarFile, member: tarfile.TarInfo, origin: str) -> Entry:
    """Return the entry for one member below the top-level directory.

    Raises:
        BaseError: it is a device or a pipe.
    """
    path = _below(member.name)
    if member.issym():
        return Entry(path, SYMLINK, os.fsencode(member.linkname))
    if member.islnk():
        return Entry(path, same_as=_below(member.linkname))
    file = archive.extractfile(member) if member.isreg() else None
    if file is None:
        raise BaseError(
            f"{origin} is not a usable tarball: {member.name} is a device or something else that is no file"
        )
    return Entry(path, EXECUTABLE if member.mode & stat.S_IXUSR else REGULAR, file.read())


def _below(name: str) -> bytes:
    """Return a path below the top-level directory."""
    return b"/".join(os.fsencode(part) for part in PurePosixPath(name).parts[1:])
