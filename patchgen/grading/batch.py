"""Many submissions: a queue, results that are kept, and a table.

A verdict is kept under the hash of what was graded, by what and how far. So a batch that was interrupted goes on where
it was, and the same content is never graded twice, whatever it is called. What the machine kept from being graded is
tried again. Points are no part of that: they are given to what was kept (sheet.py), by whatever rubric.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from patchgen import progress
from patchgen.cache import digest
from patchgen.errors import MachineError, SubmissionError, UsageError
from patchgen.findings import Result
from patchgen.grading import grader, marking, register, worker
from patchgen.grading import rubric as rubrics
from patchgen.grading.model import Verdict
from patchgen.grading.register import Entry, Register
from patchgen.grading.sheet import RESULTS, Sheet, Terms, exit_status, keep, kept, page_name
from patchgen.grading.table import Row
from patchgen.grading.worker import Answer, Task
from patchgen.pipeline import Project
from patchgen.process import running
from patchgen.submission import inputs
from patchgen.text import one_line

__all__ = ["RESULTS", "Batch", "Engine", "exit_status", "here", "key_of", "page_name", "run"]


_CLEAN_UP_SECONDS = 2.0


class Engine(Protocol):
    """What tasks are handed to."""

    def __call__(self, tasks: Mapping[str, Task]) -> Iterator[tuple[str, Answer]]:
        """Yield the answer to each task, under its key, as they come."""


@dataclass(frozen=True)
class Batch:
    """What is asked of all of them.

    Attributes:
        out: directory of the results.
        project: what they are graded with.
        rubric: the file of what there are points for.
        stages: as --stages has it.
        trust: the user vouches for them.
        submitted: says when a submission was handed in.
        deadline: until when it could be.
        allow_build_changes: the user has looked at what they change of the build.
        form: another form in which each verdict is written, too (forms.py); "" for none.
        exam: the seed of random programs, None for none.
        programs: how many of these.
    """

    out: Path
    project: Project
    rubric: Path
    stages: str
    trust: bool
    submitted: Callable[[Path], datetime | None]
    deadline: datetime | None
    allow_build_changes: bool = False
    form: str = ""
    exam: int | None = None
    programs: int = 0

    def terms(self) -> Terms:
        """Return what the marks depend on."""
        assignment = self.project.assignment
        rubric = rubrics.load(assignment, self.rubric)
        return Terms(self.out, assignment, rubric, self.deadline, self.project.cache.root, self.form)


def key_of(task: Task, graded_with: str) -> str:
    """Return the hash of everything that decides about a verdict: what is graded, how, and with what (grader.suite)."""
    # The name of an archive or patch is graded too (a note), but it decides about nothing that has points.
    files = sorted(task.files.items()) if task.kind == "directory" else sorted(task.files.values())
    given = (files, sorted(task.links))
    how = (task.how.stages, task.how.trust, task.how.allow_build_changes, task.how.exam, task.how.programs)
    return digest("verdict", task.kind, *given, *how, graded_with)


def here(jobs: int) -> Engine:
    """Return the engine that grades on this machine, several at a time, each in a process of its own."""

    def run(tasks: Mapping[str, Task]) -> Iterator[tuple[str, Answer]]:
        with ThreadPoolExecutor(jobs) as pool:
            futures = {pool.submit(worker.work, task.to_json(), _tell): key for key, task in tasks.items()}
            try:
                for future in as_completed(futures):
                    yield futures[future], Answer(**future.result())  # type: ignore[arg-type]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                # Leaving the block waits for the threads, and these for their processes.
                running.interrupt_all(_CLEAN_UP_SECONDS)
                raise

    return run


def _tell(name: str, stage: str) -> None:
    """Say what is being done; the number of a stage tells how far it is."""
    progress.note(f"{one_line(name)}: {stage}")


def run(paths: Sequence[Path], batch: Batch, engine: Engine) -> list[Row]:
    """Grade what was not graded yet, and write the table and the pages.

    Raises:
        UsageError: a path names nothing, or a range of commits; or adjustments.csv is wrong.
        MachineError: results cannot be written.
    """
    entries, tasks = _packed(paths, batch)
    sheet = Sheet(batch.terms(), _register(batch, entries))
    # From here on `patchgen mark` knows what there is, however this ends.
    sheet.register.write(batch.out, sheet.register.entries)
    names = {key: [one for one in entries if one.key == key] for key in tasks}
    for entry in entries:
        if not entry.key:
            sheet.enter(entry, None)
    todo = {}
    for key, task in tasks.items():
        verdict = kept(batch.out, key)
        if verdict and _is_decided(verdict, sheet.terms):
            for entry in names[key]:
                sheet.enter(entry, verdict)
        else:
            todo[key] = task
    if known := sum(len(names[key]) for key in tasks if key not in todo):
        progress.note(f"{known} of {sum(map(len, names.values()))} were graded before")
    done = 0
    try:
        with progress.step("grading", len(todo), counted=True) as step:
            for done, (key, answer) in enumerate(engine(todo) if todo else (), 1):
                _enter(sheet, names[key], answer)
                step.update(done)
    except KeyboardInterrupt:
        progress.note(f"{done} of {len(todo)} were graded and are kept: the same command goes on from there")
        raise
    return sheet.end()


def _enter(sheet: Sheet, entries: Sequence[Entry], answer: Answer) -> None:
    """Take an answer for the submissions of its content."""
    verdict = Verdict.model_validate_json(answer.verdict) if answer.verdict else None
    if verdict:
        keep(sheet.terms.out, entries[0].key, answer.verdict)
    status = Result.FAIL if answer.status == 1 else Result.ERROR
    for entry in entries:
        sheet.enter(entry.model_copy(update={"status": status, "why": answer.why}), verdict)
    # After each: a batch that is interrupted leaves the table of what is done.
    sheet.write()


def _packed(paths: Sequence[Path], batch: Batch) -> tuple[tuple[Entry, ...], dict[str, Task]]:
    """Return what is known of each submission, and the tasks by the keys of their verdicts: one for equal content."""
    entries: list[Entry] = []
    tasks: dict[str, Task] = {}
    graded_with = grader.suite(batch.project)
    for path in dict.fromkeys(paths):
        name = str(path)
        try:
            submitted = batch.submitted(path)  # It may have a date that is none.
            task = _task(path, batch)
        except (SubmissionError, MachineError) as error:
            status = Result.FAIL if isinstance(error, SubmissionError) else Result.ERROR
            entries.append(Entry(name=name, status=status, why=error.message))
        else:
            key = key_of(task, graded_with)
            entries.append(Entry(name=name, key=key, submitted=submitted, why="it was not graded yet"))
            tasks.setdefault(key, task)
    return tuple(entries), tasks


def _is_decided(verdict: Verdict, terms: Terms) -> bool:
    """Whether the machine has graded all that this rubric needs. If not, it tries once more."""
    return marking.mark(verdict, terms.rubric, terms.assignment).exit_status in (0, 1)


def _register(batch: Batch, entries: tuple[Entry, ...]) -> Register:
    """Return what is remembered of this batch, with the marks of the last run."""
    last = register.read(batch.out)
    return Register(
        assignment=str(batch.project.assignment.directory),
        graded=grader.graded(grader.parse_stages(batch.stages)),
        entries=entries,
        before=last.before if last else {},
    )


def _task(path: Path, batch: Batch) -> Task:
    kind = inputs.kind(path)
    if kind == "range":
        raise UsageError(f"{path}: a batch takes archives, directories and patches", hint="grade a range by itself")
    how = worker.How(
        rubric=batch.rubric.read_text(encoding="utf-8"),
        stages=batch.stages,
        assignment=str(batch.project.assignment.directory),
        trust=batch.trust,
        allow_build_changes=batch.allow_build_changes,
        exam=batch.exam,
        programs=batch.programs,
    )
    return worker.pack(path, kind, how)
