"""What an attack is, as data: tests run it, docs/untrusted.md shows it, test_catalogue.py holds them together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from patchgen import sandbox

# Without a sandbox there is nothing to attack: such work is refused.
needs_sandbox = pytest.mark.skipif(bool(sandbox.why_not()), reason=f"no sandbox here: {sandbox.why_not()}")


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        what: what it does, in a sentence without a full stop.
        stopped: what stops it.
        means: how the test does it.
        said: what must be said about it: part of the refusal, or of the evidence.
        shows: what its own output must have, so that it is known to have tried.
    """

    what: str
    stopped: str
    means: Any
    said: str = ""
    shows: str = ""


def named(attack: Attack) -> str:
    """Return the attack's name among the tests."""
    return re.sub(r"[^a-z0-9]+", "-", attack.what.lower())[:60].strip("-")
