"""Batches: what is graded, what is kept, the table; and that one process's end is no other's."""

from __future__ import annotations

import csv
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from verdicts import MARKS_TOML, finding, verdict

from patchgen import pipeline
from patchgen.cli import verify_command
from patchgen.cli.verify_command import submission_moment
from patchgen.errors import MachineError, UsageError
from patchgen.findings import Severity
from patchgen.grading import batch as many
from patchgen.grading import distributed, table, worker
from patchgen.grading.batch import Batch
from patchgen.grading.grader import parse_stages
from patchgen.grading.model import Result, Verdict
from patchgen.grading.table import Row
from patchgen.grading.worker import Answer, How, Task
from patchgen.settings import Settings

GOOD = verdict(finding("report", "archive"))
BAD = verdict(finding("build", "build", Severity.ERROR, message="=cmd()"), status=Result.FAIL)
UNKNOWN = verdict(status=Result.ERROR, behaviour=Result.ERROR)


class Engine:
    """Answers as it was told, and remembers what it was asked."""

    def __init__(self, answers: Mapping[bytes, Verdict | None]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.stop_after = 99

    def __call__(self, tasks: Mapping[str, Task]) -> Iterator[tuple[str, Answer]]:
        for number, (key, task) in enumerate(tasks.items()):
            if number == self.stop_after:
                raise KeyboardInterrupt
            self.asked.append(Path(task.name).name)
            made = next(
                found
                for data, found in self.answers.items()
                if worker.base64.b64encode(data).decode() in task.files.values()
            )
            if made is None:
                yield key, Answer(3, "", "its process ended by signal SIGKILL")
            else:
                yield key, Answer(made.exit_status, made.model_dump_json())


@pytest.fixture
def archives(tmp_path: Path) -> list[Path]:
    made = []
    for name, data in (("a", b"good"), ("b", b"bad"), ("c", b"crash"), ("d", b"unknown"), ("e", b"good")):
        path = tmp_path / f"{name}.tar.gz"
        path.write_bytes(data)
        made.append(path)
    return made


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    (tmp_path / "rubric.toml").write_text(MARKS_TOML)
    project = pipeline.open_project(Settings(cache=tmp_path / "cache"), {})
    return Batch(tmp_path / "out", project, tmp_path / "rubric.toml", "1-5", False, lambda _: None, None)


def engine() -> Engine:
    return Engine({b"good": GOOD, b"bad": BAD, b"crash": None, b"unknown": UNKNOWN})


def read(batch: Batch) -> list[dict[str, str]]:
    with (batch.out / many.RESULTS).open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_batch(archives: list[Path], batch: Batch) -> None:
    asked = engine()
    rows = many.run(archives, batch, asked)
    assert asked.asked == ["a.tar.gz", "b.tar.gz", "c.tar.gz", "d.tar.gz"], "the same content is graded once"
    assert [row.status for row in rows] == [Result.FAIL, Result.FAIL, Result.ERROR, Result.ERROR, Result.FAIL]
    assert [row["mark"] for row in read(batch)] == ["6", "0", "", "", "6"]
    assert [row["of"] for row in read(batch)] == ["10"] * 5, "the same in every row"
    assert read(batch)[2]["why"] == "its process ended by signal SIGKILL"
    assert read(batch)[0]["set"] == "3"
    assert many.exit_status(rows) == 3
    for row in read(batch):
        assert (batch.out / row["verdict"]).is_file() or row["submission"].endswith("c.tar.gz")


def test_it_goes_on_where_it_was(archives: list[Path], batch: Batch) -> None:
    first = engine()
    first.stop_after = 2
    with pytest.raises(KeyboardInterrupt):
        many.run(archives, batch, first)
    assert [Path(row["submission"]).name for row in read(batch)] == ["a.tar.gz", "b.tar.gz", "e.tar.gz"]
    second = engine()
    rows = many.run(archives, batch, second)
    assert second.asked == ["c.tar.gz", "d.tar.gz"], "only what was not graded yet"
    assert len(rows) == 5
    third = engine()
    many.run(archives, batch, third)
    assert third.asked == ["c.tar.gz", "d.tar.gz"], "what the machine kept from being graded is tried again"


def test_a_verdict_that_was_cut_off_is_made_again(archives: list[Path], batch: Batch) -> None:
    many.run(archives[:1], batch, engine())
    file = next((batch.out / "verdicts").iterdir())
    file.write_text(file.read_text()[:-100])
    again = engine()
    many.run(archives[:1], batch, again)
    assert again.asked == ["a.tar.gz"]


@pytest.mark.parametrize("change", ["content", "stages", "suite"])
def test_what_decides_is_graded_anew(
    archives: list[Path], batch: Batch, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    many.run(archives[:1], batch, engine())
    stages = batch.stages
    if change == "content":
        archives[0].write_bytes(b"bad")
    elif change == "suite":
        monkeypatch.setattr(many.grader, "suite", lambda _: "another")
    else:
        stages = "1-7"
    again = engine()
    changed = replace(batch, stages=stages)
    many.run(archives[:1], changed, again)
    assert again.asked == ["a.tar.gz"]


def test_being_late_is_not_part_of_a_verdict(archives: list[Path], batch: Batch) -> None:
    dates = {"a.tar.gz": datetime(2023, 4, 20, tzinfo=UTC), "e.tar.gz": datetime(2023, 4, 21, 1, tzinfo=UTC)}
    deadline = datetime(2023, 4, 19, tzinfo=UTC)
    late = replace(batch, submitted=lambda path: dates.get(path.name), deadline=deadline)
    asked = engine()
    many.run([archives[0], archives[4]], late, asked)
    assert asked.asked == ["a.tar.gz"]
    assert [(row["days late"], row["penalty"], row["mark"]) for row in read(late)] == [("1", "1", "5"), ("3", "6", "0")]


def test_exit_statuses() -> None:
    def rows(*found: Result) -> list[Row]:
        return [Row("x", one, None, None) for one in found]

    assert [
        many.exit_status(rows(*one))
        for one in ((Result.PASS, Result.PASS), (Result.PASS, Result.FAIL), (Result.FAIL, Result.ERROR))
    ] == [
        0,
        1,
        3,
    ]


@given(st.sampled_from(["", "=", "+", "-", "@", "\t", "\r"]), st.text(min_size=1))
def test_no_cell_is_a_formula(head: str, rest: str) -> None:
    raw = head + rest
    shown = table.cell(raw)
    assert not shown.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert "\n" not in shown
    text = table.write([Row(raw, Result.ERROR, None, None, why=raw, changed=raw)], ["style"], 10)
    assert len(list(csv.reader(text.splitlines()))) == 2


def test_page_names_are_harmless_and_unique() -> None:
    names = {
        many.page_name(Path(name), "k") for name in ("../../x", "a/b.tar.gz", "c/b.tar.gz", "<b>.tar", "\n", "\u00e9")
    }
    assert len(names) == 6
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.") and "/" not in name for name in names)


# The process that grades one of them.

STUBS: dict[str, tuple[str, str]] = {
    "killed": ("import os; os.kill(os.getpid(), 9)", "ended by signal SIGKILL"),
    "traceback": ("raise SystemError('oh')", "ended with status 1: SystemError: oh"),
    "nonsense": ("print('[1, 2'); raise SystemExit(0)", "ended with status 0"),
    "silent": ("raise SystemExit(3)", "ended with status 3"),
    "error": ("""print('{"error": {"message": "no base"}}'); raise SystemExit(3)""", "no base"),
}


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a program of the test's in the place of the one that grades."""

    def put(code: str) -> None:
        script = tmp_path / "python"
        script.write_text(f"#!{sys.executable}\nimport sys\n{code}\n")
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))

    return put


@pytest.mark.parametrize("how", STUBS)
def test_a_crash_is_told(how: str, archives: list[Path], batch: Batch, stand_in: Callable[[str], None]) -> None:
    code, said = STUBS[how]
    stand_in(code)
    rows = many.run(archives[:2], batch, many.here(2))
    assert [(row.status, said in row.why) for row in rows] == [(Result.ERROR, True)] * 2, rows[0].why


def test_a_crash_touches_no_other(archives: list[Path], batch: Batch, stand_in: Callable[[str], None]) -> None:
    stand_in(
        "data = open(sys.argv[-1], 'rb').read()\n"
        "if data == b'crash': import os; os.kill(os.getpid(), 11)\n"
        f"print({BAD.model_dump_json()!r}); raise SystemExit(1)"
    )
    rows = many.run(archives, batch, many.here(3))
    assert [row.status for row in rows] == [Result.FAIL, Result.FAIL, Result.ERROR, Result.FAIL, Result.FAIL]


WAITS = """
import os, time
place, end = {place!r}, time.monotonic() + 60
os.mkdir(os.path.join(place, str(os.getpid())))
while len(os.listdir(place)) < 2:
    if time.monotonic() > end: raise SystemExit("alone")
    time.sleep(0.01)
print({answer!r}); raise SystemExit(1)
"""


def test_several_are_graded_at_once(
    archives: list[Path], batch: Batch, stand_in: Callable[[str], None], tmp_path: Path
) -> None:
    """Each waits until another one is under way: one after the other, the first would wait in vain."""
    (tmp_path / "under way").mkdir()
    stand_in(WAITS.format(place=str(tmp_path / "under way"), answer=BAD.model_dump_json()))
    rows = many.run(archives[:2], batch, many.here(2))
    assert [row.status for row in rows] == [Result.FAIL] * 2, rows


def test_the_name_is_the_users(archives: list[Path], batch: Batch, stand_in: Callable[[str], None]) -> None:
    stand_in(
        "import json\n"
        f"made = json.loads({BAD.model_dump_json()!r})\n"
        "made['submission'] = sys.argv[-1]; made['findings'][0]['reproduce'] = 'patchgen test ' + sys.argv[-1]\n"
        "print(json.dumps(made)); raise SystemExit(1)"
    )
    rows = many.run(archives[:1], batch, many.here(1))
    assert rows[0].verdict is not None
    assert rows[0].verdict.submission == str(archives[0])
    assert rows[0].verdict.findings[0].reproduce == f"patchgen test {archives[0]}"


def test_an_odd_file_name_goes_through(tmp_path: Path, batch: Batch, stand_in: Callable[[str], None]) -> None:
    stand_in(
        "import os; print('%s %r' % (os.path.isfile(sys.argv[-1]), sys.argv[-1]), file=sys.stderr); raise SystemExit(3)"
    )
    for name in (b"--json", b"$(touch x)`y`", b"a\nb.tar.gz", b"\xff\xfe.tar.gz"):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        path.write_bytes(b"x")
        rows = many.run([path], batch, many.here(1))
        assert "True" in rows[0].why, rows[0].why


def test_one_that_is_too_large_stops_no_other(archives: list[Path], batch: Batch) -> None:
    with archives[1].open("r+b") as file:
        file.truncate(1 << 30)
    asked = engine()
    rows = many.run(archives, batch, asked)
    assert [row.status for row in rows] == [Result.FAIL, Result.FAIL, Result.ERROR, Result.ERROR, Result.FAIL]
    assert "more than 67108864 bytes" in read(batch)[1]["why"]


def test_a_directory_goes_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "given" / "patch").mkdir(parents=True)
    (tmp_path / "given" / "patch" / "0001-a.patch").write_bytes(b"\xff")
    (tmp_path / "given" / "patch" / "link").symlink_to("/etc/hostname")
    task = worker.pack(tmp_path / "given", "directory", How("", "1-5"))
    assert list(task.files.values()) == [worker.base64.b64encode(b"\xff").decode()]
    assert Task.from_json(task.to_json()) == task
    links: list[str] = []

    def run(command: list[str], **_: object) -> None:
        # A submission is refused for a link; what it leads to is not read, and not there.
        links.extend(one.name for one in Path(command[-1]).iterdir() if one.is_symlink() and not one.exists())
        raise MachineError("stop")

    monkeypatch.setattr(worker.process, "started", run)
    worker.work(task.to_json())
    assert links == ["link"]
    with pytest.raises(MachineError, match="cannot read"):
        worker.pack(tmp_path / "none", "archive", How("", "1-5"))


def test_the_stage_under_way_is_told(
    archives: list[Path], batch: Batch, stand_in: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(
        "print('1 archive\\nnoise\\n5 behaviour', file=sys.stderr)\n"
        f"print({BAD.model_dump_json()!r}); raise SystemExit(1)"
    )
    said: list[str] = []
    monkeypatch.setattr(many.progress, "note", said.append)
    many.run(archives[:1], batch, many.here(1))
    told = [line for line in said if "a.tar.gz" in line]
    assert told == [f"{archives[0]}: 1 archive", f"{archives[0]}: 5 behaviour"]


@pytest.mark.parametrize("heeds", [True, False])
def test_an_interrupt_ends_soon_and_says_how_to_go_on(
    archives: list[Path], batch: Batch, stand_in: Callable[[str], None], tmp_path: Path, heeds: bool
) -> None:
    """Ctrl-C ends what is under way, whether it cleans up or not, and what was done is kept."""
    ignore = "" if heeds else "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    stand_in(
        f"{ignore}import os, time, pathlib\n"
        "data = open(sys.argv[-1], 'rb').read()\n"
        f"if data != b'good':\n    pathlib.Path({str(tmp_path)!r}, str(os.getpid()) + '.pid').touch(); time.sleep(60)\n"
        f"print({BAD.model_dump_json()!r}); raise SystemExit(1)"
    )
    timer = threading.Thread(target=_interrupt_when, args=(tmp_path,))
    timer.start()
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(many.progress, "note", said.append)
        begin = 0.0
        with pytest.raises(KeyboardInterrupt):
            many.run(archives[:3], batch, many.here(2))
        begin = time.monotonic() - _INTERRUPTED[0]
    timer.join()
    assert begin < 3
    assert said[-1] == "1 of 3 were graded and are kept: the same command goes on from there"
    for file in tmp_path.glob("*.pid"):
        assert not Path("/proc", file.stem).exists(), "it has ended"


_INTERRUPTED = [0.0]


def _interrupt_when(place: Path) -> None:
    """Send a Ctrl-C to this process when two are under way and one is done."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if len(list(place.glob("*.pid"))) >= 2 and list(place.glob("out/verdicts/*.json")):
            break
        time.sleep(0.02)
    _INTERRUPTED[0] = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)


# Options.


@pytest.mark.parametrize(
    ("text", "numbers"), [("1-5", {1, 2, 3, 4, 5}), ("7", {7}), ("1,4-5", {1, 4, 5}), ("1-7", set(range(1, 8)))]
)
def test_stages(text: str, numbers: set[int]) -> None:
    assert parse_stages(text) == numbers


@pytest.mark.parametrize("text", ["", "0", "8", "5-1", "1-", "a", "1-5-7", "-1"])
def test_stages_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--stages"):
        parse_stages(text)


@pytest.mark.parametrize("address", ["x", "tcp://x", "http://127.0.0.1:1"])
def test_a_scheduler_that_is_no_address(address: str) -> None:
    with pytest.raises(UsageError, match=f"--scheduler {address}: "):
        distributed.engine(address)


def test_a_wrong_date_costs_no_verdict(archives: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_command, "_graded", lambda *_: pytest.fail("graded"))
    with pytest.raises(UsageError, match="--submitted never"):
        verify_command.verify([archives[0]], submitted="never")


def test_moments(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    os.utime(path, (1681942799, 1681942799))
    assert submission_moment(path, "mtime") == datetime(2023, 4, 19, 22, 19, 59, tzinfo=UTC)
    assert submission_moment(path, "2023-04-19") == datetime(2023, 4, 19, tzinfo=UTC)
    assert submission_moment(path, None) is None
    with pytest.raises(UsageError, match="--submitted"):
        submission_moment(path, "yesterday")
