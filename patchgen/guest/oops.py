"""An oops, a BUG or a warning on a kernel's console, read: what it says, and in which functions it happened.

The kernel prints functions as `name+0xoffset/0xsize`, since it has its symbols (CONFIG_KALLSYMS).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from patchgen.guest import kernel_log

_FRAME = re.compile(r"([A-Za-z_][\w.]*)\+0x([0-9a-f]{1,8})/0x[0-9a-f]{1,8}")
_HERE = re.compile(r"^(?:E?IP|RIP|PC): |^WARNING: ")
_TRACE = re.compile(r"^\s*(?:Call Trace|Call trace|backtrace|Backtrace):")
_FILE = re.compile(r"\b(?:kernel BUG|WARNING:.*?) at (?:\.\./src/|\./|\.\./)*([\w./-]+\.[chS]):(\d+)")
_LINES, _LONGEST = 200, 400
# What the compiler adds to a function's name, and the kernel to a system call's.
_SUFFIX = re.compile(r"\.(?:isra|constprop|part|cold)[.\d]*")
_CALL = re.compile(r"^(?:__)?(?:sys|SyS|SYSC|se_sys|do_sys|ia32_sys)_")


@dataclass(frozen=True)
class Frame:
    """A place in a function.

    Attributes:
        function: its name as the kernel prints it.
        offset: in bytes from its beginning.
    """

    function: str
    offset: int

    @property
    def name(self) -> str:
        """The function's name in the source; of a system call, that without sys_."""
        return _CALL.sub("", _SUFFIX.sub("", self.function))


@dataclass(frozen=True)
class Oops:
    """What a kernel has said of its trouble.

    Attributes:
        what: the first line of it, without the time.
        frames: where it happened, from the inside out. The kernel's guesses ("? name") are there only if it has nothing
            better: without frame pointers all are guesses.
        place: file and line that the kernel itself names (BUG_ON, WARN_ON), "PATH:LINE", or "".
    """

    what: str
    frames: tuple[Frame, ...]
    place: str = ""

    @property
    def reason(self) -> str:
        """What happened, without where."""
        words = self.what.removeprefix("BUG: ").removeprefix("WARNING: ")
        if self.place:
            return "BUG()" if "kernel BUG at" in self.what else "WARN_ON()"
        return re.sub(r" at (?:\(null\)|[0-9a-f]{8,16})$", "", words)


def read(console: str) -> Oops | None:
    """Return the first trouble on a console, None if there is none.

    Args:
        console: what the kernel has printed, or a part of it.
    """
    lines = [kernel_log.unstamped(line) for line in console.splitlines()]
    first = next((number for number, line in enumerate(lines) if kernel_log.complaints(line)), None)
    if first is None:
        return None
    here, sure, guessed = list[Frame](), list[Frame](), list[Frame]()
    tracing = False
    for line in lines[first : first + _LINES]:
        tracing |= bool(_TRACE.match(line))
        found = [Frame(match[1], int(match[2], 16)) for match in _FRAME.finditer(line[:_LONGEST])]
        if _HERE.match(line):
            here += found
        elif tracing:
            (guessed if "?" in line else sure).extend(found)
    named = _FILE.search(lines[first])
    frames = tuple(dict.fromkeys([*here, *(sure or guessed)]))
    return Oops(lines[first], frames, f"{named[1]}:{named[2]}" if named else "")
