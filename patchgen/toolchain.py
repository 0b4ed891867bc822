"""Which compiler makes i386 code on this host: gcc with -m32, or a cross compiler where gcc cannot (64-bit ARM).

Only the standard library is used: host.py asks before there is a virtual environment.
"""

from __future__ import annotations

import functools
import platform
import shutil
from pathlib import Path

from patchgen import process
from patchgen.errors import PatchgenError

CROSS = "i686-linux-gnu-"
# Debian and Ubuntu. gcc's other half, the one for i386, exists where the processor can run it.
_X86 = ("x86_64", "i386", "i486", "i586", "i686")
_PACKAGES = ("gcc-multilib",)
_CROSS_PACKAGES = ("gcc-i686-linux-gnu", "libc6-dev-i386-cross")
# What only a gcc with a whole i386 half finds.
_PARTS = ("libc.so", "libc.a", "libgcc.a")
_SECONDS = 30.0


def packages(machine: str = "") -> tuple[str, ...]:
    """Return the Debian packages that bring a compiler for i386.

    Args:
        machine: the host's, as `uname -m` names it; "" for this one.
    """
    return _PACKAGES if (machine or platform.machine()) in _X86 else _CROSS_PACKAGES


def hint() -> str:
    """Return what to do where there is no compiler for i386."""
    return f"install a compiler for i386 (Debian and Ubuntu: apt-get install gcc {' '.join(packages())})"


@functools.cache
def prefix() -> str:
    """Return what the names of the i386 tools begin with.

    Returns:
        "" if gcc makes i386 code with -m32, or if nothing does; else what kbuild calls CROSS_COMPILE.
    """
    if _native() or not shutil.which(f"{CROSS}gcc"):
        return ""
    return CROSS


def tool(name: str) -> str:
    """Return the name of the program that does for i386 what `name` (gcc, ld, gcov) does for the host.

    It may be called with -m32 or -m elf_i386 in either case.
    """
    return prefix() + name


@functools.cache
def compiler() -> str:
    """Return the first line that `gcc --version` prints: part of what a kernel is made from.

    Raises:
        ToolMissingError: gcc is not installed.
    """
    command = [process.find(tool("gcc")), "--version"]
    return process.run(command, cwd=Path("/"), timeout=_SECONDS).stdout.splitlines()[0]


def cross_compile(arch: str) -> list[str]:
    """Return the words that tell make which compiler to use.

    Args:
        arch: kbuild's ARCH, "i386" or "x86_64".
    """
    other = "" if platform.machine() == arch else f"{arch}-linux-gnu-"
    wanted = prefix() if arch == "i386" else other
    return [f"CROSS_COMPILE={wanted}"] if wanted else []


def _native() -> bool:
    """Return whether gcc has all that it takes to compile and link for i386."""
    try:
        found = [
            process.run(["gcc", "-m32", f"-print-file-name={name}"], cwd=Path("/"), timeout=_SECONDS) for name in _PARTS
        ]
    except PatchgenError:
        return False
    # gcc answers with the bare name when it finds nothing.
    return all(Path(result.stdout.strip()).is_absolute() for result in found)
