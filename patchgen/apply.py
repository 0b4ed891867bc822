"""Applying patches to the base with `git am`, as a grader does, without laying out 62,290 files.

`git am` runs in a small repository of its own that holds just the files the patches name, at the content they
have in the base. For these files nothing differs from the whole tree, and it takes a tenth of a second.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from patchgen import proc
from patchgen.cache import Cache
from patchgen.errors import ApplyError
from patchgen.patches import PatchFile
from patchgen.repository import Repository, answer, bare_repository, environment, git_errors
from patchgen.source import Source

_AM_SECONDS = 120.0
_IDENTITY = {
    "GIT_COMMITTER_NAME": "patchgen",
    "GIT_COMMITTER_EMAIL": "patchgen@localhost",
    "GIT_COMMITTER_DATE": "1680350400 +0000",
}
_WHITESPACE = re.compile(r"whitespace|space before tab|blank line at EOF|CRLF", re.IGNORECASE)


@dataclass(frozen=True)
class Applied:
    """A series that applied.

    Attributes:
        trees: git tree id of the whole kernel after each patch, in the cache's repository.
        complaints: what git said of white space, by patch name.
    """

    trees: tuple[str, ...]
    complaints: dict[str, str]


def apply(source: Source, patches: Sequence[PatchFile], cache: Cache) -> Applied:
    """Apply patches in order to the base.

    Raises:
        ApplyError: one does not apply; says which, and git's words.
        MachineError: git failed otherwise.
    """
    repo = bare_repository(source.repository)
    named = sorted({path for patch in patches for path in patch.paths if path != "/dev/null"})
    entries = _present(repo, source.tree, named)
    trees: list[str] = []
    complaints: dict[str, str] = {}
    with cache.scratch("am") as scratch:
        env = {
            **_IDENTITY,
            "GIT_DIR": str(scratch / "git"),
            "GIT_WORK_TREE": str(scratch / "files"),
            "GIT_OBJECT_DIRECTORY": str(scratch / "git" / "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(source.repository / "objects"),
        }
        (scratch / "files").mkdir()
        small = bare_repository(scratch / "git")
        git = small.git
        git.update_environment(**env)
        with git_errors("cannot prepare the base for git am"):
            answer(small, "update_index", "--index-info", data="".join(entries).encode())
            start = str(git.commit_tree(git.write_tree(), m="base", env=_author()))
            git.update_ref("HEAD", start)
            git.checkout_index("-a", "-f")
            git.update_index("--refresh", "-q")
        base = source.tree
        for patch in patches:
            said = _am(scratch, patch, env)
            if _WHITESPACE.search(said):
                complaints[patch.name] = said
            with git_errors("cannot read what git am made"):
                base = _graft(repo, small, base, scratch)
            trees.append(base)
    return Applied(tuple(trees), complaints)


def _author() -> dict[str, str]:
    return {name.replace("COMMITTER", "AUTHOR"): value for name, value in _IDENTITY.items()}


def _present(repo: Repository, tree: str, paths: Sequence[str]) -> list[str]:
    """Return the index entries of the paths that are in the base, and of files that stand in a path's way."""
    wanted = set(paths)
    for path in paths:
        wanted.update(str(parent) for parent in PurePosixPath(path).parents if str(parent) != ".")
    request = "".join(f"{tree}:{path}\n" for path in sorted(wanted)).encode()
    with git_errors("cannot read the base"):
        out = answer(repo, "cat_file", "--batch-check=%(objectname) %(objecttype)", data=request).decode()
    files = [path for path, line in zip(sorted(wanted), out.splitlines(), strict=True) if line.split()[-1] == "blob"]
    if not files:
        return []
    with git_errors("cannot read the base"):
        listed = str(repo.git.ls_tree(tree, "--", *files))
    return [f"{line}\n" for line in listed.splitlines()]


def _am(scratch: Path, patch: PatchFile, env: dict[str, str]) -> str:
    """Apply one patch and return what git said on the way.

    Raises:
        ApplyError: it does not apply.
    """
    mail = scratch / "mail"
    mail.write_bytes(patch.data)
    result = proc.run(
        [proc.find("git"), "am", "--no-3way", "--keep-cr", str(mail)],
        cwd=scratch / "files",
        env=environment(env),
        timeout=_AM_SECONDS,
        check=False,
        merge=True,
    )
    said = "\n".join(line for line in result.stdout.splitlines() if not line.startswith(("Applying:", "hint:")))
    if result.status:
        cut = "\n".join(line for line in said.splitlines() if "git am --" not in line)
        raise ApplyError(f"{patch.name} does not apply", evidence=cut.replace(str(scratch), "..."))
    return said


def _graft(repo: Repository, small: Repository, base: str, scratch: Path) -> str:
    """Return the whole kernel's tree with the last commit of the small repository in it."""
    out = str(small.git.diff_tree("-r", "-z", "--no-renames", "--no-commit-id", "HEAD^", "HEAD"))
    fields = out.split("\0")
    lines, blobs = [], []
    for meta, path in zip(fields[0::2], fields[1::2], strict=False):
        _, mode, _, blob, _ = meta.lstrip(":").split()
        lines.append(f"{mode} {blob}\t{path}\n" if mode != "000000" else f"0 {blob}\t{path}\n")
        if mode != "000000":
            blobs.append(blob)
    if blobs:
        # The new blobs are in the small repository; from there they are packed over.
        pack = answer(small, "pack_objects", "--stdout", "-q", data="".join(f"{b}\n" for b in blobs).encode())
        answer(repo, "unpack_objects", "-q", data=pack)
    index = {"GIT_INDEX_FILE": str(scratch / "whole-index")}
    repo.git.read_tree(base, env=index)
    answer(repo, "update_index", "--index-info", data="".join(lines).encode(), env=index)
    return str(repo.git.write_tree(env=index))
