"""The table of attacks in docs/untrusted.md: `PYTHONPATH=tests python -P -m attacks.table` writes it anew."""

from __future__ import annotations

import re
from pathlib import Path

from attacks import (
    builds,
    kernels,
    test_archives,
    test_build_changes,
    test_chains,
    test_grader_directory,
    test_guests,
    test_patches,
    test_reports,
    test_system_calls,
    test_verdicts,
)
from attacks.catalogue import Attack

DOCUMENT = Path(__file__).parents[2] / "docs" / "untrusted.md"
GROUPS: dict[str, tuple[Attack, ...]] = {
    "The grader's directory": test_grader_directory.ATTACKS,
    "Archives and directories": (*test_archives.ATTACKS, *test_archives.OTHERS),
    "Patches": (*test_patches.ATTACKS, *test_patches.OTHERS),
    "Reports": (*test_reports.ATTACKS, *test_reports.OTHERS),
    "Verdicts and batches": test_verdicts.ATTACKS,
    "Changes to the build": test_build_changes.ATTACKS,
    "Builds": (*builds.ATTACKS, *builds.OTHERS, *kernels.BUILDS),
    "What builds leave": test_chains.ATTACKS,
    "System calls": test_system_calls.ATTACKS,
    "Guests": (*test_guests.ATTACKS, *test_guests.OTHERS, *kernels.GUESTS),
}
_PLACE = re.compile(r"(<!-- attacks: .*? -->\n).*?(<!-- end of attacks -->)", re.DOTALL)


def table() -> str:
    """Return the table, a section for each group: what stops attacks, and the attacks that it stops."""
    parts = []
    for title, attacks in GROUPS.items():
        stopped: dict[str, list[str]] = {}
        for attack in attacks:
            stopped.setdefault(cell(attack.stopped), []).append(cell(attack.what))
        rows = "".join(f"| {by} | {'<br>'.join(each)} |\n" for by, each in stopped.items())
        parts.append(f"### {title}\n\n| What stops it | Attacks |\n| ------------- | ------- |\n{rows}\n")
    return "".join(parts)


def cell(text: str) -> str:
    return (text[0].upper() + text[1:]).replace("|", "\\|").replace("`", "\\`")


def whole(document: str) -> str:
    """Return the document with the table as it must be."""
    return _PLACE.sub(lambda match: f"{match[1]}\n{table()}{match[2]}", document)


if __name__ == "__main__":
    DOCUMENT.write_text(whole(DOCUMENT.read_text()))
