"""The kill matrix: which scenarios fail on each mutant, kept as data in an assignment's `kill_matrix.json`.

`patchgen mutants` writes it. A scenario kills a mutant if it fails on it against a requirement that the scenario stands
for; what it only meets on its way (a line too much in the log) is no kill. A mutant on which nearly all scenarios fail,
because the calls are not there, says nothing about any of them: its kills do not count.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import Field

from patchgen.cache import write_text
from patchgen.data import Model
from patchgen.kernel.warnings import WORKSPACE
from patchgen.mutation.catalogue import BOOTED, Mutant


class Row(Model):
    """What came of a mutant.

    Attributes:
        mutant: hash of the mutant that was graded, to see when it has changed since.
        caught: findings name all that they must.
        by: what found it: a scenario, a part of torture, the compiler's words; "" if nothing did.
        kills: the scenarios that kill it; those of a mutant whose kernel does not boot are not run.
        violated: ids of all requirements that a scenario shows to be violated.
        lost: points of each item of the rubric that it loses.
    """

    mutant: str
    caught: bool
    by: str
    kills: tuple[str, ...] = ()
    violated: tuple[str, ...] = ()
    lost: dict[str, float] = Field(default_factory=dict)


@dataclass(frozen=True)
class Matrix:
    """The whole of it.

    Attributes:
        rows: by the mutants' names, sorted.
        scenarios: the names of all scenarios, in order.
    """

    rows: Mapping[str, Row]
    scenarios: tuple[str, ...]

    def merged(self, graded: Mapping[str, Row], mutants: Sequence[Mutant]) -> Matrix:
        """Return the matrix of a catalogue: what was graded now, and what is known of the others."""
        names = {one.name for one in mutants}
        return replace(self, rows={name: row for name, row in sorted({**self.rows, **graded}.items()) if name in names})

    def save(self, path: Path) -> None:
        """Write the matrix: sorted, and a line for each kill, so that a change of it reads well."""
        data = {name: self.rows[name].model_dump(mode="json") for name in sorted(self.rows)}
        write_text(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")

    def telling(self) -> dict[str, tuple[str, ...]]:
        """Return the kills by mutant, without mutants that more than three quarters of the scenarios kill."""
        most = 3 * len(self.scenarios)
        return {name: row.kills for name, row in self.rows.items() if 4 * len(row.kills) <= most}

    def idle(self) -> list[str]:
        """Return the scenarios that kill no mutant."""
        busy = {name for kills in self.telling().values() for name in kills}
        return sorted(set(self.scenarios) - busy)

    def alone(self) -> dict[str, list[str]]:
        """Return the mutants that one scenario alone kills, by that scenario."""
        found: dict[str, list[str]] = {}
        for mutant, kills in sorted(self.telling().items()):
            if len(kills) == 1:
                found.setdefault(kills[0], []).append(mutant)
        return found

    def alike(self) -> list[tuple[str, ...]]:
        """Return the groups of scenarios that kill just the same mutants."""
        kills: dict[str, set[str]] = {}
        for mutant, names in self.telling().items():
            for name in names:
                kills.setdefault(name, set()).add(mutant)
        groups: dict[frozenset[str], list[str]] = {}
        for name, of in sorted(kills.items()):
            groups.setdefault(frozenset(of), []).append(name)
        return [tuple(group) for group in groups.values() if len(group) > 1]

    def stale(self, mutants: Sequence[Mutant]) -> dict[str, str]:
        """Return why the rows of some mutants are missing or out of date, by the mutants' names."""
        found = {}
        for mutant in mutants:
            row = self.rows.get(mutant.name)
            if row is None:
                found[mutant.name] = "was never graded"
            elif row.mutant != mutant.identity():
                found[mutant.name] = "has changed since it was graded"
            elif gone := sorted(set(row.kills) - set(self.scenarios)):
                found[mutant.name] = f"was killed by what is no scenario any more: {', '.join(gone)}"
        unknown = sorted(set(self.rows) - {one.name for one in mutants})
        return found | dict.fromkeys(unknown, "is no mutant any more")

    def figures(self, mutants: Sequence[Mutant]) -> str:
        """Return the matrix of a catalogue in figures, as a paragraph."""
        counted = Counter(name for kills in self.telling().values() for name in kills)
        kills, single = sum(len(row.kills) for row in self.rows.values()), self.alone()
        caught = sum(row.caught for row in self.rows.values())
        return (
            f"{len(mutants)} mutants, {len(self.rows)} graded, {caught} caught. {len(self.scenarios)} scenarios, "
            f"{kills:,} kills; {len(counted)} scenarios kill a mutant that others let live, {len(single)} kill one "
            "that no other kills."
        )

    def table(self, mutants: Sequence[Mutant]) -> str:
        """Return the matrix as a Markdown document, in the catalogue's order."""
        text = _HEAD.format(figures=self.figures(mutants))
        for mutant in mutants:
            row = self.rows.get(mutant.name)
            by = "not graded yet" if row is None else cell(row.by) if row.caught else "**not caught**"
            kills = len(row.kills) if row and mutant.stage in BOOTED else ""
            mistake, names = cell(mutant.mistake), ", ".join(mutant.names)
            text += f"| {mutant.name} | {mistake} | {names} | {mutant.stage} | {by} | {kills} |\n"
        return text


def load(path: Path, scenarios: Sequence[str]) -> Matrix:
    """Return the kept matrix; it is empty if there is none yet.

    Args:
        path: its file.
        scenarios: the names of all scenarios.

    Raises:
        ValueError: the file is wrong.
    """
    if not path.is_file():
        return Matrix({}, tuple(scenarios))
    rows = {name: Row.model_validate(row) for name, row in json.loads(path.read_text(encoding="utf-8")).items()}
    return Matrix(rows, tuple(scenarios))


_HEAD = """# Mutants

Mistakes that people really make, each put into the reference series by itself (`mutants.toml`) and graded like a
submission, by the cheapest stage that must catch it. A mutant counts as caught only if a finding names the requirement
of the assignment that it breaks (`requirements.toml`), or *style*, *build*, *robustness*, *cost*; and for some, only if
the finding says the right thing of it.

Each mutant whose kernel boots is also given to every scenario. `kill_matrix.json` has which of them fail on it (the
kill matrix), and the column *Kills* how many. A scenario that kills no mutant fails `make test-unit`.

`make mutants` makes the matrix and this table. What it has graded it keeps, so that it goes on where it was
interrupted; `make mutants MUTANTS='-k TEXT'` grades those whose name has TEXT and renews their rows, `--stale` those
that are new or have changed, and `--verbose` shows what was seen.

{figures}

| Mutant | Mistake | Requirement | Stage | Caught by | Kills |
| ------ | ------- | ----------- | ----- | --------- | ----: |
"""


def cell(text: str) -> str:
    """Return text for a cell of a Markdown table; files of the kernel have their names in its tree."""
    line = re.sub(r"\s+", " ", WORKSPACE.sub("", text)).strip()
    return line.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
