"""Line and branch coverage of what a series adds to the kernel, counted by gcov in guests.

The kernel is built with counters in the files that the series touches (`gcov` in qemu/kernel/kernels.toml). Every
scenario runs in a guest of its own, so the counters are read after each and summed up here. Counted are the lines
that the series adds, in whatever object they were compiled: a header's inline function counts where it was used.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import unidiff

from patchgen import process, toolchain
from patchgen.base.git import bare_repository, contents, git_errors
from patchgen.base.resolve import Source
from patchgen.errors import GuestError, MachineError
from patchgen.sandbox import with_files

if TYPE_CHECKING:
    from patchgen.guest.session import Guest
    from patchgen.sandbox import Sandbox

_SECONDS = 60.0
_GUEST_DIRECTORY = "/sys/kernel/debug/gcov"
_SOURCE = re.compile(r"\.[chS]$")
# A workspace may hold another tree by now; what the lines are comes from git.
_HARMLESS = re.compile(r"source file is newer than notes file|the message is displayed only once")
# A line that begins a function's definition: in column one, and not the end of a declaration.
_FUNCTION = re.compile(r"^(?:(?:COMPAT_)?SYSCALL_DEFINE\d\((\w+)|(?=[A-Za-z_])[^=;(]*?\b(\w+)\([^;]*$)")


@dataclass(frozen=True)
class Line:
    """A line that the series adds and that has code.

    Attributes:
        path: the file in the kernel tree.
        number: from 1.
        function: the function around it.
        count: how often it ran, all runs together.
        branches: how often each way was taken that its jumps can go.
    """

    path: str
    number: int
    function: str
    count: int
    branches: tuple[int, ...]


@dataclass(frozen=True)
class Function:
    """The lines of one function, with what was counted.

    Attributes:
        path: the file in the kernel tree.
        name: the function's.
        lines: its lines that the series adds and that have code.
    """

    path: str
    name: str
    lines: tuple[Line, ...]

    @property
    def uncovered(self) -> tuple[int, ...]:
        """Numbers of the lines that never ran."""
        return tuple(line.number for line in self.lines if not line.count)

    @property
    def branches(self) -> tuple[int, int]:
        """How many branches were taken, and how many there are."""
        counts = [count for line in self.lines for count in line.branches]
        return sum(count > 0 for count in counts), len(counts)


@dataclass(frozen=True)
class Coverage:
    """What was counted.

    Attributes:
        functions: by file and place.
        text: the lines of each file that the series adds code to.
        runs: names of the runs, in order.
    """

    functions: tuple[Function, ...]
    text: Mapping[str, Sequence[str]]
    runs: tuple[str, ...]

    @property
    def lines(self) -> tuple[int, int]:
        """How many lines ran, and how many there are."""
        lines = [line for function in self.functions for line in function.lines]
        return sum(line.count > 0 for line in lines), len(lines)

    @property
    def branches(self) -> tuple[int, int]:
        """How many branches were taken, and how many there are."""
        both = [function.branches for function in self.functions]
        return sum(taken for taken, _ in both), sum(there for _, there in both)

    def as_dict(self) -> dict[str, object]:
        """Return the numbers for JSON."""
        return {
            "lines": dict(zip(("covered", "total"), self.lines, strict=True)),
            "branches": dict(zip(("covered", "total"), self.branches, strict=True)),
            "runs": list(self.runs),
            "functions": [
                {
                    "file": one.path,
                    "function": one.name,
                    "lines": {"covered": len(one.lines) - len(one.uncovered), "total": len(one.lines)},
                    "branches": dict(zip(("covered", "total"), one.branches, strict=True)),
                    "uncovered": list(one.uncovered),
                }
                for one in self.functions
            ],
        }


@dataclass
class _Count:
    """What is known of one line while runs are added up."""

    count: int = 0
    branches: list[int] = field(default_factory=list)

    def add_branches(self, counts: Sequence[int]) -> None:
        """Add the branches of one more place that the line was compiled into: the same ones, if it is an inline."""
        self.branches += [0] * (len(counts) - len(self.branches))
        for number, count in enumerate(counts):
            self.branches[number] += count


def added_lines(source: Source, tree: str) -> dict[str, frozenset[int]]:
    """Return the numbers of the lines that `tree` has and the base has not, by file of C or assembler.

    Raises:
        MachineError: git failed.
    """
    with git_errors("cannot compare the trees"):
        diff = str(bare_repository(source.repository).git.diff_tree("-p", "-U0", "--no-renames", source.tree, tree))
    return {
        file.path: frozenset(line.target_line_no or 0 for hunk in file for line in hunk.target_lines() if line.is_added)
        for file in unidiff.PatchSet(diff)
        if _SOURCE.search(file.path)
    }


def collect(guest: Guest) -> dict[str, bytes]:
    """Read the counters out of a guest: gcov's data files by their path in the guest.

    Everything else that runs in the guest is ended first, since counters that move while they are read do not fit
    together.

    Raises:
        GuestError: the kernel has no counters.
    """
    guest.run("kill -9 -1; sleep 0.1")
    listed = guest.run(["find", _GUEST_DIRECTORY, "-name", "*.gcda"]).text.splitlines()
    if not listed:
        raise GuestError("the kernel has no coverage counters in its debugfs")
    return {path: guest.run(f"cat {shlex.quote(path)}").output for path in listed}


class Counter:
    """Adds up the counters of many runs of one kernel.

    Args:
        notes: directory with the .gcno files that the compiler wrote, at the objects' paths.
        added: the lines that are looked at.
        scratch: a directory to work in.
        sandbox: what gcov runs in, where an untrusted build and kernel made what it reads.
    """

    def __init__(
        self, notes: Path, added: Mapping[str, frozenset[int]], scratch: Path, sandbox: Sandbox | None = None
    ) -> None:
        self._sandbox = sandbox
        self._notes = {str(path.relative_to(notes).with_suffix("")): path for path in notes.rglob("*.gcno")}
        self._added, self._scratch = added, scratch
        self._counts: dict[tuple[str, int], _Count] = {}
        self._runs: list[str] = []

    def add(self, name: str, data: Mapping[str, bytes]) -> None:
        """Add what one run counted.

        Args:
            name: the run's.
            data: gcov's data files by their path in the guest, see `collect`.

        Raises:
            MachineError: gcov cannot read them.
        """
        directory = self._scratch / str(len(self._runs))
        targets = []
        for stem, notes in self._notes.items():
            # make's variables go by a file's last name, so arch/x86/mm/mmap.o has counters as well as mm/mmap.o.
            paths = [path for path in data if path.endswith(f"/{stem}.gcda")]
            if paths:
                target = directory / f"{stem}.gcda"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data[min(paths, key=len)])
                os.link(notes, target.with_suffix(".gcno"))
                targets.append(f"{stem}.gcda")
        if len(targets) != len(self._notes):
            raise MachineError(f"{name}: counters of {len(targets)} objects instead of {len(self._notes)}")
        self._runs.append(name)
        self._add_reports(_gcov(directory, targets, self._sandbox))

    def _add_reports(self, reports: Iterable[dict[str, Any]]) -> None:
        for report in reports:
            for file in report["files"]:
                path = self._path_of(file["file"])
                for line in file["lines"] if path else ():
                    key = (path, int(line["line_number"]))
                    if key[1] not in self._added[path]:
                        continue
                    known = self._counts.setdefault(key, _Count())
                    known.count += line["count"]
                    known.add_branches([branch["count"] for branch in line["branches"]])

    def _path_of(self, name: str) -> str:
        """Return the file of the kernel tree that the compiler called so, "" if nothing of it is looked at."""
        whole = f"/{os.path.normpath(name)}"
        return next((path for path in self._added if whole.endswith(f"/{path}")), "")

    def result(self, text: Mapping[str, Sequence[str]]) -> Coverage:
        """Return the sum.

        Args:
            text: the lines of each file.
        """
        by_function: dict[tuple[str, str], list[Line]] = {}
        for (path, number), known in sorted(self._counts.items()):
            name = function_at(text[path], number)
            line = Line(path, number, name, known.count, tuple(known.branches))
            by_function.setdefault((path, name), []).append(line)
        functions = tuple(Function(path, name, tuple(lines)) for (path, name), lines in by_function.items())
        return Coverage(functions, text, tuple(self._runs))


def _gcov(directory: Path, targets: Sequence[str], sandbox: Sandbox | None) -> list[dict[str, Any]]:
    """Return what gcov makes of data files that lie beside their notes.

    Raises:
        MachineError: it cannot read them; gcov must be that of the compiler.
    """
    command = [process.find(toolchain.tool("gcov")), "--json-format", "--stdout", "--branch-probabilities", *targets]
    box = sandbox and with_files(sandbox, sandbox.limits, directory)
    result = process.run(command, cwd=directory, timeout=_SECONDS, sandbox=box)
    lines = [*result.stdout.splitlines(), *result.stderr.splitlines()]
    reports = [json.loads(line) for line in lines if line.startswith("{")]
    said = "\n".join(line for line in lines if not line.startswith("{") and not _HARMLESS.search(line))
    if len(reports) != len(targets) or said:
        raise MachineError("gcov cannot read the kernel's counters", evidence=process.tail(said))
    return reports


def texts(source: Source, tree: str, paths: Iterable[str]) -> dict[str, list[str]]:
    """Return the lines of some files of a tree.

    Raises:
        MachineError: git failed.
    """
    found = contents(bare_repository(source.repository), tree, list(paths))
    return {path: data.decode(errors="replace").splitlines() for path, (_, data) in found.items()}


def function_at(text: Sequence[str], number: int) -> str:
    """Return the name of the function around a line, as the source has it; "" if there is none.

    gcov's own names will not do: those of system calls are made by a macro, and an inline function's lines come
    under the names of its callers.
    """
    for line in reversed(text[:number]):
        match = _FUNCTION.match(line)
        if match:
            return match[1] or match[2]
    return ""
