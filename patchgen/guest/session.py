"""The guest: a booted kernel in which commands are run."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from patchgen.errors import GuestError, UsageError
from patchgen.guest import failures, kernel_log, memory, migration
from patchgen.guest.control import Channel, ChannelError, ClosedError, DamagedError, Frame, words
from patchgen.guest.kernel_log import LogLine
from patchgen.guest.qemu import DEBUGGER, Qemu

if TYPE_CHECKING:
    from types import TracebackType

    from patchgen.guest.initramfs import Image
    from patchgen.guest.machine import Machine
    from patchgen.guest.memory import Memory

BOOT_SECONDS = 60.0
RESTORE_SECONDS = 20.0
_DEBUGGING_SECONDS = 86400.0
# The agent kills a command at its time limit and gives it 2 s to be gone; an emulated machine may be slow on top.
_GRACE_SECONDS = 10.0
_SILENT_SECONDS = 8.0  # after which a terminal without an echo is one of a kernel that hangs
# What one command's output and log may be: the agent stops at 1 MiB of output, and the kernel's log is smaller.
_OUTPUT_MAX, _LOG_MAX = 2 << 20, 16 << 20
_RECORDS_MAX = 100_000  # The largest log buffer, of 1 MiB, has room for half as many of one character each.
_EXIT = re.compile(r"(exited|killed) ([0-9]{1,3})((?: (?:timeout|stuck|truncated|lost))*)")
_SCRIPT, _SCRIPT_SECONDS = "/tmp/.script", 3600.0  # noqa: S108 - in the guest
_PUT_BYTES = 4096  # More at a stretch and the 8250 driver complains: see pause_line() in agent.c.


@dataclass(frozen=True)
class CommandResult:
    """What came of a command.

    Attributes:
        command: a shell line, or a program and its arguments.
        status: its exit status, None if a signal ended it.
        signal: the signal that did.
        output: its standard output and error together, as they came.
        log: what the kernel logged meanwhile.
        seconds: wall time as seen from here.
        timed_out: it was killed at its time limit.
        stuck: and did not even die then: it hangs inside the kernel.
        truncated: it printed more than 1 MiB, of which `output` has the beginning.
        log_lost: it made the kernel log more than its buffer holds; `log` has the end.
    """

    command: str | tuple[str, ...]
    status: int | None
    signal: int | None
    output: bytes
    log: tuple[LogLine, ...]
    seconds: float
    timed_out: bool = False
    stuck: bool = False
    truncated: bool = False
    log_lost: bool = False

    @property
    def text(self) -> str:
        """The output as text."""
        return self.output.decode(errors="replace")

    def logged(self, level: str) -> tuple[str, ...]:
        """Return the texts of the log's lines of one level ("err", "warn", ...)."""
        return tuple(line.text for line in self.log if line.level == level)


@dataclass(frozen=True)
class Saved:
    """A guest that was saved, of one kernel, initramfs and machine.

    Attributes:
        state: descriptor of a pipe with the file that QEMU wrote (`migration.stream`), for one guest.
        memory: its memory.
        console: what the kernel had printed until then.
    """

    state: int
    memory: Memory
    console: str


class Guest:
    """A guest, from start to end of a `with` block: `run()` runs commands in it.

    Args:
        kernel: a bzImage.
        image: its initramfs.
        machine: what it runs on.
        saved: one of the same three, to be continued instead of booting.
        to: an empty file into which the machine may be saved, and one that its memory is in; a QMP line is opened.
        time_scale: what all time limits are multiplied by, for a machine that is slower at this time.
    """

    def __init__(
        self,
        kernel: Path,
        image: Image,
        machine: Machine,
        *,
        saved: Saved | None = None,
        to: tuple[Path, Path] | None = None,
        time_scale: float = 1.0,
    ) -> None:
        check_kernel(kernel)
        self._on_debugger: Callable[[Path], None] | None = None
        self._time_scale = time_scale
        self.machine = machine
        self._saved = saved
        self._boot_console = saved.console if saved else ""
        files = [kernel.absolute(), image.path.absolute()]
        arguments = ["-kernel", str(kernel.absolute()), "-initrd", str(image.path.absolute())]
        arguments += ["-append", " ".join(machine.cmdline)]
        if saved:
            arguments += [*memory.arguments(saved.memory.place, machine.memory, shared=False), "-incoming", "defer"]
        if to:
            arguments += memory.arguments(str(to[1].absolute()), machine.memory, shared=True)
        inherited = (saved.memory.descriptor, saved.state) if saved else ()
        self.qemu = Qemu(machine, arguments, files, written=to or (), inherited=inherited)
        self._channel: Channel | None = None

    def debugged(self, on_debugger: Callable[[Path], None]) -> Guest:
        """Let the guest wait for a debugger before its first instruction; then its boot has no time limit.

        Args:
            on_debugger: called with the unix socket at which it waits.
        """
        self._on_debugger, self.qemu.debugged = on_debugger, True
        return self

    def __enter__(self) -> Guest:
        """Start it and wait until it answers.

        Raises:
            GuestError: the kernel does not come up (KernelFailedError says how it failed).
            MachineError: QEMU failed.
        """
        self.qemu.__enter__()
        try:
            self._channel = Channel(self.qemu.control, lambda: self.qemu.flooded)
            if self._on_debugger:
                self._on_debugger(self.qemu.directory / DEBUGGER)
                self._receive(_DEBUGGING_SECONDS, "at boot", wanted=("ready",))
            elif self._saved:
                migration.restore(self.qemu.monitor, self._saved.state)
                self._send(Frame("ping"), "when restored")
                self._receive(RESTORE_SECONDS * self._time_scale, "when restored", wanted=("ack",))
            else:
                self._receive(BOOT_SECONDS * self._time_scale, "at boot", wanted=("ready",))
        except BaseException:
            self.qemu.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it at once: nothing in it is worth an orderly shutdown."""
        self.qemu.stop()

    @property
    def console(self) -> str:
        """Everything the kernel has printed since it was booted; still there after the end."""
        return self._boot_console + self.qemu.console

    @property
    def said(self) -> str:
        """What the kernel has printed since it was restored, or booted if it was not restored."""
        return self.qemu.console

    @property
    def complaints(self) -> tuple[str, ...]:
        """The console's lines that tell of trouble: WARNING, BUG, lockdep reports, stalls, ...; and that it is full."""
        full = ("the console holds no more: what else the kernel printed is lost",) if self.qemu.flooded else ()
        return (*full, *kernel_log.complaints(self.console))

    def run(
        self,
        command: str | Sequence[str],
        timeout: float = 30.0,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """Run a command to its end.

        What it leaves running in the background goes on; such a process must not write to the command's output,
        which is closed.

        Args:
            command: a line for the shell, or a program and its arguments.
            timeout: seconds until it is killed (which is no exception: see CommandResult.timed_out).
            cwd: where it runs, the machine's `directory` if not given.
            env: variables on top of the machine's `environment`.

        Raises:
            GuestError: the kernel died or hangs (KernelFailedError), or the agent could not start it.
            MachineError: QEMU failed.
        """
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        timeout *= self._time_scale
        begin = time.monotonic()
        operation = f"during '{shlex.join(argv) if argv[0] != '/bin/sh' else argv[-1]}'"
        self._send(Frame("run", words([int(timeout * 1000), *self._start_of(cwd, env), *argv])), operation)
        output, log = bytearray(), bytearray()
        deadline = begin + timeout + _GRACE_SECONDS * self._time_scale
        while True:
            frame = self._receive(deadline - time.monotonic(), operation, wanted=("out", "log", "exit"))
            if frame.kind == "exit":
                break
            (output if frame.kind == "out" else log).extend(frame.payload)
            if len(output) > _OUTPUT_MAX or len(log) > _LOG_MAX or log.count(b"\n") > _RECORDS_MAX:
                raise failures.garbled("it does not stop", self.console, operation)
        how, number, notes = self._ending(frame, operation)
        return CommandResult(
            command=command if isinstance(command, str) else tuple(command),
            status=number if how == "exited" else None,
            signal=number if how == "killed" else None,
            output=bytes(output),
            log=kernel_log.parse_records(bytes(log)),
            seconds=time.monotonic() - begin,
            timed_out="timeout" in notes,
            stuck="stuck" in notes,
            truncated="truncated" in notes,
            log_lost="lost" in notes,
        )

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file in the guest.

        Raises:
            GuestError: the guest could not write it.
        """
        for offset in range(0, max(len(data), 1), _PUT_BYTES):
            head = f"{mode:o} {offset} {path}\0".encode()
            self._send(Frame("put", head + data[offset : offset + _PUT_BYTES]), f"while writing {path}")
            self._receive(30 * self._time_scale, f"while writing {path}", wanted=("ack",))

    def interact(self) -> int:
        """Lend the user's terminal to a shell in the guest until that ends or Ctrl-] is typed.

        Where standard input is no terminal it is a script, which the shell runs.

        Returns:
            The shell's exit status, 0 after Ctrl-].

        Raises:
            GuestError: the kernel died, has no pseudo terminals, or had stopped answering when Ctrl-] was typed.
        """
        from patchgen.guest import terminal

        if not terminal.is_there():
            return self._run_script(terminal.script())
        columns, rows = terminal.size()
        start = [columns, rows, *self._start_of(None, terminal.environment()), "/bin/sh", "-l"]
        operation = "in the shell"
        self._send(Frame("shell", words(start)), operation)
        silence = terminal.Silence(_SILENT_SECONDS * self._time_scale)
        with terminal.raw() as user:
            while True:
                for frame in user.frames(self.channel):
                    self._send(frame, operation)
                    silence.typed(frame)
                if user.left:
                    if silence.is_long():
                        raise GuestError("the kernel under test did not answer any more")
                    return 0
                if silence.is_new():
                    terminal.show(b"\r\n[the kernel does not answer; Ctrl-] ends it]\r\n")
                while user.pending(self.channel):
                    silence.broken()
                    frame = self._receive(_GRACE_SECONDS, operation, wanted=("out", "exit"))
                    if frame.kind == "exit":
                        return self._ending(frame, operation)[1]
                    terminal.show(terminal.tamed(frame.payload) if self.machine.sandbox else frame.payload)

    def _run_script(self, script: bytes) -> int:
        from patchgen.guest import terminal

        self.put(_SCRIPT, script)
        result = self.run(f"exec sh {_SCRIPT}", timeout=_SCRIPT_SECONDS)
        terminal.show(terminal.tamed(result.output) if self.machine.sandbox else result.output)
        return result.status if result.status is not None else 128 + (result.signal or 0)

    @property
    def channel(self) -> Channel:
        """The control channel."""
        assert self._channel is not None, "inside the with block"
        return self._channel

    def _start_of(self, cwd: str | None, env: Mapping[str, str] | None) -> list[str | int]:
        merged = dict(self.machine.environment) | dict(env or {})
        return [cwd or self.machine.directory, len(merged), *(f"{name}={value}" for name, value in merged.items())]

    def _send(self, frame: Frame, operation: str) -> None:
        try:
            self.channel.send(frame)
        except ChannelError as error:
            self._fail(error, 30, operation)

    def _receive(self, timeout: float, operation: str, *, wanted: tuple[str, ...]) -> Frame:
        try:
            frame = self.channel.receive(timeout)
        except ChannelError as error:
            self._fail(error, timeout, operation)
        if frame.kind == "error":
            raise GuestError(f"the guest's agent failed {operation}: {frame.text}")
        if frame.kind not in wanted:
            raise failures.garbled(f"an unexpected frame '{frame.kind}'", self.console, operation)
        return frame

    def _ending(self, frame: Frame, operation: str) -> tuple[str, int, list[str]]:
        """Return what an exit frame says: "exited" or "killed", the number, and the agent's notes."""
        match = _EXIT.fullmatch(frame.text)
        if match is None:
            raise failures.garbled(f"a command ended with {frame.text[:80]!r}", self.console, operation)
        return match[1], int(match[2]), match[3].split()

    def _fail(self, error: ChannelError, timeout: float, operation: str) -> NoReturn:
        """Raise what the channel's failure means."""
        if isinstance(error, DamagedError):
            raise failures.garbled(str(error), self.console, operation) from error
        if self.qemu.over:
            raise self.qemu.over from error
        if self.qemu.flooded:
            raise failures.flooded(self.console, operation) from error
        status = self.qemu.ended(timeout=5.0 if isinstance(error, ClosedError) else 0.0)
        if status is None:
            raise failures.silent(timeout, self.console, operation) from error
        raise failures.ended(status, self.qemu.said(), self.console, operation) from error


def check_kernel(path: Path) -> None:
    """Check that a file is a whole bzImage, as Documentation/x86/boot.txt of the kernel describes it.

    Raises:
        UsageError: it cannot be read.
        GuestError: it is something else, or cut off.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(0x210)
    except OSError as error:
        raise UsageError(f"cannot read the kernel {path}: {error.strerror}") from error
    if len(head) < 0x210 or head[0x1FE:0x200] != b"\x55\xaa" or head[0x202:0x206] != b"HdrS":
        raise GuestError(f"{path} is not a bzImage", hint="give arch/x86/boot/bzImage of a kernel's build directory")
    setup_sectors = head[0x1F1] or 4
    whole = (setup_sectors + 1) * 512 + int.from_bytes(head[0x1F4:0x1F8], "little") * 16
    if size < whole:
        raise GuestError(f"{path} is cut off: it has {size} bytes of {whole}")
