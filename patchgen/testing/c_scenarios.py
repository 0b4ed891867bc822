"""Scenarios in C: each is run in a guest by its program, and what it prints (KTAP) becomes an outcome."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from patchgen.errors import UsageError
from patchgen.testing import ktap
from patchgen.testing.lab import Failed, Lab, Scenario, Skipped

_SECONDS = 120.0
_SHOWN = 12  # lines of checks


def find(directory: Path) -> Iterator[Scenario]:
    """Yield the scenarios of the C files in a directory, file by file in the order of their names.

    Raises:
        UsageError: a file cannot be read, or one of its scenarios has another form than ktap.h says.
    """
    for source in sorted(directory.glob("*.c")):
        try:
            declared = ktap.declared(source.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"{source}: {error}") from error
        for one in declared:
            run = functools.partial(_run, f"./{source.stem}", one.name)
            yield Scenario(one.name.replace("_", "-"), one.requirements, run, one.summary, one.cpus)


def _run(program: str, name: str, lab: Lab) -> None:
    """Run one scenario.

    Raises:
        Failed: one of its checks fails; the requirements are those of the checks that do.
        Skipped: it says that the machine lacks what it needs.
    """
    result = lab.run([program, name], status=None, timeout=_SECONDS)
    log = "".join(f"\nkernel log: {line.text}" for line in result.log)
    read = ktap.parse(result.text)
    found = read.find(name)
    if found is None or read.problems:
        how = f"signal {result.signal}" if result.signal else f"status {result.status}"
        problems = "; ".join(read.problems) or "its result is missing"
        raise Failed(f"`{program} {name}` ended with {how}: {problems}\n{result.text}{log}")
    if found.status is ktap.Status.SKIP:
        raise Skipped(found.reason or "it says that it cannot be run")
    if found.status is ktap.Status.PASS:
        return
    failed = [one for one in ktap.leaves(found) if one.status is ktap.Status.FAIL]
    violated = tuple(dict.fromkeys(name for one in failed for name in one.requirements))
    lines = [line for one in failed for line in (_line(one), *(f"  {said}" for said in one.diagnostics))]
    raise Failed("\n".join([*lines[:_SHOWN], *found.problems]) + log, violated)


def _line(check: ktap.Result) -> str:
    """Return what a check that failed is about, and the last that it said, in a line."""
    said = f": {check.diagnostics[-1]}" if check.diagnostics else ""
    return f"{check.text or 'it did not come to its end'}{said}"
