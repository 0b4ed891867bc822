"""A base: what is particular to one kernel release, read from `templates/bases/NAME.toml`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from patchgen import data, resources
from patchgen.data import Model
from patchgen.errors import UsageError
from patchgen.settings import DEFAULT_BASE

DEFAULT = DEFAULT_BASE


class Release(Model):
    """A release tarball, and how it is known to be the right one.

    Attributes:
        urls: its addresses, tried in this order.
        sha256: its checksum.
    """

    kind: Literal["release"] = "release"
    urls: tuple[str, ...] = Field(min_length=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")

    def __str__(self) -> str:
        return self.urls[0]


class Package(Model):
    """A tarball in a Debian package. Its publisher updates it, so what is in it is known by apt's signatures.

    Attributes:
        package: the package's name.
        member: path of the tarball in it.
        megabytes: room that the package, its content and the import take for a while.
    """

    kind: Literal["package"]
    package: str = Field(pattern=r"^[a-z0-9][a-z0-9+.-]+$")
    member: str
    megabytes: int = Field(gt=0)

    def __str__(self) -> str:
        return f"Debian's package {self.package}"


class Local(Model):
    """A git repository, directory or tarball on this machine.

    Attributes:
        path: where it is.
    """

    kind: Literal["path"]
    path: Path

    def __str__(self) -> str:
        return str(self.path)


Origin = Annotated[Release | Package | Local, Field(discriminator="kind")]


class Numbers(Model):
    """Other system call numbers than the assignment's.

    Attributes:
        first: of the first call; the others follow it.
        why: the reason, for people.
    """

    first: int
    why: str


class Quirks(Model):
    """What the kernel itself does otherwise than linux-4.15, as far as scenarios and the model of pages can tell.

    Attributes:
        numbers: of the calls; None: the assignment's.
        mprotect: why a page of one process is not write-protected by mprotect(), so that the next write is no fault;
            "" if it is.
        mremap: why mremap() unmaps nothing if nothing is mapped at its address; "" if it does.
    """

    numbers: Numbers | None = None
    mprotect: str = ""
    mremap: str = ""


class Base(Model):
    """One kernel release that series are made for.

    Attributes:
        name: the file's stem, as `--base` and cache paths spell it.
        title: for people.
        submission: whether a submission may be made on it.
        tree: git tree id of the release; "" if there is none, because the source is updated. Then its Makefile and the
            anchors of the series, each of which must match once, tell whether it will do.
        ignored: paths of the upstream tag's tree that the release's own .gitignore leaves out of `tree`.
        tags: names that the release's commit has in upstream repositories.
        makefile: variables at the head of the top Makefile, by which a directory is recognised.
        origin: where it comes from if the user names no place.
        blobs: git blob ids of the files that series edit, by path.
        quirks: what scenarios and the model of pages have to know of it.
        unused: pattern of paths that no x86 kernel is built from and checkpatch does not read; not laid out on disk.
    """

    name: str
    title: str
    submission: bool
    tree: str = Field(default="", pattern="^([0-9a-f]{40})?$")
    ignored: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    makefile: dict[str, str]
    origin: Origin
    blobs: dict[str, str] = Field(default_factory=dict)
    quirks: Quirks = Quirks()
    unused: re.Pattern[str] | None = None

    @model_validator(mode="after")
    def _known(self) -> Base:
        """A download that nothing is compared with must not become a base."""
        if isinstance(self.origin, Release) and not self.tree:
            raise ValueError("a release has a tree")
        if self.submission and not self.tree:
            raise ValueError("a submission needs a base that is known by its tree")
        return self

    @property
    def variable(self) -> str:
        """The variable that says where it is on this machine."""
        return "LINUX_SRC" if self.submission else "BASE_SRC"


def names(directory: Path = resources.BASES) -> list[str]:
    """Return the names of all bases: the default first, then the others by the version in their names, newest first."""

    def order(name: str) -> tuple[bool, list[int], str]:
        return name != DEFAULT, [-int(number) for number in re.findall(r"\d+", name)], name

    return sorted((file.stem for file in directory.glob("*.toml")), key=order)


def load(name: str = DEFAULT, directory: Path = resources.BASES) -> Base:
    """Read a base.

    Raises:
        UsageError: there is none of that name, or its data is wrong.
    """
    path = directory / f"{name}.toml"
    if not path.is_file():
        raise UsageError(f"there is no base called {name}", hint=f"known bases: {', '.join(names(directory))}")
    return data.load(path, Base, UsageError)
