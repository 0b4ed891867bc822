"""docs/strangers.md shows the attacks that are tested, and no others."""

from __future__ import annotations

from attacks import table


def test_the_document_has_every_attack() -> None:
    text = table.DOCUMENT.read_text()
    assert text == table.whole(text), "PYTHONPATH=tests .venv/bin/python -m attacks.table writes it anew"
    assert text.count("\n| ") >= 100


def test_each_attack_is_another_one() -> None:
    every = [attack.what for group in table.GROUPS.values() for attack in group]
    assert len(every) == len(set(every))
