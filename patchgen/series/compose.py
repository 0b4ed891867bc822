"""A rendered series to commits and patches, without a checkout.

One `git fast-import` makes all commits: it reads only the directories on the way to the touched files, where
an index or a worktree would take all 62,290.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from git.exc import GitCommandError

from patchgen.base.git import Repository, bare_repository, contents, feeding, git_errors
from patchgen.base.resolve import Source
from patchgen.cache import Cache, digest
from patchgen.errors import SeriesError
from patchgen.series import edits, render
from patchgen.series.model import Series
from patchgen.settings import Submission, split_identity

FORMAT = (
    "--full-index",
    "--no-signature",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--no-attach",
    "--no-thread",
    "--no-cover-letter",
    "--no-base",
    "--diff-algorithm=myers",
    "--indent-heuristic",
    "--unified=3",
    "--inter-hunk-context=0",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "--subject-prefix=PATCH",
    "--no-to",
    "--no-cc",
    "--no-notes",
    "--encode-email-headers",
)


@dataclass(frozen=True)
class Step:
    """One patch, rendered.

    Attributes:
        patch_id: its id in the series.
        message: the commit message, with its Signed-off-by lines.
        files: whole new content of the files it touches, by path.
        modes: git's modes of the base's files that the series edits.
    """

    patch_id: str
    message: str
    files: Mapping[str, bytes]
    modes: Mapping[str, str]


@dataclass(frozen=True)
class Composed:
    """A series as commits.

    Attributes:
        repository: the bare repository that holds them.
        base: commit id of the base.
        commits: ids, in order.
        tree: git tree id of the last.
    """

    repository: Path
    base: str
    commits: tuple[str, ...]
    tree: str


def render_series(series: Series, source: Source, submission: Submission) -> list[Step]:
    """Render all patches of a series on its base.

    Raises:
        SeriesError: a template is wrong, an anchor does not match once, or a patch changes nothing.
    """
    now, modes = _base_files(source, series.edited)
    steps = []
    for patch in series.patches:
        names = render.context(series, patch, submission.authors)
        files: dict[str, bytes] = {}
        for path in patch.paths:
            before = now.get(path)
            now[path] = _render_file(series, patch.id, path, before, names)
            if now[path] == before:
                raise SeriesError(f"patch {patch.id} of {series.name} does not change {path}, which it lists")
            files[path] = now[path].encode(errors="surrogateescape")
        template = series.message_file(patch)
        if not template.is_file():
            raise SeriesError(f"{template} does not exist: patch {patch.id} has no commit message")
        text = render.render(template.read_text(encoding="utf-8"), names, template).rstrip("\n")
        signed = "\n".join(f"Signed-off-by: {author}" for author in submission.authors)
        steps.append(Step(patch.id, f"{text}\n\n{signed}\n", files, modes))
    return steps


def squash(steps: Sequence[Step]) -> Step:
    """Return one patch that does what several do, with the message of the first."""
    files = {path: data for step in steps for path, data in step.files.items()}
    modes = {path: mode for step in steps for path, mode in step.modes.items()}
    return Step("whole", steps[0].message, files, modes)


def _render_file(series: Series, patch_id: str, path: str, before: str | None, names: Mapping[str, object]) -> str:
    if path not in series.edits:
        template = series.new_file(path)
        return render.render(template.read_text(encoding="utf-8"), names, template)
    assert before is not None, "edited files were read from the base"
    origin = series.edit_file(path)
    source_text = origin.read_text(encoding="utf-8")
    for edit in series.edits[path]:
        if edit.patch == patch_id:
            line = source_text[: max(source_text.find(edit.text), 0)].count("\n") + 1
            insert = render.render(edit.text, names, origin, line=line)
            before = edits.apply(before, edit, insert, path, str(origin))
    return before


def _base_files(source: Source, paths: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Read the files that a series edits from the base; return content and mode by path."""
    found = contents(bare_repository(source.repository), source.tree, paths)
    if lacking := [path for path in paths if path not in found]:
        raise SeriesError(f"{lacking[0]} is not in {source.base.title}, so it cannot be edited")
    files = {path: data.decode("utf-8", errors="surrogateescape") for path, (_, data) in found.items()}
    return files, {path: mode for path, (mode, _) in found.items()}


def base_file(source: Source, path: str) -> str:
    """Return a file of the base.

    Raises:
        SeriesError: it has no such file.
    """
    return _base_files(source, [path])[0][path]


def base_commit(tree: str, name: str, submission: Submission) -> bytes:
    """Return the `git fast-import` command that commits the base.

    The commit is the same everywhere, whatever history the user's checkout has.
    """
    when = int((submission.date - timedelta(minutes=1)).timestamp())
    who = f"Linux <linux@localhost> {when} +0000"
    message = name.encode()
    return f'author {who}\ncommitter {who}\ndata {len(message)}\n{name}\nM 040000 {tree} ""\n'.encode()


def commit(source: Source, steps: Sequence[Step], submission: Submission, cache: Cache) -> Composed:
    """Make one commit of each step on top of the base.

    Raises:
        MachineError: git failed.
    """
    repo = bare_repository(source.repository)
    base = base_commit(source.tree, source.base.title, submission)
    content = [(step.message, sorted((path, data.hex()) for path, data in step.files.items())) for step in steps]
    key = digest(base.decode(), submission.authors[0], str(submission.date), content)
    ref = f"refs/series/{key}"
    with cache.lock(f"series-{key}"):
        _import(repo, ref, base, steps, submission)
    with git_errors("cannot read the commits"):
        made = [line.split() for line in str(repo.git.log("--reverse", "--format=%H %T", ref)).splitlines()]
    return Composed(source.repository, made[0][0], tuple(commit for commit, _ in made[1:]), made[-1][1])


def _import(repo: Repository, ref: str, base: bytes, steps: Sequence[Step], submission: Submission) -> None:
    """Write the commits of a series under a ref."""
    name, mail = split_identity(submission.authors[0])
    with feeding(repo, "fast_import", "--quiet", "--force") as stream:
        # Without `from` a commit whose branch exists would go on top of that.
        stream.write(f"reset {ref}\ncommit {ref}\nmark :1\n".encode() + base)
        for number, step in enumerate(steps, 1):
            when = int((submission.date + timedelta(minutes=number - 1)).timestamp())
            message = step.message.encode()
            stream.write(
                f"commit {ref}\nmark :{number + 1}\nauthor {name} <{mail}> {when} +0000\n"
                f"committer {name} <{mail}> {when} +0000\ndata {len(message)}\n".encode()
                + message
                + f"from :{number}\n".encode()
            )
            for path, data in step.files.items():
                mode = step.modes.get(path, "100644")
                stream.write(f"M {mode} inline {path}\ndata {len(data)}\n".encode() + data + b"\n")


def format_patch(composed: Composed, directory: Path) -> list[Path]:
    """Write the commits as `git format-patch` does.

    Args:
        composed: the commits.
        directory: where the files go; must exist.

    Returns:
        The patch files in order.

    Raises:
        MachineError: git failed.
    """
    repo = bare_repository(composed.repository)
    try:
        names = repo.git.format_patch(*FORMAT, "-o", str(directory), f"{composed.base}..{composed.commits[-1]}")
    except GitCommandError:
        with git_errors("cannot format the patches"):
            raise
    return [Path(name) for name in str(names).splitlines()]
