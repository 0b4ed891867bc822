"""What a user sees of long work: bars with time left on a terminal, plain lines elsewhere. All on stderr.

Standard output belongs to results, so that `--json` can be piped.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_PLAIN_SECONDS = 10.0  # Without a terminal, a line about running work at most this often.
_CONTROLS = dict.fromkeys(map(ord, "\a\b\v\f\r"))

_quiet = False
_hidden = ContextVar("_hidden", default=False)


def set_quiet(quiet: bool) -> None:
    """Show nothing but errors (or everything again)."""
    global _quiet  # noqa: PLW0603 - one terminal, one switch
    _quiet = quiet


@contextlib.contextmanager
def hidden() -> Iterator[None]:
    """Show nothing of what this thread does in the block: others do the same beside it, and somebody tells of all."""
    token = _hidden.set(True)
    try:
        yield
    finally:
        _hidden.reset(token)


@functools.cache
def _console() -> Console:
    from rich.console import Console  # here, since only a terminal needs it, and it loads slowly

    return Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def say(text: str, style: str = "") -> None:
    """Print a line on stderr, even when quiet.

    Args:
        text: the line.
        style: rich's, for a terminal.
    """
    if sys.stderr is None:  # it was closed before we began
        return
    if sys.stderr.isatty():
        _console().print(text, markup=False, style=style)
        return
    with contextlib.suppress(BrokenPipeError):  # nobody reads it
        sys.stderr.write(text.translate(_CONTROLS) + "\n")
        sys.stderr.flush()


def note(text: str) -> None:
    """Print one line about what is being done."""
    if not (_quiet or _hidden.get()):
        say(text)


@functools.cache
def warn(text: str) -> None:
    """Print one warning, once; not silenced by set_quiet."""
    say(f"warning: {text}", "yellow")


class Step(Protocol):
    """Long work under way: tell it how far it is."""

    def update(self, done: float, total: float | None = None) -> None:
        """Say that `done` units are done, of `total` if that is now known."""


class _Nothing:
    def update(self, done: float, total: float | None = None) -> None:
        pass


class _Plain:
    def __init__(self, title: str, total: float | None) -> None:
        self._title, self._total = title, total
        self._begin = self._last = time.monotonic()
        note(f"{title} ...")

    def update(self, done: float, total: float | None = None) -> None:
        self._total = total or self._total
        now = time.monotonic()
        if now - self._last < _PLAIN_SECONDS:
            return
        self._last = now
        if not self._total or not done:
            note(f"{self._title}: {now - self._begin:.0f} s")
            return
        left = (now - self._begin) * max(self._total - done, 0) / done
        note(f"{self._title}: {100 * min(done / self._total, 1):.0f} %, about {left:.0f} s left")

    def finish(self) -> None:
        note(f"{self._title}: done in {time.monotonic() - self._begin:.1f} s")


class _Bar:
    def __init__(self, progress: Progress, title: str, total: float | None) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=total)

    def update(self, done: float, total: float | None = None) -> None:
        if total is not None:
            self._progress.update(self._task, total=total)
        self._progress.update(self._task, completed=done)


@contextlib.contextmanager
def step(title: str, total: float | None = None, *, counted: bool = False) -> Iterator[Step]:
    """Show one piece of long work while the block runs.

    Args:
        title: what is done, e.g. "building the kernel".
        total: how many units there are, None if not known yet.
        counted: show "done/total" rather than a percentage.
    """
    if _quiet or _hidden.get():
        yield _Nothing()
    elif sys.stderr and sys.stderr.isatty():
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        amount = MofNCompleteColumn() if counted else TaskProgressColumn()
        columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
        begin = time.monotonic()
        with Progress(*columns, console=_console(), transient=True) as progress:
            yield _Bar(progress, title, total)
        note(f"{title}: done in {time.monotonic() - begin:.1f} s")
    else:
        plain = _Plain(title, total)
        yield plain
        plain.finish()
