"""The kernel's own style checker, `scripts/checkpatch.pl --strict`, from the pristine tree.

It is never the submission's copy that judges the submission, and it runs in an empty directory, in the sandbox unless
the work is trusted: it runs a shell on names in the patch. (`patches` refuses those that a shell would obey.) A result
is kept under the hash of the patch, so an unchanged patch is not checked twice.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from patchgen import process
from patchgen.cache import Cache, digest, write_text
from patchgen.errors import MachineError, OverLimitError, SubmissionError
from patchgen.submission.patches import PatchFile
from patchgen.submission.toolroom import LIMITS, Toolroom

if TYPE_CHECKING:
    from patchgen.sandbox import Sandbox

# It takes a second of CPU time for a patch of 600 lines, and minutes for one that is written to keep it busy.
_LEAST_SECONDS, _LINE_SECONDS, _ALL_SECONDS = 8.0, 0.01, 120.0
_SAID_MAX = 4 * 1024 * 1024
_PROGRAM = """
out=$PWD/out/said; cd "$given"
perl "$1" --strict --show-types "$2" 0001.patch > "$out" 2>&1 || { was_killed $? && rm "$out"; } || :
"""
_TOTAL = re.compile(r"^total: (\d+) errors, (\d+) warnings, (\d+) checks, (\d+) lines checked$", re.M)
_REMARK = re.compile(r"^(?:ERROR|WARNING|CHECK):", re.M)
_RECORD = re.compile(r"^(?P<level>ERROR|WARNING|CHECK):(?P<type>[A-Z0-9_]+): ?(?P<text>.*)$")
_PLACE = re.compile(r"^#\d+: FILE: (?P<path>\S+?):(?P<line>\d+):$")


@dataclass(frozen=True)
class Remark:
    """One thing that checkpatch says.

    Attributes:
        level: ERROR, WARNING or CHECK.
        type: its own name for it.
        text: what.
        path: the file in the kernel tree, "" if it is about the patch.
        line: line number there, or 0.
        source: the lines that it shows.
    """

    level: str
    type: str
    text: str
    path: str
    line: int
    source: str


@dataclass(frozen=True)
class Style:
    """What checkpatch says of one patch.

    Attributes:
        patch: the patch's file name.
        errors: how many.
        warnings: how many.
        checks: how many.
        lines: lines it looked at.
        remarks: its words, "" if it has none.
    """

    patch: str
    errors: int
    warnings: int
    checks: int
    lines: int
    remarks: str

    def records(self) -> list[Remark]:
        """Return its words one by one; each is a head, the place, and the lines shown, up to an empty line."""
        found = []
        for block in re.split(r"\n[ \t]*\n(?=ERROR:|WARNING:|CHECK:)", self.remarks):
            lines = block.splitlines()
            head = next((number for number, line in enumerate(lines) if _RECORD.match(line)), None)
            if head is None:
                continue
            match = _RECORD.match(lines[head])
            assert match is not None, "it matched above"
            rest = lines[head + 1 :]
            place = _PLACE.match(rest[0]) if rest else None
            shown = [line for line in rest if line.strip() and not line.startswith("#")]
            where = (place["path"], int(place["line"])) if place else ("", 0)
            found.append(Remark(match["level"], match["type"], match["text"], *where, "\n".join(shown)))
        return found

    @property
    def clean(self) -> bool:
        """Whether it has nothing to say."""
        return not (self.errors or self.warnings or self.checks)


def check(
    patches: Sequence[PatchFile], pristine: Path, base_tree: str, cache: Cache, box: Sandbox | None
) -> list[Style]:
    """Run checkpatch on patches, at the same time.

    Args:
        patches: what to check.
        pristine: the base's files.
        base_tree: its git tree id: the version of checkpatch, as far as results are kept.
        cache: where they are kept.
        box: the sandbox that it runs in; None for trusted work.

    Raises:
        SubmissionError: it takes more than its share of time or memory.
        MachineError: checkpatch itself failed.
    """
    lines = sum(patch.data.count(b"\n") for patch in patches)
    until = time.monotonic() + _ALL_SECONDS + _LINE_SECONDS * lines
    with ThreadPoolExecutor() as pool:
        return list(
            pool.map(lambda patch: _check_one(patch, pristine, base_tree, Toolroom(cache, box), until), patches)
        )


def totals(styles: Sequence[Style]) -> str:
    """Return the sums in checkpatch's own words."""
    sums = (sum(style.errors for style in styles), sum(style.warnings for style in styles))
    return f"{sums[0]} errors, {sums[1]} warnings, {sum(style.checks for style in styles)} checks"


def kept(patches: Sequence[PatchFile], base_tree: str, cache: Cache) -> list[Style]:
    """Return what checkpatch has said of patches; nothing if it was not run on all of them."""
    files = [_file(patch, base_tree, cache) for patch in patches]
    return [_read(file) for file in files] if all(file.is_file() for file in files) else []


def _file(patch: PatchFile, base_tree: str, cache: Cache) -> Path:
    return cache.directory("checkpatch") / f"{digest(patch.name, patch.data.hex(), base_tree)}.json"


def _read(file: Path) -> Style:
    return Style(**json.loads(file.read_text()))


def _check_one(patch: PatchFile, pristine: Path, base_tree: str, room: Toolroom, until: float) -> Style:
    file = _file(patch, base_tree, room.cache)
    if file.is_file():
        return _read(file)
    said = _said(patch, pristine, room, until)
    match = _TOTAL.search(said)
    if match is None:
        # Which it does on no patch that has nothing to do with it.
        fault = SubmissionError if room.sandbox else MachineError
        raise fault(f"checkpatch failed on {patch.name}", evidence=process.tail(said))
    remarks = said[: match.start()].strip() if _REMARK.search(said) else ""
    errors, warnings, checks, lines = (int(group) for group in match.groups())
    style = Style(patch.name, errors, warnings, checks, lines, remarks)
    write_text(file, json.dumps(asdict(style)))
    return style


def _said(patch: PatchFile, pristine: Path, room: Toolroom, until: float) -> str:
    """Return what checkpatch prints.

    Args:
        patch: what it looks at.
        pristine: the base's files.
        room: where it runs.
        until: when all patches must be done (time.monotonic()).

    Raises:
        SubmissionError: it does not come to an end, or prints more than anybody reads.
        MachineError: it could not be started.
    """
    seconds = _LEAST_SECONDS + _LINE_SECONDS * patch.data.count(b"\n")
    left = min(4 * seconds, until - time.monotonic())
    if left <= 0 and room.sandbox:
        raise SubmissionError("checkpatch comes to no end with the patches")
    room = replace(room, limits=replace(LIMITS, seconds=left), readable=(pristine,), cpu=int(seconds))
    words = [str(pristine / "scripts" / "checkpatch.pl"), f"--root={pristine}"]
    try:
        # A name of our own: what the file is called must not matter.
        found = room.run(_PROGRAM, {"0001.patch": patch.data}, {}, words).files.get("said")
    except OverLimitError as error:
        raise SubmissionError(f"checkpatch comes to no end with {patch.name}: {error.message}") from error
    if found is None:
        raise SubmissionError(
            f"checkpatch comes to no end with {patch.name}: it used more than {room.cpu} s of CPU time"
        )
    if len(found) > _SAID_MAX:
        raise SubmissionError(f"checkpatch has more than {_SAID_MAX} bytes to say of {patch.name}")
    return found.decode(errors="replace")
