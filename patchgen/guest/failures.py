"""Say what a dead or silent guest died of: the kernel under test, or the machine around it.

The signs, first that fits: QEMU ended with an error of its own or by a signal (the machine's fault); the kernel
printed a panic, BUG or oops; the machine reset without any such line (a triple fault); nothing comes any more. A
kernel that prints without end is told so when its console has reached the limit on its file.
"""

from __future__ import annotations

import signal
from typing import Literal

from patchgen.errors import GuestError, MachineError, PatchgenError
from patchgen.guest import kernel_log

# QEMU prints this on SIGINT, SIGTERM and SIGHUP, and ends with status 0.
_TERMINATED = "terminating on signal"

Kind = Literal["panic", "reset", "never-boots", "hang", "garbled", "flood"]


class KernelFailedError(GuestError):
    """The kernel under test died or went silent.

    Args:
        message: what happened, and when.
        kind: "panic" (or BUG, oops), "reset" without a word, "never-boots", "hang", "garbled" control channel,
            "flood" of its console or that channel.
        console: everything that the kernel printed.

    The evidence is the console's part that shows it.
    """

    def __init__(self, message: str, *, kind: Kind, console: str, hint: str = "") -> None:
        super().__init__(message, hint=hint, evidence=kernel_log.excerpt(console))
        self.kind = kind
        self.console = console


def ended(status: int, said: str, console: str, operation: str) -> PatchgenError:
    """Return the error for a guest whose QEMU has ended by itself.

    Args:
        status: QEMU's exit status, minus the signal's number if one ended it.
        said: what QEMU printed.
        console: what the kernel printed.
        operation: when it happened, such as "at boot" or "during 'ls'".
    """
    if status == -signal.SIGXFSZ:
        return flooded(console, operation)
    if status:
        how = f"failed with status {status}" if status > 0 else f"was ended by signal {-status}"
        return MachineError(f"QEMU {how} {operation}", evidence=said)
    if _TERMINATED in said:
        return MachineError(f"somebody has ended QEMU {operation}", evidence=said)
    cause = kernel_log.fatal(console)
    if cause is not None:
        return KernelFailedError(f"the kernel died {operation}: {cause}", kind="panic", console=console)
    if not console.strip():
        return KernelFailedError(
            f"the kernel never boots: the machine reset {operation} before a line was printed (a triple fault)",
            kind="never-boots",
            console=console,
        )
    return KernelFailedError(
        f"the machine reset {operation} without a panic (a triple fault)", kind="reset", console=console
    )


def silent(seconds: float, console: str, operation: str) -> KernelFailedError:
    """Return the error for a guest that does not answer any more.

    Args:
        seconds: how long it was waited for.
        console: what the kernel printed.
        operation: when it happened.
    """
    cause = kernel_log.fatal(console)
    if cause is not None:
        return KernelFailedError(f"the kernel died {operation} and hung: {cause}", kind="panic", console=console)
    if not console.strip():
        return KernelFailedError(
            f"the kernel never boots: nothing was printed within {seconds:g} s",
            kind="never-boots",
            console=console,
            hint="is its console on the first serial line (CONFIG_SERIAL_8250_CONSOLE)?",
        )
    return KernelFailedError(f"the guest hangs {operation}: no answer for {seconds:g} s", kind="hang", console=console)


def flooded(console: str, operation: str) -> KernelFailedError:
    """Return the error for a kernel whose console has grown to its limit."""
    return KernelFailedError(f"the kernel floods its console {operation}", kind="flood", console=console)


def garbled(why: str, console: str, operation: str) -> KernelFailedError:
    """Return the error for a guest that answers with something that is not an answer."""
    return KernelFailedError(f"the guest answers nonsense {operation}: {why}", kind="garbled", console=console)
