"""What patches make of a tree, reckoned from their diffs before git applies them.

Two things rest on it. A patch of a few bytes can copy a file of megabytes a hundred times, so what a submission adds up
to is limited before anything is written. And what git has made is compared with it afterwards, path by path: if git and
we have read the same diff differently, then what was checked is not what was applied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unidiff import PatchedFile

from patchgen.errors import ApplyError
from patchgen.submission.patches import PatchFile

MIB = 1 << 20
# An honest series of six patches adds 25 KiB and has git write 1.5 MiB, since MAINTAINERS and a few others are large.
MAX_ADDED = 2 * MIB  # bytes that the tree grows by: added lines, and copies at their size
MAX_WRITTEN = 32 * MIB  # bytes of all files that are read or written, each as often as a patch touches it
MAX_TOUCHED = 2000  # files, each as often as a patch touches it
_NOTHING = "/dev/null"


@dataclass(frozen=True)
class Size:
    """How large a file is.

    Attributes:
        bytes: at most, since what a patch removes is not taken off.
        lines: exactly; one without a newline at its end counts.
    """

    bytes: int
    lines: int


@dataclass(frozen=True)
class Effect:
    """What a patch does to a path.

    Attributes:
        status: A, M or D, as git has it.
        lines: how many the file has afterwards, 0 if it is gone.
    """

    status: str
    lines: int


def size_of(data: bytes) -> Size:
    """Return the size of a file's content."""
    return Size(len(data), data.count(b"\n") + bool(data and not data.endswith(b"\n")))


def reckon(patches: Sequence[PatchFile], base: Mapping[str, Size]) -> list[dict[str, Effect]]:
    """Return what each patch does to each path.

    Args:
        patches: in their order.
        base: the size of each file that they name, of those that the base has.

    Raises:
        ApplyError: what they add up to is more than a submission may have.
    """
    now, found = dict(base), []
    added = touched = 0
    written = sum(size.bytes for size in base.values())
    for patch in patches:
        before = dict(now)
        paths: set[str] = set()
        for file in patch.files:
            more, names = _one(file, now)
            added += more
            paths |= names
            touched += len(names)
            written += sum(now[name].bytes for name in names if name in now)
            if added > MAX_ADDED or written > MAX_WRITTEN or touched > MAX_TOUCHED:
                raise ApplyError(
                    f"{patch.name}: what the patches add up to is too large: at most {MAX_ADDED} bytes may be added, "
                    f"{MAX_TOUCHED} files touched, and these may have {MAX_WRITTEN} bytes in all"
                )
        found.append({path: _effect(path, before, now) for path in paths if path in before or path in now})
    return found


def _one(file: PatchedFile, now: dict[str, Size]) -> tuple[int, set[str]]:
    """Change the sizes as a patch of one file does; return the bytes that are added, and the paths."""
    lines = [line for hunk in file for line in hunk]
    fresh = sum(len(line.value.encode(errors="surrogateescape")) for line in lines if line.is_added)
    count = sum(line.is_added for line in lines) - sum(line.is_removed for line in lines)
    info = [str(line).rstrip("\n") for line in file.patch_info or ()]
    old, new = _name(file.source_file), _name(file.target_file)
    copied = False
    for line in info:
        kind, _, rest = line.partition(" ")
        which, _, path = rest.partition(" ")
        if kind in ("rename", "copy") and which in ("from", "to"):
            old, new = (path, new) if which == "from" else (old, path)
            copied = kind == "copy"
    start = now.get(old, Size(0, 0)) if old != _NOTHING else Size(0, 0)
    names = {old, new} - {_NOTHING} if not copied else {new}
    if old not in (_NOTHING, new) and not copied:
        now.pop(old, None)
    if new != _NOTHING:
        now[new] = Size(start.bytes + fresh, start.lines + count)
    return fresh + (start.bytes if copied else 0), names


def _name(path: str) -> str:
    """Return a path of a diff without what git puts before it."""
    return path if path == _NOTHING else path.partition("/")[2] if path.startswith(("a/", "b/")) else path


def _effect(path: str, before: Mapping[str, Size], after: Mapping[str, Size]) -> Effect:
    if path not in after:
        return Effect("D", 0)
    return Effect("M" if path in before else "A", after[path].lines)
