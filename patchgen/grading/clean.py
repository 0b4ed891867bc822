"""A verdict in which every text is harmless to show, whoever wrote it."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel

from patchgen.text import visible

_M = TypeVar("_M", bound=BaseModel)


def clean(model: _M) -> _M:
    """Return a model with every text in it made visible."""
    return type(model).model_validate(_walk(model.model_dump()))


def _walk(value: object) -> object:
    if isinstance(value, str):
        return visible(str(value))
    if isinstance(value, dict):
        return {_walk(key): _walk(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_walk(inner) for inner in value]
    return value
