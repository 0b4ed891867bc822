"""Applying patches to the base with `git am`, as a grader does, without laying out 62,290 files.

`git am` runs in a small repository of its own that holds just the files the patches name, at the content they
have in the base. For these files nothing differs from the whole tree, and it takes a tenth of a second.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from patchgen import proc
from patchgen.cache import Cache
from patchgen.errors import ApplyError
from patchgen.patches import PLAIN_MODES, PatchFile
from patchgen.repository import Repository, answer, bare_repository, environment, feeding, git_errors
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
        leniency: the option of git am without which they do not apply, "" if they do.
    """

    trees: tuple[str, ...]
    complaints: dict[str, str]
    leniency: str = ""


# From what a person would try first to what accepts the most.
LENIENT = ("--3way", "--ignore-whitespace", "-C1")


def leniently(source: Source, patches: Sequence[PatchFile], cache: Cache) -> Applied:
    """Apply patches to the base: strictly, and if that fails with the first of LENIENT that helps.

    Raises:
        ApplyError: one does not apply either way; what is said is that of the strict attempt.
        MachineError: git failed otherwise.
    """
    try:
        return apply(source, patches, cache)
    except ApplyError as error:
        for option in LENIENT:
            with contextlib.suppress(ApplyError):
                return apply(source, patches, cache, option)
        raise error


def apply(source: Source, patches: Sequence[PatchFile], cache: Cache, leniency: str = "") -> Applied:
    """Apply patches in order to the base.

    Args:
        source: the base.
        patches: in their order.
        cache: for scratch space.
        leniency: an option of git am on top, see LENIENT.

    Raises:
        ApplyError: one does not apply; says which, and git's words.
        MachineError: git failed otherwise.
    """
    repo = bare_repository(source.repository)
    named = sorted({path for patch in patches for path in patch.paths})
    entries = _present(repo, source.tree, named)
    with cache.scratch("am") as scratch:
        env = {
            **_IDENTITY,
            "GIT_DIR": str(scratch / "git"),
            "GIT_WORK_TREE": str(scratch / "files"),
            # What git am makes goes straight to the cache's objects, from where whole trees are put together.
            "GIT_OBJECT_DIRECTORY": str(source.repository / "objects"),
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
        said = _am(scratch, patches, env, small, start, leniency)
        with git_errors("cannot read what git am made"):
            commits = str(git.rev_list("--reverse", f"{start}..HEAD"))
            raw = answer(small, "diff_tree", "-r", "--stdin", "--no-renames", data=f"{commits}\n".encode()).decode()
        _refuse_modes(raw)
        trees = _graft(repo, source, raw, scratch.name)
    if len(trees) != len(patches):  # --3way passes over what is there already
        raise ApplyError(f"git am made {len(trees)} commits of {len(patches)} patches", evidence="\n".join(said))
    complaints = {patch.name: words for patch, words in zip(patches, said, strict=True) if _WHITESPACE.search(words)}
    return Applied(tuple(trees), complaints, leniency)


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


def _am(
    scratch: Path, patches: Sequence[PatchFile], env: dict[str, str], small: Repository, start: str, leniency: str
) -> list[str]:
    """Apply the patches and return what git said while it applied each.

    All go to one `git am`, which is quick and usually silent. Only if it has something to say are they applied one
    by one, since its words do not tell the patch that they are about.

    Raises:
        ApplyError: one does not apply.
    """
    names = [scratch / f"{number:04}" for number in range(len(patches))]
    for name, patch in zip(names, patches, strict=True):
        name.write_bytes(patch.data)
    status, said = _run_am(scratch, names, env, leniency)
    if not status and not said:
        return [""] * len(patches)
    if status and leniency:  # what the strict attempt said is what counts
        raise ApplyError(f"they do not apply with {leniency}", evidence=said)
    with git_errors("cannot go back to the base"):
        if status:
            small.git.am("--abort")
        else:
            small.git.reset("--hard", "-q", start)
    words = []
    for name, patch in zip(names, patches, strict=True):
        status, said = _run_am(scratch, [name], env, leniency)
        if status:
            raise ApplyError(f"{patch.name} does not apply", evidence=said)
        words.append(said)
    return words


def _run_am(scratch: Path, mails: Sequence[Path], env: dict[str, str], leniency: str) -> tuple[int, str]:
    """Run git am and return its status and its complaints."""
    result = proc.run(
        [proc.find("git"), "am", "--quiet", "--no-3way", "--keep-cr", *([leniency] if leniency else []), *mails],
        cwd=scratch / "files",
        env=environment(env),
        timeout=_AM_SECONDS,
        check=False,
        merge=True,
    )
    lines = [line for line in result.stdout.splitlines() if not line.startswith("hint:") and "git am --" not in line]
    return result.status, "\n".join(lines).replace(str(scratch), "...")


def _refuse_modes(raw: str) -> None:
    """Look at what git made of the patches, whatever they were read as: plain files only.

    Raises:
        ApplyError: there is a link or a submodule.
    """
    for line in raw.splitlines():
        if line.startswith(":") and line.split()[1] not in {*PLAIN_MODES, "000000"}:
            raise ApplyError("the patches make something else than plain files", evidence=line.partition("\t")[2])


def _graft(repo: Repository, source: Source, raw: str, name: str) -> list[str]:
    """Return the whole kernel's tree after each commit.

    Args:
        repo: the cache's repository.
        source: the base.
        raw: what `git diff-tree --stdin` says of the commits, oldest first.
        name: a name that no other process uses at this time.
    """
    ref = f"refs/apply/{name}"
    with feeding(repo, "fast_import", "--quiet", "--force") as stream:
        stream.write(f"commit {ref}\ncommitter a <a> 0 +0000\ndata 0\n".encode())
        # The base as a whole; each commit that follows changes some paths.
        stream.write(f'M 040000 {source.tree} ""\n'.encode())
        for line in raw.splitlines():
            if not line.startswith(":"):
                stream.write(f"commit {ref}\ncommitter a <a> 0 +0000\ndata 0\n".encode())
                continue
            meta, path = line.split("\t", 1)
            _, mode, _, blob, _ = meta.lstrip(":").split()
            gone = mode == "000000"
            stream.write((f"D {path}\n" if gone else f"M {mode} {blob} {path}\n").encode())
    with git_errors("cannot read what git am made"):
        trees = str(repo.git.log("--reverse", "--format=%T", ref)).split()
        repo.git.update_ref("-d", ref)
    return trees[1:]
