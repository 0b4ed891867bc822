"""Reading patches: the mail around a diff, and what the diff touches. What comes in here is not trusted.

The commit message is cut off by git itself (`git mailinfo`) before unidiff parses the rest, since a message
may quote hunk headers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from unidiff import PatchedFile, PatchSet
from unidiff.errors import UnidiffParseError

from patchgen import proc
from patchgen.cache import Cache
from patchgen.errors import CommandError, SubmissionError
from patchgen.repository import environment

MAX_BYTES = 4 * 1024 * 1024
MAX_FILES = 500
_MAIL_SECONDS = 30.0
# checkpatch hands file names to a shell, so a name is made of what kernel paths are made of.
_PATH = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.,+@-]*(?:/[A-Za-z0-9_.,+@-]+)*$")
_MODE = re.compile(r"^(?:old mode|new mode|new file mode|deleted file mode) (\d+)$|^index [0-9a-f.]+ (\d{6})$", re.M)
# What checkpatch 4.15 takes for a file name, wherever it stands, also in a commit message; these are its patterns.
_NAME_LINE = re.compile(r"^\+\+\+\s+(\S+)|^diff --git.*?(\S+)$", re.M)
_GIT_HEADER = re.compile(r"^diff --git a/(?P<old>.+?) b/(?P<new>.+)$", re.M)
_NOTHING = "/dev/null"  # stands in a diff for the missing side of a new or removed file
_PLAIN_MODES = {"100644", "100755"}


@dataclass(frozen=True)
class PatchFile:
    """One patch of a submission.

    Attributes:
        name: its file name.
        data: the whole file.
        subject: subject line, without [PATCH n/m].
        author: "Name <mail>".
        message: the rest of the commit message.
        diff: the diff, from the first line after the message on.
        files: parsed changes, in order.
    """

    name: str
    data: bytes
    subject: str
    author: str
    message: str
    diff: str
    files: tuple[PatchedFile, ...]

    @property
    def paths(self) -> list[str]:
        """Every path in a kernel tree that it names, old and new."""
        named = {path for match in _GIT_HEADER.finditer(self.diff) for path in match.groups()}
        named |= {file.path for file in self.files}
        return sorted(named - {_NOTHING})

    @property
    def added(self) -> int:
        """Number of lines added."""
        return sum(file.added for file in self.files)

    @property
    def removed(self) -> int:
        """Number of lines removed."""
        return sum(file.removed for file in self.files)


def read(name: str, data: bytes, cache: Cache) -> PatchFile:
    """Parse one patch file.

    Args:
        name: its file name, for messages.
        data: its content.
        cache: where git may write the two halves.

    Raises:
        SubmissionError: it is too large, not a patch, or names a path or mode that no kernel patch has.
    """
    if len(data) > MAX_BYTES:
        raise SubmissionError(f"{name} has {len(data)} bytes; a patch may have {MAX_BYTES}")
    with cache.scratch("mail") as scratch:
        (scratch / "mail").write_bytes(data)
        command = [proc.find("git"), "mailinfo", "--encoding=UTF-8", "msg", "diff"]
        try:
            out = proc.run(command, cwd=scratch, env=environment(), timeout=_MAIL_SECONDS, stdin=data)
        except CommandError as error:
            raise SubmissionError(f"{name} is not a patch in mail format", evidence=error.output) from error
        message = (scratch / "msg").read_bytes().decode(errors="replace")
        diff = (scratch / "diff").read_bytes().decode(errors="surrogateescape")
    head = dict(line.split(": ", 1) for line in out.stdout.splitlines() if ": " in line)
    try:
        files = tuple(PatchSet(diff))
    except UnidiffParseError as error:
        raise SubmissionError(f"{name}: the diff is damaged: {error}") from error
    if not files:
        raise SubmissionError(f"{name} holds no diff", hint="make patches with git format-patch")
    author = f"{head.get('Author', '')} <{head.get('Email', '')}>"
    patch = PatchFile(name, data, head.get("Subject", ""), author, message, diff, files)
    _refuse_hostile(patch)
    return patch


def _refuse_hostile(patch: PatchFile) -> None:
    """Stop at paths and modes that could reach outside a kernel tree.

    Raises:
        SubmissionError: there is one.
    """
    if len(patch.files) > MAX_FILES:
        raise SubmissionError(f"{patch.name} touches {len(patch.files)} files; {MAX_FILES} are allowed")
    for path in patch.paths:
        parts = PurePosixPath(path).parts
        if not _PATH.match(path) or ".." in parts or ".git" in parts:
            raise SubmissionError(f"{patch.name} names a path that is not allowed: {path!r}")
    mail = patch.data.decode(errors="surrogateescape")
    for found in _NAME_LINE.finditer(mail):
        name = found[1] or found[2]
        if name != _NOTHING and not _PATH.match(name):
            raise SubmissionError(f"{patch.name} has a line that names a file in a way that is not allowed: {name!r}")
    for match in _MODE.finditer(patch.diff):
        mode = match[1] or match[2]
        if mode not in _PLAIN_MODES:
            kind = {"120000": "a symbolic link", "160000": "a submodule"}.get(mode, f"mode {mode}")
            raise SubmissionError(f"{patch.name} makes {kind}; only plain files are allowed")


def read_all(files: Sequence[Path], cache: Cache) -> list[PatchFile]:
    """Parse patch files in the order given.

    Raises:
        SubmissionError: one of them is wrong.
    """
    return [read(path.name, path.read_bytes(), cache) for path in files]
