"""Two trees of errors: what the user or the submission got wrong, and what the machine could not do.

A verdict on somebody's work must never rest on a broken machine, so every error says which side it is on
by its class, and the command line turns the class into its exit status.
"""

from __future__ import annotations

from patchgen.text import visible


class PatchgenError(Exception):
    """Base of both trees.

    Args:
        message: what is wrong and where, one sentence or a few lines, without a trailing full stop.
        hint: what to do about it, if that is known.
        evidence: text that shows it (compiler lines, console lines), printed below the message.

    Message and evidence may have an untrusted submission's words in them: what a terminal would obey is spelled out.
    """

    exit_status = 3

    def __init__(self, message: str, *, hint: str = "", evidence: str = "") -> None:
        self.message = visible(message)
        self.hint = hint
        self.evidence = visible(evidence)
        super().__init__(self.message)


class UserError(PatchgenError):
    """Something the user gave is wrong."""

    exit_status = 2


class UsageError(UserError):
    """The command line, a setting or a file named there makes no sense (exit status 2)."""


class BaseError(UserError):
    """What was given as the kernel source is not a usable base (exit status 2)."""


class SubmissionError(UserError):
    """The thing checked is wrong: a series, a patch, a kernel, a bundle (exit status 1)."""

    exit_status = 1


class SeriesError(SubmissionError):
    """The series' data or templates are wrong: undefined name, syntax, an anchor that does not match once."""


class ApplyError(SubmissionError):
    """A patch does not apply to its base."""


class BuildError(SubmissionError):
    """The kernel does not build."""


class OverLimitError(SubmissionError):
    """An untrusted program used more time, memory or output than the sandbox allows."""


class GuestError(SubmissionError):
    """The kernel under test panicked, hung or never became ready."""


class MachineError(PatchgenError):
    """The machine or its environment failed (exit status 3)."""


class ToolMissingError(MachineError):
    """A program or library that must be installed is not there."""


class DownloadError(MachineError):
    """A download failed, was cut off or has the wrong checksum."""


class TimeoutExpiredError(MachineError):
    """A program did not end within its time."""


class CommandError(MachineError):
    """A program that was expected to succeed ended with a non-zero status.

    Args:
        argv: the command.
        status: its exit status (negative: the signal that ended it).
        output: the end of what it printed.
    """

    def __init__(self, argv: list[str], status: int, output: str) -> None:
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        super().__init__(f"{argv[0]} {how}: {' '.join(argv)}", evidence=output)
        self.argv = argv
        self.status = status
        self.output = output
