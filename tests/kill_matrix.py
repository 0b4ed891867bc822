"""The kill matrix: which scenarios fail on each mutant, kept as data in tests/kill_matrix.json.

`make mutants` writes it, and from it docs/mutants.md. A scenario kills a mutant if it fails on it against a requirement
that the scenario stands for; what it only meets on its way (a line too much in the log) is no kill. A mutant on which
nearly all scenarios fail, because the calls are not there, says nothing about any of them: its kills do not count.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mutant_catalogue import BOOTED, Mutant

from patchgen.cache import write_text
from patchgen.scenarios import SCENARIOS
from patchgen.validation import Model

FILE = Path(__file__).parent / "kill_matrix.json"
TABLE = FILE.parents[1] / "docs" / "mutants.md"
_WORKSPACE = re.compile(r"/\S*/work/[^/\s]+/[^/\s]+/src/")


class Row(Model):
    """What came of a mutant.

    Attributes:
        mutant: hash of the mutant that was judged, to see when it has changed since.
        caught: findings name all that they must.
        by: what found it: a scenario, a part of torture, the compiler's words; "" if nothing did.
        kills: the scenarios that kill it; those of a mutant whose kernel does not boot are not run.
    """

    mutant: str
    caught: bool
    by: str
    kills: tuple[str, ...] = ()


Matrix = Mapping[str, Row]


def load(path: Path = FILE) -> dict[str, Row]:
    """Return the matrix, by the mutants' names; it is empty if there is none yet.

    Raises:
        ValueError: the file is wrong.
    """
    if not path.is_file():
        return {}
    return {name: Row.model_validate(row) for name, row in json.loads(path.read_text(encoding="utf-8")).items()}


def merged(before: Matrix, judged: Matrix, mutants: Sequence[Mutant]) -> dict[str, Row]:
    """Return the matrix of a catalogue: what was judged now, and what is known of the others."""
    names = {one.name for one in mutants}
    return {name: row for name, row in sorted({**before, **judged}.items()) if name in names}


def save(matrix: Matrix, path: Path = FILE) -> None:
    """Write the matrix: sorted, and a line for each kill, so that a change of it reads well."""
    data = {name: matrix[name].model_dump(mode="json") for name in sorted(matrix)}
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def telling(matrix: Matrix) -> dict[str, tuple[str, ...]]:
    """Return the kills by mutant, without mutants that more than three quarters of the scenarios kill."""
    return {name: row.kills for name, row in matrix.items() if 4 * len(row.kills) <= 3 * len(SCENARIOS)}


def idle(matrix: Matrix, scenarios: Collection[str]) -> list[str]:
    """Return the scenarios that kill no mutant."""
    busy = {name for kills in telling(matrix).values() for name in kills}
    return sorted(set(scenarios) - busy)


def alone(matrix: Matrix) -> dict[str, list[str]]:
    """Return the mutants that one scenario alone kills, by that scenario."""
    found: dict[str, list[str]] = {}
    for mutant, kills in sorted(telling(matrix).items()):
        if len(kills) == 1:
            found.setdefault(kills[0], []).append(mutant)
    return found


def alike(matrix: Matrix) -> list[tuple[str, ...]]:
    """Return the groups of scenarios that kill just the same mutants."""
    kills: dict[str, set[str]] = {}
    for mutant, names in telling(matrix).items():
        for name in names:
            kills.setdefault(name, set()).add(mutant)
    groups: dict[frozenset[str], list[str]] = {}
    for name, of in sorted(kills.items()):
        groups.setdefault(frozenset(of), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def stale(matrix: Matrix, mutants: Sequence[Mutant]) -> dict[str, str]:
    """Return why the rows of some mutants are missing or out of date, by the mutants' names."""
    scenarios = {one.name for one in SCENARIOS}
    found = {}
    for mutant in mutants:
        row = matrix.get(mutant.name)
        if row is None:
            found[mutant.name] = "was never judged"
        elif row.mutant != mutant.identity():
            found[mutant.name] = "has changed since it was judged"
        elif gone := sorted(set(row.kills) - scenarios):
            found[mutant.name] = f"was killed by what is no scenario any more: {', '.join(gone)}"
    return found | dict.fromkeys(sorted(set(matrix) - {one.name for one in mutants}), "is no mutant any more")


_HEAD = """# Mutants

Mistakes that people really make, each put into our own series by itself (`tests/mutants.toml`) and judged like an
untrusted submission, by the cheapest stage that must catch it. A mutant counts as caught only if a finding names the
requirement of the assignment that it breaks ([requirements.toml](../patchgen/testing/requirements.toml)), or *style*,
*build*, *robustness*, *cost*; and for some, only if the finding says the right thing of it.

Each mutant whose kernel boots is also given to every scenario, to the two slowest only if it breaks one of their
requirements. `tests/kill_matrix.json` has which of them fail on it (the kill matrix), and the column *Kills* how many.
A scenario that kills no mutant fails `make test-unit`.

`make mutants` makes the matrix and this table. What it has judged it keeps, so that it goes on where it was
interrupted; `make mutants MUTANTS='-k TEXT'` judges those whose name has TEXT and renews their rows, `--stale` those
that are new or have changed, and `-v` shows what was seen.

{figures}

| Mutant | Mistake | Requirement | Stage | Caught by | Kills |
| ------ | ------- | ----------- | ----- | --------- | ----: |
"""


def figures(mutants: Sequence[Mutant], matrix: Matrix) -> str:
    """Return the matrix of a catalogue in figures, as a paragraph."""
    counted = Counter(name for kills in telling(matrix).values() for name in kills)
    kills, single = sum(len(row.kills) for row in matrix.values()), alone(matrix)
    caught = sum(row.caught for row in matrix.values())
    return (
        f"{len(mutants)} mutants, {len(matrix)} judged, {caught} caught. {len(SCENARIOS)} scenarios, {kills:,} kills; "
        f"{len(counted)} scenarios kill a mutant that others let live, {len(single)} kill one that no other kills."
    )


def table(mutants: Sequence[Mutant], matrix: Matrix) -> str:
    """Return docs/mutants.md, in the catalogue's order."""
    text = _HEAD.format(figures=figures(mutants, matrix))
    for mutant in mutants:
        row = matrix.get(mutant.name)
        by = "not judged yet" if row is None else cell(row.by) if row.caught else "**not caught**"
        kills = len(row.kills) if row and mutant.stage in BOOTED else ""
        mistake, names = cell(mutant.mistake), ", ".join(mutant.names)
        text += f"| {mutant.name} | {mistake} | {names} | {mutant.stage} | {by} | {kills} |\n"
    return text


def cell(text: str) -> str:
    """Return text for a cell of a Markdown table; files of the kernel have their names in its tree."""
    return (
        re.sub(r"\s+", " ", _WORKSPACE.sub("", text))
        .strip()
        .replace("|", "\\|")
        .replace("<", "&lt;")
        .replace("*", "\\*")
    )
