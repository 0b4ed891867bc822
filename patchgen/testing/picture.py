"""A process's address space as it was reported, beside what it should have been."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Vma:
    """One area of memory, with what was counted in it.

    Attributes:
        start: first address.
        end: address after the last.
        faults: in it; 0 where nothing was counted.
    """

    start: int
    end: int
    faults: int = 0


@dataclass(frozen=True)
class Picture:
    """A process's address space as it was reported, beside what it should have been as far as a scenario says that.

    Attributes:
        found: what the kernel reported.
        total: the faults that it reported altogether.
        expected: the VMAs that a scenario looks at, with the faults that they should have.
        listed: the VMAs that there should be, if those were compared; their faults mean nothing.
    """

    found: tuple[Vma, ...]
    total: int
    expected: tuple[Vma, ...] = ()
    listed: tuple[Vma, ...] = ()
