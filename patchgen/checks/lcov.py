"""Coverage as an LCOV tracefile, which genhtml makes pages of and editors show (geninfo(1), "TRACEFILE FORMAT")."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from patchgen.cache import write_text
from patchgen.checks.coverage import Coverage, Function

TRACEFILE = "coverage.info"


def write(coverage: Coverage, directory: Path) -> None:
    """Write the tracefile, and beside it the files that it is about, where genhtml looks for them.

    Args:
        coverage: what was counted.
        directory: where to; `genhtml` is to be run there.

    Raises:
        OSError: it cannot be written.
    """
    paths = dict.fromkeys(function.path for function in coverage.functions)
    lines = []
    for path in paths:
        write_text(directory / path, "\n".join(coverage.text[path]) + "\n")
        lines += ["TN:", f"SF:{path}"]
        lines += [line for one in coverage.functions if one.path == path for line in _records(one)]
        lines.append("end_of_record")
    write_text(directory / TRACEFILE, "\n".join(lines) + "\n")


def _records(function: Function) -> Iterator[str]:
    first = function.lines[0]
    yield f"FN:{first.number},{function.name}"
    yield f"FNDA:{first.count},{function.name}"
    for line in function.lines:
        yield f"DA:{line.number},{line.count}"
        for way, count in enumerate(line.branches):
            yield f"BRDA:{line.number},0,{way},{count if line.count else '-'}"
