"""A submission as it is handed in: an archive, or the directory that it would unpack to.

An archive is not trusted: it is read in memory with limits, member by member, never unpacked to disk. It is
decompressed first, up to the limit: tarfile would follow a header's word for how much is to be read. A file of a
directory is opened once, without following links or waiting, and only then looked at: what was looked at is read.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from patchgen.cache import Cache
from patchgen.errors import MachineError, SubmissionError, UsageError
from patchgen.submission.patches import MAX_BYTES, PatchFile, read_mails
from patchgen.text import visible

if TYPE_CHECKING:
    from patchgen.sandbox import Sandbox

DIRECTORY = "patch"
MAX_MEMBERS = 200
MAX_TOTAL = 64 * 1024 * 1024
_NAME_MAX = 255
_REPORTS = (".pdf", ".txt")


@dataclass(frozen=True)
class Submission:
    """What was handed in.

    Attributes:
        origin: the file or directory.
        patches: parsed, in order of their names.
        reports: the .pdf and .txt files beside the patches, by name.
        others: names of everything else in it.
        members: of an archive, every file's path in it.
    """

    origin: Path
    patches: tuple[PatchFile, ...]
    reports: dict[str, bytes]
    others: tuple[str, ...]
    members: tuple[str, ...] = ()


def load(origin: Path, cache: Cache, box: Sandbox | None) -> Submission:
    """Read a submission.

    Args:
        origin: a .tar.gz, or a directory of patches, or one with a directory patch in it.
        cache: for scratch space.
        box: the sandbox that git reads the patches in; None for trusted work.

    Raises:
        UsageError: there is nothing at that path.
        SubmissionError: it cannot be read as a submission.
    """
    members: tuple[str, ...] = ()
    if not os.path.lexists(origin):
        raise UsageError(f"{origin} does not exist", hint="'patchgen patch' makes one in dist")
    if origin.is_dir():
        files = _read_directory(origin)
    else:
        archived = _read_archive(origin)
        members = tuple(archived)
        files = {_short(path): data for path, data in archived.items()}
    mails = {name: data for name, data in sorted(files.items()) if name.endswith(".patch")}
    if not mails:
        raise SubmissionError(f"{origin} holds no .patch file", hint=_no_patch_hint(origin, files))
    patches = read_mails(mails, cache, box)
    reports = {name: files[name] for name in sorted(files) if name.endswith(_REPORTS) and "/" not in name}
    others = tuple(sorted(name for name in files if not name.endswith(".patch") and name not in reports))
    return Submission(origin, patches, reports, others, members)


def _no_patch_hint(origin: Path, files: Mapping[str, bytes]) -> str:
    """Return what somebody has meant who gave something without patches."""
    archives = sorted(name for name in files if name.endswith((".tar.gz", ".tgz", ".zip")))
    if archives and origin.is_dir():
        return f"to grade many archives, name them: patchgen verify --output verdicts {origin}/*.tar.gz"
    if any(name.rpartition("/")[2] in ("Kconfig", "MAINTAINERS", "Makefile") for name in files):
        return f"it looks like a kernel; name its commits: patchgen verify {origin}:v4.15..HEAD"
    return "they belong in a directory called patch"


def _short(path: str) -> str:
    """Return what a member of an archive is called: by its name in patch/, elsewhere by its whole path."""
    whole = PurePosixPath(path)
    return whole.name if whole.parent == PurePosixPath(DIRECTORY) else f"./{whole}" if "/" not in path else str(whole)


def _read_archive(origin: Path) -> dict[str, bytes]:
    """Return the files by their paths."""
    files: dict[str, bytes] = {}
    total = 0
    packed = read_plain(origin)
    try:
        with gzip.open(io.BytesIO(packed)) as stream:
            # Headers and padding are less than that.
            data = stream.read(MAX_TOTAL + MAX_MEMBERS * 4096 + 1)
        if len(data) > MAX_TOTAL + MAX_MEMBERS * 4096:
            raise SubmissionError(f"{origin} unpacks to more than {MAX_TOTAL} bytes")
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for number, member in enumerate(archive, 1):
                if number > MAX_MEMBERS:
                    raise SubmissionError(f"{origin} has more than {MAX_MEMBERS} members")
                path = PurePosixPath(member.name)
                if path.is_absolute() or ".." in path.parts:
                    raise SubmissionError(f"{origin}: member {member.name!r} would be unpacked elsewhere")
                if member.isdir():
                    continue
                if not member.isreg():
                    raise SubmissionError(f"{origin}: member {member.name!r} is not a plain file")
                total += member.size
                if not 0 <= member.size <= 4 * MAX_BYTES or total > MAX_TOTAL:
                    raise SubmissionError(f"{origin} unpacks to more than {MAX_TOTAL} bytes")
                content = archive.extractfile(member)
                assert content is not None, "it is a plain file"
                _check_name(origin, str(path))
                if str(path) in files:
                    raise SubmissionError(f"{origin} has {str(path)!r} twice")
                files[str(path)] = content.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        hint = _archive_hint(packed, origin)
        raise SubmissionError(f"{origin} is not a gzipped tar archive: {error}", hint=hint) from error
    return files


def _archive_hint(packed: bytes, origin: Path) -> str:
    """Return what a file seems to be that is no archive as it was asked for, and what to do."""
    again = "tar -czf ARCHIVE.tar.gz DIRECTORY"
    known = {b"PK": "a zip", b"Rar!": "a RAR", b"7z": "a 7-Zip", b"BZh": "a bzip2", b"\xfd7zXZ": "an xz"}
    if kind := next((name for magic, name in known.items() if packed.startswith(magic)), ""):
        return f"it is {kind} archive; make it with {again}"
    if packed.startswith(b"\x1f\x8b"):
        return f"it is gzipped, but cut off or damaged; hand it in once more, or make it anew with {again}"
    if b"\ndiff --git " in packed or b"\n--- " in packed:
        return f"it is a patch; call it {origin.name}.patch, or pack it with {again}"
    if packed[257:262] == b"ustar":
        return f"it is a tar archive, but not gzipped; make it with {again}"
    return f"make it with {again}" if packed else "it is empty"


def _read_directory(origin: Path) -> dict[str, bytes]:
    """Return the plain files of a directory by name."""
    files, odd = contents(origin)
    for name in sorted([*files, *odd]):
        _check_name(origin, name)
        if name in odd:
            raise SubmissionError(f"{origin}: {name!r} is not a plain file")
    return files


def contents(origin: Path) -> tuple[dict[str, bytes], list[str]]:
    """Return what is in a directory, or in its directory patch where it has no patches itself.

    Returns:
        The plain files by name, and the names of what is neither a plain file nor a directory: links, pipes, devices.

    Raises:
        SubmissionError: there is too much of it, or patch is a link, which may lead to somebody else's files.
        MachineError: it cannot be read.
    """
    with _opened(origin, only=os.O_DIRECTORY) as top:
        names = os.listdir(top)  # noqa: PTH208 - a descriptor
        if "patch" not in names or any(name.endswith(".patch") for name in names):
            return _entries(origin, top)
        found = os.stat("patch", dir_fd=top, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            raise SubmissionError(f"{origin}: 'patch' is a link, not a directory")
        if not stat.S_ISDIR(found.st_mode):
            return _entries(origin, top)
        with _opened(Path("patch"), top, only=os.O_DIRECTORY) as inner:
            return _entries(origin, inner)


def _entries(origin: Path, top: int) -> tuple[dict[str, bytes], list[str]]:
    files: dict[str, bytes] = {}
    odd = []
    for number, name in enumerate(sorted(os.listdir(top)), 1):
        if number > MAX_MEMBERS:
            raise SubmissionError(f"{origin} has more than {MAX_MEMBERS} files")
        try:
            with _opened(Path(name), top) as file:
                kind = os.fstat(file).st_mode
                if stat.S_ISREG(kind):
                    files[name] = _read(origin, file, min(4 * MAX_BYTES, MAX_TOTAL - sum(map(len, files.values()))))
                elif not stat.S_ISDIR(kind):
                    odd.append(name)
        except NotPlainError:
            odd.append(name)
    return files, odd


class NotPlainError(SubmissionError):
    """What was handed in is a link, a socket or shut to us, where a plain file belongs."""


def read_plain(origin: Path, first: int | None = None) -> bytes:
    """Return the content of a plain file that somebody else has put there; a link that was named is followed.

    Args:
        origin: the file.
        first: how many bytes of it; all if not given.

    Raises:
        SubmissionError: it is no plain file, or too large.
        MachineError: it cannot be read.
    """
    with _opened(origin) as file:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise SubmissionError(f"{origin} is not a plain file")
        return _read(origin, file, MAX_TOTAL) if first is None else os.read(file, first)


@contextlib.contextmanager
def _opened(path: Path, directory: int | None = None, *, only: int = 0) -> Iterator[int]:
    """Give a descriptor, without waiting for who writes to a pipe; in a directory, without following a link."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | only | (0 if directory is None else os.O_NOFOLLOW)
    try:
        file = os.open(path, flags, dir_fd=directory)
    except OSError as error:
        # A link where none is followed, a socket, a file in a directory's place; a link to nothing; one shut to us.
        odd = error.errno in (errno.ELOOP, errno.ENXIO, errno.ENOTDIR)
        odd |= error.errno == errno.ENOENT and directory is None and path.is_symlink()
        odd |= error.errno == errno.EACCES and directory is not None
        if odd:
            raise NotPlainError(f"{path} is not a plain file") from error
        raise MachineError(f"cannot read {path}: {error.strerror}") from error
    try:
        yield file
    finally:
        os.close(file)


def _read(origin: Path, file: int, limit: int) -> bytes:
    with os.fdopen(os.dup(file), "rb") as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise SubmissionError(f"{origin} holds more than {MAX_TOTAL} bytes, or a file of more than {4 * MAX_BYTES}")
    return data


def _check_name(origin: Path, name: str) -> None:
    if visible(name) != name or "\n" in name or len(name) > _NAME_MAX:
        raise SubmissionError(f"{origin}: {name[:80]!r} is no name for a file that is handed in")
