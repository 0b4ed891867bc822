"""Coverage from gcov's data, on programs that are compiled and run here, so that the numbers are known."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from patchgen import process
from patchgen.checks import coverage, lcov
from patchgen.checks.coverage import Counter, Coverage
from patchgen.cli.coverage_commands import percent
from patchgen.errors import MachineError

SOURCE = """\
static int twice(int n)
{
	if (n > 2)
		return 0;
	return 2 * n;
}

int main(int argc, char **argv)
{
	return twice(argc);
}
"""
LINES = SOURCE.splitlines()


def compile_program(directory: Path) -> Path:
    """Return the build directory of a program with counters; its object is lib/demo.o of a tree."""
    target = directory / "build"
    (target / "lib").mkdir(parents=True)
    (target / "lib/demo.c").write_text(SOURCE)
    process.run(["gcc", "--coverage", "-c", "lib/demo.c", "-o", "lib/demo.o"], cwd=target, timeout=60)
    process.run(["gcc", "--coverage", "lib/demo.o", "-o", "demo"], cwd=target, timeout=60)
    return target


def run_program(build: Path, *words: str) -> dict[str, bytes]:
    """Run it and return its counters, as a guest's debugfs would name them."""
    data = build / "lib/demo.gcda"
    data.unlink(missing_ok=True)
    process.run([build / "demo", *words], cwd=build, timeout=60, check=False)
    return {f"/sys/kernel/debug/gcov{data}": data.read_bytes()}


def measure(tmp_path: Path, *runs: tuple[str, ...], added: frozenset[int]) -> Coverage:
    build = compile_program(tmp_path)
    notes = tmp_path / "notes/lib"
    notes.mkdir(parents=True)
    (build / "lib/demo.gcno").rename(notes / "demo.gcno")
    (tmp_path / "scratch").mkdir()
    counter = Counter(tmp_path / "notes", {"lib/demo.c": added}, tmp_path / "scratch")
    for number, words in enumerate(runs):
        counter.add(f"run{number}", run_program(build, *words))
    return counter.result({"lib/demo.c": LINES})


def test_runs_are_added_up(tmp_path: Path) -> None:
    found = measure(tmp_path, (), ("a",), ("a", "b"), added=frozenset(range(1, 12)))
    counts = {line.number: line.count for one in found.functions for line in one.lines}
    assert (counts[3], counts[4], counts[5]) == (3, 1, 2)
    assert found.lines == (len(counts), len(counts))
    assert found.branches == (2, 2)


def test_a_line_that_no_run_reaches_is_told(tmp_path: Path) -> None:
    found = measure(tmp_path, (), ("a",), added=frozenset(range(1, 12)))
    twice = next(one for one in found.functions if one.name == "twice")
    assert twice.uncovered == (4,)
    assert twice.branches == (1, 2)
    covered, total = found.lines
    assert covered == total - 1
    assert percent((199, 200)) != "100 %"
    lcov.write(found, tmp_path / "lcov")
    assert (tmp_path / "lcov/lib/demo.c").read_text() == SOURCE
    records = (tmp_path / "lcov/coverage.info").read_text().splitlines()
    assert {"SF:lib/demo.c", "FN:1,twice", "DA:4,0", "DA:5,2", "BRDA:3,0,0,0", "end_of_record"} <= set(records)


def test_only_lines_that_the_series_adds_are_looked_at(tmp_path: Path) -> None:
    found = measure(tmp_path, (), added=frozenset({5, 6}))
    assert {line.number for one in found.functions for line in one.lines} <= {5, 6}
    assert found.lines[0] == found.lines[1]


def test_a_run_without_all_counters_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="counters of 0 objects instead of 1"):
        measure_nothing(tmp_path)


def measure_nothing(tmp_path: Path) -> None:
    build = compile_program(tmp_path)
    Counter(build, {"lib/demo.c": frozenset({1})}, tmp_path).add("run", {})


def test_a_source_that_has_changed_since_does_not_matter(tmp_path: Path) -> None:
    build = compile_program(tmp_path)
    data = run_program(build)
    os.utime(build / "lib/demo.c", (2**31, 2**31))
    Counter(build, {"lib/demo.c": frozenset({1})}, tmp_path).add("run", data)


def test_damaged_counters_are_an_error(tmp_path: Path) -> None:
    build = compile_program(tmp_path)
    data = {path: b"oops" + content[4:] for path, content in run_program(build).items()}
    with pytest.raises(MachineError):
        Counter(build, {"lib/demo.c": frozenset({1})}, tmp_path).add("run", data)


@pytest.mark.parametrize(
    ("number", "name"),
    [(1, ""), (4, "one"), (5, "one"), (9, "two"), (14, "pf_three"), (18, "four")],
)
def test_the_function_around_a_line(number: int, name: str) -> None:
    text = """\
static DEFINE_MUTEX(lock);
static int one(int a,
    int b)
{
	return call(a);
}

struct thing *two(void)
{
unlock:
	return NULL;
}
SYSCALL_DEFINE2(pf_three, int, a,
    int, b)
{
}
static inline bool
four(int x)
{
}
""".splitlines()
    assert coverage.function_at(text, number) == name
