"""Which commit of a git repository is the base."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from patchgen import progress
from patchgen.base.bases import Base
from patchgen.base.git import Repository, answer
from patchgen.base.views import without
from patchgen.base.wanted import Wanted
from patchgen.errors import BaseError, MachineError

_MAX_ROOTS = 100
_COMMIT_ID = re.compile(r"[0-9a-f]{40}$")


@dataclass(frozen=True)
class Candidate:
    """A commit (or tag of a tree) in the user's repository that may be the base.

    Attributes:
        name: how it was found, as git spells it: a tag, HEAD, a commit id, LINUX_BASE's value.
        commit: id that the name stands for: of the commit, or of the tree.
        tree: id of its tree.
    """

    name: str
    commit: str
    tree: str


def origin(path: Path, name: str) -> str:
    """Return how people call a commit of the repository at `path`."""
    return f"{path} ({name[:12] if _COMMIT_ID.match(name) else name.removeprefix('refs/tags/')})"


def still(view: Repository, known: Mapping[str, str]) -> bool:
    """Whether the name that stood for the base stands for the same commit now."""
    now = _resolve(view, [known.get("name", "")])
    return bool(now) and now[0].commit == known.get("commit")


def choose(wanted: Wanted, path: Path, view: Repository, linux_base: str | None) -> Candidate:
    """Find the base in the user's repository.

    Args:
        wanted: what is looked for.
        path: where the repository is, for messages.
        view: the repository, as `views.borrowed` gives it.
        linux_base: the name of the one commit to look at, if the user gives it.

    Returns:
        The commit with the tree to be used: the exact one of any commit if there is one, else that of the first commit
        in which the touched files are as released.

    Raises:
        BaseError: there is neither.
    """
    base = wanted.base
    if linux_base is not None:
        candidates = _resolve(view, [linux_base])
        if not candidates:
            raise BaseError(f"LINUX_BASE: {linux_base} names no commit in {path}", hint="see 'git log --oneline' there")
    else:
        candidates = _resolve(view, [*(f"refs/tags/{tag}" for tag in base.tags), "HEAD"])
    if exact := _exact(base, view, candidates):
        return exact
    if linux_base is None:
        roots = _resolve(view, _roots(view))
        if exact := _exact(base, view, roots):
            return exact
        candidates += roots
    if not candidates:
        raise BaseError(f"{path} is a git repository in which no commit can be read")
    objections = []
    for candidate in candidates:
        why = wanted.objection(view, candidate.tree)
        if why is None:
            return candidate
        objections.append((candidate.name, why))
    name, why = objections[0]
    hint = f"fetch the tag {base.tags[0]} into it, or " if base.tags else ""
    raise BaseError(
        f"{origin(path, name)}: {why}",
        hint=f"{hint}set LINUX_BASE to the commit that is {base.title}",
        evidence="\n".join(f"{name}: {why}" for name, why in objections[1:]),
    )


def _exact(base: Base, view: Repository, candidates: Collection[Candidate]) -> Candidate | None:
    """Return the first candidate that is the base, as it is or without the paths that the release ignores."""
    for candidate in candidates:
        if candidate.tree == base.tree:
            return candidate
    for candidate in candidates:
        with contextlib.suppress(BaseError):  # a directory of it is missing; another may be whole
            if without(view, candidate.tree, base.ignored) == base.tree:
                return replace(candidate, tree=base.tree)
    return None


def _resolve(view: Repository, names: Collection[str]) -> list[Candidate]:
    """Return those of the names that stand for a commit or a tree."""
    asked = [name for name in names if "\n" not in name]
    lines = "".join(f"{name}^{{commit}}\n{name}^{{tree}}\n" for name in asked)
    out = answer(view, "cat_file", "--batch-check=%(objectname)", data=lines.encode(errors="surrogateescape"))
    ids = [None if " " in line else line for line in out.decode(errors="replace").splitlines()]
    pairs = zip(asked, ids[::2], ids[1::2], strict=True)
    return [Candidate(name, commit or tree, tree) for name, commit, tree in pairs if tree]


def _roots(view: Repository) -> list[str]:
    """Return the commits without parents; none where history cannot be read."""
    try:
        with progress.step("looking for the base among the first commits"):
            out = answer(view, "rev_list", "--max-parents=0", "--all", data=b"")
    except MachineError:  # a damaged branch says nothing about the others, and the error would hide their fault
        return []
    return out.decode().split()[:_MAX_ROOTS]
