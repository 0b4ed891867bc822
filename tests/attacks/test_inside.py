"""All that an untrusted program can write and read, as a program finds out that runs in its place (inside.py)."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from attacks import seen, toybuild
from attacks.catalogue import needs_sandbox
from attacks.seen import SYSTEM, Seen

from patchgen import process
from patchgen.base import worktree
from patchgen.cache import Cache
from patchgen.guest import migration
from patchgen.guest.memory import Memory
from patchgen.sandbox import Sandbox

pytestmark = needs_sandbox

_PROC = ("/proc/self/", "/proc/sys/kernel/ns_last_pid")
_DEVICES = {"null", "zero", "full", "random", "urandom", "tty", "pts/ptmx"}


def check(found: Seen, places: set[str], files: set[str]) -> None:
    """Hold what was found against where files may be made, and what may be written besides devices without a host."""
    assert "\n  descriptors: 0 " in "\n".join(seen.show("it", found)), "what is printed for people"
    assert {one["is"] for one in found["descriptors"].values()} <= {"pipe", "device"}
    assert {one["target"] for one in found["descriptors"].values() if one["is"] == "device"} <= {"/dev/null"}
    status = found["status"]
    assert (status["CapEff"].strip("0"), status["CapBnd"].strip("0"), status["Groups"]) == ("", "", "")
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert set(status["Uid"].split()) == {"65533"}
    top = {place for place in found["places"] if not any(place.startswith(f"{one}/") for one in places)}
    assert top == places
    written = {path for path in found["written"] if not any(path.startswith(f"{one}/") for one in places)}
    assert written <= files | {f"/dev/{name}" for name in _DEVICES}
    # Of /proc only what is the process's own, and what asks for a capability when it is written.
    assert [path for path in found["proc written"] if not path.startswith(_PROC)] == []
    assert found["proc places"] == []
    assert [mode for where, _, mode in found["mounts"] if where in ("/", SYSTEM)] == ["ro", "ro"]
    assert set(found["read"]) - {"/dev", "/etc", "/tmp", "/given", "/results", *_parents(places | files)} == set()


def _parents(paths: set[str]) -> set[str]:
    return {f"/{Path(path).parts[1]}" for path in paths} | {f"/{seen.PROGRAM.parts[1]}"} | {"/bin", "/sbin", "/lib"}


def test_a_build_writes_only_to_its_own(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    origin = toybuild.origin(tmp_path, cache)
    found = seen.by_a_build(origin, cache, SYSTEM)
    output = str(worktree.workspace_place(origin, "vanilla", cache).output("toy"))
    # The build directory may lie below /tmp, which is private: then so do its parents, which the sandbox made.
    check(found, {"/tmp", output} if not output.startswith("/tmp/") else {"/tmp"}, {"/results/0", "/results/1"})


def test_qemu_writes_only_to_its_console() -> None:
    found = seen.by_qemu(SYSTEM)
    assert [path for path in found["written"] if path.endswith("/console")] != []
    check(found, {"/tmp"}, {path for path in found["written"] if path.endswith("/console")})
    # This clone may lie below /tmp, which is private: then so do its directories, which the sandbox made.
    private = {"/tmp", *(str(path) for path in seen.PROGRAM.parents if path.is_relative_to("/tmp"))}
    assert set(found["places"]) - private == set()


def test_a_reader_writes_nothing() -> None:
    check(seen.by_a_reader(SYSTEM), {"/tmp"}, set())


_WRITE_TO_MEMORY = """
import mmap, os, sys
memory, said = os.open(sys.argv[1], os.O_RDWR), []
for what in (lambda: os.write(memory, b"y"), lambda: os.ftruncate(memory, 0), lambda: mmap.mmap(memory, 4096)):
    try:
        what()
        said.append("done")
    except PermissionError:
        said.append("refused")
own = mmap.mmap(memory, 4096, flags=mmap.MAP_PRIVATE)
own[0] = ord("y")
print(*said, own[:2].decode(), os.pread(memory, 2, 0).decode())
"""


def test_the_memory_of_a_saved_guest_is_read_and_never_written(tmp_path: Path) -> None:
    (tmp_path / "memory").write_bytes(b"x" * 4096)
    memory = Memory(tmp_path / "memory")
    words = [seen._PYTHON, "-I", "-c", _WRITE_TO_MEMORY, memory.place]
    through = process.Through((), (memory.descriptor,))
    with process.launch(words, cwd=Path("/tmp"), stderr=subprocess.STDOUT, sandbox=Sandbox(), through=through) as one:
        assert one.stdout is not None
        assert one.stdout.read().decode() == "refused refused refused yx xx\n"


# Root's pipe cannot be opened again, an ordinary user's can; it is the same pipe.
_WRITE_TO_STATE = """
import os, sys
descriptor = int(sys.argv[1])
print(len(open(descriptor, "rb", closefd=False).read()))
try:
    open(f"/proc/self/fd/{descriptor}", "wb").write(b"changed")
except PermissionError:
    pass
"""


def test_the_state_of_a_saved_guest_is_no_file(tmp_path: Path) -> None:
    file = tmp_path / "state"
    file.write_bytes(b"saved" * 60000)
    descriptor = migration.stream(file)
    try:
        words = [seen._PYTHON, "-I", "-c", _WRITE_TO_STATE, str(descriptor)]
        through = process.Through((), (descriptor,))
        with process.launch(
            words, cwd=Path("/tmp"), stderr=subprocess.STDOUT, sandbox=Sandbox(), through=through
        ) as one:
            assert one.stdout is not None
            assert one.stdout.read() == b"300000\n"
    finally:
        os.close(descriptor)
    assert file.read_bytes() == b"saved" * 60000


def test_no_process_of_a_sandbox_that_is_ended_is_left() -> None:
    """Whenever that is: bubblewrap may not have come so far that the sandbox ends with it."""
    seconds = f"{10**6 + os.getpid()}"
    for number in range(16):
        words = ["sh", "-c", f"sleep {seconds} & exec sleep {seconds}"]
        with process.launch(words, cwd=Path("/tmp"), stderr=subprocess.STDOUT, sandbox=Sandbox()) as one:
            time.sleep(number * 0.004)
            os.killpg(one.pid, signal.SIGKILL)
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if seconds in _text(path)]
    assert left == []


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # it has ended
        return ""
