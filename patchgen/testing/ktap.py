"""Scenarios in C: what their source says of them, and the KTAP that they print.

The grammar is that of the kernel's `Documentation/dev-tools/ktap.rst` and `tools/testing/kunit`. A kernel under test
may be hostile, and may die at any time: whatever the text is, a tree comes of it, which says what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from patchgen.text import one_line

_LONGEST = 2000  # characters of a line
_MOST_LINES = 20_000
_MOST_DIAGNOSTICS = 100  # of one result
_MOST_PROBLEMS = 20
_DEEPEST = 8

_DECLARATION = re.compile(
    r'^SCENARIO(?:_CPUS\(\s*(?P<cpus>[1-9])\s*,|\()\s*(?P<name>[a-z]\w*)\s*,\s*"(?P<ids>[^"\\\n]*)"\s*,'
    r'\s*"(?P<summary>(?:[^"\\\n]|\\.)+)"\s*\)',
    re.M,
)
_BEGINS = re.compile(r"^SCENARIO\w*", re.M)

_VERSION = re.compile(r"K?TAP version \d{1,9}")
_PLAN = re.compile(r"1\.\.(\d{1,9})")
_SUBTEST = re.compile(r"# Subtest: (.*)")
_RESULT = re.compile(r"(ok|not ok) (\d{1,9})(?: (?:- )?([^#]*)(?:#(.*))?)?")
_SKIP = re.compile(r"SKIP\b", re.I)
_BAIL_OUT = re.compile(r"Bail out!\s*(.*)")
_ID = re.compile(r"[A-Z]?\d{1,3}(?:\.\d{1,3})*(?:-\d{1,3})?")


@dataclass(frozen=True)
class Declared:
    """A scenario, as the source of a C program declares it.

    Attributes:
        name: what the program is told to run.
        requirements: ids of the requirements that it stands for.
        summary: what it demands, for people.
        cpus: how many CPUs its guest has.
    """

    name: str
    requirements: tuple[str, ...]
    summary: str
    cpus: int


def declared(source: str) -> tuple[Declared, ...]:
    """Return the scenarios of a C program's source, in its order: SCENARIO at the beginning of a line (ktap.h).

    Raises:
        ValueError: one of them has another form, no requirement, or the name of another.
    """
    found = [
        Declared(
            match["name"],
            tuple(match["ids"].split()),
            re.sub(r"\\(.)", r"\1", match["summary"]),
            int(match["cpus"] or 1),
        )
        for match in _DECLARATION.finditer(source)
    ]
    known = {match.start() for match in _DECLARATION.finditer(source)}
    for match in _BEGINS.finditer(source):
        if match.start() not in known:
            line = source.count("\n", 0, match.start()) + 1
            raise ValueError(f'line {line}: not of the form SCENARIO(name, "requirements", "summary")')
    names = [one.name for one in found]
    for one in found:
        if not one.requirements:
            raise ValueError(f"{one.name} stands for no requirement")
        if names.count(one.name) > 1:
            raise ValueError(f"two scenarios are called {one.name}")
    return tuple(found)


class Status(Enum):
    """What came of a test."""

    PASS = "pass"  # noqa: S105 - a result
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True)
class Result:
    """A test with its subtests.

    Attributes:
        number: as it was printed.
        status: a test has failed if one of its subtests has, or if something is missing of it.
        description: what it is about, without the dash before it.
        reason: what follows `# SKIP`, or the `#` of another directive.
        diagnostics: the lines between this result and the one before that belong to no subtest, without their `#`.
        children: the subtests.
        problems: what is wrong with the text here, in words.
    """

    number: int
    status: Status
    description: str
    reason: str = ""
    diagnostics: tuple[str, ...] = ()
    children: tuple[Result, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def requirements(self) -> tuple[str, ...]:
        """Ids before a colon at the beginning of the description."""
        head, colon, _ = self.description.partition(": ")
        ids = tuple(head.split())
        return ids if colon and ids and all(_ID.fullmatch(one) for one in ids) else ()

    @property
    def text(self) -> str:
        """The description without these ids."""
        return self.description.partition(": ")[2] if self.requirements else self.description


@dataclass(frozen=True)
class Document:
    """What a program has printed.

    Attributes:
        results: the tests of the outermost level.
        diagnostics: lines outside of any test.
        bail_out: why the program gave up, None if it did not.
        problems: what is wrong with the text as a whole, in words.
    """

    results: tuple[Result, ...]
    diagnostics: tuple[str, ...] = ()
    bail_out: str | None = None
    problems: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        """Of everything: it has failed if a test has, or if the text is not whole."""
        found = {one.status for one in self.results}
        if Status.FAIL in found or not found or self.problems or self.bail_out is not None:
            return Status.FAIL
        return Status.PASS if Status.PASS in found else Status.SKIP

    def find(self, description: str) -> Result | None:
        """Return the test of the outermost level with a description, None if there is not exactly one."""
        found = [one for one in self.results if one.description == description]
        return found[0] if len(found) == 1 else None


@dataclass
class _Level:
    """A list of results that is being read, all with the same indentation."""

    indent: int
    plan: int | None = None
    name: str = ""
    results: list[Result] = field(default_factory=list)
    diagnostics: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        if len(self.diagnostics) < _MOST_DIAGNOSTICS:
            self.diagnostics.append(line)

    def blame(self, problem: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)

    def add(self, result: Result) -> None:
        if result.number != len(self.results) + 1:
            self.blame(f"result {result.number} where {len(self.results) + 1} was due")
        self.results.append(result)

    def close(self) -> tuple[str, ...]:
        """Return the problems, now that nothing more comes."""
        if self.plan is not None and self.plan != len(self.results):
            self.blame(f"{self.plan} results were planned and {len(self.results)} came")
        return tuple(self.problems)


def parse(text: str) -> Document:
    """Return the tests in a program's output.

    A plan may be missing in a nested list, whose end shows in its parent's result.
    """
    reader = _Reader()
    for indent, line in _lines(text, reader.outermost):
        if reader.read(indent, line):
            break
    return reader.document()


def _lines(text: str, outermost: _Level) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, each with its indentation, visible and not too long."""
    at = 0
    for _ in range(_MOST_LINES):
        end = text.find("\n", at)
        whole = text[at:] if end < 0 else text[at:end]
        line = whole[: _LONGEST + 1].rstrip("\r ")
        if len(line) > _LONGEST:
            line = line[:_LONGEST] + " ..."
        if line.strip():
            bare = line.lstrip(" ")
            yield len(line) - len(bare), one_line(bare)
        if end < 0:
            return
        at = end + 1
    outermost.blame(f"more than {_MOST_LINES} lines")


class _Reader:
    """Reads line by line, and keeps the lists that are open: the outermost first, each deeper than the one before."""

    def __init__(self) -> None:
        self._levels: list[_Level] = []
        self._bail_out: str | None = None
        self.outermost = _Level(-1)  # What lies before the first version line, and problems of the whole.

    def read(self, indent: int, line: str) -> bool:
        """Take a line; return whether it was the last that counts."""
        if match := _BAIL_OUT.fullmatch(line):
            self._bail_out = match[1]
            return True
        if _VERSION.fullmatch(line):
            self._open(indent)
        elif not self._levels:
            self.outermost.say(line)
        elif match := _SUBTEST.fullmatch(line):
            level = self._at(indent)
            level.name = level.name or match[1]
        elif match := _PLAN.fullmatch(line):
            self._plan(self._at(indent), int(match[1]))
        elif match := _RESULT.fullmatch(line):
            self._result(indent, match)
        else:
            self._levels[-1].say(line.removeprefix("#").lstrip())
        return False

    def document(self) -> Document:
        """Return what was read."""
        if not self._levels:
            self.outermost.blame("no line that says KTAP version 1")
            return Document((), tuple(self.outermost.diagnostics), self._bail_out, self.outermost.close())
        # The innermost list that is open was cut off in the middle: its parent has no result of its own.
        while len(self._levels) > 1:
            level = self._levels.pop()
            self._levels[-1].results.append(_cut_off(level, len(self._levels[-1].results) + 1))
        top = self._levels[0]
        if top.plan is None:
            top.blame("no plan")
        problems = (*self.outermost.close(), *top.close())
        return Document(tuple(top.results), (*self.outermost.diagnostics, *top.diagnostics), self._bail_out, problems)

    def _open(self, indent: int) -> None:
        if not self._levels or indent > self._levels[-1].indent:
            if len(self._levels) == _DEEPEST:
                self.outermost.blame(f"tests are nested more than {_DEEPEST} deep")
                return
            self._levels.append(_Level(indent))
            return
        # Where a list of the same depth is open, its parent's result has not come.
        level = self._at(indent)
        if level.results or level.plan is not None:
            level.blame("a second version line")

    def _at(self, indent: int) -> _Level:
        """Return the list that a line belongs to by its indentation: the deepest that is not deeper."""
        return next((one for one in reversed(self._levels) if one.indent <= indent), self._levels[0])

    def _plan(self, level: _Level, count: int) -> None:
        if level.plan is not None:
            level.blame("a second plan")
        level.plan = count

    def _result(self, indent: int, match: re.Match[str]) -> None:
        level = self._at(indent)
        children: tuple[Result, ...] = ()
        problems: tuple[str, ...] = ()
        diagnostics: list[str] = []
        while self._levels[-1] is not level:
            inner = self._levels.pop()
            if self._levels[-1] is not level:
                self._levels[-1].results.append(_cut_off(inner, len(self._levels[-1].results) + 1))
                continue
            children, problems = tuple(inner.results), inner.close()
            diagnostics = inner.diagnostics
            if inner.name and inner.name != (match[3] or "").strip():
                problems = (*problems, f"the result is not that of {inner.name}")
            if not children:
                problems = (*problems, "there is no result in it")
        description, reason = (match[3] or "").strip(), (match[4] or "").strip()
        status = Status.PASS if match[1] == "ok" else Status.FAIL
        if _SKIP.match(reason):
            status, reason = Status.SKIP, reason[len("SKIP") :].strip()
        if status is not Status.FAIL and (problems or any(one.status is Status.FAIL for one in children)):
            status = Status.FAIL
            problems = (*problems, f"it says {match[1]}, and something in it has failed")
        said = (*level.diagnostics, *diagnostics)[:_MOST_DIAGNOSTICS]
        level.diagnostics = []
        level.add(Result(int(match[2]), status, description, reason, said, children, problems))


def _cut_off(level: _Level, number: int) -> Result:
    problems = (*level.close(), "the output ends before its result")
    said = tuple(level.diagnostics)
    return Result(number, Status.FAIL, level.name, "", said, tuple(level.results), problems)


def leaves(result: Result) -> Iterator[Result]:
    """Yield the tests in a tree that have no subtests, in order; a test that was cut off with none is one."""
    if not result.children:
        yield result
    for child in result.children:
        yield from leaves(child)
