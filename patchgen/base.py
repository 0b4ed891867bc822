"""A base: what is particular to one kernel release, read from `templates/bases/NAME.toml`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from patchgen import resources
from patchgen.errors import UsageError

DEFAULT = "linux-4.15"


class Download(BaseModel):
    """Where a release tarball is, and how it is known to be the right one.

    Attributes:
        url: its address.
        sha256: its checksum.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Base(BaseModel):
    """One kernel release that series are made for.

    Attributes:
        name: the file's stem, as `--base` and cache paths spell it.
        title: for people.
        submission: whether a submission may be made on it.
        tree: git tree id of the release.
        ignored: paths of the upstream tag's tree that the release's own .gitignore leaves out of `tree`.
        tags: names that the release's commit has in upstream repositories.
        makefile: variables at the head of the top Makefile, by which a directory is recognised.
        download: the release tarball.
        blobs: git blob ids of the files that series edit, by path.
        unused: pattern of paths that no x86 kernel is built from and checkpatch does not read; not laid out on disk.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    submission: bool
    tree: str = Field(pattern="^[0-9a-f]{40}$")
    ignored: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    makefile: dict[str, str]
    download: Download
    blobs: dict[str, str]
    unused: re.Pattern[str] | None = None


def load(name: str = DEFAULT, directory: Path = resources.BASES) -> Base:
    """Read a base.

    Raises:
        UsageError: there is none of that name, or its data is wrong.
    """
    path = directory / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in directory.glob("*.toml")))
        raise UsageError(f"there is no base called {name}", hint=f"known bases: {known}")
    try:
        return Base.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise UsageError(f"{path} is wrong: {error}") from error
