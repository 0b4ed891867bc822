"""The guest's file system, an initramfs made from the list in `qemu/initramfs.toml`.

It is not compressed: QEMU hands it over from memory faster than an emulated CPU unpacks it, and the bytes do
not depend on a compressor's version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pydantic import Field

from patchgen import cache as caching
from patchgen import resources
from patchgen.cache import Cache
from patchgen.errors import MachineError, UsageError
from patchgen.guest import busybox, programs
from patchgen.guest.cpio import Archive
from patchgen.validation import Model, read_toml

LIST = resources.QEMU / "initramfs.toml"


class Node(Model):
    """A character device node."""

    path: str
    major: int
    minor: int


class Program(Model):
    """A program that is compiled into the guest.

    Attributes:
        path: where it is in the guest.
        source: a file of qemu/guest.
        link: see programs.Recipe.
        setting: the setting that may name another source.
        names: other names of it, links beside it.
    """

    path: str
    source: str
    link: programs.Link
    setting: str | None = None
    names: tuple[str, ...] = ()


class Busybox(Model):
    """Where busybox is in the guest, and the commands that it stands in for, links beside it."""

    path: str
    applets: tuple[str, ...]


class Contents(Model):
    """The list of everything in the guest's file system."""

    directories: tuple[str, ...]
    nodes: tuple[Node, ...] = ()
    programs: tuple[Program, ...] = Field(min_length=1)
    busybox: Busybox


@dataclass(frozen=True)
class Image:
    """An initramfs.

    Attributes:
        path: the file.
        digest: hash of everything that went into it.
    """

    path: Path
    digest: str


@dataclass(frozen=True)
class Choice:
    """What may differ from one image to the next.

    Attributes:
        sources: the user's C files, by the setting that names them ("test_program", "fork_program").
        defines: macros for all programs (the system call numbers of pf.h).
    """

    sources: Mapping[str, Path] = field(default_factory=dict)
    defines: Mapping[str, str] = field(default_factory=dict)


def contents(path: Path = LIST) -> Contents:
    """Read the list.

    Raises:
        MachineError: it is wrong (it comes with patchgen).
    """
    return read_toml(path, Contents, MachineError)


def build(cache: Cache, choice: Choice | None = None) -> Image:
    """Return the guest's initramfs, compiled and packed unless the cache has it.

    Raises:
        UsageError: the user's program does not compile.
        MachineError: a compiler, a library or busybox is missing.
    """
    choice = choice or Choice()
    wanted = contents()
    built = {
        program.path: programs.build(cache, _recipe(program, choice), choice.defines) for program in wanted.programs
    }
    shell = busybox.find(cache)
    # A program's file name is the hash of what it was made of, and its libraries are among that.
    made_of = {path: file.name for path, file in built.items()}
    key = caching.digest("initramfs", wanted.model_dump(), made_of, caching.file_digest(shell))
    target = cache.directory("guest", "images") / f"{key}.cpio"
    if not target.is_file():
        caching.write_bytes(target, _pack(wanted, built, shell))
    return Image(target, key)


def with_files(cache: Cache, image: Image, files: Mapping[str, Path]) -> Image:
    """Return an image that holds more files, by their path in the guest; a program's libraries come with it.

    Raises:
        UsageError: a file cannot be read, or its place is not an absolute path in the guest.
    """
    if not files:
        return image
    found = dict(files)
    for path in files.values():
        if _is_dynamic(path):
            found = programs.libraries(path) | found
    archive, directories = Archive(), set(contents().directories)
    for guest_path, path in sorted(found.items()):
        _add_parents(archive, guest_path, directories)
        archive.file(guest_path, _read(path), 0o755 if path.stat().st_mode & 0o100 else 0o644)
    data = archive.finish()
    key = caching.digest("initramfs and files", image.digest, data.hex())
    target = cache.directory("guest", "images") / f"{key}.cpio"
    if not target.is_file():
        caching.write_bytes(target, image.path.read_bytes() + data)
    return Image(target, key)


def _recipe(program: Program, choice: Choice) -> programs.Recipe:
    replacement = choice.sources.get(program.setting) if program.setting else None
    if replacement is not None:
        return programs.Recipe(replacement, program.link, ours=False)
    return programs.Recipe(programs.SOURCES / program.source, program.link)


def _pack(wanted: Contents, built: Mapping[str, Path], shell: Path) -> bytes:
    archive = Archive()
    for path in wanted.directories:
        archive.directory(path)
    for node in wanted.nodes:
        archive.device(node.path, node.major, node.minor)
    archive.file(wanted.busybox.path, shell.read_bytes(), 0o755)
    links = {wanted.busybox.path: wanted.busybox.applets} | {one.path: one.names for one in wanted.programs}
    for path, names in links.items():
        for name in sorted(set(names)):
            archive.symlink(str(PurePosixPath(path).parent / name), PurePosixPath(path).name)
    files = dict(built)
    for program in built.values():
        files |= programs.libraries(program)
    for path, file in sorted(files.items()):
        archive.file(path, file.read_bytes(), 0o755)
    return archive.finish()


def _add_parents(archive: Archive, guest_path: str, known: set[str]) -> None:
    """Add the directories above a path that are not there yet."""
    path = PurePosixPath(guest_path)
    if not path.is_absolute() or ".." in path.parts:
        raise UsageError(f"{guest_path} is not an absolute path in the guest")
    for parent in reversed(path.parents[:-1]):
        if str(parent) not in known:
            archive.directory(str(parent))
            known.add(str(parent))


def _is_dynamic(path: Path) -> bool:
    head = _read(path)[:20]
    return head[:5] == b"\x7fELF\x01" and head[18:20] == b"\x03\x00" and not busybox.is_static_i386(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
