"""What a submission may change: the files and lines that an assignment's submissions touch, and nothing of the build.

A kernel's Makefiles are programs that run on the machine that builds it. A submission can bring a finished kernel along
as text and have a Makefile unpack it. So a Makefile may only get lines of a few forms, and what is not known to be
harmless is shown to the grader instead of being built. The rules are data of the assignment (`allowed.toml`).

Each patch's files are held against those of the base as whole files, not as hunks: what a line is in a Makefile depends
on the lines around it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import field_validator

from patchgen import resources
from patchgen.errors import SeriesError, SubmissionError
from patchgen.submission.apply import Applied
from patchgen.submission.patches import PatchFile
from patchgen.validation import Model, read_toml

FILE = "allowed.toml"
_DEFAULT = resources.TEMPLATES / "pf_stat" / FILE
_SHOWN = 20
_ASSIGNMENT = re.compile(r"([^\s:+=]+) ?([+:]?=) ?([^\n]*)")  # a line that a tab begins is none
# A backslash in it would join it to the next line, and $ is expanded in recipes, where it is no comment.
_BLANK = re.compile(r"\\\n[ \t]*|[ \t]+")
_COMMENT = re.compile(r"[ \t]*#[^$`\\\r]*$")


class Lines(Model):
    """What lines of some files may be.

    Attributes:
        files: patterns of their paths.
        makefile: a backslash joins lines, a comment ends them, and of what is there nothing may go but for a longer
            list.
        names: a pattern that NAMES stands for in `added`.
        added: patterns of whole lines that may be added; None for all.
        forbidden: patterns of what added lines may not have in them.
    """

    files: tuple[str, ...]
    makefile: bool = False
    names: str = "(?!)"
    added: tuple[str, ...] | None = None
    forbidden: tuple[str, ...] = ()

    @field_validator("names", "added", "forbidden")
    @classmethod
    def _are_patterns(cls, given: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for one in (given,) if isinstance(given, str) else given or ():
            try:
                re.compile(one)
            except re.error as error:
                raise ValueError(f"{one!r} is no regular expression: {error}") from error
        return given

    def permits(self, line: str) -> bool:
        """Whether a line may be added."""
        forms = self.added
        if forms is not None and not any(_compiled(one.replace("NAMES", self.names)).fullmatch(line) for one in forms):
            return False
        return not any(_compiled(one).search(line) for one in self.forbidden)


class Allowed(Model):
    """What a submission may change.

    Attributes:
        allowed: patterns of files that may be changed as wholes.
        forbidden: patterns of files that may not be changed, but for those that a table of lines names in full.
        lines: rules for the lines of some files; the first that names a file holds.
    """

    allowed: tuple[str, ...]
    forbidden: tuple[str, ...]
    lines: tuple[Lines, ...]

    def rule(self, path: str) -> Lines | None:
        """Return the rule for the lines of a file, None if it has none."""
        return next((one for one in self.lines if _matches(path, one.files)), None)

    def covers(self, path: str) -> bool:
        """Whether a file may be changed at all: a table of lines names it in full, or it is not forbidden."""
        if any(path in one.files for one in self.lines):
            return True
        return not _matches(path, self.forbidden) and (_matches(path, self.allowed) or self.rule(path) is not None)


@dataclass(frozen=True)
class Change:
    """Something that changes the build.

    Attributes:
        patch: name of the patch.
        path: the file.
        what: what is done to it, in words.
        line: the line, "" if it is about the file.
    """

    patch: str
    path: str
    what: str
    line: str


def load(directory: Path) -> Allowed:
    """Read the rules of a series' directory; those of pf_stat where it has none.

    Raises:
        SeriesError: they are wrong; says where.
    """
    path = directory / FILE if (directory / FILE).is_file() else _DEFAULT
    return read_toml(path, Allowed, SeriesError)


def require(rules: Allowed, patches: Sequence[PatchFile], applied: Applied) -> None:
    """Refuse patches that change how the kernel is built.

    Raises:
        SubmissionError: they do; with the lines.
    """
    found = changes(rules, patches, applied)
    if found:
        shown = "\n".join(f"{one.patch}: {one.path}: {one.what}: {one.line}" for one in found[:_SHOWN])
        raise SubmissionError(
            "it changes how the kernel is built, so it is not built",
            hint="look at these lines; --allow-build-changes builds it all the same",
            evidence=shown,
        )


def changes(rules: Allowed, patches: Sequence[PatchFile], applied: Applied) -> list[Change]:
    """Return what changes the build after any of the patches, each once.

    Args:
        rules: what may be changed.
        patches: in their order.
        applied: what came of them.
    """
    found: dict[tuple[str, str, str], Change] = {}
    for patch, step in zip(patches, applied.steps, strict=True):
        for path, row in step.items():
            for what, line in _of_file(rules, path, applied.base.get(path), row.data):
                found.setdefault((path, what, line), Change(patch.name, path, what, line))
    return list(found.values())


def _of_file(rules: Allowed, path: str, before: bytes | None, after: bytes | None) -> Iterator[tuple[str, str]]:
    """Yield what is outside of the rules in a file, in words and with the line."""
    if before == after:
        return
    if not rules.covers(path):
        yield "no file that a submission touches", ""
        return
    rule = rules.rule(path)
    if rule is None:
        return
    old, new = (_lines(data or b"", joined=rule.makefile) for data in (before, after))
    if rule.makefile:
        yield from _of_makefile(rule, old, new)
        return
    known = set(old)
    for line in new:
        if line not in known and not rule.permits(line):
            yield "added", line


def _lines(data: bytes, *, joined: bool) -> list[str]:
    """Return the lines of a file; as make sees them: a line that ends with an odd number of backslashes goes on."""
    lines = data.decode(errors="surrogateescape").split("\n")
    if lines[-1] == "":
        del lines[-1]
    if not joined:
        return lines
    found: list[str] = []
    goes_on = False
    for line in lines:
        if goes_on:
            found[-1] += f"\n{line}"
        else:
            found.append(line)
        goes_on = (len(line) - len(line.rstrip("\\"))) % 2 == 1
    return found


def _of_makefile(rule: Lines, old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield what goes from a Makefile, and what comes that may not.

    The new lines are gone through beside the old ones. One that may be added anywhere is no matter. Any other must be
    an old one, and it is the next of its kind: what is passed over on the way there is gone, unless it comes later,
    where it is told because it has lost its place.
    """
    lost = Counter(old) - Counter(new)
    places: dict[str, list[int]] = {}
    for number, line in enumerate(old):
        places.setdefault(line, []).append(number)

    def gone(first: int, last: int) -> Iterator[tuple[str, str]]:
        return (("removed or changed", line) for line in old[first:last] if _code(line) and lost[line])

    at = 0
    for line in new:
        if at < len(old) and (line == old[at] or _grows(rule, old[at], line)):
            at += 1
        elif not rule.permits(_code(line)):
            known = places.get(line, [])
            found = bisect_left(known, at)
            if found == len(known):
                yield "added", line
            else:
                yield from gone(at, known[found])
                at = known[found] + 1
    yield from gone(at, len(old))


def _code(line: str) -> str:
    """Return a Makefile's line without its comment."""
    return _COMMENT.sub("", line).rstrip(" \t")


def _grows(rule: Lines, old: str, new: str) -> bool:
    """Whether a list has all that it had, and besides what could have been added on a line of its own."""
    before, after = (_ASSIGNMENT.fullmatch(_BLANK.sub(" ", line)) for line in (old, new))
    if before is None or after is None or before.group(1, 2) != after.group(1, 2):
        return False
    more = Counter(after[3].split(" "))
    more.subtract(Counter(before[3].split(" ")))
    fresh = [name for name, count in more.items() if count > 0 and name]
    return all(count >= 0 for name, count in more.items() if name) and rule.permits(
        " ".join([before[1], before[2], *fresh])
    )


def _matches(path: str, patterns: Sequence[str]) -> bool:
    return any(_glob(pattern).fullmatch(path) for pattern in patterns)


@cache
def _glob(pattern: str) -> re.Pattern[str]:
    """Return a pattern of paths as a regular expression."""
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    parts = re.split(r"(\*\*/|\*\*|\*)", pattern)
    return re.compile("".join(words.get(part, re.escape(part)) for part in parts))


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
