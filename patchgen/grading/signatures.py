"""What is known of known mistakes: an assignment's mutants, and the scenarios that each of them fails (kill matrix)."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from patchgen import data
from patchgen.assignment import KILL_MATRIX, MUTANTS, Assignment
from patchgen.errors import UsageError


@dataclass(frozen=True)
class Signature:
    """What is to be seen of a mistake.

    Attributes:
        name: the mutant's.
        mistake: what it is, in a sentence.
        requirements: ids of those that it breaks, as the catalogue says.
        scenarios: those that fail on it.
        violated: ids of all requirements that these show to be violated.
        sound: the kernel does not die or complain.
    """

    name: str
    mistake: str
    requirements: tuple[str, ...]
    scenarios: frozenset[str]
    violated: frozenset[str]
    sound: bool = True


def load(assignment: Assignment) -> tuple[Signature, ...]:
    """Return the signatures of an assignment's mutants that scenarios fail on; none if there is no matrix.

    Raises:
        UsageError: a file is wrong.
    """
    return _load(assignment.directory, frozenset(assignment.requirements), frozenset(assignment.sound))


@functools.cache
def _load(directory: Path, requirements: frozenset[str], sound: frozenset[str]) -> tuple[Signature, ...]:
    matrix, mutants = directory / KILL_MATRIX, directory / MUTANTS
    if not (matrix.is_file() and mutants.is_file()):
        return ()
    try:
        rows = json.loads(matrix.read_text(encoding="utf-8"))
        return made(data.read(mutants, UsageError)["mutant"], rows, requirements, sound)  # type: ignore[arg-type]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{matrix} does not fit {mutants.name}: {error!r}") from error


def made(
    mutants: Sequence[Mapping[str, object]],
    rows: Mapping[str, Mapping[str, object]],
    requirements: frozenset[str],
    sound: frozenset[str],
) -> tuple[Signature, ...]:
    """Return the signatures of mutants.

    Args:
        mutants: the catalogue, as data.
        rows: of the kill matrix, by the mutants' names.
        requirements: all ids.
        sound: ids of those that a kernel breaks which dies or complains.
    """
    found = []
    for mutant in mutants:
        name, row = str(mutant["name"]), rows.get(str(mutant["name"]), {})
        breaks = tuple(one for one in _words(mutant["names"]) if one in requirements)
        kills, violated = frozenset(_words(row.get("kills", ()))), frozenset(_words(row.get("violated", ())))
        if kills:
            found.append(Signature(name, str(mutant["mistake"]), breaks, kills, violated, not violated & sound))
    return tuple(found)


def _words(value: object) -> tuple[str, ...]:
    return tuple(str(one) for one in value) if isinstance(value, list | tuple) else ()
