"""What untrusted programs can read and write on this machine: `PYTHONPATH=tests python -P -m attacks.seen` prints it.

`inside.py` is run where a build, QEMU and the reader of a report run, in the very sandboxes that these get.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from attacks import toybuild

from patchgen import process, sandbox
from patchgen.base.resolve import Source
from patchgen.cache import Cache
from patchgen.guest import machine
from patchgen.guest.qemu import Qemu
from patchgen.kernel.build import Kernel

Seen = dict[str, Any]
PROGRAM = Path(__file__).with_name("inside.py")
_PYTHON = "/usr/bin/python3"
SYSTEM = "/usr"  # A hundred thousand files, on a mount that is read-only


def by_a_build(origin: Source, cache: Cache, *but: str) -> Seen:
    """Return what a Makefile's program sees."""
    code = base64.b64encode(PROGRAM.read_bytes()).decode()
    makefile = toybuild.FILES["Makefile"].data.decode()
    first = f"$(info seen: $(shell base64 -d fs/inside.txt | {_PYTHON} -I - {' '.join(but)}))\n"
    mail = [toybuild.patch("fs/inside.txt", _wrapped(code)), toybuild.patch("Makefile", first + makefile)]
    built: Kernel = toybuild.build(mail, origin, cache, sandbox.Sandbox())
    lines = built.image.with_name("build.log").read_text().splitlines()
    return _read(next(line.partition("seen: ")[2] for line in lines if line.startswith("seen: ")))


def by_qemu(*but: str) -> Seen:
    """Return what QEMU sees, with its console and control lines."""
    qemu = Qemu(replace(machine.load(), sandbox=sandbox.Sandbox()), [], [PROGRAM])
    with _directory() as qemu.directory:
        box = qemu._shut_in(sandbox.Sandbox())
        return _read(process.run([_PYTHON, "-I", PROGRAM, *but], cwd=qemu.directory, timeout=60, sandbox=box).stdout)


def by_a_reader(*but: str) -> Seen:
    """Return what the program sees that counts a report's pages, and checkpatch, and gcov."""
    box = sandbox.with_files(sandbox.Sandbox(), replace(sandbox.READER, seconds=60), PROGRAM)
    return _read(process.run([_PYTHON, "-I", PROGRAM, *but], cwd=Path("/"), timeout=60, sandbox=box).stdout)


def _wrapped(code: str) -> str:
    return "".join(f"{code[at : at + 100]}\n" for at in range(0, len(code), 100))


def _read(text: str) -> Seen:
    found: Seen = json.loads(text)
    return found


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        yield Path(name)


def show(who: str, seen: Seen) -> Iterator[str]:
    """Yield lines for people that say what a program has seen."""
    status = seen["status"]
    yield f"\n{who}, started by user {os.geteuid()}: " + ", ".join(f"{name} {status[name]}" for name in status)
    yield "  descriptors: " + "; ".join(
        f"{number} {one['is']} {one['mode']}{' (can be opened for writing)' if one['opened again'] else ''}"
        for number, one in seen["descriptors"].items()
    )
    yield "  reads: " + ", ".join(f"{place} ({count} files)" for place, count in seen["read"].items() if count)
    yield "  makes files in: " + ", ".join(seen["places"])
    yield "  writes: " + ", ".join(seen["written"])
    yield "  writes in /proc: " + ", ".join(sorted(set(seen["proc written"])))
    yield "  mounts: " + ", ".join(f"{where} ({kind} {mode})" for where, kind, mode in seen["mounts"])


def main() -> None:
    """Print it."""
    with _directory() as place:
        cache = Cache(place / "cache")
        found = {
            "a build": by_a_build(toybuild.origin(place, cache), cache),
            "QEMU": by_qemu(),
            "a reader": by_a_reader(),
        }
    for who, seen in found.items():
        print("\n".join(show(who, seen)))  # noqa: T201 - what is asked for


if __name__ == "__main__":
    main()
