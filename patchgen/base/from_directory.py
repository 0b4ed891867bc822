"""An unpacked directory, seen as the tree that `git add .` would make of it."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from patchgen import progress
from patchgen.base import store
from patchgen.base.entries import EXECUTABLE, REGULAR, SYMLINK, Entry, write_tree
from patchgen.base.git import Repository, answer
from patchgen.base.store import Draft
from patchgen.cache import Cache
from patchgen.errors import BaseError


@contextlib.contextmanager
def view(cache: Cache, directory: Path, ignored: Collection[str]) -> Iterator[tuple[Draft, str]]:
    """Give the tree of a directory, in a draft that is to be kept or not. The caller holds the lock.

    Args:
        cache: where the draft is kept.
        directory: it is only read.
        ignored: paths to leave out beside those that its .gitignore files leave out.

    Yields:
        The draft and the tree's id.

    Raises:
        BaseError: a file cannot be read.
        MachineError: git or the disk failed.
    """
    dropped = {os.fsencode(path) for path in ignored}
    with store.draft(cache, str(directory)) as draft:
        paths = [path for path in _addable(draft.repository, directory) if path not in dropped]
        with progress.step(f"importing {directory}", total=len(paths), counted=True) as step:

            def entries() -> Iterator[Entry]:
                for number, path in enumerate(paths):
                    step.update(number)
                    yield _read(directory, path)

            tree = write_tree(draft.repository, entries())
        yield draft, tree


def _addable(repo: Repository, directory: Path) -> list[bytes]:
    """Return the paths of the files in `directory` that its .gitignore files do not leave out."""
    env = {"GIT_DIR": str(repo.git_dir), "GIT_WORK_TREE": str(directory.resolve())}
    out = answer(repo, "ls_files", "-z", "--others", "--exclude-standard", data=b"", env=env)
    # A path that ends with a slash is a repository inside the directory, which is no part of a kernel tree.
    return [path for path in out.split(b"\0") if path and not path.endswith(b"/")]


def _read(directory: Path, path: bytes) -> Entry:
    """Read one file or symlink of a directory.

    Raises:
        BaseError: it cannot be read.
    """
    full = os.path.join(os.fsencode(directory), path)  # noqa: PTH118 - a name need not be text
    try:
        status = os.lstat(full)
        if stat.S_ISLNK(status.st_mode):
            return Entry(path, SYMLINK, os.readlink(full))  # noqa: PTH115
        # Neither through a link nor waiting for a pipe's other end, should the file be replaced just now.
        with open(os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123
            return Entry(path, EXECUTABLE if status.st_mode & stat.S_IXUSR else REGULAR, file.read())
    except OSError as error:
        raise BaseError(f"cannot read {os.fsdecode(full)}: {error.strerror}") from error
