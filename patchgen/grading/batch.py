"""Many submissions: a queue, results that are kept, and a table.

A verdict is kept under the hash of what was judged, by what and how far. So a batch that was interrupted goes on where
it was, and the same content is never judged twice, whatever it is called. What the machine kept from being judged is
not kept.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from patchgen import progress
from patchgen.cache import digest, write_text
from patchgen.errors import MachineError, SubmissionError, UsageError
from patchgen.findings import Result
from patchgen.grading import grader, page, scoring, table, worker
from patchgen.grading import rubric as rubrics
from patchgen.grading.clean import clean
from patchgen.grading.model import Verdict
from patchgen.grading.table import Row
from patchgen.grading.worker import Answer, Task
from patchgen.pipeline import Project
from patchgen.submission import inputs

RESULTS = "results.csv"
_VERDICTS, _PAGES = "verdicts", "pages"


class Engine(Protocol):
    """What tasks are handed to."""

    def __call__(self, tasks: Mapping[str, Task]) -> Iterator[tuple[str, Answer]]:
        """Yield the answer to each task, under its key, as they come."""


@dataclass(frozen=True)
class Batch:
    """What is asked of all of them.

    Attributes:
        out: directory of the results.
        project: what they are judged with.
        rubric: the file of what there are points for.
        stages: as --stages has it.
        trust: the user vouches for them.
        submitted: says when a submission was handed in.
        deadline: until when it could be.
        allow_build_changes: the user has looked at what they change of the build.
    """

    out: Path
    project: Project
    rubric: Path
    stages: str
    trust: bool
    submitted: Callable[[Path], datetime | None]
    deadline: datetime | None
    allow_build_changes: bool = False


def key_of(task: Task, judged_with: str) -> str:
    """Return the hash of everything that decides about a verdict: what is judged, how, and with what (grader.suite)."""
    # The name of an archive or patch is judged too (a note), but it decides about nothing that has points.
    files = sorted(task.files.items()) if task.kind == "directory" else sorted(task.files.values())
    given = (files, sorted(task.links))
    how = (task.how.rubric, task.how.stages, task.how.trust, task.how.allow_build_changes)
    return digest("verdict", task.kind, *given, *how, judged_with)


def here(jobs: int) -> Engine:
    """Return the engine that judges on this machine, several at a time, each in a process of its own."""

    def run(tasks: Mapping[str, Task]) -> Iterator[tuple[str, Answer]]:
        with ThreadPoolExecutor(jobs) as pool:
            futures = {pool.submit(worker.work, task.to_json()): key for key, task in tasks.items()}
            try:
                for future in as_completed(futures):
                    yield futures[future], Answer(**future.result())  # type: ignore[arg-type]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    return run


def run(paths: Sequence[Path], batch: Batch, engine: Engine) -> list[Row]:
    """Judge what was not judged yet, and write the table and a page for each.

    Raises:
        UsageError: a path names nothing, or a range of commits.
        MachineError: results cannot be written.
    """
    rows: dict[Path, Row] = {}
    tasks: dict[Path, Task] = {}
    for path in dict.fromkeys(paths):
        try:
            tasks[path] = _task(path, batch)
        except (SubmissionError, MachineError) as error:
            status = Result.FAIL if isinstance(error, SubmissionError) else Result.ERROR
            rows[path] = Row(str(path), status, None, None, why=error.message)
    judged_with = grader.suite(batch.project)
    keys = {path: key_of(task, judged_with) for path, task in tasks.items()}
    todo: dict[str, Task] = {}
    for path, task in tasks.items():
        verdict = kept(batch.out, keys[path])
        if verdict:
            rows[path] = _row(path, keys[path], batch, verdict)
        else:
            todo.setdefault(keys[path], task)
    if known := sum(row.verdict is not None for row in rows.values()):
        progress.note(f"{known} of {len(keys)} were judged before")
    with progress.step("judging", len(todo), counted=True) as step:
        for number, (key, answer) in enumerate(engine(todo) if todo else (), 1):
            verdict = Verdict.model_validate_json(answer.verdict) if answer.verdict else None
            if verdict and verdict.exit_status in (0, 1):
                write_text(_file(batch.out, key), answer.verdict)
            for path in (path for path in tasks if keys[path] == key):
                rows[path] = _row(path, key, batch, verdict, answer)
            step.update(number)
            # After each: a batch that is interrupted leaves the table of what is done.
            _write_table(batch, rows, paths)
    return _write_table(batch, rows, paths)


def _task(path: Path, batch: Batch) -> Task:
    batch.submitted(path)  # It may have a date that is none.
    kind = inputs.kind(path)
    if kind == "range":
        raise UsageError(f"{path}: a batch takes archives, directories and patches", hint="judge a range by itself")
    how = worker.How(
        rubric=batch.rubric.read_text(encoding="utf-8"),
        stages=batch.stages,
        assignment=str(batch.project.assignment.directory),
        trust=batch.trust,
        allow_build_changes=batch.allow_build_changes,
    )
    return worker.pack(path, kind, how)


def _file(out: Path, key: str) -> Path:
    return out / _VERDICTS / f"{key}.json"


def kept(out: Path, key: str) -> Verdict | None:
    """Return a verdict that was kept, if it is whole."""
    with contextlib.suppress(OSError, ValidationError):
        return Verdict.model_validate_json(_file(out, key).read_text(encoding="utf-8"))
    return None


def _write_table(batch: Batch, rows: Mapping[Path, Row], order: Iterable[Path]) -> list[Row]:
    done = [rows[path] for path in dict.fromkeys(order) if path in rows]
    write_text(batch.out / RESULTS, table.write(done))
    return done


def _row(path: Path, key: str, batch: Batch, verdict: Verdict | None, answer: Answer | None = None) -> Row:
    """Return the row of a submission, and write its page."""
    if verdict is None:
        status = Result.FAIL if answer and answer.status == 1 else Result.ERROR
        return Row(str(path), status, None, None, why=answer.why if answer else "")
    marked = scoring.late(
        verdict.marks, rubrics.load(batch.project.assignment, batch.rubric), batch.submitted(path), batch.deadline
    )
    own = clean(verdict.model_copy(update={"submission": str(path), "marks": marked}))
    name = page_name(path, key)
    write_text(batch.out / _PAGES / name, page.render(own, batch.project.assignment.page))
    return Row(str(path), own.status, own, marked, f"{_PAGES}/{name}")


def page_name(path: Path, key: str) -> str:
    """Return the file name of a submission's page: what can be read of its own name, and what makes it unique."""
    stem = "".join(char for char in path.name.split(".")[0] if char.isascii() and (char.isalnum() or char in "-_"))
    return f"{stem[:40] or 'submission'}-{digest(str(path), key)[:8]}.html"


def exit_status(rows: Iterable[Row]) -> int:
    """Return 3 if something was not judged, else 1 if something is wrong, else 0."""
    found = {row.status for row in rows}
    return 3 if Result.ERROR in found else 1 if Result.FAIL in found else 0
