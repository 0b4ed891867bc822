"""What the compiler warns of: by file, without line numbers, and kept for the files that a build does not compile."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from patchgen.cache import write_text

_NOTES = ".patchgen-warnings"
_WARNING = re.compile(r"^(?P<file>[^:\s]+):(?:\d+:)*\s*[Ww]arning:\s*(?P<text>.*)$")
WORKSPACE = re.compile(r"/\S*/work/[^/\s]+/[^/\s]+/src/")  # what comes before a file's name in the kernel tree


def parse(lines: Iterable[str], files: Path, output: Path) -> dict[str, list[str]]:
    """Return the compiler's warnings in a build log by file, without line numbers, so that two builds compare.

    Args:
        lines: the log.
        files: where the kernel's files are; names come out relative to it.
        output: the build directory, which relative names in the log start from.
    """
    found: dict[str, set[str]] = {}
    for line in lines:
        match = _WARNING.match(line)
        if match:
            whole = Path(os.path.normpath(output / match["file"]))
            # ccache repeats what the compiler said when it ran, perhaps in another workspace.
            inside = str(whole.relative_to(files)) if whole.is_relative_to(files) else tree_path(match["file"])
            found.setdefault(inside, set()).add(match["text"])
    return {name: sorted(texts) for name, texts in found.items()}


def merge(
    known: Mapping[str, list[str]], log: str, written: Iterable[str], files: Path, output: Path
) -> dict[str, list[str]]:
    """Return the warnings of a whole kernel of which a build has compiled a part.

    What earlier builds have said of a file stands until the file is changed or compiled again.

    Args:
        known: what earlier builds have said, by file.
        log: of this build.
        written: files that were changed since the one before.
        files: as for `parse`.
        output: as for `parse`.
    """
    lines = log.splitlines()
    again = {f"{line.split()[-1].removesuffix('.o')}.c" for line in lines if line.startswith("  CC ")}
    # What has no file, such as <stdin> of scripts/checksyscalls.sh, is said anew by each build.
    stale = {*again, *written, *(name for name in known if name.startswith("<"))}
    found = {name: list(texts) for name, texts in known.items() if name not in stale}
    for name, texts in parse(lines, files, output).items():
        found[name] = sorted({*found.get(name, []), *texts})
    return found


def noted(output: Path) -> dict[str, list[str]]:
    """Return the warnings that are noted in a build directory, none if it has no note."""
    notes = output / _NOTES
    return dict(json.loads(notes.read_text())) if notes.is_file() else {}


def note(output: Path, found: Mapping[str, list[str]]) -> None:
    """Note the warnings in a build directory, for the next build there.

    Raises:
        MachineError: the disk is full.
    """
    write_text(output / _NOTES, json.dumps(found, indent=1))


def tree_path(name: str) -> str:
    """Return a file's name in the kernel tree for what a compiler calls it, in whatever workspace it ran."""
    path = os.path.normpath(name)
    before = WORKSPACE.match(path)
    return path[before.end() if before else 0 :].removeprefix("../src/")
