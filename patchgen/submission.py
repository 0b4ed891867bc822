"""A submission as it is handed in: `patch.tar.gz`, or the directory that it would unpack to.

An archive comes from a stranger: it is read in memory with limits, member by member, never unpacked to disk. It is
decompressed first, up to the limit: tarfile would follow a header's word for how much is to be read.
"""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from patchgen.cache import Cache
from patchgen.errors import SubmissionError, UsageError
from patchgen.patches import MAX_BYTES, PatchFile, read
from patchgen.visible import visible

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


def load(origin: Path, cache: Cache) -> Submission:
    """Read a submission.

    Args:
        origin: a .tar.gz, or a directory of patches.
        cache: for scratch space.

    Raises:
        UsageError: there is nothing at that path.
        SubmissionError: it cannot be read as a submission.
    """
    members: tuple[str, ...] = ()
    if origin.is_dir():
        files = _read_directory(origin)
    elif origin.is_file():
        archived = _read_archive(origin)
        members = tuple(archived)
        files = {_short(path): data for path, data in archived.items()}
    else:
        raise UsageError(f"{origin} does not exist", hint="'patchgen patch' writes dist/patch.tar.gz")
    patches = tuple(read(name, data, cache) for name, data in sorted(files.items()) if name.endswith(".patch"))
    if not patches:
        raise SubmissionError(f"{origin} holds no .patch file", hint="they belong in a directory called patch")
    reports = {name: files[name] for name in sorted(files) if name.endswith(_REPORTS) and "/" not in name}
    others = tuple(sorted(name for name in files if not name.endswith(".patch") and name not in reports))
    return Submission(origin, patches, reports, others, members)


def _short(path: str) -> str:
    """Return what a member of an archive is called: by its name in patch/, elsewhere by its whole path."""
    whole = PurePosixPath(path)
    return whole.name if whole.parent == PurePosixPath(DIRECTORY) else f"./{whole}" if "/" not in path else str(whole)


def _read_archive(origin: Path) -> dict[str, bytes]:
    """Return the files by their paths."""
    files: dict[str, bytes] = {}
    total = 0
    if origin.stat().st_size > MAX_TOTAL:
        raise SubmissionError(f"{origin} has more than {MAX_TOTAL} bytes")
    try:
        with gzip.open(origin) as stream:
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
        raise SubmissionError(f"{origin} is not a gzipped tar archive: {error}") from error
    return files


def _read_directory(origin: Path) -> dict[str, bytes]:
    """Return the plain files of a directory by name; what is a link may lead anywhere."""
    files: dict[str, bytes] = {}
    total = 0
    for number, path in enumerate(sorted(origin.iterdir()), 1):
        if number > MAX_MEMBERS:
            raise SubmissionError(f"{origin} has more than {MAX_MEMBERS} files")
        _check_name(origin, path.name)
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode):
            continue
        if not stat.S_ISREG(found.st_mode):
            raise SubmissionError(f"{origin}: {path.name!r} is not a plain file")
        total += found.st_size
        if found.st_size > 4 * MAX_BYTES or total > MAX_TOTAL:
            raise SubmissionError(f"{origin} holds more than {MAX_TOTAL} bytes")
        files[path.name] = path.read_bytes()
    return files


def _check_name(origin: Path, name: str) -> None:
    if visible(name) != name or "\n" in name or len(name) > _NAME_MAX:
        raise SubmissionError(f"{origin}: {name[:80]!r} is no name for a file that is handed in")
