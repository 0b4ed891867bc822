"""One QEMU process: started, connected to, and gone when the block is left, whatever happens.

The console goes to a file. QEMU connects the other lines to sockets that listen here before it starts: nothing
the guest says can come too early, and there is no connecting to retry.

It runs in a session of its own, so that Ctrl-C reaches only us and we end it; setpriv makes the kernel end it
when even our own end was sudden. (That is tied to the thread that started it: it must outlive the guest.)

For an untrusted kernel it runs in the machine's sandbox, with everything at the same place: it sees its directory, of
which it can write the console only, and the files that it was given.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from patchgen import process
from patchgen.errors import MachineError
from patchgen.process import running
from patchgen.sandbox import GUEST, MIB, Watch, open_to

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from patchgen.errors import PatchgenError
    from patchgen.guest.machine import Machine
    from patchgen.sandbox import Sandbox

DEBUGGER = "debugger"  # the socket at which a debugger is waited for
_CONNECT_SECONDS = 20.0
_SOCKET_PATH_MAX = 107  # sun_path of unix(7), less its NUL
# Of an untrusted kernel's console. A serial line that is emulated takes minutes for that.
CONSOLE_MAX = 8 * MIB
# A hostile kernel could fill the disk through its console; a saved guest is smaller than its memory.
_FILE_MAX = 1 << 30


class Qemu:
    """A QEMU process and its lines to the outside. Use it in a `with` block.

    Args:
        machine: what it emulates.
        arguments: what else it is started with (kernel, initramfs, -incoming).
        files: those that they name.
        written: files that it writes when it is saved.
        inherited: descriptors of a saved guest's memory and state. For restoring one and for saving, a QMP line is
            opened.

    Attributes:
        debugged: it waits for a debugger before its first instruction, at the socket DEBUGGER in its directory.
        directory: a private directory, its working directory.
        control: the socket of the second serial line.
        monitor: the socket of QMP, if there is a line.
    """

    def __init__(
        self,
        machine: Machine,
        arguments: list[str],
        files: Sequence[Path],
        *,
        written: Sequence[Path] = (),
        inherited: Sequence[int] = (),
    ) -> None:
        self._machine = machine
        self.debugged = False
        self._arguments = arguments
        self._files, self._written, self._inherited = files, written, inherited
        self._lines = ["control", *(["monitor"] if written or inherited else [])]
        self._process: subprocess.Popen[bytes] | None = None
        self._sockets: dict[str, socket.socket] = {}
        self._console = ""
        self._flooded = False
        self._said: str | None = None
        self._watch: Watch | None = None
        self._noted = contextlib.ExitStack()

    def __enter__(self) -> Qemu:
        """Start it.

        Raises:
            MachineError: QEMU or one of util-linux's programs is missing, or QEMU refused to start.
        """
        argv = self._argv()
        self.directory = _private_directory()
        try:
            with contextlib.ExitStack() as stack:
                listeners = {name: stack.enter_context(_listener(self.directory / name)) for name in self._lines}
                sandbox = self._machine.sandbox
                self._start(argv, self._shut_in(sandbox) if sandbox else None)
                for name, listener in listeners.items():
                    self._sockets[name] = self._accept(listener)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def control(self) -> socket.socket:
        """The socket of the second serial line."""
        return self._sockets["control"]

    @property
    def monitor(self) -> socket.socket:
        """The socket of the QMP line."""
        return self._sockets["monitor"]

    @property
    def console(self) -> str:
        """What the kernel has printed so far; still there after the end."""
        path = self.directory / "console"
        with contextlib.suppress(FileNotFoundError):
            with path.open("rb") as file:
                self._console = file.read(self._most).decode(errors="replace").replace("\r\n", "\n")
        return self._console

    @property
    def flooded(self) -> bool:
        """Whether the console has all that it may hold; what came after that is lost."""
        path = self.directory / "console"
        with contextlib.suppress(FileNotFoundError):
            self._flooded = path.stat().st_size >= self._most
        return self._flooded

    @property
    def _most(self) -> int:
        return CONSOLE_MAX if self._machine.sandbox else _FILE_MAX

    def ended(self, timeout: float = 0.0) -> int | None:
        """Return the exit status (minus the signal's number); None if QEMU has not ended within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            status = self._running.poll()
            if status is not None and self._machine.sandbox:
                status = self._machine.sandbox.status(status)
            if status is not None or time.monotonic() >= deadline:
                return status
            time.sleep(0.002)

    @property
    def over(self) -> PatchgenError | None:
        """What it was ended for by the sandbox, None if it was not."""
        return self._watch.over if self._watch else None

    def said(self) -> str:
        """Return what QEMU itself printed. Only after its end."""
        if self._said is None:
            assert self._running.stdout is not None, "it was started with a pipe"
            self._said = _drain(self._running.stdout, GUEST.output, 2).decode(errors="replace").strip()
        return self._said

    def stop(self) -> None:
        """End it if it has not ended, and remove its directory. Calling this again does nothing."""
        for line in self._sockets.values():
            line.close()
        if self._watch is not None:
            self._watch.stop()
        if self._process is not None:
            _end(self._process)
            self._noted.close()
            self.said()
            assert self._process.stdout is not None, "it was started with a pipe"
            self._process.stdout.close()
        _ = self.console, self.flooded  # read it before its file goes
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it was started"
        return self._process

    def _shut_in(self, sandbox: Sandbox) -> Sandbox:
        """Return the sandbox for QEMU, and open to it what it needs."""
        console = self.directory / "console"
        console.touch()
        for path in (self.directory, *self.directory.iterdir()):
            open_to(path)
        own = (self.directory, *self._files)
        writable = [console, *self._written]
        return replace(
            sandbox,
            limits=GUEST,
            readable=(*sandbox.readable, *((path, path) for path in own)),
            writable=tuple((path, path) for path in writable),
        )

    def _argv(self) -> list[str]:
        argv = [*self._machine.argv(), "-serial", "file:console"]
        for name in self._lines:
            argv += ["-chardev", f"socket,id={name},path={name}"]
        argv += ["-serial", "chardev:control"]
        if "monitor" in self._lines:
            argv += ["-mon", "chardev=monitor,mode=control"]
        if self.debugged:
            argv += ["-chardev", f"socket,id=gdb,path={DEBUGGER},server=on,wait=off", "-gdb", "chardev:gdb", "-S"]
        return argv + self._arguments

    def _start(self, argv: list[str], sandbox: Sandbox | None) -> None:
        through = process.Through(_guard(), self._inherited)
        self._process = process.launch(
            argv, cwd=self.directory, stderr=subprocess.STDOUT, sandbox=sandbox, through=through
        )
        self._noted.enter_context(running.noted(self._process))
        if sandbox:
            self._watch = Watch(GUEST, self._process)

    def _accept(self, listener: socket.socket) -> socket.socket:
        deadline = time.monotonic() + _CONNECT_SECONDS
        while time.monotonic() < deadline:
            if select.select([listener], [], [], 0.02)[0]:
                return listener.accept()[0]
            status = self.ended()
            if status is not None:
                raise MachineError(f"QEMU did not start ({_how(status)})", evidence=self.said())
        raise MachineError(f"QEMU did not start within {_CONNECT_SECONDS:g} s", evidence=self.console)


def _guard() -> list[str]:
    """Return what QEMU is started by: something that ends it with us, and limits on files."""
    guard = [process.find("setpriv"), "--pdeathsig", "KILL", process.find("prlimit")]
    return [*guard, f"--fsize={_FILE_MAX}", "--core=0"]


def _drain(stream: IO[bytes], most: int, seconds: float) -> bytes:
    """Return what a program has printed until its end, at most so many bytes, waiting at most so many seconds."""
    data, deadline = b"", time.monotonic() + seconds
    while len(data) < most and select.select([stream], [], [], max(deadline - time.monotonic(), 0))[0]:
        if not (piece := os.read(stream.fileno(), most - len(data))):
            break
        data += piece
    return data


def _how(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"


def _private_directory() -> Path:
    """Make a directory whose sockets' paths are short enough."""
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp makes it private
        path = Path(tempfile.mkdtemp(prefix="pg-", dir=parent))
        if len(os.fsencode(path / "control")) <= _SOCKET_PATH_MAX:
            return path
        path.rmdir()
    raise MachineError(f"paths in {path.parent} are too long for a socket", hint="set TMPDIR to a shorter path")


@contextlib.contextmanager
def _listener(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(1)
        yield listener


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what was started and whatever that has started, and wait for it."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
