"""docs/untrusted.md shows the attacks that are tested, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from attacks import table

ROOT = Path(__file__).parents[2]


def test_the_document_has_every_attack() -> None:
    text = table.DOCUMENT.read_text()
    assert text == table.whole(text), "PYTHONPATH=tests .venv/bin/python -P -m attacks.table writes it anew"
    shown = [attack for group in table.GROUPS.values() for attack in group if table.cell(attack.what) in text]
    assert len(shown) >= 100


def test_each_claim_names_tests_that_are_there() -> None:
    rows = re.findall(r"^\| .* \| (`tests/.*) \|$", table.DOCUMENT.read_text(), re.MULTILINE)
    assert len(rows) >= 15
    for row in rows:
        file = ""
        for name in re.findall(r"`([^`]+)`", row):
            path, _, test = name.partition("::")
            file = path or file
            assert not test or f"def {test}(" in (ROOT / file).read_text(), name
            assert (ROOT / file).is_file(), name


def test_each_attack_is_another_one() -> None:
    every = [attack.what for group in table.GROUPS.values() for attack in group]
    assert len(every) == len(set(every))
