"""Find out whether KVM can run an i386 guest here.

That /dev/kvm opens says little: in a nested virtual machine a 32-bit guest may hang in its BIOS. So a throw-away
guest is run, a boot sector that turns paging on and ends QEMU with a status of its own. The answer is kept for
the running host kernel and the installed QEMU.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Literal

from patchgen import cache as caching
from patchgen import process, toolchain
from patchgen.cache import Cache
from patchgen.errors import MachineError, TimeoutExpiredError
from patchgen.guest import machine as machines
from patchgen.guest import programs
from patchgen.guest.machine import Machine

Accelerator = Literal["kvm", "tcg"]

SECONDS = 5.0
_DEVICE = Path("/dev/kvm")
_SOURCE = programs.SOURCES / "kvmprobe.S"
_WORKS = 0x21 * 2 + 1  # isa-debug-exit ends QEMU with the written value, doubled, plus one


def accelerator(cache: Cache) -> Accelerator:
    """Return what guests should run on: "kvm" if one has run under it, "tcg" otherwise.

    Raises:
        ToolMissingError: QEMU or the compiler is not installed.
    """
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return "tcg"
    machine = machines.load()
    about = (platform.release(), machines.qemu_version(cache, machine.binary), caching.file_digest(_SOURCE))
    kept = cache.directory("guest", "kvm") / caching.digest("kvm", machine.digest(), *about)
    if not kept.is_file():
        caching.write_text(kept, "kvm" if works(cache, machine, "kvm") else "tcg")
    return "kvm" if kept.read_text(encoding="utf-8") == "kvm" else "tcg"


def works(cache: Cache, machine: Machine, name: Accelerator, seconds: float = SECONDS) -> bool:
    """Whether the throw-away guest runs to its end under an accelerator within `seconds`."""
    with cache.scratch("kvm") as directory:
        sector = _assemble(directory)
        drive = ["-drive", f"file={sector.name},format=raw,if=ide", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        size = ["-cpu", machine.cpu, "-smp", str(machine.cpus), "-m", str(machine.memory)]
        argv = [process.find(machine.binary), "-accel", name, *size, *machine.arguments, *drive]
        try:
            return process.run(argv, cwd=directory, timeout=seconds, check=False).status == _WORKS
        except TimeoutExpiredError:
            return False


def _assemble(directory: Path) -> Path:
    """Return the boot sector, made in `directory`."""
    compiler, linker = (process.find(toolchain.tool(name)) for name in ("gcc", "ld"))
    sector = directory / "sector"
    process.run([compiler, "-m32", "-c", _SOURCE, "-o", "sector.o"], cwd=directory, timeout=60)
    link = [linker, "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "sector.o", "-o", "sector"]
    process.run(link, cwd=directory, timeout=60)
    if sector.stat().st_size != 512:
        raise MachineError(f"{_SOURCE} does not fit a boot sector")
    return sector
