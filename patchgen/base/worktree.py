"""Kernel trees on disk: the pristine one, and one per kind of kernel under test that is changed in place.

make rebuilds what is newer than its objects. So a workspace is never laid out anew: going from one series to
the next writes only the files whose content differs. Its files are hard links to the pristine tree, 62,290
of them in two seconds; a changed one is always written as a new file, so the pristine tree stays as it is.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from patchgen import progress
from patchgen.base.git import answer, bare_repository, failed, git_errors, objects
from patchgen.base.resolve import Source
from patchgen.cache import Cache, digest, machine_faults, write_text

BASE_SLOT = "vanilla"  # the workspace in which nothing but the base itself is built
_CHANGED = "changed.json"
_OLD = 1517176800  # when linux-4.15 was released
_MODES = {"100755": 0o755, "100644": 0o644}


def variant(source: Source) -> str:
    """Return the name of a base's files on disk: a source that lacks some must not stand in for a whole one."""
    return source.tree[:12] + (f"-{digest(sorted(source.missing))[:6]}" if source.missing else "")


def pristine(source: Source, cache: Cache) -> Path:
    """Return the directory with the base's files, laid out on first use. Nothing may be written there.

    Files whose content the source does not have are left out, and those that the base says are not used.

    Raises:
        MachineError: git failed, or the disk is full.
    """
    target = cache.directory("trees") / variant(source)
    if target.is_dir():
        return target
    with cache.lock(f"tree-{variant(source)}"):
        if target.is_dir():
            return target
        repo = bare_repository(source.repository)
        with cache.scratch("tree") as scratch, progress.step("laying out the kernel tree"):
            index = {"GIT_INDEX_FILE": str(scratch / "index")}
            with git_errors("cannot lay out the kernel tree"):
                repo.git.read_tree(source.tree, env=index)
                left_out = sorted(source.missing | _unused(source))
                gone = "".join(f"0 {'0' * 40}\t{path}\n" for path in left_out).encode()
                answer(repo, "update_index", "--index-info", data=gone, env=index)
                # The repository is bare, so the files go out under a prefix rather than to a worktree.
                repo.git(c=["core.bare=false", "checkout.workers=0"]).checkout_index(
                    "-a", "-q", f"--prefix={scratch}/files/", env={**index, "GIT_WORK_TREE": str(scratch)}
                )
            with machine_faults("cannot lay out the kernel tree"):
                (scratch / "files").rename(target)
    return target


def _unused(source: Source) -> set[str]:
    pattern = source.base.unused
    if pattern is None:
        return set()
    listing = str(bare_repository(source.repository).git.ls_tree("-r", "-z", "--name-only", source.tree))
    return {path for path in listing.split("\0") if pattern.search(path)}


@dataclass(frozen=True)
class Workspace:
    """A kernel tree that kernels are built from, with its build directories beside it.

    Attributes:
        root: its directory in the cache.
    """

    root: Path

    @property
    def name(self) -> str:
        """Its name."""
        return self.root.name

    @property
    def files(self) -> Path:
        """Where the kernel's files are."""
        return self.root / "src"

    def output(self, name: str) -> Path:
        """Return the build directory (make's O=) of one configuration; it must not be shared with another tree."""
        return self.root / f"out-{name}"


def workspace(source: Source, workspace: str, cache: Cache) -> Workspace:
    """Return the workspace of that name on a base, made from hard links on first use.

    The caller holds the lock `workspace_lock(source, workspace)`.

    Raises:
        MachineError: the disk is full.
    """
    root = workspace_place(source, workspace, cache).root
    if not (root / "src").is_dir():
        origin = pristine(source, cache)
        with cache.scratch("work") as scratch, progress.step(f"linking the {workspace} tree"):
            with machine_faults("cannot link the kernel tree"):
                shutil.copytree(origin, scratch / "src", symlinks=True, copy_function=os.link)
                root.mkdir(parents=True, exist_ok=True)
                (scratch / "src").rename(root / "src")
    return Workspace(root)


def workspace_place(source: Source, workspace: str, cache: Cache) -> Workspace:
    """Return the workspace of that name, whether it is there or not."""
    return Workspace(cache.directory("work", variant(source)) / workspace)


def workspace_lock(source: Source, workspace: str) -> str:
    """Return the name of the lock under which a workspace may be changed."""
    return f"work-{variant(source)}-{workspace}"


def own_name(name: str, *, boxed: bool) -> str:
    """Return the name of the workspace for untrusted trees beside one for our own: they are laid out otherwise."""
    return f"{name}-box" if boxed else name


@contextlib.contextmanager
def locked(source: Source, tree: str, name: str, cache: Cache, *, boxed: bool, since: str = "") -> Iterator[Workspace]:
    """Give a workspace whose files are those of a tree, and which nobody else changes meanwhile.

    Args:
        source: the base.
        tree: git tree id in its repository.
        name: of the workspace.
        cache: where it is.
        boxed: it is for an untrusted tree, which is built in a sandbox.
        since: git tree id of what the objects there were made from, the base's if not given; see `lay_out`.

    Raises:
        MachineError: git failed, or the disk is full.
    """
    own = own_name(name, boxed=boxed)
    with cache.lock(workspace_lock(source, own)):
        space = workspace(source, own, cache)
        if boxed:
            lay_out(space, source, tree, cache, since)
        else:
            switch(space, source, tree)
        yield space


def changed(space: Workspace) -> set[str]:
    """Return the paths in which a workspace may differ from the base."""
    ours = space.root / _CHANGED
    return set(json.loads(ours.read_text())) if ours.is_file() else set()


def switch(space: Workspace, source: Source, tree: str) -> list[str]:
    """Make a workspace's files those of `tree`, writing only what differs.

    Args:
        space: the workspace.
        source: the base it was made from.
        tree: git tree id in the source's repository.

    Returns:
        The paths written or removed.

    Raises:
        MachineError: git failed, or the disk is full.
    """
    ours, before = space.root / _CHANGED, changed(space)
    wanted = changes(source, tree)
    # Written down first: after an interruption these paths are looked at again.
    write_text(ours, json.dumps(sorted(before | set(wanted))))
    entries = {path: wanted.get(path) or _entry(source, source.tree, path) for path in sorted(before | set(wanted))}
    blobs = _blobs(source, [blob for _, blob in entries.values()])
    with machine_faults("cannot write the kernel tree"):
        written = [path for path, (mode, blob) in entries.items() if _put(space.files / path, mode, blobs[blob])]
    write_text(ours, json.dumps(sorted(wanted)))
    return written


def lay_out(space: Workspace, source: Source, tree: str, cache: Cache, since: str = "") -> list[str]:
    """Make a workspace's files those of `tree`, as if nothing had been in it before.

    What is as in `since` is old, and what differs from that is written now. So any objects of `since` fit, whenever
    they were made. What is as in the base is a hard link to the pristine file. `switch` must not be used in the same
    workspace.

    Args:
        space: the workspace.
        source: the base it was made from.
        tree: git tree id in the source's repository.
        cache: where the pristine tree is.
        since: git tree id of what the objects were made from, the base's if not given.

    Returns:
        The paths in which the tree differs from `since`.

    Raises:
        MachineError: git failed, or the disk is full.
    """
    ours, clean = space.root / _CHANGED, pristine(source, cache)
    if not ours.is_file():
        for file in space.files.rglob("*"):
            _make_old(file)
    wanted = changes(source, tree)
    known = changes(source, since) if since else {}
    own = set(wanted) | set(known)
    before = changed(space)
    write_text(ours, json.dumps(sorted(before | own)))
    blobs = _blobs(source, [blob for _, blob in wanted.values()])
    with machine_faults("cannot write the kernel tree"):
        for path in sorted(before | own):
            _remove(space.files / path)
        for path in sorted((before | own) - set(wanted)):
            if os.path.lexists(clean / path):
                _put_back(clean / path, space.files / path, new=path in known)
        for path, (mode, blob) in wanted.items():
            _put(space.files / path, mode, blobs[blob])
            if blob and known.get(path) == (mode, blob):
                _make_old(space.files / path)
    write_text(ours, json.dumps(sorted(own)))
    return sorted(path for path in own if wanted.get(path) != known.get(path))


def _blobs(source: Source, ids: Sequence[str | None]) -> dict[str | None, bytes | None]:
    """Return the contents of blobs; None for None.

    Raises:
        MachineError: git failed, or one is missing.
    """
    wanted = "".join(f"{one}\n" for one in ids if one)
    out = answer(bare_repository(source.repository), "cat_file", "--batch", data=wanted.encode()) if wanted else b""
    found: dict[str | None, bytes | None] = {None: None}
    for one, data in objects(out):
        if data is None:
            raise failed("git cat-file failed", f"{one} is missing")
        found[one] = data
    return found


def distance(source: Source, one: str, other: str) -> tuple[int, int]:
    """Return how far two trees are from each other, for whoever has the objects of one and builds the other.

    Returns:
        How many headers differ, since each may be part of every object; and how many files.

    Raises:
        MachineError: git failed.
    """
    before, after = changes(source, one), changes(source, other)
    paths = [path for path in {*before, *after} if before.get(path) != after.get(path)]
    return sum(path.endswith(".h") for path in paths), len(paths)


def _put_back(clean: Path, path: Path, *, new: bool) -> None:
    """Put the base's file where it belongs: a link to it, or where it must be new, a copy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if new:
        shutil.copyfile(clean, path, follow_symlinks=False)
        shutil.copymode(clean, path, follow_symlinks=False)
    else:
        os.link(clean, path, follow_symlinks=False)
        _make_old(path)


def changes(source: Source, tree: str) -> dict[str, tuple[str, str | None]]:
    """Return mode and blob of each path in which `tree` differs from the base (None: it is not there).

    Raises:
        MachineError: git failed.
    """
    with git_errors("cannot compare the trees"):
        out = bare_repository(source.repository).git.diff_tree("-r", "-z", "--no-renames", source.tree, tree)
    fields = str(out).split("\0")
    changes: dict[str, tuple[str, str | None]] = {}
    for meta, path in zip(fields[0::2], fields[1::2], strict=False):
        _, mode, _, blob, _ = meta.lstrip(":").split()
        changes[path] = (mode, None if set(blob) == {"0"} else blob)
    return changes


def _entry(source: Source, tree: str, path: str) -> tuple[str, str | None]:
    with git_errors("cannot read the tree"):
        out = str(bare_repository(source.repository).git.ls_tree(tree, path))
    if not out:
        return "000000", None
    mode, _, blob = out.split("\t", maxsplit=1)[0].split()
    return mode, blob


def _make_old(path: Path) -> None:
    """Give a file of the base a date before any object's; to whoever else has it, nothing is new by that."""
    os.utime(path, (_OLD, _OLD), follow_symlinks=False)


def _remove(path: Path) -> None:
    """Remove what is there, also a directory that an earlier tree had in a file's place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()


def _put(path: Path, mode: str, data: bytes | None) -> bool:
    """Write or remove one file unless it is that way already; return whether anything was done."""
    if data is None:
        there = path.is_symlink() or path.exists()
        path.unlink(missing_ok=True)
        return there
    wanted = _MODES.get(mode, 0o644)
    same_mode = path.exists() and (path.stat().st_mode ^ wanted) & 0o100 == 0
    if same_mode and path.is_file() and not path.is_symlink() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    # A new file in the old one's place: the old one's content is shared with the pristine tree.
    fresh = path.with_name(f".{path.name}.patchgen")
    fresh.write_bytes(data)
    fresh.chmod(wanted)
    fresh.rename(path)
    return True
