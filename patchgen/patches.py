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
from patchgen.visible import visible

MAX_BYTES = 4 * 1024 * 1024
MAX_FILES = 500
_MAIL_SECONDS = 30.0
# checkpatch hands file names to a shell, so a name is made of what kernel paths are made of.
_PATH = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.,+@-]*(?:/[A-Za-z0-9_.,+@-]+)*$")
_LINE_MAX = 16 * 1024  # of bytes: there is no such line in a kernel, and patterns may take its square
# git reads a mode as strtoul() does, with spaces and zeros before it; so whatever stands there must be plain.
_MODE = re.compile(r"^(?:old mode|new mode|new file mode|deleted file mode|index [0-9a-f]+\.\.[0-9a-f]+)\b(.*)$", re.M)
_RENAME = re.compile(r"^(?:rename|copy) (?:from|to) (.+)$", re.M)
_BINARY = re.compile(r"^GIT binary patch|^Binary files .* differ$", re.M)
# What checkpatch 4.15 takes for a file name, wherever it stands, also in a commit message: the first word after +++,
# the last one of a diff --git line.
_NAME_LINE = re.compile(r"^\+\+\+\s+(\S+)|^diff --git(.*)$", re.M)
_GIT_HEADER = re.compile(r"^diff --git a/(?P<old>.+?) b/(?P<new>.+)$", re.M)
_NOTHING = "/dev/null"  # stands in a diff for the missing side of a new or removed file
PLAIN_MODES = {"100644", "100755"}
_GIT_FILES = {".git", ".gitattributes", ".gitmodules"}  # git itself obeys these


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
        named |= {file.path for file in self.files} | set(_RENAME.findall(self.diff))
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
    if max(map(len, data.split(b"\n"))) > _LINE_MAX:
        raise SubmissionError(f"{name} has a line of more than {_LINE_MAX} bytes")
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
    except (UnidiffParseError, ValueError, LookupError, AttributeError) as error:
        raise SubmissionError(f"{name}: the diff is damaged: {error}") from error
    if not files:
        raise SubmissionError(f"{name} holds no diff", hint="make patches with git format-patch")
    author = f"{head.get('Author', '')} <{head.get('Email', '')}>"
    subject, author, message = (visible(text) for text in (head.get("Subject", ""), author, message))
    patch = PatchFile(name, data, subject, author, message, diff, files)
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
        if not _PATH.fullmatch(path) or ".." in parts or any(part.lower() in _GIT_FILES for part in parts):
            raise SubmissionError(f"{patch.name} names a path that is not allowed: {path!r}")
    mail = patch.data.decode(errors="surrogateescape")
    for found in _NAME_LINE.finditer(f"{mail}\n{patch.diff}"):
        name = found[1] or (found[2].split() or [""])[-1]
        if name != _NOTHING and not _PATH.fullmatch(name):
            raise SubmissionError(f"{patch.name} has a line that names a file in a way that is not allowed: {name!r}")
    # Before the first header are the sender's notes, where anything may stand.
    diff = f"\n{patch.diff}"
    diff = diff[max(diff.find("\ndiff --git "), 0) :]
    if _BINARY.search(diff):
        raise SubmissionError(f"{patch.name} has a binary diff; only text is allowed")
    for match in _MODE.finditer(diff):
        mode = match[1].strip().lstrip("+0")
        if match[1] and match[1].rstrip("\r").removeprefix(" ") not in PLAIN_MODES:
            kind = {"120000": "a symbolic link", "160000": "a submodule"}.get(mode, f"mode {mode!r}")
            raise SubmissionError(f"{patch.name} makes {kind}; only plain files are allowed")


def read_all(files: Sequence[Path], cache: Cache) -> list[PatchFile]:
    """Parse patch files in the order given.

    Raises:
        SubmissionError: one of them is wrong.
    """
    return [read(path.name, path.read_bytes(), cache) for path in files]
