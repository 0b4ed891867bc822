"""Models of data, reading them from TOML files, and what pydantic finds wrong with it, in words."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError


class Model(BaseModel):
    """Data that does not change once it was read, and has no key that nobody knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_M = TypeVar("_M", bound=Model)


def first_problem(error: ValidationError) -> tuple[str, str]:
    """Return where in the data the first problem is (keys and numbers with dots between), and what it is."""
    first = error.errors()[0]
    return ".".join(str(part) for part in first["loc"]), first["msg"].removeprefix("Value error, ")


def read_toml(path: Path, model: type[_M], wrong: Callable[[str], Exception]) -> _M:
    """Read a TOML file into a model.

    Args:
        path: the file.
        model: what its data must be.
        wrong: makes the exception of a message that names the file and the key.

    Raises:
        Exception: what `wrong` has made: the file cannot be read, is not TOML, or its data does not fit the model.
    """
    try:
        return model.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise wrong(f"{path} does not exist") from error
    except OSError as error:
        raise wrong(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise wrong(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        where, what = first_problem(error)
        raise wrong(f"{path}: {where}: {what}") from error
