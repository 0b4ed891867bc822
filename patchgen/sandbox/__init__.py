"""What an untrusted build or guest may do on this machine: read the system, compute, and write where it is told to.

A program in the sandbox runs under bubblewrap: no network, its own processes, no user but itself, /usr and what it
is given to read, and a home and /tmp of its own in memory, which are of a fixed size and gone when it ends. Nothing
that it writes is on a disk, but for the files named in `Sandbox.writable`, which are there already, can be neither
replaced nor linked elsewhere, and grow to `Limits.file` at most. So a disk is not filled even by fallocate(), which is
quicker than any watcher, and what comes out can be opened without a thought for links.

Limits are the kernel's own where it has them (prlimit). It has none for the memory of many processes without control
groups; so that is looked at four times a second, and the OOM killer is told to take these processes first.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from patchgen import process
from patchgen.errors import MachineError, OverLimitError, PatchgenError
from patchgen.sandbox import syscalls

if TYPE_CHECKING:
    import subprocess

MIB = 1 << 20
# The system: programs, compilers and libraries are below /usr (with the old names on top of it); what is elsewhere is
# not found. Of /etc only what the loader and Debian's alternatives need. No accounts, no keys, no other people's files.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_CONFIGURATION = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d")
# These tell of keys of the kernel that belong to the same user, in whatever session.
_KEYS = ("/proc/keys", "/proc/key-users")
HOME = Path("/tmp")  # noqa: S108 - in the sandbox, where it is private
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
# Where we are root, the program must not be: root is exempt from the limit on processes, and owns files that may be
# visible. systemd's table of user ids leaves this one unused, and a container has it.
_USER = "65533"
_NAMESPACES = ("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try")
# A user namespace of its own counts processes by itself, whatever else runs as that user; none further in it, since
# in one a file system of any size could be mounted.
_NO_POWER = ("--unshare-user", "--disable-userns")
_LOOK_SECONDS = 0.25
_SPARE = 20  # The machine is short of memory when less than one part in this many is free.
_PROBE_SECONDS = 20.0
# Succeeds where the sandbox is one: nobody, no way out, nothing to write to, no namespace to get powers in.
_PROBE = """
test "$(id -u)" = 65533 || { echo "it runs as user $(id -u)"; exit 1; }
grep -q "^Seccomp:.2$" /proc/self/status || { echo "it may make every system call"; exit 1; }
test "$(grep -c : /proc/net/dev)" -le 1 || { echo "it sees the network"; exit 1; }
test ! -e /root -a ! -e "$1" || { echo "it sees the home directories"; exit 1; }
for place in / /usr /etc /dev; do
  if (: > "$place/.patchgen") 2>/dev/null; then echo "it can write to $place"; exit 1; fi
done
if unshare --user true 2>/dev/null; then echo "it can make namespaces"; exit 1; fi
: > /tmp/probe || { echo "it cannot write to /tmp"; exit 1; }
"""


_BUSIEST = 8.0


@dataclass(frozen=True)
class Limits:
    """How much a program in the sandbox may use, with everything that it starts.

    Attributes:
        seconds: wall time.
        memory: bytes that all processes together have in memory (looked at; what is beyond prlimit).
        address: bytes of address space of each process.
        processes: how many.
        file: bytes of each file.
        room: bytes of each private file system: /tmp and those in `Sandbox.private`; they count as memory too.
        output: bytes that it may print.
    """

    seconds: float
    memory: int
    address: int
    processes: int
    file: int
    room: int
    output: int


# A kernel build of defconfig on many CPUs: a compiler takes 300 MB at worst, the build directory 300 MB.
BUILD = Limits(
    seconds=900,
    memory=4096 * MIB,
    address=4096 * MIB,
    processes=512,
    file=256 * MIB,
    room=1024 * MIB,
    output=32 * MIB,
)
# QEMU with 256 MiB for the guest, and up to 1 GiB of address space for what it translates.
GUEST = Limits(
    seconds=7200,  # Each command in it has a limit of its own; this one is for what nobody waits for.
    memory=1536 * MIB,
    address=4096 * MIB,
    processes=64,
    file=64 * MIB,
    room=64 * MIB,
    output=1 * MIB,
)
# Reading one PDF file.
READER = Limits(
    seconds=5, memory=512 * MIB, address=512 * MIB, processes=4, file=1 * MIB, room=1 * MIB, output=64 * 1024
)


@dataclass(frozen=True)
class Sandbox:
    """A sandbox, and what is in it besides the system.

    Attributes:
        limits: how much may be used.
        readable: files and directories that can be read: where they are, and where the program sees them.
        private: empty directories in memory, where the program sees them.
        writable: plain files that can be written: where they are, and where the program sees them.
        feed: a file that the program reads through a pipe as its standard input.
    """

    limits: Limits = BUILD
    readable: tuple[tuple[Path, Path], ...] = ()
    private: tuple[Path, ...] = ()
    writable: tuple[tuple[Path, Path], ...] = ()
    feed: Path | None = None

    def patience(self, timeout: float) -> float:
        """Return the seconds of wall time that a program may take, at most its limit on an idle machine.

        Wall time stands for what it computes, so a busy machine must not end an honest build: a program has 1 to 8
        times as long, by the load average (proc(5)).
        """
        busy = os.getloadavg()[0] / len(os.sched_getaffinity(0))
        return min(timeout, self.limits.seconds) * min(max(busy, 1.0), _BUSIEST)

    @contextlib.contextmanager
    def entered(self) -> Iterator[int]:
        """Give a descriptor that has the filter of system calls; this process has left its session keyring then.

        Raises:
            MachineError: there is no filter, or the keyring cannot be left.
        """
        with syscalls.handed_over() as descriptor:
            syscalls.leave_keyring()
            yield descriptor

    def argv(self, words: Sequence[str], cwd: Path, filtering: int, informed: int) -> list[str]:
        """Return the command that runs a command in the sandbox.

        Args:
            words: the command.
            cwd: its working directory, as it sees it.
            filtering: a descriptor that has the filter of system calls (syscalls.py), which comes last: the sandbox
                itself needs namespaces and mounts.
            informed: a descriptor to which it writes, as JSON, which process is the first one in the sandbox.

        Raises:
            MachineError: bubblewrap is missing, or what is to be read is closed to others than root.
        """
        root = os.geteuid() == 0
        outer = [process.find("bwrap"), "--die-with-parent", "--new-session", *_NAMESPACES, "--hostname", "sandbox"]
        outer += ["--info-fd", str(informed)]
        outer += self._mounts()
        inner = [*_NO_POWER, "--uid", _USER, "--gid", _USER, "--chdir", str(cwd), "--seccomp", str(filtering)]
        if root:
            # Two steps: root can mount what only root may look into, and then nobody goes on.
            self._check_readable()
            outer += [
                "--cap-drop",
                "ALL",
                "--cap-add",
                "CAP_SETUID",
                "--cap-add",
                "CAP_SETGID",
                process.find("setpriv"),
            ]
            outer += ["--reuid", _USER, "--regid", _USER, "--clear-groups", "--inh-caps=-all", "--no-new-privs"]
            inner = [process.find("bwrap"), "--die-with-parent", *inner, "--dev-bind", "/", "/"]
        return [*outer, *inner, *limiting(self.limits), *words]

    def environment(self, extra: Mapping[str, str] | None) -> dict[str, str]:
        """Return the program's whole environment: nothing of ours, since proxies have passwords in them."""
        home = str(HOME)
        return {"PATH": _PATH, "HOME": home, "TMPDIR": home, "LC_ALL": "C.UTF-8", "TZ": "UTC", **(extra or {})}

    def status(self, status: int) -> int:
        """Return a program's exit status, minus the signal's number, for that of bubblewrap, which adds 128 to it."""
        return 128 - status if status > 128 else status

    @contextlib.contextmanager
    def watch(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Look at the memory of a program and all that it started, and end it when that is too much.

        Raises:
            OverLimitError: it was too much.
            MachineError: the machine was short of memory.
        """
        watch = Watch(self.limits, process)
        try:
            yield
        finally:
            watch.stop()
            if watch.over:
                raise watch.over

    def _mounts(self) -> list[str]:
        words: list[str] = []
        for name in _SYSTEM:
            path = Path(name)
            if path.is_symlink():
                words += ["--symlink", str(path.readlink()), name]
            elif path.is_dir():
                words += ["--ro-bind", name, name]
        words += ["--perms", "0755", "--dir", "/etc"]
        for name in _CONFIGURATION:
            words += ["--ro-bind-try", name, name]
        words += ["--proc", "/proc", "--dev", "/dev"]
        for name in _KEYS:
            words += ["--ro-bind-try", "/dev/null", name]
        # What the owner of a namespace may set. As root, root owns it, and the step that follows has yet to set one.
        for name in ("/proc/pressure", *(["/proc/sys"] if os.geteuid() else [])):
            words += ["--ro-bind-try", name, name]
        for place in (HOME, *self.private):
            words += ["--perms", "1777", "--size", str(self.limits.room), "--tmpfs", str(place)]
        for kind, pairs in (("--ro-bind", self.readable), ("--bind", self.writable)):
            for there, seen in pairs:
                # Made on its own, since bubblewrap closes the directories that it makes for files.
                words += ["--perms", "0755", "--dir", str(seen.parent), kind, str(there), str(seen)]
        # What bubblewrap itself made to put these into is in memory too, without a size.
        return [*words, "--remount-ro", "/dev", "--remount-ro", "/"]

    def _check_readable(self) -> None:
        for there, _ in self.readable:
            found = there.stat()
            if not found.st_mode & 0o004 and found.st_uid != int(_USER):
                raise MachineError(
                    f"{there} cannot be read in the sandbox, where nobody is root", hint=f"chmod -R o+rX {there}"
                )


def limiting(limits: Limits) -> list[str]:
    """Return what is put before a command to limit each of its processes, as far as prlimit can."""
    kept = [
        f"--as={limits.address}",
        f"--nproc={limits.processes}",
        f"--fsize={limits.file}",
        f"--cpu={int(limits.seconds)}",
        "--nofile=1024",
        "--core=0",
        "--memlock=0",
        "--msgqueue=0",
    ]
    return [process.find("choom"), "-n", "1000", "--", process.find("prlimit"), *kept, "--"]


class Watch:
    """Looks at the memory of a program in the sandbox, and ends it when it is too much; from now until `stop()`.

    Args:
        limits: the sandbox's.
        process: the leader of the program's group.

    Attributes:
        over: why it was ended, None if it was not.
    """

    def __init__(self, limits: Limits, process: subprocess.Popen[bytes]) -> None:
        self.over: PatchgenError | None = None
        self._limits, self._process = limits, process
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more. Calling this again does nothing."""
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(_LOOK_SECONDS):
            found = _short(self._limits, self._process.pid)
            if found:
                self.over = found
                process.end_group(self._process)
                return


def open_to(path: Path) -> None:
    """Let the program in the sandbox write to a file of ours, or into a directory: where we are root, it is not."""
    if os.geteuid() == 0:
        os.chown(path, int(_USER), int(_USER))


def sandbox_for_untrusted(trust: bool, limits: Limits = BUILD) -> Sandbox | None:
    """Return the sandbox that untrusted work is put into; None where the user trusts it.

    Args:
        trust: the user does.
        limits: how much may be used.

    Raises:
        MachineError: this machine has no sandbox; says why, and what to do.
    """
    if trust:
        return None
    why = why_not()
    if why:
        raise MachineError(
            f"untrusted work is only built and run in a sandbox, and there is none here: {why}",
            hint="as root: apt-get install -y --no-install-recommends bubblewrap libseccomp2; "
            "or --trust, for work that you trust",
        )
    return Sandbox(limits)


@functools.cache
def why_not() -> str:
    """Return why this machine has no sandbox, "" if it has one: that is tried."""
    home = str(Path.home())
    try:
        probe = ["sh", "-c", _PROBE, "sh", home]
        done = process.follow(probe, cwd=Path("/"), timeout=_PROBE_SECONDS, sandbox=Sandbox(READER))
    except PatchgenError as error:
        return error.message
    return "" if done.status == 0 else (done.stdout.strip() or f"the trial ended with status {done.status}")


def with_files(box: Sandbox, limits: Limits, *paths: Path) -> Sandbox:
    """Return the sandbox with other limits, and files that can be read where they are."""
    return replace(box, limits=limits, readable=(*box.readable, *((path, path) for path in paths)))


def _short(limits: Limits, pid: int) -> PatchgenError | None:
    """Return what is wrong with the memory in use, None if nothing is."""
    used = memory_of(pid)
    if used > limits.memory:
        return OverLimitError(f"it took more than {limits.memory // MIB} MiB of memory")
    free, whole = _available()
    if free < whole // _SPARE:
        return MachineError(f"the machine has only {free // MIB} MiB of memory left")
    return None


def memory_of(pid: int) -> int:
    """Return the bytes that a process and all its descendants have in memory, but for what they read from files."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parent = int((entry / "stat").read_bytes().rsplit(b")", 1)[1].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        waiting += children.get(one, [])
        total += _resident(one)
    return total


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:")))
    return 0


def _available() -> tuple[int, int]:
    """Return how many bytes of memory the machine has left, and in all."""
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return 1024 * int(fields["MemAvailable"].split()[0]), 1024 * int(fields["MemTotal"].split()[0])
