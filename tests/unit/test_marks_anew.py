"""Marks from kept verdicts: another rubric, a deadline, the grader's own hand; what is left of former runs."""

from __future__ import annotations

import csv
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from command import patchgen
from pfstat import ASSIGNMENT
from verdicts import MARKS_RUBRIC, MARKS_TOML, finding, verdict

from patchgen import pipeline
from patchgen.errors import UsageError
from patchgen.findings import Result, Severity
from patchgen.grading import adjustments, batch, marking, rubric, shown
from patchgen.grading.batch import Batch
from patchgen.grading.marking import Adjustment, Dates
from patchgen.grading.model import Verdict
from patchgen.grading.worker import Answer, Task
from patchgen.settings import Settings

STYLE = finding("checkpatch", "style", message="too long")
FOUND = verdict(STYLE, finding("build-each", "build", Severity.ERROR))
HAND = '    { id = "own", title = "The report is good", stage = "hand", points = 2 },\n]\n'
MACHINE = "/home/grader/.cache/patchgen/v1/build.log"


def answer(tasks: Mapping[str, Task]) -> Iterator[tuple[str, Answer]]:
    for key, task in tasks.items():
        broken = Path(task.name).name.startswith("broken")
        yield key, Answer(3, "", "no guest") if broken else Answer(1, FOUND.model_dump_json())


def nobody(tasks: Mapping[str, Task]) -> Iterator[tuple[str, Answer]]:
    pytest.fail(f"graded {[task.name for task in tasks.values()]}")
    yield from ()


@pytest.fixture
def many(tmp_path: Path) -> Batch:
    (tmp_path / "rubric.toml").write_text(MARKS_TOML)
    project = pipeline.open_project(Settings(cache=tmp_path / "cache"), {})
    date = datetime(2024, 4, 20, 12, tzinfo=UTC)
    return Batch(tmp_path / "out", project, tmp_path / "rubric.toml", "1-5", False, lambda _: date, None)


@pytest.fixture
def given(tmp_path: Path) -> list[Path]:
    (tmp_path / "in").mkdir()
    paths = [tmp_path / "in" / f"{name}.tar.gz" for name in ("one", "two")]
    for path in paths:
        path.write_text(path.name)
    return paths


def rows(many: Batch) -> list[dict[str, str]]:
    with (many.out / batch.RESULTS).open(newline="") as file:
        return list(csv.DictReader(file))


def test_another_rubric_grades_nothing(many: Batch, given: list[Path]) -> None:
    batch.run(given, many, answer)
    assert [(row["mark"], row["changed"]) for row in rows(many)] == [("6.5", "")] * 2
    many.rubric.write_text(MARKS_TOML.replace("each = 0.5", "each = 1"))
    batch.run(given, many, nobody)
    assert [(row["mark"], row["changed"]) for row in rows(many)] == [("6", "6.5 -> 6: style 1.5 -> 1")] * 2
    batch.run(given, many, nobody)
    assert [row["changed"] for row in rows(many)] == ["", ""]


def test_the_command_marks_anew(many: Batch, given: list[Path], tmp_path: Path) -> None:
    broken = given[0].with_name("broken.tar.gz")
    broken.write_text("x")
    batch.run([*given, broken], many, answer)
    given[0].unlink()  # It is not needed any more.
    words = ["mark", "--rubric", "rubric.toml", "--output", "out", "--deadline", "2024-04-20"]
    done = patchgen(*words, cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    found = rows(many)
    assert [(row["mark"], row["penalty"], row["of"]) for row in found] == [("5.5", "1", "10")] * 2 + [("", "", "10")]
    assert found[0]["changed"] == "6.5 -> 5.5"
    assert found[2]["why"] == "no guest"


def test_a_directory_that_is_no_batch(tmp_path: Path) -> None:
    done = patchgen("mark", "--output", "nothing", cwd=tmp_path)
    assert (done.returncode, "submissions.json" in done.stderr) == (2, True)


def test_marking_anew_takes_no_time(many: Batch, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.tar.gz" for number in range(20)]
    for path in paths:
        path.write_text(path.name)
    batch.run(paths, many, answer)
    many.rubric.write_text(MARKS_TOML.replace("each = 0.5", "each = 1"))
    begin = time.process_time()
    batch.run(paths, many, nobody)
    assert (time.process_time() - begin) / len(paths) < 1
    assert {row["mark"] for row in rows(many)} == {"6"}


def test_pages_of_former_runs_go(many: Batch, given: list[Path]) -> None:
    batch.run(given, many, answer)
    before = {row["submission"]: row["verdict"] for row in rows(many)}
    own = many.out / "pages" / "notes of mine.html"
    own.write_text("mine")
    given[1].write_text("another content")
    batch.run(given, many, answer)
    names = {row["verdict"] for row in rows(many)}
    assert before[str(given[0])] in names, "a page keeps its name"
    assert {f"grader/{file.name}" for file in (many.out / "grader").iterdir()} == names
    batch.run(given[:1], many, nobody)
    for place in ("pages", "grader"):
        assert len([file for file in (many.out / place).iterdir() if file != own]) == 1
    assert own.is_file(), "what nobody here has written stays"


def test_an_interrupted_run_removes_nothing_and_compares_with_the_last_whole_one(
    many: Batch, given: list[Path]
) -> None:
    batch.run(given, many, answer)
    many.rubric.write_text(MARKS_TOML.replace("each = 0.5", "each = 1"))

    def stopped(tasks: Mapping[str, Task]) -> Iterator[tuple[str, Answer]]:
        raise KeyboardInterrupt
        yield

    later = given[0].with_name("later.tar.gz")
    later.write_text("x")
    with pytest.raises(KeyboardInterrupt):
        batch.run([*given, later], many, stopped)
    assert len(list((many.out / "pages").iterdir())) == 2
    batch.run([*given, later], many, answer)
    assert [row["changed"] for row in rows(many)] == ["6.5 -> 6: style 1.5 -> 1"] * 2 + [""]


# What the machine finds dear is the rubric's to say.


def costly(limit: int) -> Verdict:
    text = MARKS_TOML.replace(
        "item = [", f'cost = [{{ state = "tracked", group = "cow", limit = {limit} }}]\nitem = [\n'
    )
    item = '{ id = "cost", title = "Cheap", stage = "cost", points = 1 },\n]\n'
    own = rubric.Rubric.model_validate(tomllib.loads(text[: -len("]\n")] + item))
    return marking.mark(verdict(), own, ASSIGNMENT)


def test_limits_of_cost_are_the_rubrics() -> None:
    within, beyond = costly(66), costly(65)
    assert [one.check for one in within.findings] == []
    assert [one.message for one in beyond.findings] == ["'copy' takes +66 instructions, tracked; at most +65"]
    assert beyond.findings[0].requirements == ASSIGNMENT.broken_by("cost")
    assert (within.marks.mark, beyond.marks.mark) == (8, 7)
    again = marking.mark(beyond, MARKS_RUBRIC, ASSIGNMENT)
    assert again.findings == (), "limits of another rubric leave nothing behind"


# By hand.


def by_hand(many: Batch, *lines: str) -> None:
    many.out.mkdir(exist_ok=True)
    (many.out / adjustments.FILE).write_text("\n".join(["submission,item,points,reason", *lines]) + "\n")


def test_points_by_hand_survive_every_run(many: Batch, given: list[Path]) -> None:
    many.rubric.write_text(MARKS_TOML[: -len("]\n")] + HAND)
    batch.run(given, many, answer)
    assert [(row["mark"], row["of"], row["own"]) for row in rows(many)] == [("6.5", "12", "")] * 2
    by_hand(many, 'one.tar.gz,own,1.5,"clear, but long"', f"{given[1]},style,2,a bug of checkpatch")
    for _ in range(2):
        batch.run(given, many, nobody)
        assert [(row["mark"], row["own"], row["style"]) for row in rows(many)] == [("8", "1.5", "1.5"), ("7", "", "2")]
    one, two = ((many.out / row["for the student"]).read_text() for row in rows(many))
    assert "clear, but long (by hand)" in one
    assert "a bug of checkpatch (by hand; computed: 1.5)" in two


def test_what_is_mandatory_can_be_forgiven() -> None:
    broken = verdict(finding("build", "build", Severity.ERROR))
    forgiven = {"compiles": Adjustment(0, "a typing error")}
    assert marking.mark(broken, MARKS_RUBRIC, ASSIGNMENT).marks.mark == 0
    assert marking.mark(broken, MARKS_RUBRIC, ASSIGNMENT, forgiven).marks.mark == 7


def test_the_hand_stands_for_what_the_machine_did_not_grade() -> None:
    unknown = verdict(behaviour=Result.ERROR)
    assert marking.mark(unknown, MARKS_RUBRIC, ASSIGNMENT).status is Result.ERROR
    other = marking.mark(unknown, MARKS_RUBRIC, ASSIGNMENT, {"style": Adjustment(2, "")})
    assert (other.status, other.marks.mark) == (Result.ERROR, None)
    whole = marking.mark(unknown, MARKS_RUBRIC, ASSIGNMENT, {"set": Adjustment(5, "tried by hand")})
    assert (whole.status, whole.marks.mark) == (Result.FAIL, 9)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("three.tar.gz,style,1,x", "line 2: no submission three.tar.gz"),
        ("one.tar.gz,beauty,1,x", "line 2: the rubric has no item beauty"),
        ("one.tar.gz,style,3,x", "line 2: points 3: must be a number from 0 to 2"),
        ("one.tar.gz,style,-1,x", "line 2: points -1: "),
        ("one.tar.gz,style,nan,x", "line 2: points nan: "),
        ("one.tar.gz,style,,x", "line 2: points missing: "),
        ("one.tar.gz,style,1", "line 2: 3 columns instead of 4"),
        ("one.tar.gz,style,1,x\n\none.tar.gz,style,2,x", "line 4: style of .*one.tar.gz is given twice"),
    ],
)
def test_a_wrong_line_is_told_before_anything_is_graded(many: Batch, given: list[Path], line: str, said: str) -> None:
    by_hand(many, line)
    with pytest.raises(UsageError, match=said):
        batch.run(given, many, nobody)


def test_a_name_that_several_have(many: Batch, given: list[Path]) -> None:
    other = given[0].parent / "sub" / given[0].name
    other.parent.mkdir()
    other.write_text("y")
    by_hand(many, "one.tar.gz,style,1,x")
    with pytest.raises(UsageError, match=r"line 2: 2 submissions one.tar.gz"):
        batch.run([given[0], other], many, nobody)


def test_what_a_spreadsheet_writes(many: Batch, given: list[Path]) -> None:
    many.out.mkdir()
    text = "\ufeffsubmission;item;points;reason\r\none.tar.gz;style;1,5;so\r\n"
    (many.out / adjustments.FILE).write_text(text, encoding="utf-8")
    found = adjustments.read(many.out, ["in/one.tar.gz"], MARKS_RUBRIC)
    assert found == {"in/one.tar.gz": {"style": Adjustment(1.5, "so")}}
    (many.out / adjustments.FILE).write_text("name,points\n")
    with pytest.raises(UsageError, match="line 1: must be submission,item,points,reason"):
        adjustments.read(many.out, [], MARKS_RUBRIC)


# What students see.


def hiding(*ids: str) -> rubric.Rubric:
    items = [
        item.model_copy(update={"shown": "after-deadline" if item.id in ids else "now"}) for item in MARKS_RUBRIC.items
    ]
    return MARKS_RUBRIC.model_copy(update={"items": tuple(items)})


def test_no_path_of_the_machine_on_the_students_page(many: Batch, given: list[Path], tmp_path: Path) -> None:
    cache = many.project.cache.root
    told = finding("build", "build", Severity.ERROR, message=f"see {cache}/build.log", where=f"{Path.cwd()}/x.c")
    made = verdict(told, text=f"patchgen test --only a {given[0]}", status=Result.FAIL)

    def leaky(tasks: Mapping[str, Task]) -> Iterator[tuple[str, Answer]]:
        return ((key, Answer(1, made.model_dump_json())) for key in tasks)

    batch.run(given[:1], many, leaky)
    row = rows(many)[0]
    theirs, ours = ((many.out / row[column]).read_text() for column in ("for the student", "verdict"))
    assert str(tmp_path) in ours
    assert str(tmp_path) not in theirs
    assert str(Path.cwd()) not in theirs
    assert "see CACHE/build.log" in theirs
    assert "patchgen test --only a one.tar.gz" in theirs


def test_only_whole_names_are_replaced() -> None:
    made = verdict(finding("x", "build", message="/work/a /workshop/b x/work/c"), text="plain")
    found = shown.to_students(made, MARKS_RUBRIC, True, {"/work": "."})
    assert found.findings[0].message == "./a /workshop/b x/work/c"


def test_an_item_is_shown_after_the_deadline_only() -> None:
    made = marking.mark(verdict(STYLE, finding("report", "archive")), hiding("style", "set"), ASSIGNMENT, None, Dates())
    early = shown.to_students(made, hiding("style", "set"), False, {})
    assert "too long" not in early.model_dump_json()
    assert [one.check for one in early.findings] == ["report"]
    assert (early.marks.mark, early.marks.points) == (1, 2)
    assert {one.name: one.status for one in early.stages}["style"] is Result.SKIP
    assert early.scenarios == ()
    assert [row.scenarios for row in early.requirements] == [{}, {}]
    late = shown.to_students(made, hiding("style", "set"), True, {})
    assert "too long" in late.model_dump_json()
    assert late.marks == made.marks


def test_the_deadline_opens_the_page(many: Batch, given: list[Path]) -> None:
    many.rubric.write_text(MARKS_TOML.replace("points = 2, each", 'shown = "after-deadline", points = 2, each'))
    now = datetime.now(UTC)
    for deadline, opened in ((None, False), (now + timedelta(days=1), False), (now - timedelta(days=1), True)):
        batch.run(given[:1], replace(many, deadline=deadline), answer)
        row = rows(many)[0]
        assert ("too long" in (many.out / row["for the student"]).read_text()) is opened
        assert "too long" in (many.out / row["verdict"]).read_text(), "the grader sees all of it"
