"""Applying patches to the base with `git am`, as a grader does, without laying out 62,290 files.

`git am` runs in a small repository of its own that holds just the files the patches name, at the content they
have in the base. For these files nothing differs from the whole tree, and it takes a tenth of a second.

It runs in the sandbox, and only the content of files comes out of it. What it has made must be what the parsed diffs
say (`growth`): the same paths, added, changed or removed, with as many lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from patchgen import process
from patchgen.base.git import (
    Repository,
    answer,
    bare_repository,
    contents,
    feeding,
    git_errors,
    objects,
    variables,
)
from patchgen.base.resolve import Source
from patchgen.cache import Cache
from patchgen.errors import ApplyError, MachineError, OverLimitError
from patchgen.submission import growth
from patchgen.submission.patches import PLAIN_MODES, PatchFile
from patchgen.submission.toolroom import Answer, Toolroom

if TYPE_CHECKING:
    from patchgen.sandbox import Sandbox

_IDENTITY = {
    "GIT_COMMITTER_NAME": "patchgen",
    "GIT_COMMITTER_EMAIL": "patchgen@localhost",
    "GIT_COMMITTER_DATE": "1680350400 +0000",
}
_WHITESPACE = re.compile(r"whitespace|space before tab|blank line at EOF|CRLF", re.IGNORECASE)
_REF = "refs/heads/base"
_SHOWN = 10  # paths that differ
# Arguments: the options of git am to try, "strict" for none. All patches go to one `git am` first, which is quick and
# usually silent. Only if it has something to say are they applied one by one, since its words do not tell the patch
# that they are about. What the strict attempt said is what counts, so attempts that fail after it leave no words.
_AM = """
exec 2>&1
mkdir files
git init -q --bare --template= git
export GIT_DIR=$PWD/git GIT_WORK_TREE=$PWD/files
git fast-import --quiet < "$given/base"
git symbolic-ref HEAD refs/heads/base
git reset --hard -q
start=$(git rev-parse HEAD)
cd files
am() {
  git am --quiet --patch-format=mbox --no-3way --keep-cr $option "$@" 2>&1 && return 0 || status=$?
  was_killed $status && { touch ../out/killed; exit 1; }
  return $status
}
again() { rm -rf ../git/rebase-apply; git reset --hard -q "$start"; rm -rf ../said; mkdir ../said; }
one_by_one() {
  for mail in "$given"/[0-9]*; do
    am "$mail" > ../said/${mail##*/} || { echo ${mail##*/} > ../said/failed; return 1; }
  done
}
touch ../out/begun
for name in "$@"; do
  option=$name; [ "$name" = strict ] && option=
  again
  if am "$given"/[0-9]* > ../said/all && ! [ -s ../said/all ]; then done=$name
  else again; one_by_one && done=$name; fi
  [ "$name" = strict ] || [ "$done" ] && cp ../said/* ../out
  [ "$done" ] && break
done
[ "$done" ] || exit 0
echo "$done" > ../out/applied
git rev-list --reverse "$start..HEAD" | git diff-tree -r --stdin --no-renames > ../out/raw
grep ^: ../out/raw | cut -d' ' -f4 | sort -u | grep -v '^0*$' | git cat-file --batch > ../out/blobs || :
"""


class Row(NamedTuple):
    """What a patch has made of a path.

    Attributes:
        status: A, M or D; T if it is another kind of file.
        mode: git's, of the file as it is now.
        data: its content, None if it is gone.
    """

    status: str
    mode: str
    data: bytes | None


@dataclass(frozen=True)
class Applied:
    """A series that applied.

    Attributes:
        trees: git tree id of the whole kernel after each patch, in the cache's repository.
        complaints: what git said of white space, by patch name.
        leniency: the option of git am without which they do not apply, "" if they do.
        base: content of the files that the patches name, of those that the base has.
        steps: what each patch has made of the paths that it touches.
    """

    trees: tuple[str, ...]
    complaints: dict[str, str]
    leniency: str = ""
    base: Mapping[str, bytes] = field(default_factory=dict)
    steps: tuple[Mapping[str, Row], ...] = ()


# From what a person would try first to what accepts the most.
LENIENT = ("--3way", "--ignore-whitespace", "-C1")


def leniently(source: Source, patches: Sequence[PatchFile], cache: Cache, box: Sandbox | None = None) -> Applied:
    """Apply patches to the base: strictly, and if that fails with the first of LENIENT that helps.

    Args:
        source: the base.
        patches: in their order.
        cache: for scratch space.
        box: what git am runs in; None for trusted work.

    Raises:
        ApplyError: one does not apply either way; what is said is that of the strict attempt.
        MachineError: git failed otherwise.
    """
    return _apply(source, patches, Toolroom(cache, box), LENIENT)


def apply(source: Source, patches: Sequence[PatchFile], cache: Cache, box: Sandbox | None = None) -> Applied:
    """Apply patches in order to the base, see `leniently`; only strictly.

    Raises:
        ApplyError: one does not apply; says which, and git's words.
        MachineError: git failed otherwise.
    """
    return _apply(source, patches, Toolroom(cache, box), ())


def require_size(source: Source, patches: Sequence[PatchFile]) -> None:
    """Refuse patches that add up to more than a submission may have, before any tool is kept busy with them.

    Raises:
        ApplyError: they do.
        MachineError: git failed.
    """
    _reckoned(source, patches)


def _reckoned(source: Source, patches: Sequence[PatchFile]) -> tuple[dict[str, Row], list[dict[str, growth.Effect]]]:
    """Return the base's files that patches name, and what each patch must make of them."""
    base = _base(bare_repository(source.repository), source, sorted({path for one in patches for path in one.paths}))
    return base, growth.reckon(patches, {path: growth.size_of(row.data or b"") for path, row in base.items()})


def _apply(source: Source, patches: Sequence[PatchFile], room: Toolroom, more: Sequence[str]) -> Applied:
    base, expected = _reckoned(source, patches)
    files = {"base": _commit(base)} | {f"{number:04}": patch.data for number, patch in enumerate(patches)}
    try:
        found = room.run(_AM, files, {**variables(), **_IDENTITY}, ["strict", *more])
    except OverLimitError as error:
        raise ApplyError(f"git am was stopped: {error.message}", evidence=error.evidence) from error
    if "killed" in found.files:
        raise ApplyError(f"git am was stopped: it used more than {room.cpu} s of CPU time, or failed")
    if "begun" not in found.files:
        raise MachineError("cannot prepare the base for git am", evidence=process.tail(found.said))
    words = [_words(found, f"{number:04}") for number in range(len(patches))]
    if "applied" not in found.files:
        failed = found.files.get("failed", b"").decode(errors="replace").strip()
        number = int(failed) if failed.isdigit() and int(failed) < len(patches) else 0
        raise ApplyError(f"{patches[number].name} does not apply", evidence=words[number] or found.said)
    leniency = found.files["applied"].decode().strip().removeprefix("strict")
    steps = list(_steps(found))
    if len(steps) != len(patches):  # --3way passes over what is there already
        raise ApplyError(f"git am made {len(steps)} commits of {len(patches)} patches", evidence="\n".join(words))
    for patch, step, wanted in zip(patches, steps, expected, strict=True):
        _compare(patch.name, step, wanted, leniency)
    trees = _graft(bare_repository(source.repository), source, steps, room)
    complaints = {patch.name: said for patch, said in zip(patches, words, strict=True) if _WHITESPACE.search(said)}
    contents = {path: row.data or b"" for path, row in base.items()}
    return Applied(tuple(trees), complaints, leniency, contents, tuple(steps))


def _words(found: Answer, name: str) -> str:
    """Return what git said of a patch, without its advice."""
    said = found.files.get(name, b"").decode(errors="replace").splitlines()
    return "\n".join(line for line in said if not line.startswith("hint:") and "git am --" not in line)


def _base(repo: Repository, source: Source, paths: Sequence[str]) -> dict[str, Row]:
    """Return the paths that are in the base, and files that stand in a path's way.

    Raises:
        ApplyError: these files are larger than what patches may touch.
        MachineError: git failed, or the source does not have one of them.
    """
    wanted = {*paths} | {str(parent) for path in paths for parent in PurePosixPath(path).parents} - {"."}
    if lacking := sorted(wanted & source.missing):
        raise MachineError(f"the source in {source.origin} lacks the content of {lacking[0]}, which a patch touches")
    request = "".join(f"{source.tree}:{path}\n" for path in sorted(wanted)).encode()
    with git_errors("cannot read the base"):
        out = answer(repo, "cat_file", "--batch-check=%(objectname) %(objecttype) %(objectsize)", data=request)
    there = zip(sorted(wanted), (line.split() for line in out.decode().splitlines()), strict=True)
    sizes = {path: int(words[-1]) for path, words in there if words[-2] == "blob"}
    if sum(sizes.values()) > growth.MAX_WRITTEN:
        raise ApplyError(f"the files that the patches touch have more than {growth.MAX_WRITTEN} bytes")
    return {path: Row("A", *found) for path, found in contents(repo, source.tree, list(sizes)).items()}


def _commit(base: Mapping[str, Row]) -> bytes:
    """Return what makes git fast-import commit the base's files."""
    lines = [f"commit {_REF}\ncommitter a <a> 0 +0000\ndata 0\n".encode()]
    return b"".join([*lines, *(_file(path, row) for path, row in base.items())])


def _file(path: str, row: Row) -> bytes:
    """Return what makes git fast-import change a file."""
    if row.data is None:
        return f"D {path}\n".encode()
    return f"M {row.mode} inline {path}\ndata {len(row.data)}\n".encode() + row.data + b"\n"


def _steps(found: Answer) -> Iterator[dict[str, Row]]:
    """Yield what each commit of git am has made, as the sandbox says.

    Raises:
        ApplyError: there is something else than plain files, or what is said makes no sense.
    """
    try:
        blobs = {name: data for name, data in objects(found.files.get("blobs", b"")) if data is not None}
        step: dict[str, Row] | None = None
        for line in found.files.get("raw", b"").decode(errors="surrogateescape").splitlines():
            if not line.startswith(":"):
                if step is not None:
                    yield step
                step = {}
                continue
            meta, path = line.split("\t", 1)
            _, mode, _, blob, status = meta.lstrip(":").split()
            if mode not in {*PLAIN_MODES, "000000"}:
                raise ApplyError("the patches make something else than plain files", evidence=path)
            assert step is not None, "a commit's id comes first"
            step[path] = Row(status, mode, None if mode == "000000" else blobs[blob])
        if step is not None:
            yield step
    except (ValueError, LookupError, AssertionError) as error:
        raise ApplyError(f"what git am made cannot be read: {error}") from error


def _compare(name: str, step: Mapping[str, Row], wanted: Mapping[str, growth.Effect], leniency: str) -> None:
    """See that a patch has done what its diff says. With --3way some of it may have been there already.

    Raises:
        ApplyError: it has done something else.
    """
    differ = sorted(
        path
        for path in {*step, *wanted}
        if not (leniency == "--3way" and path not in step)
        and (
            path not in step
            or path not in wanted
            or step[path].status != wanted[path].status
            or (leniency != "--3way" and growth.size_of(step[path].data or b"").lines != wanted[path].lines)
        )
    )
    if differ:
        raise ApplyError(
            f"{name}: what git am makes of it is not what its diff says", evidence="\n".join(differ[:_SHOWN])
        )


def _graft(repo: Repository, source: Source, steps: Sequence[Mapping[str, Row]], room: Toolroom) -> list[str]:
    """Return the whole kernel's tree after each patch.

    Args:
        repo: the cache's repository.
        source: the base.
        steps: what each patch has made.
        room: whose scratch space gives a name that no other process uses at this time.
    """
    with room.cache.scratch("graft") as scratch:
        ref = f"refs/apply/{scratch.name}"
        with feeding(repo, "fast_import", "--quiet", "--force") as stream:
            begin = f"commit {ref}\ncommitter a <a> 0 +0000\ndata 0\n".encode()
            # The base as a whole; each commit that follows changes some paths.
            stream.write(begin + f'M 040000 {source.tree} ""\n'.encode())
            for step in steps:
                # What goes first: a file may make room for a directory.
                rows = sorted(step.items(), key=lambda item: item[1].data is not None)
                stream.write(begin + b"".join(_file(path, row) for path, row in rows))
        with git_errors("cannot read what git am made"):
            trees = str(repo.git.log("--reverse", "--format=%T", ref)).split()
            repo.git.update_ref("-d", ref)
    return trees[1:]
