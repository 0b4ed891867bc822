"""The command `watch`: after each change of the assignment's files, render, build and test."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from patchgen.cli import common, under_test
from patchgen.cli.under_test import UnderTest

if TYPE_CHECKING:
    from patchgen.assignment import Assignment
    from patchgen.mutation.catalogue import Mutant

_LOOK_SECONDS = 0.15
_GRACE_SECONDS = 3.0  # for a run to end its guests and compilers
# How `patchgen test --follow` begins the outcome of a scenario that has not passed.
_NOT_PASSED = re.compile(r"(?:fail|blocked) +([a-z0-9-]+)")


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(watch)


@under_test.options(without={"submission", "kernel", "vanilla", "trust", "allow_build_changes"})
def watch(
    target: UnderTest,
    only: common.Only = "",
    jobs: Annotated[int | None, common.jobs("Run so many guests at a time.")] = None,
) -> None:
    """Test the series after each change of a file.

    All files below the assignment's directory count. The scenarios that failed last run first, then those that the
    change is about, then the rest. Ctrl-C ends it.
    """
    from patchgen import assignment as assignments
    from patchgen import progress
    from patchgen.mutation import touched

    chosen = assignments.load(common.load_settings(target.base, target.assignment).assignment)
    words = ["test", "--follow", "--only", only, *(["--jobs", str(jobs)] if jobs else []), *target.words()]
    stamps, texts, first = touched.stamps(chosen), touched.texts(chosen), list[str]()
    while True:
        with _testing([*words, *(word for one in first for word in ("--first", one))]) as failed:
            progress.note(f"watching {chosen.directory}; Ctrl-C ends it")
            while touched.stamps(chosen) == stamps:
                time.sleep(_LOOK_SECONDS)
        # An editor may write several files, or one in several steps.
        while stamps != (stamps := touched.stamps(chosen)):
            time.sleep(_LOOK_SECONDS)
        before, texts = texts, touched.texts(chosen)
        first = list(dict.fromkeys([*failed, *touched.about(before, texts, _mutants(chosen))]))
        names = sorted(name for name in before.keys() | texts.keys() if before.get(name) != texts.get(name))
        progress.note(f"changed: {', '.join(names) or 'nothing'}")


def _mutants(assignment: Assignment) -> Sequence[Mutant]:
    """Return the assignment's mutants, as far as they can be read just now."""
    from patchgen.errors import UsageError
    from patchgen.mutation import catalogue

    with contextlib.suppress(UsageError):
        return catalogue.load(assignment)
    return ()


@contextlib.contextmanager
def _testing(words: Sequence[str]) -> Iterator[list[str]]:
    """Run the program beside the block, and end it when the block is left.

    It is a process of its own, so what has changed of scenarios in Python counts, too.

    Returns:
        The scenarios that have not passed; it grows.
    """
    from patchgen import entry, process
    from patchgen.process import running

    failed: list[str] = []
    command, env = entry.command(*words), dict(os.environ)
    with process.started(command, cwd=Path.cwd(), env=env, stderr=sys.stderr.fileno()) as one:

        def read() -> None:
            assert one.stdout is not None
            for raw in one.stdout:
                line = raw.decode(errors="replace").rstrip("\n")
                if found := _NOT_PASSED.match(line):
                    failed.append(found[1])
                typer.echo(line)

        threading.Thread(target=read, daemon=True).start()
        try:
            yield failed
        finally:
            running.interrupt_all(_GRACE_SECONDS)
