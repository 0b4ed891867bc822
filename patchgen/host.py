"""What the host must have: finding out, and installing it where that is allowed.

Only the standard library is used, and the Makefile runs `main` before there is a virtual
environment: the Makefile's first step.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from patchgen import process, resources, toolchain
from patchgen.errors import CommandError, MachineError, PatchgenError, ToolMissingError
from patchgen.sandbox import syscalls

_PROBE_SECONDS = 60.0
_INSTALL_SECONDS = 1800.0
_C_PROBE = '#include <stdio.h>\nint main(void) { return printf("") != 0; }\n'


@dataclass(frozen=True)
class Need:
    """One thing that the host must have.

    Attributes:
        name: for people.
        packages: Debian packages that bring it.
        stages: what it is needed for: "patch", "test", "static".
        command: the program that must be found, "" if `probe` tells.
        probe: the probe that tells, "" if `command` does.
        optional: things work without it.
    """

    name: str
    packages: tuple[str, ...]
    stages: tuple[str, ...]
    command: str = ""
    probe: str = ""
    optional: bool = False

    def what(self) -> str:
        """Return the program that is looked for; "" if it is none."""
        return toolchain.tool("gcc") if self.probe == "i386" else self.command

    def present(self) -> bool:
        """Return whether the host has it."""
        if self.probe:
            return _PROBES[self.probe]()
        return shutil.which(self.command) is not None


def _has_venv() -> bool:
    """Debian splits ensurepip off; importing venv alone does not show that."""
    try:
        process.run([sys.executable, "-I", "-c", "import ensurepip, venv"], cwd=Path("/"), timeout=_PROBE_SECONDS)
    except PatchgenError:
        return False
    return True


def _makes_i386_programs() -> bool:
    """A 32-bit program must compile and link, statically and against the shared library."""
    with tempfile.TemporaryDirectory(prefix="patchgen-") as scratch:
        (Path(scratch) / "probe.c").write_text(_C_PROBE)
        for kind in ([], ["-static"]):
            command = [toolchain.tool("gcc"), "-m32", *kind, "probe.c", "-o", "probe"]
            try:
                process.run(command, cwd=Path(scratch), timeout=_PROBE_SECONDS)
            except (CommandError, ToolMissingError):
                return False
    return True


_PROBES = {"venv": _has_venv, "i386": _makes_i386_programs, "seccomp": syscalls.there}


def needs(stage: str | None = None) -> list[Need]:
    """Return what is needed for a stage, or for everything."""
    data = tomllib.loads((resources.QEMU / "host.toml").read_text())
    found = [
        Need(
            name=item["name"],
            packages=(item["package"],) if "package" in item else toolchain.packages(),
            stages=tuple(item["for"]),
            command=item.get("command", ""),
            probe=item.get("probe", ""),
            optional=item.get("optional", False),
        )
        for item in data["need"]
    ]
    return [need for need in found if stage is None or stage in need.stages]


def missing(stage: str | None = None) -> list[Need]:
    """Return what is needed and not there."""
    return [need for need in needs(stage) if not need.present()]


def install_line(lacking: Sequence[Need]) -> str:
    """Return the command that installs them all."""
    packages = sorted({package for need in lacking for package in need.packages})
    return f"apt-get install -y --no-install-recommends {' '.join(packages)}"


def _as_root() -> list[str] | None:
    """Return what to put before a command that needs root: nothing, sudo, or None if neither works."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo"):
        try:
            process.run(["sudo", "-n", "true"], cwd=Path("/"), timeout=_PROBE_SECONDS)
        except PatchgenError:
            return None
        return ["sudo", "-n"]
    return None


def ensure(stage: str) -> None:
    """Install what a stage needs and the host lacks.

    Raises:
        MachineError: something is lacking and may not, or cannot, be installed; the hint is the command.
    """
    lacking = missing(stage)
    if not lacking:
        return
    line = install_line(lacking)
    names = ", ".join(need.name for need in lacking)
    root = _as_root() if shutil.which("apt-get") else None
    if root is None:
        if all(need.optional for need in lacking):
            return
        raise MachineError(f"missing: {names}", hint=f"as root, run: {line}")
    print(f"installing: {line.split('recommends ')[1]}", file=sys.stderr)  # noqa: T201 - rich may not be there yet
    command = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"]
    try:
        # An index that fails to load is no reason to stop: the packages may be in the others.
        process.run([*command, "update", "-q"], cwd=Path("/"), timeout=_INSTALL_SECONDS, check=False)
        process.run([*command, *line.split()[1:]], cwd=Path("/"), timeout=_INSTALL_SECONDS)
    except CommandError as error:
        raise MachineError(
            "the packages cannot be installed", hint=f"as root, run: {line}", evidence=error.output
        ) from error
    toolchain.prefix.cache_clear()  # what was installed may be the compiler
    still = [need for need in missing(stage) if not need.optional]
    if still:
        raise MachineError(f"installed, but still missing: {', '.join(need.name for need in still)}")


def main(argv: Sequence[str]) -> int:
    """Make sure that this machine has what a stage needs: arguments `ensure STAGE`, as the Makefile gives them."""
    if list(argv[:1]) != ["ensure"] or argv[1:2] not in (["patch"], ["test"], ["static"]):
        print("usage: ensure patch|test|static", file=sys.stderr)  # noqa: T201
        return 2
    try:
        ensure(argv[1])
    except PatchgenError as error:
        print(f"error: {error.message}", file=sys.stderr)  # noqa: T201
        if error.evidence:
            print(error.evidence, file=sys.stderr)  # noqa: T201
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)  # noqa: T201
        return error.exit_status
    return 0
