"""The session of the assignment's Appendix A, with the programs that a user has."""

from __future__ import annotations

import itertools
import re

from .lab import Failed, Lab, expect, scenario

_ROW = re.compile(r"^\[ *(\d+)\]: 0x([0-9a-f]+) - 0x([0-9a-f]+) \(size: 0x([0-9a-f]+)\): (\d+) cow faults$")


@scenario("2.1-1", "2.2-1", "2.3-3")
def appendix_a(lab: Lab) -> None:
    """The whole session: track fork, run it, read its faults, clean up."""
    done = lab.run("./test -o set_param -p fork")
    expect("output of set_param", done.text, "pf_set_param performed successfully.\n")
    lab.run("./fork")
    shown = lab.run("./test -o get_info -p fork")
    lines = shown.text.splitlines()
    expect("third line of get_info", lines[2], "All VMA:", shown.text)
    count = int(lines[0].removeprefix("Number of VMA      : "))
    total = int(lines[1].removeprefix("Number of COW faults: "))
    rows = [_row(line, number) for number, line in enumerate(lines[3:])]
    expect("VMAs listed", len(rows), count, shown.text)
    expect("sum of the faults of all VMAs", sum(faults for _, _, faults in rows), total, shown.text)
    if total == 0:
        raise Failed(f"a program that forks and writes has no copy-on-write fault:\n{shown.text}")
    for (_, before, _), (after, _, _) in itertools.pairwise(rows):
        if before > after:
            raise Failed(f"the VMAs are not in order:\n{shown.text}")
    done = lab.run("./test -o cleanup")
    expect("output of cleanup", done.text, "pf_cleanup performed successfully.\n")


def _row(line: str, number: int) -> tuple[int, int, int]:
    match = _ROW.match(line)
    if match is None:
        raise Failed(f"not a line of the table: {line!r}")
    start, end, size = (int(match[group], 16) for group in (2, 3, 4))
    expect(f"number of {line!r}", int(match[1]), number)
    expect(f"size of {line!r}", size, end - start)
    return start, end, int(match[5])


@scenario("2.6-6", "2.6-1", alone=True)
def test_program_before_set_param(lab: Lab) -> None:
    """get_info and cleanup before anything is tracked: [ERROR], exit status 1, one log line."""
    for command in ("./test -o get_info -p fork", "./test -o cleanup"):
        result = lab.run(command, status=1)
        if not result.text.startswith("[ERROR]") or "nitiali" not in result.text:
            raise Failed(f"`{command}` does not say that nothing is initialised: {result.text!r}")
        lab.expect_one_error(command, [(line.level, line.text) for line in result.log])


@scenario("2.6-6", "2.6-1")
def test_program_with_bad_names(lab: Lab) -> None:
    """An empty name is a bad argument, and so is the name of a program that is not tracked."""
    lab.set_param("fork")
    for command in ("./test -o set_param -p ''", "./test -o get_info -p other"):
        result = lab.run(command, status=1)
        if not result.text.startswith("[ERROR]") or "rgument" not in result.text:
            raise Failed(f"`{command}`: no [ERROR] line that speaks of an argument: {result.text!r}")
        lab.expect_one_error(command, [(line.level, line.text) for line in result.log])


@scenario("2.1-2", "2.2-5")
def test_program_twice(lab: Lab) -> None:
    """Two sessions in a row, with another name, end like the first."""
    lab.run("cp fork again")
    for name in ("fork", "again"):
        for command in (f"./test -o set_param -p {name}", f"./{name}", f"./test -o get_info -p {name}"):
            lab.run(command)
        expect("output of cleanup", lab.run("./test -o cleanup").text, "pf_cleanup performed successfully.\n")
    lab.fail("EACCES", "cleanup")
