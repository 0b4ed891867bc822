"""What the user has, seen through git: a repository of theirs, and what is in a tree.

What the user has is only ever read. git never runs in the user's repository, so that none of its configuration
counts (fsmonitor, filters, a promisor remote to fetch from; GIT_NO_LAZY_FETCH came with git 2.45 only): it runs in
a scratch repository that borrows the user's references and objects by links, as git's contrib/git-new-workdir does.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from patchgen import cache as caching
from patchgen.base.git import Repository, answer, scratch_repository
from patchgen.cache import Cache
from patchgen.errors import BaseError, MachineError


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
        repo = scratch_repository(place, (common / "objects").resolve(), settings)
        with caching.machine_faults("cannot use the cache"):
            (place / "refs").rmdir()
            for name in ("refs", "packed-refs", "shallow", "reftable"):
                if (common / name).exists():
                    (place / name).symlink_to((common / name).resolve())
            # HEAD is copied: git does not take a link for it. A linked worktree has its own.
            (place / "HEAD").write_bytes(head)
        yield repo
        repo.close()


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
