"""What a random program can do: the operations of guest/play.c, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Prot = Literal["rw", "r", "none"]
Kind = Literal["anon", "shared", "file", "sharedfile"]
Access = Literal["write", "read", "kwrite", "race"]
Way = Literal["exec", "run", "vrun"]

PAGE_SIZE = 4096
ARENA = 0x20000000
# The kernel names a process after the file that it was told to execute, so one program has two names.
TRACKED, TRACKED_PATH = "exe", "/proc/self/exe"
OTHER_PATH = "/root/play"
ARENA_PAGES = 4096  # More than play.c promises: programs may reach over the end of a page table.
FILE_PAGES = 1088
RACERS = 4
HEAP = 1 << 20  # The heap's pages have numbers of their own, far from the arena's.


@dataclass(frozen=True)
class Map:
    """Map pages, over whatever is there."""

    page: int
    pages: int
    prot: Prot = "rw"
    kind: Kind = "anon"


@dataclass(frozen=True)
class Stripes:
    """Map anonymous pages one by one, by turns writable and not."""

    page: int
    pages: int


@dataclass(frozen=True)
class Ring:
    """Map the ring of a new io_setup(), over whatever is there: shared memory whose first write is a fault of its own.

    Moves leave it alone: linux-4.15 oopses where a child moves its parent's (aio_ring_mremap()).
    """

    page: int


@dataclass(frozen=True)
class Unmap:
    """Unmap pages."""

    page: int
    pages: int


@dataclass(frozen=True)
class Protect:
    """Change the protection of those pages that are mapped."""

    page: int
    pages: int
    prot: Prot


@dataclass(frozen=True)
class Move:
    """Move the first mapped pages among these to the first free place from `to` on."""

    page: int
    pages: int
    to: int


@dataclass(frozen=True)
class Shrink:
    """Cut pages down to `left` with mremap()."""

    page: int
    pages: int
    left: int


@dataclass(frozen=True)
class Brk:
    """Make the heap so many pages."""

    pages: int


@dataclass(frozen=True)
class Touch:
    """Write or read each page that allows it; `kwrite` lets the kernel write, `race` several threads at once."""

    access: Access
    page: int
    pages: int


@dataclass(frozen=True)
class HeapTouch:
    """Write or read pages of the heap."""

    access: Literal["write", "read"]
    page: int
    pages: int


@dataclass(frozen=True)
class Crash:
    """Write to a page that cannot be written to, and die of it."""

    page: int


@dataclass(frozen=True)
class Rename:
    """Take another name with prctl()."""


@dataclass(frozen=True)
class Exit:
    """End the process."""


@dataclass(frozen=True)
class Fork:
    """Let a child do something, and wait for it."""

    block: Program


@dataclass(frozen=True)
class Thread:
    """Let a thread do something, and wait for it."""

    block: Program


@dataclass(frozen=True)
class Execute:
    """Execute play under the tracked name or its own; `run` in a forked child, `vrun` in a vforked one."""

    way: Way
    tracked: bool
    block: Program


Op = (
    Map
    | Stripes
    | Ring
    | Unmap
    | Protect
    | Move
    | Shrink
    | Brk
    | Touch
    | HeapTouch
    | Crash
    | Rename
    | Exit
    | Fork
    | Thread
    | Execute
)
Program = tuple[Op, ...]


def touch_word(access: Access, pages: range) -> str:
    """Return the word of guest/play.c that touches a range of pages."""
    if pages.start >= HEAP:
        return f"h{access},{pages.start - HEAP},{len(pages)}"
    return f"{access},{pages.start},{len(pages)}" + (f",{RACERS}" if access == "race" else "")
