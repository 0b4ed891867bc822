"""Proof that the suite can be trusted: mistakes that people really make, put into our own series one at a time.

make mutants                       judge each mutant of tests/mutants.toml; write the kill matrix and docs/mutants.md
make mutants MUTANTS='-k cleanup'  only those whose name has that text; the rows of the others stay as they are

A mutant is caught if a finding names the requirement that it breaks. An interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import kill_matrix
from mutant_catalogue import STAGES, Mutant, catalogue
from mutant_judge import SLOT, Judge, Judged
from rich.console import Console

from patchgen import pipeline, progress
from patchgen.cache import write_text
from patchgen.errors import PatchgenError
from patchgen.scenarios import SCENARIOS
from patchgen.settings import load


def _say(text: str) -> None:
    Console(highlight=False, soft_wrap=True).print(text, markup=False)


def _show(mutant: Mutant, one: Judged, evidence: bool) -> None:
    word = "caught" if one.caught else "MISSED"
    _say(f"{word} {mutant.name} ({', '.join(mutant.names)}): {one.by} [{len(one.kills)} kills]")
    if evidence or not one.caught:
        for line in one.evidence.splitlines():
            _say(f"  | {line}")


def _keep(judged: Mapping[str, kill_matrix.Row]) -> None:
    """Write the matrix and the table of it, and say what is to be seen in it."""
    matrix = kill_matrix.merged(kill_matrix.load(), judged, catalogue())
    kill_matrix.save(matrix)
    write_text(kill_matrix.TABLE, kill_matrix.table(catalogue(), matrix))
    _say(kill_matrix.figures(catalogue(), matrix))
    for name in kill_matrix.idle(matrix, [one.name for one in SCENARIOS]):
        _say(f"kills no mutant: {name}")
    for group in kill_matrix.alike(matrix):
        _say(f"kill the same mutants: {', '.join(group)}")


def main(argv: Sequence[str]) -> int:
    """Judge the mutants; return the exit status."""
    parser = argparse.ArgumentParser(prog="make mutants", description="judge the mutants of our series")
    parser.add_argument("-k", metavar="TEXT", action="append", default=[], help="mutants whose name has TEXT")
    parser.add_argument("-s", "--stage", choices=STAGES, help="mutants of this stage")
    parser.add_argument(
        "--stale", action="store_true", help="mutants that are new or have changed since they were judged"
    )
    parser.add_argument("--slot", default=SLOT, help="the workspace to build in, such as series (default: a new one)")
    parser.add_argument("-v", action="store_true", help="show the evidence")
    options = parser.parse_args(argv)
    stale = kill_matrix.stale(kill_matrix.load(), catalogue()) if options.stale else None
    chosen = [
        one
        for one in catalogue()
        if (not options.k or any(text in one.name for text in options.k))
        and options.stage in (None, one.stage)
        and (stale is None or one.name in stale)
    ]
    if not chosen:
        parser.error("there is no such mutant")
    for number in (signal.SIGINT, signal.SIGTERM):  # also where the shell has let the background ignore them
        signal.signal(number, signal.default_int_handler)
    judged: dict[str, kill_matrix.Row] = {}
    missed = []
    status = 0
    try:
        judge = Judge(pipeline.open_project(load(Path.cwd()), {}), options.slot)
        for mutant, one in judge.judge_all(chosen):
            judged[mutant.name] = kill_matrix.Row(
                mutant=mutant.identity(), caught=one.caught, by=one.by, kills=one.kills
            )
            missed += [] if one.caught else [mutant.name]
            _show(mutant, one, options.v)
    except PatchgenError as error:
        progress.console.print(f"error: {error.message}\n{error.evidence}", markup=False)
        status = error.exit_status
    except KeyboardInterrupt:
        progress.note(f"interrupted; what came of {len(judged)} mutants is kept")
        status = 130
    _say(f"{len(judged)} mutants judged, {len(missed)} not caught{': ' if missed else ''}{', '.join(missed)}")
    if judged:
        _keep(judged)
    return status or (1 if missed else 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
