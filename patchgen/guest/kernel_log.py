"""Read what a kernel says: records of /dev/kmsg, and a console's text."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

# The eight of syslog(2), as the kernel names them in KERN_ERR and so on.
LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")

# "prio,sequence,timestamp,flags[,...];text", Documentation/ABI/testing/dev-kmsg. `prio` is facility * 8 + level.
_RECORD = re.compile(r"(?P<prio>[0-9]{1,6}),\d+,\d+,(?P<flag>[^,;]*)[^;]*;(?P<text>.*)", re.DOTALL)
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")
_LINE = re.compile(r"[^\r\n]+")
_LONGEST = 4000  # characters of a line
_STAMP = re.compile(r"^\[ *\d+\.\d+\] ")

# How a kernel announces its end (with oops=panic, an oops is one) ...
_FATAL = re.compile(
    r"Kernel panic - not syncing|BUG: unable to handle|kernel BUG at|Oops: |general protection fault|double fault"
)
# ... and any trouble: its own checks (WARN_ON, lockdep, RCU, slab, kmemleak), stalls, no memory.
_COMPLAINT = re.compile(
    rf"{_FATAL.pattern}|WARNING: |BUG[: ]|Bad page state|soft lockup|hard LOCKUP|possible \w+ locking|"
    r"INFO: (?:rcu\w* |task |possible |inconsistent |suspicious |trying to register )|detected stalls?|"
    r"kmemleak: \d+ new|unreferenced object|scheduling while atomic|suspicious RCU usage|Out of memory: Kill|"
    # It has left a lock or a check behind, or given up checking.
    r"exited with preempt_count|preempt_count \w+, exited|ODEBUG: |detector disabled|locking correctness validator"
)


@dataclass(frozen=True)
class LogLine:
    """One printk() of the kernel.

    Attributes:
        level: one of LEVELS; "err" is KERN_ERR.
        text: its text without the level and the final newline. A newline in it is one that the kernel code wrote.
    """

    level: str
    text: str


def parse_records(data: bytes) -> tuple[LogLine, ...]:
    """Return the messages of records read from /dev/kmsg.

    The kernel writes bytes that do not print, and backslashes, as \\xNN; they are put back. Lines that begin with
    a space are a record's key-value pairs and left out. A record flagged "c" continues the one before.
    """
    lines: list[LogLine] = []
    for raw in data.split(b"\n"):
        if not raw or raw.startswith(b" "):
            continue
        text = _ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()), raw).decode(errors="replace")
        match = _RECORD.match(text)
        if match is None:
            lines.append(LogLine("info", text))
        elif match["flag"] == "c" and lines:
            lines[-1] = LogLine(lines[-1].level, lines[-1].text + match["text"])
        else:
            lines.append(LogLine(LEVELS[int(match["prio"]) % 8], match["text"]))
    return tuple(lines)


def complaints(console: str) -> tuple[str, ...]:
    """Return the console's lines in which the kernel says that something is wrong: panic, BUG, WARNING, stalls, ..."""
    return tuple(unstamped(line)[:_LONGEST] for line in _lines(console) if _COMPLAINT.search(line))


def fatal(console: str) -> str | None:
    """Return the first line that tells of the kernel's end, None if there is none."""
    return next((unstamped(line)[:_LONGEST] for line in _lines(console) if _FATAL.search(line)), None)


def excerpt(console: str, lines: int = 25) -> str:
    """Return the part of a console that shows what went wrong: from just before the first fatal line, else the end."""
    last: deque[str] = deque(maxlen=lines)
    shown: list[str] = []
    for line in filter(str.strip, _lines(console)):
        if shown or _FATAL.search(line):
            shown = [*(shown or list(last)[-3:]), line[:_LONGEST]]
        if len(shown) == lines:
            return "\n".join(shown)
        last.append(line[:_LONGEST])
    return "\n".join(last)


def tail(console: str, lines: int) -> str:
    """Return a console's last lines."""
    return "\n".join(console[-_LONGEST * lines :].splitlines()[-lines:])


def unstamped(line: str) -> str:
    """Return a console line without the time before it."""
    return _STAMP.sub("", line)


def _lines(console: str) -> Iterator[str]:
    """Give the lines that are not empty one by one: as a list, short ones take fifty times the console's memory."""
    return (match[0] for match in _LINE.finditer(console))
