"""System calls that an untrusted program has no business with, from 64-bit and from 32-bit programs; and keys."""

from __future__ import annotations

import ctypes
import errno
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from attacks.catalogue import Attack, needs_sandbox

from patchgen import process, sandbox
from patchgen.sandbox import syscalls

pytestmark = needs_sandbox

FILTER = "a filter on system calls"
KEYS = Attack(
    "reading the grader's keys in his session keyring, and leaving some for the next submission",
    "a session keyring of its own, and a filter on system calls",
    ("add_key", "request_key", "keyctl"),
)
SOCKETS = Attack(
    "sockets that lead to the kernel or the host: netlink, packet, AF_ALG, vsock", FILTER, ("socket-", "socketcall")
)
NAMESPACES = Attack(
    "a new namespace by unshare, clone, clone3 or setns; mount and chroot",
    FILTER,
    ("unshare", "clone", "setns", "mount", "chroot"),
)
SURFACE = Attack(
    "userfaultfd, bpf, perf_event_open, io_uring and ptrace",
    FILTER,
    ("userfaultfd", "bpf", "perf", "io_uring", "ptrace", "process_vm", "kcmp", "syslog"),
)
MEMORY = Attack(
    "detached SysV segments and memfd files: memory that belongs to no process, and so to no limit",
    FILTER,
    ("memfd", "shm", "msg", "ipc"),
)
ATTACKS = (KEYS, SOCKETS, NAMESPACES, SURFACE, MEMORY)
_OTHERS = {
    **dict.fromkeys(("socket-unix", "socket-inet", "socketpair-unix"), 0),
    **dict.fromkeys(("memfd_create", "shmget", "msgget", "ipc", "clone3", "x32"), errno.ENOSYS),
}
SECRET = b"the-graders-secret"
_USER_KEYRING, _SESSION = -4, -3


def expected(name: str) -> int:
    """Return the error that a call must end with."""
    if name in _OTHERS:
        return _OTHERS[name]
    return errno.EAFNOSUPPORT if name.startswith("socket-") else errno.EPERM


def add_key(keyring: int) -> bool:
    """Put the secret into a keyring of ours; False where there are no keys."""
    number = {250: 248, 219: 217}.get(syscalls.keyctl_number(), 0)
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.syscall(number, b"user", b"the-graders", SECRET, len(SECRET), keyring) >= 0)


def search() -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.syscall(syscalls.keyctl_number(), 10, _SESSION, b"user", b"the-graders", 0))


@pytest.mark.parametrize("bits", ["-m64", "-m32"])
def test_system_calls_are_refused(bits: str, tmp_path: Path) -> None:
    program, source = tmp_path / "calls", Path(__file__).with_name("calls.c")
    command = ["gcc", bits, "-static", "-o", str(program), str(source)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no program of this kind can be made here: {' '.join(command)}: {made.stderr[-200:]}")
    add_key(_SESSION)
    box = replace(sandbox.Sandbox(sandbox.READER), readable=((program, Path("/given/calls")),))
    text = process.run(["/given/calls"], cwd=Path("/"), timeout=10, check=False, sandbox=box).stdout
    assert "secret" not in text
    came = {name: int(number) for name, number in (line.split() for line in text.splitlines())}
    assert came == {name: expected(name) for name in came}
    for part in (part for attack in ATTACKS for part in attack.means):
        known = {"socketcall", "ipc"} if bits == "-m64" else set()
        assert part in known or any(name.startswith(part) for name in came), f"{part} was not tried"


def test_a_thread_that_starts_something_leaves_the_session_keyring() -> None:
    """Not only the filter keeps the keys away: where libseccomp knows no number, or the kernel a newer one."""
    found: list[int] = []

    def thread() -> None:
        found.append(search())
        syscalls.leave_keyring()
        found.append(search())

    if not add_key(_SESSION):
        pytest.skip("this machine lets nobody have keys")
    runner = threading.Thread(target=thread)
    runner.start()
    runner.join()
    assert found[0] > 0
    assert found[1] == -1


def test_the_list_of_keys_is_not_there(tmp_path: Path) -> None:
    done = process.run(
        ["sh", "-c", "cat /proc/keys /proc/key-users"],
        cwd=Path("/"),
        timeout=10,
        check=False,
        sandbox=sandbox.Sandbox(sandbox.READER),
    )
    assert done.stdout.count("Permission denied") == 2, done.stdout


def test_a_build_with_32_bit_host_programs_works() -> None:
    """The filter is not in the way of what a build does: compile, fork, run, on both architectures."""
    lines = [
        "cd /tmp",
        "echo 'int main(){return 0;}' > a.c",
        "gcc -m32 a.c -o a",
        "./a",
        "gcc a.c -o b",
        "./b",
        "echo ok",
    ]
    box = sandbox.Sandbox(replace(sandbox.BUILD, seconds=60))
    done = process.run(["sh", "-ec", "; ".join(lines)], cwd=Path("/"), timeout=60, check=False, sandbox=box)
    assert done.stdout.endswith("ok"), done.stdout
