"""What the kernel under test must do, sentence by sentence: the data in `requirements.toml`."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path

from patchgen.validation import Model

_DATA = Path(__file__).with_suffix(".toml")


class Demand(Model):
    """One sentence.

    Attributes:
        id: section of the assignment and number of the sentence in it, or S and a number for what sentences mean.
        text: the sentence, in short.
        check: the test (a pytest node) that stands for it where no scenario can; "" otherwise.
    """

    id: str
    text: str
    check: str = ""


@functools.cache
def demands() -> dict[str, Demand]:
    """Return all of them by id, in the order of the assignment."""
    found = [Demand.model_validate(entry) for entry in tomllib.loads(_DATA.read_text(encoding="utf-8"))["demand"]]
    assert len({one.id for one in found}) == len(found), "an id names one demand"
    return {one.id: one for one in found}


def within(sentence: str, part: str) -> bool:
    """Return whether the sentence of an id is, or is in, a part of the assignment: an id, or a section, 2.2 or 2."""
    return sentence == part or sentence.startswith((f"{part}-", f"{part}."))
