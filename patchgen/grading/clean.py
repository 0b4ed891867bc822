"""A verdict in which every text is harmless to show, whoever wrote it."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel

from patchgen.text import everywhere, visible

_M = TypeVar("_M", bound=BaseModel)


def clean(model: _M) -> _M:
    """Return a model with every text in it made visible."""
    return type(model).model_validate(everywhere(model.model_dump(), visible))
