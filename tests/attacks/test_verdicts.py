"""Attacks on who writes and reads verdicts: their time, their memory, a batch as a whole, a terminal, a spreadsheet."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attacks.catalogue import Attack, named
from pfstat import ASSIGNMENT
from unidiff import PatchSet
from verdicts import MARKS_TOML, verdict

from patchgen import pipeline
from patchgen.checks import diff_lint, shape
from patchgen.cli import mark_command
from patchgen.errors import SubmissionError
from patchgen.findings import Result
from patchgen.grading import batch as many
from patchgen.grading import build_stage, grader, table, worker
from patchgen.grading.batch import Batch
from patchgen.grading.worker import Answer, Task
from patchgen.kernel.build import Kernel
from patchgen.settings import Settings
from patchgen.text import visible

ROW = "it is a row of the table, and the others are graded"
LOG = Attack("200 warnings in 28 MB of a build's log", "the log is read once", [f"mm/x.c: odd {n}" for n in range(200)])
COMMENTS = Attack(
    "200 lines of 16 KB that are nearly code in a comment",
    "patterns that take the square of a line are only tried on short ones",
    "// " + "if (a) (" * 2000,
)
FINDINGS = Attack(
    "a million findings", "of the same check over and over the first 200 are kept", range(10_000), "and 9800 more"
)
TEXT = Attack("a report of 16 MB of form feeds", "limit on a text's size", b"\f" * (16 << 20), "are allowed")
PIPE = Attack("a named pipe in a batch", ROW, os.mkfifo, "not a plain file")
DANGLING = Attack("a link to nothing in a batch", ROW, lambda path: path.symlink_to("nowhere"), "not a plain file")
DATE = Attack("a date beyond the year 9999 in a batch", ROW, lambda path: path.write_bytes(b"late"), "is none")
BATCH = (PIPE, DANGLING, DATE)
COMMAND = Attack(
    "a directory whose name is a shell's command, in the reproduce command of the page",
    "names are quoted for a shell",
    "in; touch owned/patch.tar.gz",
)
CELLS = Attack(
    "a spreadsheet's formula behind a semicolon, blanks or a quote",
    "formulas are made text wherever a cell may begin",
    ("=1", "a;=1", "a; +1", " =1", "\t=1", "\r=1", "a;\t=1", '"=1', "\uff1d1", "a|@x", "\n=1"),
)
BLANKS = Attack(
    "characters that show as nothing: fillers, joiners, variation selectors, odd blanks",
    "what is shown is spelled out",
    "\u3164\u2800\u115f\u1160\uffa0\ufe0f\u034f\u17b4\u180b\u200b\u2060\u00ad\u00a0\u2003\u3000\U000e0100\U000e0041",
)
ATTACKS = (LOG, COMMENTS, FINDINGS, TEXT, *BATCH, COMMAND, CELLS, BLANKS)


def test_a_log_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"../src/mm/x.c:{n}:1: warning: odd {n}\n    {n} | int x{n};\n" for n in range(200)]
    (tmp_path / "build.log").write_text("".join(lines))
    read, count = Path.read_text, []

    def counting(path: Path, **how: str) -> str:
        count.append(path)
        return read(path, **how)

    monkeypatch.setattr(Path, "read_text", counting)
    kernel = Kernel(tmp_path / "bzImage", "tree", "small", "key", (), 0.0)
    shown = build_stage._in_log(kernel, LOG.means)
    assert len(count) == 1
    assert shown["mm/x.c: odd 7"] == "mm/x.c:7:1: warning: odd 7\n    7 | int x7;"
    assert len(shown) == 200


def test_no_pattern_takes_the_square_of_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    pattern = diff_lint._CODE

    class Pattern:
        def match(self, text: str) -> re.Match[str] | None:
            tried.append(len(text))
            return pattern.match(text)

    monkeypatch.setattr(diff_lint, "_CODE", Pattern())
    diff = f"--- /dev/null\n+++ b/x.c\n@@ -0,0 +1,2 @@\n+{COMMENTS.means}\n+// return 1;\n"
    found = list(diff_lint._in_file("0001-a.patch", PatchSet(diff)[0]))
    assert [one.check for one in found] == ["residue-code"]
    assert max(tried) < 300


def test_findings_are_counted_as_they_come() -> None:
    found = grader._Findings("style", ASSIGNMENT)
    for number in FINDINGS.means:
        found.add(grader.Finding("odd", grader.Severity.WARNING, str(number)))
        assert len(found._kept) <= 200
    assert found.all()[-1].message == FINDINGS.said
    assert not found.wrong
    found.add(grader.Finding("odd", grader.Severity.ERROR, "the last one"))
    assert found.wrong, "although it is not kept"


def test_a_text_is_not_counted_at_any_size() -> None:
    with pytest.raises(SubmissionError, match=TEXT.said):
        shape.text_pages(TEXT.means)


class Engine:
    """Says of each that it is good."""

    def __call__(self, tasks: Mapping[str, Task]) -> Iterator[tuple[str, Answer]]:
        for key in tasks:
            yield key, Answer(0, verdict(scenario=Result.PASS).model_dump_json())


@pytest.mark.parametrize("attack", BATCH, ids=named)
def test_one_stops_no_other(attack: Attack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / name for name in ("a.tar.gz", "b.tar.gz", "c.tar.gz")]
    for path in paths[::2]:
        path.write_bytes(path.name.encode())
    attack.means(paths[1])

    class Clock(datetime):
        """A file system with such a date need not be at hand."""

        @classmethod
        def fromtimestamp(cls, moment: float, _: object = None) -> datetime:  # type: ignore[override]
            late = attack is DATE and moment == paths[1].stat().st_mtime
            return datetime.fromtimestamp(1e12 if late else 1e9, UTC)

    os.utime(paths[0], (1, 1))
    os.utime(paths[2], (1, 1))
    monkeypatch.setattr(mark_command, "datetime", Clock)
    (tmp_path / "rubric.toml").write_text(MARKS_TOML)
    project = pipeline.open_project(Settings(cache=tmp_path / "cache"), {})
    batch = Batch(
        tmp_path / "out",
        project,
        tmp_path / "rubric.toml",
        "1-5",
        False,
        lambda path: mark_command.submission_moment(path, "mtime"),
        None,
    )
    rows = many.run(paths, batch, Engine())
    assert [row.verdict is not None for row in rows] == [True, False, True]
    assert rows[1].status is Result.FAIL
    assert attack.said in rows[1].why


def test_a_command_is_for_a_shell() -> None:
    data: dict[str, object] = {
        "schema_version": 1,
        "submission": "/tmp/x/given/patch.tar.gz",
        "findings": [
            {"reproduce": "patchgen test -- /tmp/x/given/patch.tar.gz", "message": "/tmp/x/given/patch.tar.gz: x"}
        ],
    }
    names = {"/tmp/x/given/patch.tar.gz": COMMAND.means}
    renamed = worker._renamed(data, names)
    assert isinstance(renamed, dict)
    assert renamed["submission"] == COMMAND.means
    assert renamed["findings"][0]["message"] == f"{COMMAND.means}: x"
    assert shlex.split(renamed["findings"][0]["reproduce"]) == ["patchgen", "test", "--", COMMAND.means]


def test_no_cell_is_a_formula_behind_something_else() -> None:
    for text in CELLS.means:
        for part in re.split(r"[;|\t\r\n]", table.cell(text)):
            assert not part.strip(" \"'").startswith(("=", "+", "-", "@", "\uff1d")) or "'" in part, text
    assert table.cell("mm/x.c: a - b; see c-d") == "mm/x.c: a - b; see c-d"


def test_nothing_shows_as_nothing() -> None:
    for char in BLANKS.means:
        assert visible(f"a{char}b").isascii(), hex(ord(char))
    assert visible("\u00e9\u20ac\u4e2d e\u0301") == "\u00e9\u20ac\u4e2d e\u0301"
