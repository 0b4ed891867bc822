"""What a guest says of a program that it has played, beside what the model of pages says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from patchgen.testing.picture import Vma

from ..scenarios.lab import Info, parse_info
from . import operations
from .pages import Played

MAX_VMAS = 128
ARENA_END = operations.ARENA + operations.ARENA_PAGES * operations.PAGE_SIZE
# Without this a read of a file's page maps its neighbours as well: do_fault_around() in mm/memory.c. And a process
# that dies of SIGSEGV is no reason for a line in the kernel log.
PREPARE = "echo 4096 >/sys/kernel/debug/fault_around_bytes; echo 0 >/proc/sys/debug/exception-trace"


@dataclass(frozen=True)
class Mapped:
    """A line of /proc/PID/maps."""

    start: int
    end: int
    permissions: str
    name: str


def maps_in(text: str) -> list[Mapped]:
    """Return the last maps that were printed: those of the process that was executed last."""
    _, _, after = text.rpartition("\nmaps\n")
    return [mapped(line) for line in after.partition("endmaps\n")[0].splitlines()]


def mapped(line: str) -> Mapped:
    """Return what a line of /proc/PID/maps says."""
    bounds, permissions, _offset, _device, _inode, *name = line.split(maxsplit=5)
    start, end = (int(bound, 16) for bound in bounds.split("-"))
    return Mapped(start, end, permissions, name[0] if name else "")


def info_in(text: str) -> Info:
    """Return what pf_get_info said; what follows is the result of pf_cleanup."""
    _, _, after = text.rpartition("ret 0\nnb ")
    lines = f"nb {after}".splitlines()
    assert lines[-1] == "ret 0", text
    return parse_info(lines[:-1])


def differences(played: Played, text: str) -> Iterator[tuple[str, object, object]]:
    """Yield what is to be compared: its name, what the kernel says, what it must say."""
    maps, info = maps_in(text), info_in(text)
    yield "nb_vma", info.nb_vma, min(len(maps), MAX_VMAS)
    yield "VMAs", [(vma.start, vma.end) for vma in info.vmas], [(one.start, one.end) for one in maps[:MAX_VMAS]]
    yield "what is mapped in the arena", arena_in(maps), dict(played.mapped)
    heap = next((one for one in maps if one.name == "[heap]"), Mapped(0, 0, "", ""))
    yield "pages of the heap", (heap.end - heap.start) // operations.PAGE_SIZE, played.heap
    other = 0
    for vma in info.vmas:
        if vma.start == heap.start:
            yield "faults in the heap", vma.faults, faults_in(vma, heap.start, played.heap_faults)
        elif operations.ARENA <= vma.start < ARENA_END:
            yield f"faults in {vma.start:x}-{vma.end:x}", vma.faults, faults_in(vma, operations.ARENA, played.faults)
        else:
            other += vma.faults
    # The interpreter's own faults can be told only if all its VMAs are listed.
    if len(maps) <= MAX_VMAS:
        yield "all faults in arena and heap", info.total - other, played.total
    else:
        yield "whether the total has all faults in arena and heap", info.total - other >= played.total, True


def arena_in(maps: list[Mapped]) -> dict[int, str]:
    """Return the permissions of the arena's pages."""
    return {
        address // operations.PAGE_SIZE - operations.ARENA // operations.PAGE_SIZE: one.permissions
        for one in maps
        if operations.ARENA <= one.start < ARENA_END
        for address in range(one.start, one.end, operations.PAGE_SIZE)
    }


def faults_in(vma: Vma, base: int, faults: Mapping[int, int]) -> int:
    """Return the model's faults in a VMA."""
    numbers = range((vma.start - base) // operations.PAGE_SIZE, (vma.end - base) // operations.PAGE_SIZE)
    return sum(faults.get(page, 0) for page in numbers)
