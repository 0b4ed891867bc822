"""Where in a submission something is: the line that logs, the function that crashes, what the compiler names.

Only lines that the submission has added or changed are looked at, in the tree with all its patches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePosixPath

from patchgen.findings import Finding, Kind
from patchgen.submission.apply import Applied

_SOURCES = {".c", ".h", ".S"}
_TEXT = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_FORMAT = re.compile(r"%[-+ #0]*[\d*]*(?:\.[\d*]+)?(?:hh|h|ll|l|z|t)?[a-zA-Z]+|\\.")
_DIRECTIVE = re.compile(r"\s*#")
_TAGS = re.compile(r"^(?:\s*\[[^\]]*\])+")  # such as [NAME][ERROR], which is in every line
_LETTERS = 6  # that a text must have before it counts as what was logged
_LONGEST = 400  # characters of a line of code that is looked at
_PLACE = re.compile(r"(?:^|\s)(?:\.\./src/)?([\w./-]+\.[chS]):(\d+)")
_DEFINED = r"(?:^[A-Za-z_][\w \t*]*[ \t*]{name}[ \t]*\((?!.*;[ \t]*$))|SYSCALL_DEFINE\d\([ \t]*{name}\b"


@dataclass(frozen=True)
class Sources:
    """The text of a submission.

    Attributes:
        lines: of its files of C and assembly, by path, number and text of each line that it has added or changed.
    """

    lines: Mapping[str, Mapping[int, str]]

    @cached_property
    def _formats(self) -> list[tuple[int, str, str]]:
        """Texts that may be logged, those that say most first: how much, the longest part of it, and where it is."""
        found = []
        for path, lines in self.lines.items():
            for number, line in lines.items():
                if _DIRECTIVE.match(line):  # what all lines of the log begin with, most likely
                    continue
                for text in _TEXT.findall(line[:_LONGEST]):
                    fixed = max(_FORMAT.split(_TAGS.sub("", text)), key=len).strip()
                    if sum(char.isalnum() for char in fixed) >= _LETTERS:
                        found.append((len(fixed), fixed, f"{path}:{number}"))
        return sorted(found, key=lambda one: -one[0])

    def of_log(self, text: str) -> str:
        """Return where the text is made that was logged, "PATH:LINE", "" if that cannot be told."""
        return next((place for _, fixed, place in self._formats if fixed in text), "")

    def of_function(self, name: str) -> str:
        """Return where a function is defined, "PATH:LINE", "" if the submission has none of that name."""
        if not name.isidentifier():
            return ""
        defined = re.compile(_DEFINED.format(name=name))
        for path, lines in self.lines.items():
            for number, line in lines.items():
                if name in line and defined.search(line[:_LONGEST]):
                    return f"{path}:{number}"
        return ""

    def text(self, place: str) -> str:
        """Return the line at a place of the submission, without blanks around it, "" if it is not the submission's."""
        path, _, number = place.rpartition(":")
        return self.lines.get(path, {}).get(int(number), "").strip() if number.isdigit() else ""


def sources(applied: Applied | None) -> Sources:
    """Return the text of a submission that has applied; nothing of one that has not."""
    last = {path: row.data for step in (applied.steps if applied else ()) for path, row in step.items()}
    found = {}
    for path, data in last.items():
        if data is not None and PurePosixPath(path).suffix in _SOURCES:
            assert applied is not None, "it has steps"
            before = set(applied.base.get(path, b"").decode(errors="replace").splitlines())
            lines = data.decode(errors="replace").splitlines()
            found[path] = {number: line for number, line in enumerate(lines, 1) if line not in before or not line}
    return Sources(found)


def at(finding: Finding, place: str) -> Finding:
    """Return a finding that is about a place, "PATH:LINE"; the same if that is ""."""
    path, _, line = place.rpartition(":")
    return replace(finding, path=path, line=int(line)) if path and line.isdigit() else finding


def located(findings: Sequence[Finding], known: Sources) -> Iterator[Finding]:
    """Yield the findings with the place of the submission that each is about, as far as that can be told."""
    for finding in findings:
        yield finding if finding.path else at(finding, _place(finding, known))


def _place(finding: Finding, known: Sources) -> str:
    if finding.kind is Kind.LOG:
        return known.of_log(finding.evidence[:_LONGEST]) or known.of_log(finding.message)
    if finding.check in ("build", "build-each"):
        for match in _PLACE.finditer(finding.evidence):
            if match[1] in known.lines:
                return f"{match[1]}:{match[2]}"
    return ""
