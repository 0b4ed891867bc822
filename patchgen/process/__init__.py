"""The one place that starts programs.

Every call names its working directory and its time limit, and starts from an environment that is built
here, not inherited: a user's `GIT_DIR`, `MAKEFLAGS`, `LC_ALL` or `TZ` must not reach what we run. A program
that outlives its limit or our Ctrl-C is ended with its whole process group.

git is the exception by design: GitPython starts it, with the same environment (base/git.py).
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from patchgen.errors import CommandError, MachineError, OverLimitError, TimeoutExpiredError, ToolMissingError
from patchgen.process import running
from patchgen.process.confinement import Confined, Confinement, Pipe

# What a program may inherit. Proxies and certificates belong to the machine, not to the user's habits.
_INHERITED = (
    "PATH",
    "HOME",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
_EVIDENCE_LINES = 40
_PIECE = 1 << 20
_LINE_MAX = 65536  # of an untrusted program


@dataclass(frozen=True)
class Result:
    """What a finished program left.

    Attributes:
        argv: the command.
        status: exit status, or minus the signal's number.
        stdout: its standard output.
        stderr: its standard error ("" where both went to stdout).
        seconds: wall time.
    """

    argv: list[str]
    status: int
    stdout: str
    stderr: str
    seconds: float


@dataclass(frozen=True)
class Through:
    """What a program is started through.

    Attributes:
        words: a command that starts it in its turn, outside the sandbox.
        descriptors: those that it inherits.
    """

    words: Sequence[str]
    descriptors: Sequence[int] = ()


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment that programs get: the few inherited names, C locale, UTC, then `extra`."""
    env = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    env.setdefault("PATH", os.defpath)
    env.update({"LC_ALL": "C.UTF-8", "LANGUAGE": "C", "TZ": "UTC"})
    env.update(extra or {})
    return env


def find(program: str) -> str:
    """Return the path of `program`.

    Raises:
        ToolMissingError: it is not installed.
    """
    path = shutil.which(program)
    if path is None:
        raise ToolMissingError(f"{program} is not installed", hint="run 'patchgen doctor' to see what installs it")
    return path


def tail(text: str, lines: int = _EVIDENCE_LINES) -> str:
    """Return the last `lines` lines of `text`, which is where programs say what went wrong."""
    return "\n".join(text.rstrip().splitlines()[-lines:])


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process started with its own session, and everything it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        try:
            process.wait(timeout=3)
        except subprocess.TimeoutExpired:
            continue
        # The leader is gone; what it left behind in its group goes as well.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        return


def launch(
    words: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stderr: int = subprocess.PIPE,
    sandbox: Confinement | None = None,
    through: Through | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own; the caller ends it.

    Args:
        words: the command.
        cwd: its working directory; in a sandbox, one that it sees there.
        env: variables on top of `environment()`.
        stderr: as for subprocess.Popen.
        sandbox: what it is shut in, and what it reads. Apart from the descriptors in `through` it
            gets pipes only, never a descriptor of a file.
        through: what starts it in its turn.

    Raises:
        ToolMissingError: the program does not exist.
        MachineError: it cannot be started.
    """
    whole, command, descriptors = environment(env), [*words], [*(through.descriptors if through else ())]
    with ExitStack() as stack:
        kind: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen
        if sandbox:
            pipe = stack.enter_context(Pipe())
            descriptors += [stack.enter_context(sandbox.entered()), pipe.written]
            command, cwd, whole = sandbox.argv(words, cwd, *descriptors[-2:]), Path("/"), sandbox.environment(env)
            kind = functools.partial(Confined, pipe)
        try:
            return kind(
                [*(through.words if through else ()), *command],
                cwd=cwd,
                env=whole,
                stdin=subprocess.PIPE if sandbox and sandbox.feed else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
                pass_fds=descriptors,
            )
        except FileNotFoundError as error:
            if error.filename == str(cwd):
                raise MachineError(f"the directory {cwd} is gone") from error
            raise ToolMissingError(f"{command[0]} is not installed", hint="run 'patchgen doctor'") from error
        except OSError as error:
            raise MachineError(f"cannot start {command[0]}: {error.strerror}") from error


@contextlib.contextmanager
def _interrupts_held() -> Iterator[Callable[[], None]]:
    """Let a Ctrl-C wait until the function that this gives is called, or the block is left.

    Popen can be interrupted when the program runs already; nobody has its process id then, and nobody ends it.
    """
    came, before = threading.Event(), signal.getsignal(signal.SIGINT)
    # Only the main thread is interrupted. What we ignore the program shall ignore too, so that is left as it is.
    held = callable(before) and threading.current_thread() is threading.main_thread()

    def release() -> None:
        nonlocal held
        if held and callable(before):
            held = False
            signal.signal(signal.SIGINT, before)
            if came.is_set():
                before(signal.SIGINT, None)

    if held:
        signal.signal(signal.SIGINT, lambda *_: came.set())
    try:
        yield release
    finally:
        release()


@contextlib.contextmanager
def started(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stderr: int = subprocess.PIPE,
    sandbox: Confinement | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program and make sure it and its children are gone when the block is left by an exception.

    Args:
        argv: the command.
        cwd: its working directory.
        env: variables on top of `environment()`.
        stderr: as for subprocess.Popen.
        sandbox: what it is shut in; the working directory is one that it sees there.

    Raises:
        ToolMissingError: the program does not exist.
        MachineError: it cannot be started.
        OverLimitError: it took more memory than the sandbox allows.
    """
    words = [str(word) for word in argv]
    with _interrupts_held() as release:
        process = launch(words, cwd=cwd, env=env, stderr=stderr, sandbox=sandbox)
        with running.noted(process), sandbox.watch(process) if sandbox else contextlib.nullcontext():
            try:
                release()
                yield process
            except BaseException:
                end_group(process)
                raise


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    timeout: float,
    env: Mapping[str, str] | None = None,
    check: bool = True,
    sandbox: Confinement | None = None,
) -> Result:
    """Run a program to its end.

    Args:
        argv: the command.
        cwd: its working directory.
        timeout: seconds until it is ended.
        env: variables on top of `environment()`.
        check: a non-zero status is an error.
        sandbox: what it is shut in; then its standard error goes to where its standard output goes.

    Raises:
        CommandError: non-zero status, with `check`.
        TimeoutExpiredError: it did not end in time.
        ToolMissingError: it does not exist.
        OverLimitError: it did not keep to the sandbox's limits.
    """
    words = [str(word) for word in argv]
    if sandbox:
        result = follow(words, cwd=cwd, timeout=timeout, env=env, sandbox=sandbox)
        if check and result.status:
            raise CommandError(words, result.status, tail(result.stdout))
        return result
    begin = time.monotonic()
    with started(words, cwd=cwd, env=env) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise TimeoutExpiredError(f"{words[0]} did not end within {timeout:g} s: {' '.join(words)}") from error
    stdout, stderr = out.decode(errors="replace"), err.decode(errors="replace")
    if check and process.returncode:
        raise CommandError(words, process.returncode, tail(stdout + stderr))
    return Result(words, process.returncode, stdout, stderr, time.monotonic() - begin)


def follow(
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    timeout: float,
    on_line: Callable[[str], None] = lambda _: None,
    env: Mapping[str, str] | None = None,
    sandbox: Confinement | None = None,
) -> Result:
    """Run a long program and hand over each line of its output (both streams) as it comes.

    Args:
        argv: the command.
        cwd: its working directory.
        timeout: seconds until it is ended.
        on_line: called with each line, without its newline.
        env: variables on top of `environment()`.
        sandbox: what it is shut in; it may print so much, and its lines come in pieces if they are long.

    Returns:
        The result; its status is not checked, its stdout holds all lines.

    Raises:
        TimeoutExpiredError: it did not end in time; OverLimitError in a sandbox.
        ToolMissingError: it does not exist.
        OverLimitError: it did not keep to the sandbox's other limits.
        MachineError: the file cannot be read.
    """
    words = [str(word) for word in argv]
    begin = time.monotonic()
    lines: list[str] = []
    timeout = sandbox.patience(timeout) if sandbox else timeout
    with ExitStack() as stack:
        process = stack.enter_context(started(words, cwd=cwd, env=env, stderr=subprocess.STDOUT, sandbox=sandbox))
        assert process.stdout is not None
        if sandbox and sandbox.feed:
            stack.enter_context(_feeding(sandbox.feed, process))
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            end_group(process)

        timer = threading.Timer(timeout, expire)
        timer.start()
        try:
            for raw in _limited(process.stdout, sandbox) if sandbox else process.stdout:
                line = raw.decode(errors="replace").rstrip("\n")
                lines.append(line)
                on_line(line)
            process.wait()
        finally:
            timer.cancel()
    if expired.is_set():
        fault = OverLimitError if sandbox else TimeoutExpiredError
        shown = "" if sandbox else f": {' '.join(words)}"
        raise fault(f"{words[0]} did not end within {timeout:g} s{shown}", evidence="\n".join(lines[-20:]))
    status = sandbox.status(process.returncode) if sandbox else process.returncode
    return Result(words, status, "\n".join(lines), "", time.monotonic() - begin)


@contextlib.contextmanager
def _feeding(path: Path, process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Copy a file to a program's standard input from a thread of its own, as long as the program reads.

    It never gets the file's own descriptor: /proc/self/fd/0 would open that file again, for writing where its owner may
    write.

    Raises:
        MachineError: the file cannot be read.
    """
    target = process.stdin
    assert target is not None, "it was started with a pipe"
    try:
        source = path.open("rb")
    except OSError as error:
        raise MachineError(f"cannot read {path}: {error.strerror}") from error

    def copy() -> None:
        with source, contextlib.suppress(BrokenPipeError), target:
            shutil.copyfileobj(source, target, _PIECE)

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    yield
    thread.join()


def _limited(stream: IO[bytes], sandbox: Confinement) -> Iterator[bytes]:
    """Give the lines of a stream that may never end, nor any line in it.

    Raises:
        OverLimitError: there is more than the sandbox allows.
    """
    left = sandbox.limits.output
    while line := stream.readline(_LINE_MAX):
        left -= len(line)
        if left < 0:
            raise OverLimitError(
                f"it printed more than {sandbox.limits.output} bytes", evidence=tail(line.decode(errors="replace"))
            )
        yield line
