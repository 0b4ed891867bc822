"""What can be graded: an archive, a directory of patches, one patch, or a range of commits in a git repository."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from patchgen.base import views
from patchgen.base.git import Repository, git_errors
from patchgen.cache import Cache, digest
from patchgen.errors import SubmissionError, UsageError
from patchgen.series import compose
from patchgen.submission import archive, patches
from patchgen.submission.archive import Submission

if TYPE_CHECKING:
    from patchgen.sandbox import Sandbox

Kind = Literal["archive", "directory", "patch", "range"]
_RANGE = re.compile(r"^(?:(?P<repository>.+):)?(?P<first>[^:]*?)\.\.(?P<last>[^:.][^:]*)?$")
_GZIP = b"\x1f\x8b"
_MAX_PATCHES = 200
_PATCH_SUFFIXES = {".patch", ".diff", ".mbox", ".eml", ".txt"}


class Range(NamedTuple):
    """Commits of a repository.

    Attributes:
        repository: where.
        first: the commit before the first of them.
        last: the last of them.
    """

    repository: Path
    first: str
    last: str


def git_range(given: Path) -> Range | None:
    """Return the range that `REPO:A..B` or `A..B` (in the current directory) names; None if it is something else."""
    match = None if os.path.lexists(given) else _RANGE.match(str(given))
    if match is None or not match["first"]:
        return None
    return Range(Path(match["repository"] or "."), match["first"], match["last"] or "HEAD")


def kind(given: Path) -> Kind:
    """Return what was given.

    Raises:
        UsageError: there is nothing of that name.
        SubmissionError: it is neither a plain file nor a directory.
    """
    if git_range(given):
        return "range"
    if given.is_dir():
        return "directory"
    if not os.path.lexists(given):
        raise UsageError(f"{given} does not exist", hint=_hint(given))
    is_archive = archive.read_plain(given, len(_GZIP)) == _GZIP
    return "patch" if given.suffix in _PATCH_SUFFIXES and not is_archive else "archive"


def _hint(given: Path) -> str:
    """Return what is there in the place of something that is not: a name that is like it."""
    names = sorted(one.name for one in given.parent.iterdir()) if given.parent.is_dir() else []
    if close := difflib.get_close_matches(given.name, names, 1, 0.6):
        return f"there is {given.parent / close[0]}"
    if not given.parent.is_dir():
        return f"there is no directory {given.parent}"
    return "'patchgen patch' makes one in dist"


def load(given: Path, cache: Cache, box: Sandbox | None) -> Submission:
    """Read what was given.

    Args:
        given: a path, or a range of commits in the form of one.
        cache: for scratch space.
        box: the sandbox that git reads the patches in; None for trusted work.

    Raises:
        UsageError: there is nothing of that name.
        SubmissionError: it cannot be read as a submission.
    """
    what = kind(given)
    if what == "range":
        return _from_range(given, cache, box)
    if what == "patch":
        mails = {given.name: archive.read_plain(given)}
        return Submission(given, patches.read_mails(mails, cache, box), {}, ())
    return archive.load(given, cache, box)


def _from_range(given: Path, cache: Cache, box: Sandbox | None) -> Submission:
    """Make patches of commits. git never runs in the repository itself, only in a scratch one that borrows from it.

    Raises:
        UsageError: there is no such repository or commit.
        SubmissionError: there is no commit in the range, or too many.
    """
    wanted = git_range(given)
    assert wanted is not None, "it is a range"
    directory = views.git_directory(wanted.repository.absolute())
    if directory is None:
        raise UsageError(f"{wanted.repository} is not a git repository")
    with views.borrowed(cache, directory) as view, cache.scratch("range") as scratch:
        for name in (wanted.first, wanted.last):
            if not _commit(view, name):
                raise UsageError(f"{wanted.repository} has no commit {name}")
        span = f"{wanted.first}..{wanted.last}"
        with git_errors(f"cannot list {span}"):
            count = int(view.git.rev_list("--count", "--no-merges", "--end-of-options", span))
        if not 0 < count <= _MAX_PATCHES:
            raise SubmissionError(f"{span} holds {count} commits; there must be 1 to {_MAX_PATCHES}")
        with git_errors(f"cannot make patches of {span}"):
            view.git.format_patch(*compose.FORMAT, "-o", str(scratch), "--end-of-options", span)
        return dataclasses.replace(archive.load(scratch, cache, box), origin=given)


def _commit(view: Repository, name: str) -> bool:
    words = ("--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    status, _, _ = view.git.rev_parse(*words, with_extended_output=True, with_exceptions=False)
    return bool(status == 0)


def content(given: Submission) -> str:
    """Return a hash of what is graded: the patches and the report, and what else is there, by name."""
    files = {patch.name: patch.data.hex() for patch in given.patches}
    files |= {name: data.hex() for name, data in given.reports.items()}
    return digest("submission", sorted(files.items()), sorted(given.others), sorted(given.members))
