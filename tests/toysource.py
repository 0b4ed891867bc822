"""Getting a toy kernel tree as the base, and seeing that it is whole."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import toytree
from toytree import File

from patchgen import process
from patchgen.base import resolve
from patchgen.cache import Cache
from patchgen.settings import Settings

BASE = toytree.base()
BIG = "drivers/big.h"


def obtain(
    cache: Cache, path: Path | None, linux_base: str | None = None, touched: tuple[str, ...] = ()
) -> resolve.Source:
    settings = Settings(linux_src=path, linux_base=linux_base, cache=cache.root)
    return resolve.obtain(BASE, settings, cache, touched or toytree.TOUCHED)


def snapshot(directory: Path) -> dict[str, tuple[int, int, int]]:
    """Return mode, size and modification time of everything below a directory."""
    return {
        str(path): (status.st_mode, status.st_size, status.st_mtime_ns)
        for path in [directory, *directory.rglob("*")]
        for status in [path.lstat()]
    }


def checkout(directory: Path) -> Path:
    """Make a student's checkout: the release first, work on top, and a file that is not committed."""
    toytree.write(directory)
    toytree.commit(directory)
    (directory / "kernel/fork.c").write_text("changed\n")
    toytree.commit(directory, message="my work")
    (directory / "fs/exec.c").write_text("being changed\n")
    return directory


def files_of(found: resolve.Source) -> dict[str, File]:
    """Read a tree back from the cache's repository with nothing but git."""
    read = partial(toytree.git, found.repository)
    files = {}
    for line in read("ls-tree", "-r", "-z", found.tree).split("\0")[:-1]:
        meta, path = line.split("\t")
        mode, _, blob = meta.split()
        if path not in found.missing:
            data = process.run(["git", "cat-file", "blob", blob], cwd=found.repository, timeout=10).stdout
            files[path] = File(data.encode(), mode)
    return files


def assert_whole(found: resolve.Source, tree: str = BASE.tree) -> None:
    assert found.tree == tree
    assert not found.missing
    toytree.git(found.repository, "fsck", "--strict")
    # Every object of the tree is there, and nothing is borrowed.
    toytree.git(found.repository, "rev-list", "--objects", found.tree)
    assert not (found.repository / "objects/info/alternates").exists()
