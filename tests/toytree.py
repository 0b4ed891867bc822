"""A toy kernel tree: small enough to be made in every test, with everything that makes a kernel tree awkward.

The ids are computed here from git's object format, not by the code under test.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from patchgen import process
from patchgen.base import git as repository
from patchgen.base import resolve
from patchgen.base.bases import Base, Release
from patchgen.base.resolve import Source
from patchgen.cache import Cache
from patchgen.settings import Settings


class File(NamedTuple):
    """One file of a tree: its content (a symlink's target), and git's mode."""

    data: bytes
    mode: str = "100644"


MAKEFILE = (
    b"# SPDX-License-Identifier: GPL-2.0\nVERSION = 4\nPATCHLEVEL = 15\nSUBLEVEL = 0\nEXTRAVERSION =\nNAME = Toy\n"
)
# What the release's own .gitignore leaves out, and the upstream tag's tree has.
IGNORED = {".get_maintainer.ignore": File(b"Nobody\n"), ".gitattributes": File(b"*.c diff=cpp text eol=crlf\n")}
RELEASE = {
    ".gitignore": File(b".*\n!.gitignore\n!.mailmap\n*.o\n"),
    ".mailmap": File(b"A <a@b>\n"),
    "Makefile": File(MAKEFILE),
    "MAINTAINERS": File(b"THE REST\n"),
    'Documentation/a name with "quotes" and \\': File(b"odd\r\nlines\r\n"),
    "Documentation/\u00e4.txt": File("\u00e4\n".encode()),
    "Documentation/link": File(b"../MAINTAINERS", "120000"),
    "arch/x86/Kconfig": File(b'config X86_32\n\tbool "32-bit"\n'),
    "fs/exec.c": File(b"void setup_new_exec(void)\n{\n}\n"),
    "kernel/fork.c": File(b"void __mmput(void)\n{\n}\n"),
    "kernel/.gitignore": File(b"config_data.h\n"),
    "kernel/empty.c": File(b""),
    "scripts/run.sh": File(b"#!/bin/sh\n", "100755"),
    "drivers/big.h": File(b"".join(b"#define REGISTER_%d %d\n" % (i, i * 7) for i in range(2000))),
}
UPSTREAM = {**RELEASE, **IGNORED}
TOUCHED = ("MAINTAINERS", "arch/x86/Kconfig", "fs/exec.c", "kernel/fork.c", "kernel/new.c")


def blob_id(data: bytes) -> str:
    """Return the git id of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def tree_id(files: Mapping[str, File]) -> str:
    """Return the git id of the tree of `files`."""
    entries: dict[bytes, tuple[bytes, str]] = {}
    below: dict[str, dict[str, File]] = {}
    for path, file in files.items():
        head, _, rest = path.partition("/")
        if rest:
            below.setdefault(head, {})[rest] = file
        else:
            entries[os.fsencode(head)] = file.mode.encode(), blob_id(file.data)
    for name, inner in below.items():
        entries[os.fsencode(name)] = b"40000", tree_id(inner)
    # git sorts a directory as if its name ended with a slash.
    order = sorted(entries, key=lambda name: name + b"/" if entries[name][0] == b"40000" else name)
    body = b"".join(b"%b %b\0%b" % (entries[name][0], name, bytes.fromhex(entries[name][1])) for name in order)
    return hashlib.sha1(b"tree %d\0" % len(body) + body, usedforsecurity=False).hexdigest()


def base(url: str = "http://127.0.0.1:1/linux-toy.tar.xz", sha256: str = "0" * 64) -> Base:
    """Return the base that the toy tree is the release of."""
    return Base(
        name="linux-toy",
        title="Linux 4.15",
        submission=True,
        tree=tree_id(RELEASE),
        ignored=tuple(IGNORED),
        tags=("v4.15",),
        makefile={"VERSION": "4", "PATCHLEVEL": "15", "SUBLEVEL": "0", "EXTRAVERSION": ""},
        origin=Release(urls=(url,), sha256=sha256),
        blobs={path: blob_id(RELEASE[path].data) for path in TOUCHED if path in RELEASE},
    )


def obtain(place: Path, cache: Cache, touched: Iterable[str]) -> Source:
    """Write the release's tree to a directory, and return it as a base in the cache."""
    checkout = write(place)
    return resolve.obtain(base(), Settings(linux_src=checkout, cache=cache.root), cache, list(touched))


def write(directory: Path, files: Mapping[str, File] = UPSTREAM) -> Path:
    """Write files below `directory`, which is made if need be, and return it."""
    directory.mkdir(parents=True, exist_ok=True)
    for path, file in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.mode == "120000":
            target.symlink_to(os.fsdecode(file.data))
        else:
            target.write_bytes(file.data)
            target.chmod(int(file.mode[-3:], 8))
    return directory


def members(files: Mapping[str, File] = UPSTREAM, top: str = "linux-4.15") -> list[tuple[tarfile.TarInfo, bytes]]:
    """Return the members of a release tarball."""
    made = []
    for path, file in files.items():
        info = tarfile.TarInfo(f"{top}/{path}")
        info.mode = int(file.mode[-3:], 8)
        if file.mode == "120000":
            info.type, info.linkname = tarfile.SYMTYPE, os.fsdecode(file.data)
        else:
            info.size = len(file.data)
        made.append((info, b"" if info.issym() else file.data))
    return made


def member(name: str, data: bytes = b"", **what: object) -> tuple[tarfile.TarInfo, bytes]:
    """Return a member of a tarball, with attributes of its own, such as a type."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for attribute, value in what.items():
        setattr(info, attribute, value)
    return info, data


def tarball(path: Path, content: Iterable[tuple[tarfile.TarInfo, bytes]] | None = None) -> Path:
    """Write a tarball, compressed as its name says, and return its path."""
    kind = path.suffix.removeprefix(".")
    with tarfile.open(path, f"w:{'' if kind == 'tar' else kind}") as archive:  # type: ignore[call-overload]
        for info, data in members() if content is None else content:
            archive.addfile(info, io.BytesIO(data))
    return path


def git(directory: Path, *words: str, **env: str) -> str:
    """Run git in a test's own repository and return what it prints."""
    person = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _PERSON.items()}
    settings = {**repository.environment(), "GIT_OPTIONAL_LOCKS": "1", **person, **env}
    return process.run(["git", *words], cwd=directory, timeout=60, env=settings).stdout.strip()


_PERSON = {"NAME": "A Student", "EMAIL": "student@example.com", "DATE": "2023-04-01T12:00:00Z"}


def commit(directory: Path, *, force: bool = False, message: str = "first commit") -> str:
    """Commit everything in `directory` (made a repository if need be), also what .gitignore leaves out with `force`.

    Returns:
        The commit's id.
    """
    if not (directory / ".git").exists():
        git(directory, "init", "-q", "-b", "main")
    git(directory, "-c", "core.attributesFile=/dev/null", "add", *(["-f"] if force else []), ".")
    git(directory, "commit", "-q", "-m", message)
    return git(directory, "rev-parse", "HEAD")
