"""The scenarios of an assignment, loaded from its directory.

`scenarios/` is a Python package. Each module in it is imported by itself; what `@scenario` marks in it is a scenario,
in the order in which the file has them, file by file in the order of their names. Each C file beside them is a program
of scenarios (patchgen.testing.c_scenarios). The package itself may have:

    Lab             the class that its scenarios are given, a `patchgen.testing.lab.Lab` with more in it
    COVERAGE_RUNS   runs that only `patchgen coverage` makes, as Scenarios without requirements
"""

from __future__ import annotations

import functools
import importlib
import importlib.machinery
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from patchgen import assignment as assignments
from patchgen.assignment import Assignment
from patchgen.cache import digest, file_digest
from patchgen.errors import UsageError
from patchgen.series.model import Parameter
from patchgen.testing import c_scenarios
from patchgen.testing.lab import Lab, Scenario, scenario_of

DIRECTORY = "scenarios"


@dataclass(frozen=True)
class Suite:
    """What a kernel is tested by.

    Attributes:
        assignment: whose.
        scenarios: in order.
        lab: what they are given.
        prefix: what every error line of the kernel log must begin with, "" if nothing is said of that.
        coverage_runs: runs for coverage, which stand for no requirement.
    """

    assignment: Assignment
    scenarios: tuple[Scenario, ...]
    lab: type[Lab] = Lab
    prefix: str = ""
    coverage_runs: tuple[Scenario, ...] = ()

    def digest(self) -> str:
        """Return a hash of the files that the scenarios are in."""
        files = sorted((self.assignment.directory / DIRECTORY).glob("*.*"))
        return digest("suite", [(path.name, file_digest(path)) for path in files if path.is_file()])


def load(assignment: Assignment, parameters: Mapping[str, Parameter]) -> Suite:
    """Return the scenarios of an assignment.

    Args:
        assignment: whose.
        parameters: those of its series.

    Raises:
        UsageError: there are none, they cannot be imported, or one is wrong.
    """
    prefix = str(parameters[assignment.guest.log_prefix]) if assignment.guest.log_prefix else ""
    return replace(_load(assignment.directory), prefix=prefix)


@functools.cache
def _load(directory: Path) -> Suite:
    assignment = assignments.load(str(directory))
    place = directory / DIRECTORY
    found: list[Scenario] = []
    package = module(assignment, DIRECTORY) if (place / "__init__.py").is_file() else None
    for file in sorted(place.glob("*.py")):
        if file.stem != "__init__":
            found += _of_module(module(assignment, f"{DIRECTORY}.{file.stem}"))
    found += c_scenarios.find(place)
    _check(found, assignment)
    lab, runs = getattr(package, "Lab", Lab), getattr(package, "COVERAGE_RUNS", ())
    return Suite(assignment, tuple(found), lab, coverage_runs=tuple(runs))


def module(assignment: Assignment, name: str) -> ModuleType:
    """Import a Python module of an assignment's directory.

    Args:
        assignment: whose.
        name: its name below the directory, with dots.

    Raises:
        UsageError: it cannot be imported; with the traceback.
    """
    root = re.sub(r"\W", "_", assignment.name)  # a dot would make it two modules
    _make_root(root, assignment.directory)
    try:
        return importlib.import_module(f"{root}.{name}")
    except Exception as error:  # whatever the teacher's code raises while it is imported
        where = assignment.directory / (name.replace(".", "/") + ".py")
        raise UsageError(f"{where} cannot be imported: {error}", evidence=traceback.format_exc()) from error


def _make_root(name: str, directory: Path) -> None:
    """See that modules below `name` are those of a directory, and of no other of the same name."""
    known = sys.modules.get(name)
    if known is not None and {Path(path) for path in getattr(known, "__path__", [])} == {directory}:
        return
    if known is not None and getattr(known, "__file__", None):
        raise UsageError(f"{directory}: {name} is a Python module's name; give the directory another one")
    for other in [one for one in sys.modules if one == name or one.startswith(f"{name}.")]:
        del sys.modules[other]
    spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
    assert spec.submodule_search_locations is not None, "it is a package"
    spec.submodule_search_locations.append(str(directory))
    sys.modules[name] = importlib.util.module_from_spec(spec)


def _of_module(loaded: ModuleType) -> Iterator[Scenario]:
    for thing in vars(loaded).values():
        if getattr(thing, "__module__", "") == loaded.__name__ and (one := scenario_of(thing)):
            yield one


def _check(scenarios: list[Scenario], assignment: Assignment) -> None:
    """Refuse scenarios that cannot be told apart, or that stand for nothing.

    Raises:
        UsageError: there is one, or there is none at all.
    """
    if not scenarios:
        raise UsageError(f"{assignment.directory / DIRECTORY} has no scenario")
    names: set[str] = set()
    for one in scenarios:
        if one.name in names:
            raise UsageError(f"{assignment.name}: two scenarios are called {one.name}")
        names.add(one.name)
        if not one.requirements:
            raise UsageError(f"{assignment.name}: the scenario {one.name} stands for no requirement")
        if unknown := [name for name in one.requirements if name not in assignment.requirements]:
            raise UsageError(f"{assignment.name}: {one.name} stands for {unknown[0]}, which is no requirement")
    resting = [name for one in assignment.foundations for name in one.scenarios]
    for key, wanted in (("foundation", resting), ("essential", assignment.essential)):
        if unknown := [name for name in wanted if name not in names]:
            raise UsageError(f"{assignment.name}: {key}: there is no scenario {unknown[0]}")
