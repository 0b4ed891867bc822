"""The virtual machine that a kernel is booted on, as data: `qemu/machine.toml` read into one frozen object.

Variants (another accelerator, one CPU, an instruction-counting clock) are `dataclasses.replace` of it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from patchgen import cache as caching
from patchgen import data, process, resources
from patchgen.cache import Cache
from patchgen.data import Model
from patchgen.errors import MachineError
from patchgen.sandbox import Sandbox

DESCRIPTION = resources.QEMU / "machine.toml"
COUNTING = resources.QEMU / "counting.toml"


@dataclass(frozen=True)
class Machine:
    """What QEMU emulates, and what the kernel and its first process are told.

    Attributes:
        binary: the QEMU program.
        cpu: its -cpu.
        cpus: how many.
        memory: MiB.
        arguments: further arguments.
        cmdline: the kernel's command line, word by word.
        directory: where commands in the guest run.
        environment: their environment.
        accelerator: its -accel, "tcg" or "kvm" with options.
        sandbox: what QEMU is shut in for an untrusted kernel.
    """

    binary: str
    cpu: str
    cpus: int
    memory: int
    arguments: tuple[str, ...]
    cmdline: tuple[str, ...]
    directory: str
    environment: tuple[tuple[str, str], ...]
    accelerator: str = "tcg"
    sandbox: Sandbox | None = None

    def argv(self) -> list[str]:
        """Return QEMU's command line, without what differs from one start to the next (kernel, channels)."""
        # One core per socket: the BIOS puts one processor per socket into the MP table, from which kernels without
        # ACPI know their CPUs.
        size = ["-cpu", self.cpu, "-smp", f"{self.cpus},sockets={self.cpus}", "-m", str(self.memory)]
        return [process.find(self.binary), "-accel", self.accelerator, *size, *self.arguments]

    def digest(self) -> str:
        """Return a hash of everything that makes one machine unlike another."""
        return caching.digest("machine", dataclasses.asdict(self), self.argv())


class _Counting(Model):
    cpus: int
    accelerator: str
    arguments: tuple[str, ...]
    cmdline: tuple[str, ...]


class _Described(Model):
    binary: str
    cpu: str
    cpus: int
    memory: int
    arguments: tuple[str, ...]
    cmdline: tuple[str, ...]
    directory: str
    environment: dict[str, str]


def load(path: Path = DESCRIPTION) -> Machine:
    """Read the description.

    Raises:
        MachineError: it is wrong (it comes with patchgen).
    """
    own = data.load(path, _Described, MachineError)
    environment = tuple(sorted(own.environment.items()))
    return Machine(own.binary, own.cpu, own.cpus, own.memory, own.arguments, own.cmdline, own.directory, environment)


def counting(described: Machine, path: Path = COUNTING) -> Machine:
    """Return the machine whose time stamp counter counts instructions.

    It has one CPU, and a saved state of it does not come back to life (QEMU 7.2): boot it.

    Raises:
        MachineError: the description of what it differs in is wrong (it comes with patchgen).
    """
    own = data.load(path, _Counting, MachineError)
    return dataclasses.replace(
        described,
        cpus=own.cpus,
        accelerator=own.accelerator,
        arguments=(*described.arguments, *own.arguments),
        cmdline=(*described.cmdline, *own.cmdline),
    )


def qemu_version(cache: Cache, binary: str) -> str:
    """Return the first line of `binary --version`, asked once per installed file.

    Raises:
        ToolMissingError: it is not installed.
    """
    path = Path(process.find(binary)).resolve()
    key = caching.digest("qemu", str(path), path.stat().st_size, path.stat().st_mtime_ns)
    kept = cache.directory("guest", "qemu") / key
    if not kept.is_file():
        text = process.run([path, "--version"], cwd=kept.parent, timeout=30).stdout
        caching.write_text(kept, text.splitlines()[0])
    return kept.read_text(encoding="utf-8")
