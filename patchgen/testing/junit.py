"""Results as JUnit XML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from patchgen.cache import write_text
from patchgen.findings import Result

_RESULTS = {Result.FAIL: Failure, Result.ERROR: Error, Result.SKIP: Skipped, Result.BLOCKED: Skipped}


def case(name: str, group: str, seconds: float, result: Result, *details: str) -> TestCase:
    """Return a test case.

    Args:
        name: its name.
        group: what it belongs to.
        seconds: how long it took.
        result: what came of it.
        details: what came of it otherwise: what is wrong, and whatever helps to understand that.
    """
    made = TestCase(name, classname=f"patchgen.{group}", time=seconds)
    if result in _RESULTS:
        text = "\n".join(filter(None, details))
        why = _RESULTS[result](text.partition("\n")[0] or name)
        why.text = text
        made.result = [why]
    return made


def text(suites: Mapping[str, Iterable[TestCase]], title: str | None = None) -> str:
    """Return test cases, by the name of their suite, as XML."""
    xml = JUnitXml(title)
    for name, cases in suites.items():
        suite = TestSuite(name)
        suite.add_testcases(list(cases))
        xml.add_testsuite(suite)
    xml.update_statistics()  # type: ignore[no-untyped-call]
    return str(xml.tostring().decode())  # type: ignore[no-untyped-call]


def write(path: Path, suites: Mapping[str, Iterable[TestCase]], title: str | None = None) -> None:
    """Write test cases, by the name of their suite.

    Raises:
        MachineError: the file cannot be written.
    """
    write_text(path, text(suites, title))
