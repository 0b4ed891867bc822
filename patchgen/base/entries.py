"""Files on their way into git."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from patchgen.base.git import Repository, answer, feeding

EXECUTABLE, REGULAR, SYMLINK = b"100755", b"100644", b"120000"


@dataclass(frozen=True)
class Entry:
    """One file on its way into a tree.

    Attributes:
        path: its path in the tree.
        mode: git's mode.
        data: its content, or a symlink's target.
        same_as: path of an earlier entry to be copied instead (a hard link in a tarball).
    """

    path: bytes
    mode: bytes = REGULAR
    data: bytes = b""
    same_as: bytes | None = None


def write_tree(repo: Repository, entries: Iterable[Entry]) -> str:
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


def _quoted(path: bytes) -> bytes:
    return b'"' + path.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'
