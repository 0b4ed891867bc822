"""A series as data: `series.toml`, and where the templates that it names lie.

    DIRECTORY/series.toml          parameters, and the patches in order with the paths that each touches
    DIRECTORY/files/PATH.j2        a file that the series adds
    DIRECTORY/edits/PATH.toml      what it changes in a file of the base
    DIRECTORY/messages/ID.txt.j2   the commit message of a patch

Nothing here knows what a series is about.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from patchgen import resources
from patchgen.errors import SeriesError, UsageError

Parameter = str | int


def _tree_path(text: str) -> str:
    path = PurePosixPath(text)
    if not text or path.is_absolute() or ".." in path.parts or str(path) != text:
        raise ValueError(f"{text!r} is not a path inside a kernel tree")
    return text


def _anchor(text: str) -> str:
    if not text.strip():
        raise ValueError("an anchor needs at least one line that is not blank")
    return text.strip("\n")


TreePath = Annotated[str, AfterValidator(_tree_path)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Edit(_Model):
    """One change to a file of the base.

    Attributes:
        patch: id of the patch that makes it.
        anchor: consecutive lines of the file; white space inside them does not matter.
        where: put `text` before or after these lines, or in their place.
        text: the lines, a template.
    """

    patch: str
    anchor: Annotated[str, AfterValidator(_anchor)]
    where: Literal["before", "after", "replace"]
    text: str


class EditFile(_Model):
    """All edits of one file, in the order in which they are made."""

    edit: list[Edit] = Field(min_length=1)


class Patch(_Model):
    """One patch of a series.

    Attributes:
        id: its name in templates: since("ID").
        paths: the files of the kernel tree that it adds or changes.
    """

    id: str = Field(pattern="^[a-z][a-z0-9_-]*$")
    paths: list[TreePath] = Field(min_length=1)


class _SeriesFile(_Model):
    name: str = Field(pattern="^[a-z][a-z0-9_-]*$")
    title: str
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    patch: list[Patch] = Field(min_length=1)


@dataclass(frozen=True)
class Series:
    """A series, read and checked, with the parameters it will be rendered with.

    Attributes:
        directory: where it lies.
        name: short name.
        title: for people.
        parameters: the values, overrides applied.
        patches: in order.
        edits: by path of the edited file.
    """

    directory: Path
    name: str
    title: str
    parameters: Mapping[str, Parameter]
    patches: tuple[Patch, ...]
    edits: Mapping[str, tuple[Edit, ...]]

    @property
    def touched(self) -> list[str]:
        """Paths of all files that the series adds or changes, sorted."""
        return sorted({path for patch in self.patches for path in patch.paths})

    @property
    def edited(self) -> list[str]:
        """Paths of the base's files that the series changes, sorted."""
        return sorted(self.edits)

    def new_file(self, path: str) -> Path:
        """Return the template of an added file, whether or not it exists."""
        return self.directory / "files" / f"{path}.j2"

    def edit_file(self, path: str) -> Path:
        """Return the edits of a changed file, whether or not they exist."""
        return self.directory / "edits" / f"{path}.toml"

    def message_file(self, patch: Patch) -> Path:
        """Return the message template of a patch."""
        return self.directory / "messages" / f"{patch.id}.txt.j2"


_M = TypeVar("_M", bound=BaseModel)


def _read(path: Path, model: type[_M]) -> _M:
    try:
        return model.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise SeriesError(f"{path} does not exist") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SeriesError(f"{path}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SeriesError(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}") from error


def find(name: str) -> Path:
    """Return the directory of a series: one that comes with the program, or a path to one's own.

    Raises:
        UsageError: there is none.
    """
    for directory in (resources.TEMPLATES / name, Path(name)):
        if (directory / "series.toml").is_file():
            return directory.resolve()
    known = ", ".join(sorted(file.parent.name for file in resources.TEMPLATES.glob("*/series.toml")))
    raise UsageError(f"there is no series {name}", hint=f"known series: {known}; or give a directory")


def load(directory: Path, overrides: Mapping[str, Parameter] | None = None) -> Series:
    """Read a series.

    Args:
        directory: where series.toml lies.
        overrides: values in place of those of its [parameters]; numbers may come as text.

    Raises:
        SeriesError: its data is wrong.
        UsageError: an override has an unknown name or the wrong kind.
    """
    data = _read(directory / "series.toml", _SeriesFile)
    parameters = _override(data.parameters, overrides or {})
    edits: dict[str, tuple[Edit, ...]] = {}
    blank = Series(directory, data.name, data.title, parameters, tuple(data.patch), edits)
    for path in blank.touched:
        is_new, is_edited = blank.new_file(path).is_file(), blank.edit_file(path).is_file()
        if is_new == is_edited:
            what = "both" if is_new else "neither"
            raise SeriesError(
                f"{directory / 'series.toml'}: {path} has {what} of files/{path}.j2 and edits/{path}.toml"
            )
        if is_edited:
            edits[path] = tuple(_read(blank.edit_file(path), EditFile).edit)
    _check(blank)
    return blank


def _check(series: Series) -> None:
    """Every template must be used, and every patch must find what it lists."""
    ids = [patch.id for patch in series.patches]
    where = series.directory / "series.toml"
    if len(set(ids)) != len(ids):
        raise SeriesError(f"{where}: two patches have one id")
    listed = {(patch.id, path) for patch in series.patches for path in patch.paths}
    edited = {(edit.patch, path) for path, edits in series.edits.items() for edit in edits}
    for patch_id, path in sorted(edited - listed):
        raise SeriesError(f"{series.edit_file(path)}: patch {patch_id} does not list {path} in {where}")
    for patch_id, path in sorted(listed - edited):
        if path in series.edits:
            raise SeriesError(
                f"{where}: patch {patch_id} lists {path}, but {series.edit_file(path)} has no edit for it"
            )
    for folder, suffix in (("files", ".j2"), ("edits", ".toml")):
        for file in sorted((series.directory / folder).rglob(f"*{suffix}")):
            path = file.relative_to(series.directory / folder).as_posix().removesuffix(suffix)
            if path not in series.touched:
                raise SeriesError(f"{file} is used by no patch of {where}")


def _override(defaults: Mapping[str, Parameter], overrides: Mapping[str, Parameter]) -> dict[str, Parameter]:
    values = dict(defaults)
    for name, value in overrides.items():
        if name not in defaults:
            raise UsageError(f"there is no parameter {name}", hint=f"parameters: {', '.join(sorted(defaults))}")
        if isinstance(defaults[name], int):
            try:
                values[name] = int(str(value), 0)
            except ValueError as error:
                raise UsageError(f"parameter {name} must be a number, not {value!r}") from error
        else:
            values[name] = str(value)
    return values
