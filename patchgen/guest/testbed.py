"""Where a kernel is put to the test: the kernel, the guest's file system and the machine, together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from patchgen.assignment import Assignment
from patchgen.base import bases
from patchgen.base.bases import Quirks
from patchgen.cache import Cache
from patchgen.guest import initramfs, kvm, machine, saved
from patchgen.guest.initramfs import Image
from patchgen.guest.machine import Machine
from patchgen.guest.session import Guest
from patchgen.sandbox import Sandbox
from patchgen.series.model import Parameter
from patchgen.settings import Settings


@dataclasses.dataclass(frozen=True)
class Testbed:
    """What every guest of one kernel is made of.

    Attributes:
        kernel: the bzImage.
        image: the guest's file system.
        machine: what QEMU emulates.
        cache: where saved guests are kept.
        time_scale: what time limits in the guests are multiplied by (Guest).
        quirks: what its base does otherwise than linux-4.15.
    """

    __test__ = False  # pytest takes every class whose name begins with Test for tests

    kernel: Path
    image: Image
    machine: Machine
    cache: Cache
    time_scale: float = 1.0
    quirks: Quirks = dataclasses.field(default_factory=Quirks)

    def with_cpus(self, cpus: int) -> Self:
        """Return the same testbed with so many CPUs in each guest."""
        return dataclasses.replace(self, machine=dataclasses.replace(self.machine, cpus=cpus))

    @contextmanager
    def ready(self) -> Iterator[Guest]:
        """Give a freshly booted guest, restored from its saved state.

        Raises:
            GuestError: the kernel does not boot.
            MachineError: QEMU is missing or failed.
        """
        with saved.ready_guest(self.cache, self.kernel, self.image, self.machine, time_scale=self.time_scale) as guest:
            yield guest

    @contextmanager
    def debugged(self, on_debugger: Callable[[Path], None]) -> Iterator[Guest]:
        """Give a guest that a debugger has let boot.

        Args:
            on_debugger: called with the unix socket at which it waits for one, before its first instruction.

        Raises:
            GuestError: the kernel does not boot.
            MachineError: QEMU is missing or failed.
        """
        # Breakpoints and single steps are the emulator's own; one CPU, since nobody looks at two.
        bed = dataclasses.replace(self.machine, accelerator="tcg", cpus=1)
        with Guest(self.kernel, self.image, bed, time_scale=self.time_scale).debugged(on_debugger) as guest:
            yield guest

    @contextmanager
    def booted(self, files: Mapping[str, Path]) -> Iterator[Guest]:
        """Boot a guest that has some more files, by their path in it.

        Raises:
            GuestError: the kernel does not boot.
            MachineError: QEMU is missing or failed.
            UsageError: a file cannot be read.
        """
        image = initramfs.with_files(self.cache, self.image, files)
        with Guest(self.kernel, image, self.machine, time_scale=self.time_scale) as guest:
            yield guest


@dataclasses.dataclass(frozen=True)
class Contents:
    """What the guests of a kernel have in them.

    Attributes:
        settings: the user's: programs in place of ours, and the base.
        assignment: whose programs they have.
        parameters: those of its series, which the programs are compiled with.
    """

    settings: Settings
    assignment: Assignment
    parameters: Mapping[str, Parameter]


def make(kernel: Path, contents: Contents, cache: Cache, sandbox: Sandbox | None = None) -> Testbed:
    """Return the testbed of a kernel: our programs or the user's, KVM where it works.

    In a sandbox, which is for an untrusted kernel, it is not used: it would be a door to the host's kernel.

    Raises:
        UsageError: the user's program does not compile.
        MachineError: a tool is missing.
    """
    settings = contents.settings
    sources = {"test_program": settings.test_program, "fork_program": settings.fork_program}
    wanted = contents.assignment.guest.defines.items()
    choice = initramfs.Choice(
        assignment=contents.assignment.directory,
        sources={name: path for name, path in sources.items() if path},
        defines={macro: str(contents.parameters[name]) for macro, name in wanted},
    )
    accelerator = "tcg" if sandbox else kvm.accelerator(cache)
    described = dataclasses.replace(machine.load(), accelerator=accelerator, sandbox=sandbox)
    return Testbed(kernel, initramfs.build(cache, choice), described, cache, quirks=bases.load(settings.base).quirks)
