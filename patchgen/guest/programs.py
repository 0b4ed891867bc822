"""Compile the guest's programs for i386, and find the shared libraries that they need.

A compiled program is kept in the cache under a hash of everything that it is made of: its source and the
headers beside it, the flags, the compiler and its C library.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from patchgen import cache as caching
from patchgen import process, resources, toolchain
from patchgen.cache import Cache
from patchgen.errors import CommandError, MachineError, ToolMissingError, UsageError

Link = Literal["static", "dynamic", "bare"]

SOURCES = resources.QEMU / "guest"
_SECONDS = 120
_COMMON = ("-m32", "-O2", "-std=gnu11")
# Ours must be clean; a user's old program need not be.
_STRICT = ("-Wall", "-Wextra", "-Werror")
# What was a warning before gcc 14.
_LENIENT = tuple(
    f"-Wno-error={kind}"
    for kind in ("implicit-function-declaration", "implicit-int", "int-conversion", "incompatible-pointer-types")
)
# Without PIE a program lies at 0x8048000, as in the assignment's example. "bare": nolibc.h, exact memory maps.
_LINK: dict[Link, tuple[str, ...]] = {
    "static": ("-static", "-pthread"),
    "dynamic": ("-no-pie", "-fno-pie", "-pthread"),
    "bare": ("-nostdlib", "-static", "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-no-pie"),
}


@dataclass(frozen=True)
class Recipe:
    """How a program is made.

    Attributes:
        source: the C file.
        link: "static" and "dynamic" are against glibc, "bare" is without any C library.
        ours: our own source, which must compile without a warning.
        headers: a directory with headers of its assignment; None if there are none but ours.
    """

    source: Path
    link: Link
    ours: bool = True
    headers: Path | None = None


def build(cache: Cache, recipe: Recipe, defines: Mapping[str, str] | None = None) -> Path:
    """Return the compiled program, an ELF32 i386 executable in the cache.

    Args:
        cache: where it is kept.
        recipe: what to compile and how.
        defines: macros for it.

    Raises:
        UsageError: a user's program cannot be read or does not compile.
        MachineError: one of ours does not.
        ToolMissingError: there is no compiler.
    """
    try:
        source = recipe.source.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {recipe.source}: {error.strerror}") from error
    flags = [*_COMMON, *(_STRICT if recipe.ours else _LENIENT), *_LINK[recipe.link]]
    flags += [f"-D{name}={value}" for name, value in sorted((defines or {}).items())]
    places = [recipe.headers, SOURCES] if recipe.headers else [SOURCES]
    own = [path for place in (recipe.source.parent, *places) for path in sorted(place.glob("*.h"))]
    headers = {path.name: caching.file_digest(path) for path in own}
    key = caching.digest("program", source.hex(), headers, flags, compiler_identity())
    target = cache.directory("guest", "programs") / key
    if not target.is_file():
        with caching.replacing(target) as fresh:
            includes = [word for place in places for word in ("-I", str(place))]
            _compile([toolchain.tool("gcc"), *flags, *includes, str(recipe.source), "-o", str(fresh)], recipe)
    return target


def _compile(argv: list[str], recipe: Recipe) -> None:
    process.find(argv[0])
    try:
        process.run(argv, cwd=recipe.source.parent, timeout=_SECONDS)
    except CommandError as error:
        # "bits/..." headers or "-lgcc" missing: the compiler has no 32-bit side.
        if any(mark in error.output for mark in ("bits/libc-header-start.h", "cannot find -lgcc", "sys/cdefs.h")):
            raise ToolMissingError(
                f"{argv[0]} cannot make 32-bit programs", hint=toolchain.hint(), evidence=error.output
            ) from error
        if recipe.ours:
            raise MachineError(f"{recipe.source} does not compile", evidence=error.output) from error
        raise UsageError(f"{recipe.source} does not compile for i386", evidence=error.output) from error


def libraries(program: Path) -> dict[str, Path]:
    """Return the shared libraries and the loader that a program needs, by their path in the guest.

    The loader has to be at the path that the program names; libraries are found by it in /lib.

    Raises:
        MachineError: one of them cannot be found beside the compiler's own.
    """
    found: dict[str, Path] = {}
    queue = [program]
    while queue:
        elf = queue.pop()
        interpreter, needed = _dynamic_section(elf.resolve())
        wanted = {f"/lib/{name}": name for name in needed}
        if interpreter:
            wanted[interpreter] = Path(interpreter).name
        for guest_path, name in wanted.items():
            if guest_path not in found:
                found[guest_path] = compiler_file(name)
                queue.append(found[guest_path])
    return dict(sorted(found.items()))


@functools.cache
def _dynamic_section(elf: Path) -> tuple[str, tuple[str, ...]]:
    """Return the loader ("" if none) and the names of the libraries that an ELF file asks for."""
    process.find("readelf")
    text = process.run(
        ["readelf", "--wide", "--program-headers", "--dynamic", elf], cwd=elf.parent, timeout=_SECONDS
    ).stdout
    lines = text.splitlines()
    marker = "Requesting program interpreter: "
    loaders = [line.split(marker)[1].rstrip("]") for line in lines if marker in line]
    needed = [line.split("[")[1].rstrip("]") for line in lines if "(NEEDED)" in line]
    return (loaders[0] if loaders else ""), tuple(needed)


@functools.cache
def compiler_file(name: str) -> Path:
    """Return a file of the compiler's 32-bit C library, "libc.so.6" for example.

    Raises:
        ToolMissingError: there is no compiler, or it has no such file.
    """
    compiler = toolchain.tool("gcc")
    process.find(compiler)
    argv = [compiler, "-m32", f"-print-file-name={name}"]
    path = Path(process.run(argv, cwd=SOURCES, timeout=_SECONDS).stdout.strip())
    if not path.is_absolute():  # gcc answers with the bare name when it finds nothing
        raise ToolMissingError(f"{compiler} -m32 knows no {name}", hint=toolchain.hint())
    return path.resolve()


def compiler_identity() -> list[object]:
    """Return values that change when the compiler or its 32-bit C library does; quicker than to ask for versions."""
    files = (Path(process.find(toolchain.tool("gcc"))).resolve(), compiler_file("libc.so.6"), compiler_file("libc.a"))
    return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
