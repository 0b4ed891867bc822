"""What a change of an assignment's files is about, so that the scenarios that tell most of it run first."""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from patchgen.assignment import Assignment
from patchgen.mutation.catalogue import Mutant

_NEAR = 12  # lines between a change and the text that a mutant replaces, which is about the same thing then
# A scenario in Python, or in C.
_SCENARIO = re.compile(r"^(?:def|SCENARIO\w*\((?:\d+, )?) *(\w+)", re.MULTILINE)


def stamps(assignment: Assignment) -> dict[str, tuple[int, int]]:
    """Return what tells that a file has been written: the time and the size, by its path."""
    found = {}
    for name, path in assignment.files().items():
        with contextlib.suppress(FileNotFoundError):
            found[name] = (path.stat().st_mtime_ns, path.stat().st_size)
    return found


def texts(assignment: Assignment) -> dict[str, str]:
    """Return the texts of the files, by their path."""
    found = {}
    for name, path in assignment.files().items():
        with contextlib.suppress(FileNotFoundError):
            found[name] = path.read_text(encoding="utf-8", errors="replace")
    return found


def about(before: Mapping[str, str], after: Mapping[str, str], mutants: Sequence[Mutant]) -> list[str]:
    """Return what a change is about, what is nearest to it first.

    Args:
        before: the assignment's files, as `texts` returns them.
        after: the same after the change.
        mutants: the known mistakes of the assignment: where they are made tells which line stands for what.

    Returns:
        Names of scenarios whose file has changed, and ids of requirements.
    """
    scenarios: list[str] = []
    near: list[tuple[int, str]] = []
    for path in sorted(set(before) | set(after)):
        old, new = before.get(path, ""), after.get(path, "")
        if old == new:
            continue
        if PurePosixPath(path).parts[0] == "scenarios":
            scenarios += [name.replace("_", "-") for name in _SCENARIO.findall(new)]
        lines = list(_changed(old, new))
        for mutant in mutants:
            for change in mutant.change:
                if change.file == path and change.old in old:
                    first = old[: old.index(change.old)].count("\n")
                    last = first + change.old.count("\n")
                    away = min((max(first - line, line - last, 0) for line in lines), default=_NEAR + 1)
                    near += [(away, name) for name in mutant.names if away <= _NEAR]
    return list(dict.fromkeys([*scenarios, *(name for _, name in sorted(near))]))


def _changed(old: str, new: str) -> Iterator[int]:
    """Yield the lines of the old text that a change replaces, or stands before; the first one is 0."""
    matcher = difflib.SequenceMatcher(None, old.splitlines(), new.splitlines(), autojunk=False)
    for kind, first, last, _, _ in matcher.get_opcodes():
        if kind != "equal":
            yield from range(first, max(last, first + 1))
