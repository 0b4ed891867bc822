"""Workspaces for untrusted trees: what is old in them and what is new decides what make compiles."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import toytree

from patchgen.base import worktree
from patchgen.base.resolve import Source
from patchgen.base.worktree import Workspace
from patchgen.cache import Cache

Edits = Mapping[str, bytes | None]


@pytest.fixture
def origin(tmp_path: Path, cache: Cache) -> Source:
    return toytree.obtain(tmp_path / "linux", cache, toytree.TOUCHED)


def edited(origin: Source, place: Path, edits: Edits) -> str:
    """Return the id of the base's tree with some files written, or removed (None)."""
    where = {"GIT_DIR": str(origin.repository), "GIT_WORK_TREE": str(place), "GIT_INDEX_FILE": str(place / "index")}

    def git(*words: str) -> str:
        return toytree.git(place, *words, **where)

    git("read-tree", origin.tree)
    for path, data in edits.items():
        if data is None:
            git("update-index", "--force-remove", path)
        else:
            (place / "blob").write_bytes(data)
            git("update-index", "--add", "--cacheinfo", f"100644,{git('hash-object', '-w', 'blob')},{path}")
    return git("write-tree")


def contents(directory: Path) -> dict[str, bytes]:
    """Return the content of each file, of a symlink its target."""
    found = {}
    for path in directory.rglob("*"):
        if path.is_symlink():
            found[str(path.relative_to(directory))] = os.fsencode(path.readlink())
        elif path.is_file():
            found[str(path.relative_to(directory))] = path.read_bytes()
    return found


def new_in(space: Workspace) -> set[str]:
    """Return the files that are younger than any object of an earlier build."""
    return {name for name in contents(space.files) if (space.files / name).lstat().st_mtime > worktree._OLD}


FIRST: Edits = {"fs/exec.c": b"one\n", "kernel/new.c": b"new\n", "MAINTAINERS": b"me\n", "kernel/empty.c": None}
SECOND: Edits = {
    "fs/exec.c": b"two\n",
    "kernel/new.c": b"new\n",
    "kernel/fork.c": None,
    "Documentation/link": b"file\n",
}


def test_only_what_differs_from_the_last_build_is_new(tmp_path: Path, cache: Cache, origin: Source) -> None:
    pristine = worktree.pristine(origin, cache)
    space = worktree.workspace(origin, "box", cache)
    first, second = edited(origin, tmp_path, FIRST), edited(origin, tmp_path, SECOND)
    base = {path: file.data for path, file in toytree.RELEASE.items()}

    def expect(edits: Edits, new: set[str], written: list[str]) -> None:
        assert contents(space.files) == {path: data for path, data in {**base, **edits}.items() if data is not None}
        assert (new_in(space), written) == (new, sorted(written))

    written = worktree.lay_out(space, origin, first, cache)
    expect(FIRST, {"fs/exec.c", "kernel/new.c", "MAINTAINERS"}, written)
    assert set(written) == set(FIRST)

    written = worktree.lay_out(space, origin, second, cache, first)
    # As it was built: kernel/new.c. Back to what the base has, which the objects do not know: MAINTAINERS, empty.c.
    expect(SECOND, {"fs/exec.c", "MAINTAINERS", "kernel/empty.c", "Documentation/link"}, written)
    assert set(written) == {"fs/exec.c", "MAINTAINERS", "kernel/empty.c", "kernel/fork.c", "Documentation/link"}

    # From the base's objects again, as if nothing had been there.
    written = worktree.lay_out(space, origin, second, cache)
    expect(SECOND, {"fs/exec.c", "kernel/new.c", "Documentation/link"}, written)
    assert worktree.lay_out(space, origin, origin.tree, cache) == []
    expect({}, set(), [])
    assert (space.files / "MAINTAINERS").samefile(pristine / "MAINTAINERS")
    assert contents(pristine) == base
