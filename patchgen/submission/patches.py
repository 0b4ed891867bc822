"""Reading patches: the mail around a diff, and what the diff touches. What comes in here is not trusted.

First its form is looked at: size, number of lines, exactly one mail in each file. Then git itself (`git mailinfo`, in
the sandbox) cuts off the commit message before unidiff parses the rest, since a message may quote hunk headers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from unidiff import PatchedFile, PatchSet
from unidiff.errors import UnidiffParseError

from patchgen.base.git import variables
from patchgen.cache import Cache
from patchgen.errors import OverLimitError, SubmissionError
from patchgen.submission.toolroom import Toolroom
from patchgen.text import visible

if TYPE_CHECKING:
    from patchgen.sandbox import Sandbox

MAX_BYTES = 4 * 1024 * 1024
MAX_FILES = 500
# Of all patches of a submission together. Each line takes half a kilobyte once it is parsed; the largest honest
# submission that is known has 5,000.
MAX_LINES = 50_000
MAX_ALL = 8 * 1024 * 1024
_MESSAGE_MAX = 64 * 1024  # of bytes of a commit message
_MAILINFO = """
for mail in "$given"/*; do
  name=out/${mail##*/}
  git mailinfo --encoding=UTF-8 "$name.message" "$name.diff" < "$mail" > "$name.head" 2> "$name.errors" \\
    || echo no > "$name.failed"
done
"""
# What git takes for the line between two mails of an mbox, and a little more: mailsplit.c wants a time of day in it.
_FROM = re.compile(rb"^From .*\d.\d\d:\d\d", re.M)
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


def read(name: str, data: bytes, cache: Cache, box: Sandbox | None = None) -> PatchFile:
    """Parse one patch file, see `read_mails`."""
    return read_mails({name: data}, cache, box)[0]


def read_mails(mails: Mapping[str, bytes], cache: Cache, box: Sandbox | None) -> tuple[PatchFile, ...]:
    """Parse the patch files of a submission.

    Args:
        mails: content of each by its file name, in their order.
        cache: for scratch space.
        box: the sandbox that git reads them in; None for trusted work.

    Raises:
        SubmissionError: they are too large, or one is not one patch in mail format, or names a path or mode that no
            kernel patch has.
        MachineError: git could not be started.
    """
    for name, data in mails.items():
        _check_mail(name, data)
    if sum(map(len, mails.values())) > MAX_ALL or sum(data.count(b"\n") for data in mails.values()) > MAX_LINES:
        raise SubmissionError(f"the patches have more than {MAX_ALL} bytes or {MAX_LINES} lines together")
    numbered = {f"{number:04}": data for number, data in enumerate(mails.values())}
    try:
        found = Toolroom(cache, box).run(_MAILINFO, numbered, variables())
    except OverLimitError as error:
        raise SubmissionError(f"git mailinfo cannot read the patches: {error.message}") from error
    return tuple(
        _parsed(name, data, {part: found.files.get(f"{number}.{part}", b"") for part in _PARTS})
        for (name, data), number in zip(mails.items(), numbered, strict=True)
    )


_PARTS = ("head", "message", "diff", "failed", "errors")


def _check_mail(name: str, data: bytes) -> None:
    """See that a file is one mail that can be parsed in no time.

    Raises:
        SubmissionError: it is not.
    """
    if len(data) > MAX_BYTES:
        raise SubmissionError(f"{name} has {len(data)} bytes; a patch may have {MAX_BYTES}")
    if data.count(b"\n") > MAX_LINES:
        raise SubmissionError(f"{name} has more than {MAX_LINES} lines")
    if max(map(len, data.split(b"\n"))) > _LINE_MAX:
        raise SubmissionError(f"{name} has a line of more than {_LINE_MAX} bytes")
    if b"\0" in data:
        raise SubmissionError(f"{name} has a zero byte in it; only text is allowed")
    for number, found in enumerate(_FROM.finditer(data)):
        if number or found.start():
            before = "before the mail there is something else" if not number else "there is more than one mail"
            raise SubmissionError(f"{name} is not one patch in mail format: {before}")


def _parsed(name: str, data: bytes, parts: Mapping[str, bytes]) -> PatchFile:
    """Return a patch of what git mailinfo has made of it.

    Raises:
        SubmissionError: it is none, or a hostile one.
    """
    if parts["failed"]:
        raise SubmissionError(
            f"{name} is not a patch in mail format", evidence=parts["errors"].decode(errors="replace")
        )
    if len(parts["message"]) > _MESSAGE_MAX:
        raise SubmissionError(f"{name} has a commit message of more than {_MESSAGE_MAX} bytes")
    if _FROM.search(parts["message"]) or _FROM.search(parts["diff"]):
        raise SubmissionError(f"{name} is not one patch in mail format: there is a mail in the mail")
    message = parts["message"].decode(errors="replace")
    diff = parts["diff"].decode(errors="surrogateescape")
    head = dict(line.split(": ", 1) for line in parts["head"].decode(errors="replace").splitlines() if ": " in line)
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
    """Parse patch files that we made ourselves, in the order given.

    Raises:
        SubmissionError: one of them is wrong.
    """
    return list(read_mails({path.name: path.read_bytes() for path in files}, cache, None))
