"""Every sentence of the assignment has a scenario, or a test of the patches that exists."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from pf_stat.scenarios.lab import parse_maps
from pfstat import REQUIREMENTS, SCENARIOS, SUITE

from patchgen import assignment
from patchgen.assignment import Requirement, within
from patchgen.cache import Cache
from patchgen.errors import UsageError
from patchgen.findings import Result
from patchgen.guest import machine
from patchgen.guest.initramfs import Image
from patchgen.guest.testbed import Testbed
from patchgen.testing import results, suite
from patchgen.testing.runner import Outcome
from patchgen.testing.suite import Suite

ROOT = Path(__file__).parents[2]
# Sections 2.1 to 2.6, 3, 4 and 6 of the assignment, and the 15 statements on what they mean.
SECTIONS = {"2.1": 6, "2.2": 10, "2.3": 3, "2.4": 1, "2.5": 2, "2.6": 6, "3": 7, "4": 1, "6": 7}


def test_the_sections_are_complete() -> None:
    wanted = [f"{section}-{number}" for section, count in SECTIONS.items() for number in range(1, count + 1)]
    assert list(REQUIREMENTS) == [*wanted, *(f"S{number}" for number in range(1, 16))]


@pytest.mark.parametrize("demand", REQUIREMENTS.values(), ids=lambda demand: str(demand.id))
def test_each_sentence_has_something_that_stands_for_it(demand: Requirement) -> None:
    standing = [one.name for one in SCENARIOS if demand.id in one.requirements]
    assert bool(standing) != bool(demand.check), "a scenario, or else a test of the patches"
    if demand.check:
        file, function = demand.check.split("::")
        tree = ast.parse((ROOT / file).read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_there_are_at_least_sixty() -> None:
    assert len(SCENARIOS) >= 60


def load(place: Path, marked: str, text: str = "") -> Suite:
    """Load an assignment with one requirement and one scenario, a function that is `marked`; `text` is its own."""
    (place / "scenarios").mkdir(parents=True)
    (place / "assignment.toml").write_text(f'title = "x"\n{text}[submission]\narchive = "x.tar.gz"\n')
    (place / "requirements.toml").write_text('[[requirement]]\nid = "1-1"\ntext = "x"\n')
    code = f'from patchgen.testing.lab import scenario\n\n\n{marked}\ndef a(lab):\n    """B."""\n'
    (place / "scenarios" / "some.py").write_text(code)
    return suite.load(assignment.load(str(place)), {})


@pytest.mark.parametrize(
    ("marked", "wrong"),
    [
        ('@scenario("9.9-1")', "a stands for 9.9-1, which is no requirement"),
        ("@scenario()", "a stands for no requirement"),
        ('@scenario("1-1")\ndef a(lab):\n    """B."""\n\n\n@scenario("1-1")', "two scenarios are called a"),
        ("", "has no scenario"),
        ("def", "cannot be imported"),
    ],
)
def test_a_scenario_must_stand_for_a_known_requirement(tmp_path: Path, marked: str, wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        load(tmp_path / "exercise-2.1", marked)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("essential", 'essential = ["b"]\n'),
        ("foundation", '[[foundation]]\nscenarios = ["b"]\nrequirements = ["1-1"]\n'),
    ],
)
def test_the_assignment_names_scenarios_that_are_there(tmp_path: Path, key: str, text: str) -> None:
    with pytest.raises(UsageError, match=f"{key}: there is no scenario b"):
        load(tmp_path / "exercise-2.2", '@scenario("1-1")', text)


def bed(kernel: Path, image: str, cache: Cache) -> Testbed:
    kernel.write_text(kernel.name)
    return Testbed(kernel, Image(kernel, image), machine.load(), cache)


@pytest.mark.parametrize(
    ("sentence", "part", "inside"),
    [
        ("2.2-1", "2.2-1", True),
        ("2.2-10", "2.2-1", False),
        ("2.2-10", "2.2", True),
        ("2.2-10", "2", True),
        ("2.2-10", "2.", False),
        ("3-4", "3", True),
        ("S10", "S1", False),
        ("S10", "S10", True),
    ],
)
def test_a_sentence_is_within_its_section(sentence: str, part: str, inside: bool) -> None:
    assert within(sentence, part) is inside


def test_results_are_kept_by_kernel_and_guest_programs(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    here, other_kernel = (bed(tmp_path / name, "1", cache) for name in "ab")
    first, second = SCENARIOS[:2]
    assert not results.any_known(cache)
    results.keep([Outcome(first, Result.PASS, "", "", 0.1)], here, SUITE, cache)
    results.keep([Outcome(second, Result.FAIL, "x", "", 0.1)], here, SUITE, cache)
    assert results.any_known(cache)
    assert results.known_results(here, SUITE, cache) == {first.name: Result.PASS, second.name: Result.FAIL}
    assert results.known_results(other_kernel, SUITE, cache) == {}
    assert results.known_results(bed(tmp_path / "a", "2", cache), SUITE, cache) == {}


def test_a_sentence_is_as_good_as_its_worst_scenario() -> None:
    name = SCENARIOS[0].name
    demand = SCENARIOS[0].requirements[0]
    others = {one.name: Result.PASS for one in SCENARIOS}
    for word in (Result.PASS, Result.FAIL, Result.SKIP):
        row = next(row for row in results.table(SUITE, others | {name: word}) if row.requirement.id == demand)
        assert row.result == word
    assert {row.result for row in results.table(SUITE, {})} == {Result.NOT_RUN, ""}


def test_maps_are_read() -> None:
    text = "maps\n08048000-08049000 r--p 00000000 00:02 9   /root/a-b\nbf-x\nb7f61000-b7f64000 rw-s 0 00:00 0\n"
    assert [(vma.start, vma.end) for vma in parse_maps(text)] == [(0x8048000, 0x8049000), (0xB7F61000, 0xB7F64000)]
