"""A series as data: `series.toml`, and where the templates that it names lie.

    DIRECTORY/series.toml          parameters, and the patches in order with the paths that each touches
    DIRECTORY/files/PATH.j2        a file that the series adds
    DIRECTORY/edits/PATH.toml      what it changes in a file of the base
    DIRECTORY/messages/ID.txt.j2   the commit message of a patch
    DIRECTORY/compat.j2            what the kernel calls things: values and macros that all templates see as `compat`
    DIRECTORY/bases/BASE/          what is otherwise on another base: base.toml, and a compat.j2 in place of the first

Nothing here knows what a series is about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from patchgen import data as files
from patchgen.data import Model
from patchgen.errors import SeriesError, UsageError

Parameter = str | int
_COMPAT = "compat.j2"


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
Anchor = Annotated[str, AfterValidator(_anchor)]


class Edit(Model):
    """One change to a file of the base.

    Attributes:
        patch: id of the patch that makes it.
        anchor: consecutive lines of the file; white space inside them does not matter.
        where: put `text` before or after these lines, or in their place.
        text: the lines, a template.
    """

    patch: str
    anchor: Anchor
    where: Literal["before", "after", "replace"]
    text: str


class EditFile(Model):
    """All edits of one file, in the order in which they are made."""

    edit: list[Edit] = Field(min_length=1)


class Patch(Model):
    """One patch of a series.

    Attributes:
        id: its name in templates: since("ID").
        paths: the files of the kernel tree that it adds or changes.
    """

    id: str = Field(pattern="^[a-z][a-z0-9_-]*$")
    paths: list[TreePath] = Field(min_length=1)


class _SeriesFile(Model):
    name: str = Field(pattern="^[a-z][a-z0-9_-]*$")
    title: str
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    patch: list[Patch] = Field(min_length=1)


class BaseFile(Model):
    """What of a series is otherwise on a base than on the one it was written for: `bases/BASE/base.toml`.

    Attributes:
        parameters: defaults that replace those of series.toml.
        moved: files that are edited in the place of others, by the others' paths. The edits stay theirs.
        anchors: by path, what stands there in the place of an anchor, which is named by any part of it. With several
            anchors the edit is made at each of them.
    """

    parameters: dict[str, Parameter] = Field(default_factory=dict)
    moved: dict[TreePath, TreePath] = Field(default_factory=dict)
    anchors: dict[TreePath, dict[str, Anchor | tuple[Anchor, ...]]] = Field(default_factory=dict)


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
        moved: by path, the path under which the series has the edits of a file that differs by base.
        compat: the template of what the kernel calls things; None if the series has none.
    """

    directory: Path
    name: str
    title: str
    parameters: Mapping[str, Parameter]
    patches: tuple[Patch, ...]
    edits: Mapping[str, tuple[Edit, ...]]
    moved: Mapping[str, str] = field(default_factory=dict)
    compat: Path | None = None

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
        return self.directory / "edits" / f"{self.moved.get(path, path)}.toml"

    def message_file(self, patch: Patch) -> Path:
        """Return the message template of a patch."""
        return self.directory / "messages" / f"{patch.id}.txt.j2"


def load(directory: Path, overrides: Mapping[str, Parameter] | None = None, base: str | None = None) -> Series:
    """Read a series.

    Args:
        directory: where series.toml lies.
        overrides: values in place of those of its [parameters]; numbers may come as text.
        base: name of the base it will be made on; what `bases/BASE` has goes on top. None: as it was written.

    Raises:
        SeriesError: its data is wrong.
        UsageError: an override has an unknown name or the wrong kind.
    """
    data = files.load(directory / "series.toml", _SeriesFile, SeriesError)
    own = directory / "bases" / base if base else None
    differs = files.load(own / "base.toml", BaseFile, SeriesError) if own and own.is_dir() else BaseFile()
    defaults = _override(data.parameters, differs.parameters)
    parameters = _override(defaults, overrides or {})
    places = [own / _COMPAT] if own else []
    compat = next((path for path in (*places, directory / _COMPAT) if path.is_file()), None)
    edits: dict[str, tuple[Edit, ...]] = {}
    moved = {there: here for here, there in differs.moved.items()}
    blank = Series(directory, data.name, data.title, parameters, _moved(data.patch, differs), edits, moved, compat)
    for path in blank.touched:
        is_new, is_edited = blank.new_file(path).is_file(), blank.edit_file(path).is_file()
        if is_new == is_edited:
            what = "both" if is_new else "neither"
            raise SeriesError(
                f"{directory / 'series.toml'}: {path} has {what} of files/{path}.j2 and edits/{path}.toml"
            )
        if is_edited:
            edits[path] = tuple(files.load(blank.edit_file(path), EditFile, SeriesError).edit)
    for path, anchors in differs.anchors.items():
        edits[path] = _anchored(edits.get(path, ()), anchors, f"bases/{base}/base.toml: {path}")
    _check(blank)
    return blank


def _moved(patches: Sequence[Patch], differs: BaseFile) -> tuple[Patch, ...]:
    """Return the patches with the paths that a base has."""
    listed = {path for patch in patches for path in patch.paths}
    if unknown := sorted(set(differs.moved) - listed):
        raise SeriesError(f"[moved] has {unknown[0]}, which no patch lists")
    return tuple(Patch(id=one.id, paths=[differs.moved.get(path, path) for path in one.paths]) for one in patches)


def _anchored(edits: Sequence[Edit], anchors: Mapping[str, str | tuple[str, ...]], where: str) -> tuple[Edit, ...]:
    """Return the edits of a file with a base's own anchors."""
    fresh = [[edit] for edit in edits]
    for part, own in anchors.items():
        found = [number for number, edit in enumerate(edits) if part in edit.anchor]
        if len(found) != 1:
            raise SeriesError(f"{where}: {len(found)} anchors of the series have {part!r} in them, one must")
        [number] = found
        several = [own] if isinstance(own, str) else own
        fresh[number] = [edits[number].model_copy(update={"anchor": anchor}) for anchor in several]
    return tuple(edit for some in fresh for edit in some)


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
    used = {series.moved.get(path, path) for path in series.touched}
    for folder, suffix in (("files", ".j2"), ("edits", ".toml")):
        for file in sorted((series.directory / folder).rglob(f"*{suffix}")):
            path = file.relative_to(series.directory / folder).as_posix().removesuffix(suffix)
            if path not in used:
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
