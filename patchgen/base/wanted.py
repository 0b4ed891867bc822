"""Whether a tree is the base that is wanted, or close enough to it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from patchgen.base.bases import Base
from patchgen.base.git import Repository, answer
from patchgen.base.views import listing, present
from patchgen.errors import BaseError

_VARIABLE = re.compile(r"^([A-Z]+)[ \t]*=[ \t]*(.*?)[ \t]*$", re.MULTILINE)
# "blob", length and content: what git hashes. Here it is SHA-1's job to name a file, not to resist an attacker.
_BLOB = b"blob %d\0"


@dataclass(frozen=True)
class Wanted:
    """A base for one series.

    Attributes:
        base: the base.
        touched: paths that the series edits or adds; those that the base knows must be as released.
    """

    base: Base
    touched: frozenset[str]

    def check(self, repo: Repository, tree: str, origin: str) -> None:
        """See that a tree in a git repository will do.

        Args:
            repo: where it is.
            tree: its id.
            origin: where it comes from, for people.

        Raises:
            BaseError: it will not.
        """
        if tree != self.base.tree and (why := self.objection(repo, tree)):
            raise BaseError(f"{origin}: {why}")

    def objection(self, repo: Repository, tree: str) -> str | None:
        """Return why a tree in a git repository that is not exactly the base cannot stand in for it; None if it can."""
        try:
            there = listing(repo, tree, "-r", paths={"Makefile", *self._known()})
        except BaseError as error:
            return error.message
        blobs = {path: object_id for path, (kind, object_id) in there.items() if kind == "blob"}
        makefile = None
        if "Makefile" in blobs:
            if not present(repo, [blobs["Makefile"]]):
                return "the content of its Makefile is missing (a partial clone?)"
            makefile = answer(repo, "cat_file", "blob", blobs["Makefile"], data=b"").decode(errors="replace")
        return self._objection(makefile, blobs)

    def check_files(self, directory: Path) -> None:
        """See that the touched files of an unpacked directory are those of the base.

        Raises:
            BaseError: they are not, or cannot be read.
        """
        blobs = {path: blob for path in self._known() if (blob := _blob_on_disk(directory / path))}
        makefile = directory / "Makefile"
        text = makefile.read_text(encoding="utf-8", errors="replace") if makefile.is_file() else None
        if why := self._objection(text, blobs):
            raise BaseError(f"{directory}: {why}")

    def _known(self) -> set[str]:
        return set(self.touched) & set(self.base.blobs)

    def _objection(self, makefile: str | None, blobs: Mapping[str, str]) -> str | None:
        """As `objection`, for the top Makefile's text (None if there is none) and blob ids of the touched files."""
        if makefile is None:
            return "this is not Linux: it has no Makefile at its top"
        if wrong := self._wrong_version(makefile):
            return wrong
        for path in sorted(self._known()):
            if path not in blobs:
                return f"{path} is not there, expected blob {self.base.blobs[path]}"
            if blobs[path] != self.base.blobs[path]:
                return f"{path} is not as released: blob {blobs[path]}, expected {self.base.blobs[path]}"
        return None

    def _wrong_version(self, makefile: str) -> str | None:
        said = dict(reversed(_VARIABLE.findall(makefile[:4096])))
        if "VERSION" not in said or "PATCHLEVEL" not in said:
            return "this is not Linux: its Makefile names no version"
        if any(said.get(name, "") != value for name, value in self.base.makefile.items()):
            return f"this is Linux {_version(said)}, wanted {_version(self.base.makefile).removesuffix('.0')}"
        return None


def _version(variables: Mapping[str, str]) -> str:
    numbers = (variables.get(name, "") for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
    return ".".join(number for number in numbers if number) + variables.get("EXTRAVERSION", "")


def _blob_on_disk(path: Path) -> str | None:
    """Return the blob id of a regular file, None if there is none.

    Raises:
        BaseError: it cannot be read.
    """
    if path.is_symlink() or not path.is_file():
        return None
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BaseError(f"cannot read {path}: {error.strerror}") from error
    return hashlib.sha1(_BLOB % len(data) + data, usedforsecurity=False).hexdigest()
