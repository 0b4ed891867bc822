"""Data files: the one place that reads TOML, and says in words what is wrong with it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from patchgen.errors import PatchgenError

_M = TypeVar("_M", bound=BaseModel)


class Model(BaseModel):
    """What data files are read into: an unknown key is an error, and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read(path: Path, error: type[PatchgenError]) -> dict[str, object]:
    """Return the tables and values of a TOML file.

    Args:
        path: the file, UTF-8.
        error: the class of error to raise: it says whose fault a wrong file is.

    Raises:
        PatchgenError: it cannot be read, or is not valid TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as wrong:
        raise error(f"cannot read {path}: {wrong.strerror}") from wrong
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise error(f"{path} is not valid TOML: {wrong}") from wrong


def load(path: Path, model: type[_M], error: type[PatchgenError]) -> _M:
    """Return a TOML file as a typed object.

    Args:
        path: the file.
        model: what it must look like.
        error: the class of error to raise: it says whose fault a wrong file is.

    Raises:
        PatchgenError: it cannot be read, or does not look like that; says where.
    """
    return validate(path, read(path, error), model, error)


def validate(path: Path, data: object, model: type[_M], error: type[PatchgenError]) -> _M:
    """Return what was read from a file as a typed object.

    Raises:
        PatchgenError: it does not look like that; says where.
    """
    try:
        return model.model_validate(data)
    except ValidationError as wrong:
        where, what = first_problem(wrong)
        raise error(f"{path}: {where}: {what}") from wrong


def first_problem(error: ValidationError) -> tuple[str, str]:
    """Return where in the data the first problem is (keys and numbers with dots between), and what it is."""
    first = error.errors()[0]
    return ".".join(str(part) for part in first["loc"]), first["msg"].removeprefix("Value error, ")
