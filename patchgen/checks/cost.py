"""What the kernel change costs: instructions for each fault and call, bytes for each name and page.

Instructions are counted by QEMU (docs/cost.md): the same kernel gives the same figures, however busy the host is. The
guest program qemu/guest/cost.c reads the counter before and after each fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from patchgen.errors import GuestError
from patchgen.guest import machine
from patchgen.guest.session import Guest

if TYPE_CHECKING:
    from patchgen.guest.testbed import Testbed

SIZES = (1, 10, 100, 1000)
SCALED = ("reuse", "first")
_FAULTS = 2048
_SECONDS = 120.0
_NAMES, _PAGES, _CHUNKS = 1000, 16384, 32
_PAGE = 4096  # bytes
_SELF, _SPARSE = "cost", "sparse"


@dataclass(frozen=True)
class Kind:
    """Something whose cost is measured.

    Attributes:
        name: what cost.c calls it.
        title: for people.
        group: "cow" and "other" are faults, "call" system calls.
        count: how often it is measured.
    """

    name: str
    title: str
    group: str
    count: int = _FAULTS


KINDS = (
    Kind("reuse", "write, page no longer shared", "cow"),
    Kind("copy", "write, page shared: copy", "cow"),
    Kind("zerocow", "write, zero page: copy", "cow"),
    Kind("first", "first write, anonymous", "other"),
    Kind("read", "first read, anonymous", "other"),
    Kind("file", "first read, private file", "other"),
    Kind("fork", "fork", "call", 256),
    Kind("exit", "fork, exit, wait", "call", 256),
    Kind("exec", "execve", "call", 64),
    Kind("map", "mmap, 1 page", "call", 256),
    Kind("map256", "mmap, 256 pages", "call", 64),
    Kind("unmap", "munmap, 1 page", "call", 256),
    Kind("unmap256", "munmap, 256 pages", "call", 64),
)


@dataclass(frozen=True)
class State:
    """What the kernel is, and what it tracks while the costs are measured.

    Attributes:
        name: short.
        title: for people.
        prepare: the guest's commands that lead to it from the state before.
    """

    name: str
    title: str
    prepare: tuple[str, ...] = ()


VANILLA = State("vanilla", "vanilla")
PATCHED = (
    State("idle", "nothing tracked"),
    State("other1", "1 other name", ("cost track 1",)),
    State("other100", "100 other names", ("cost track 100",)),
    State("tracked", "tracked", ("pfcall cleanup", f"pfcall set {_SELF} -")),
)


@dataclass(frozen=True)
class Sample:
    """How many instructions something took.

    Attributes:
        mode: the most frequent number.
        share: how many of the measurements gave it, from 0 to 1.
        median: the middle one.
        count: how many measurements there were.
    """

    mode: int
    share: float
    median: int
    count: int

    @property
    def typical(self) -> int:
        """The mode if half of all agree on it, else the median: calls have more than one way to go."""
        return self.mode if self.share >= 0.5 else self.median


def title(state: str) -> str:
    """Return what a state is called for people."""
    return next(one.title for one in (VANILLA, *PATCHED) if one.name == state)


@dataclass
class Costs:
    """Everything that was measured.

    Attributes:
        samples: by state and kind.
        scaling: typical instructions by state, then "what KIND", then how many of that there were.
        memory: bytes by what they are for.
    """

    samples: dict[str, dict[str, Sample]] = field(default_factory=dict)
    scaling: dict[str, dict[tuple[str, str], dict[int, int]]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)

    def added(self, state: str, kind: str) -> int:
        """Return how many instructions more than on the vanilla kernel something takes."""
        return self.samples[state][kind].typical - self.samples[VANILLA.name][kind].typical

    def curve(self, state: str, what: str, kind: str) -> dict[int, int]:
        """Return how many instructions more than on the vanilla kernel something takes, by the number of something."""
        # The vanilla kernel has no tracked names.
        plain = dict.fromkeys(SIZES, self.samples[VANILLA.name][kind].typical)
        base = self.scaling[VANILLA.name].get((what, kind), plain)
        return {size: ticks - base[size] for size, ticks in self.scaling[state][what, kind].items()}

    def growth(self, state: str, what: str, kind: str) -> int:
        """Return by how much the added cost grows from one to the most of something."""
        added = self.curve(state, what, kind)
        return max(added.values()) - added[SIZES[0]]


def measure(vanilla: Testbed, patched: Testbed, *, kinds_only: bool = False) -> Costs:
    """Measure everything, on two guests that are booted for it.

    Args:
        vanilla: the kernel without the change.
        patched: the kernel with it.
        kinds_only: measure each kind in each state, but not how the costs grow, nor memory: a tenth of the time.

    Raises:
        GuestError: a kernel does not boot or dies, or the program fails on it.
        MachineError: QEMU failed.
    """
    with ThreadPoolExecutor(2) as pool:
        plain, changed = pool.submit(_vanilla, vanilla, kinds_only), pool.submit(_patched, patched, kinds_only)
        one, two = plain.result(), changed.result()
    return Costs(one.samples | two.samples, one.scaling | two.scaling, two.memory)


def _vanilla(bed: Testbed, kinds_only: bool) -> Costs:
    costs = Costs()
    with guest(bed) as running:
        costs.samples[VANILLA.name] = _all_kinds(running)
        if not kinds_only:
            costs.scaling[VANILLA.name] = dict(_per_process(running))
            costs.scaling[VANILLA.name] |= _crowd(running, {VANILLA.name: ()})[VANILLA.name]
    return costs


def _patched(bed: Testbed, kinds_only: bool) -> Costs:
    """Measure the kernel with the change: each step goes on from the state that the one before has left."""
    costs = Costs()
    with guest(bed) as running:
        if not kinds_only:
            # First, while the allocator keeps no memory that was freed.
            costs.memory = _memory(running)
            _run(running, "pfcall cleanup")
        for state in PATCHED:
            enter(running, state)
            costs.samples[state.name] = _all_kinds(running)
            if state.name in ("idle", "tracked") and not kinds_only:
                costs.scaling[state.name] = dict(_per_process(running))
        if not kinds_only:
            costs.scaling["tracked"] |= _names(running)
            _run(running, "pfcall cleanup")
            costs.scaling["idle"] |= _names(running)
            _run(running, "pfcall cleanup")
            states = {"idle": (), "tracked": (f"pfcall set {_SELF} -",)}
            for name, found in _crowd(running, states, "pfcall cleanup").items():
                costs.scaling[name] |= found
    return costs


def parse(text: str) -> Sample:
    """Return the sample that lines of "TICKS TIMES" describe.

    Raises:
        GuestError: they are something else.
    """
    if not re.fullmatch(r"(\d+ \d+\n)+", text):
        raise GuestError("the guest's program for costs printed something else", evidence=text[:2000])
    pairs = [(int(ticks), int(times)) for ticks, times in (line.split() for line in text.splitlines())]
    count = sum(times for _, times in pairs)
    mode, most = max(pairs, key=lambda pair: (pair[1], -pair[0]))
    left = count // 2
    for ticks, times in sorted(pairs):
        if left < times:
            return Sample(mode, most / count, ticks, count)
        left -= times
    raise AssertionError("the middle lies within")


def slab_bytes(slabinfo: str) -> int:
    """Return how much memory the kmalloc caches of a /proc/slabinfo (version 2.1, slabinfo(5)) have taken."""
    total = 0
    for line in slabinfo.splitlines():
        if line.startswith("kmalloc-"):
            head, _, slabs = line.partition(" : slabdata ")
            total += int(slabs.split()[1]) * int(head.split()[5]) * _PAGE
    return total


def guest(bed: Testbed) -> Guest:
    """Return a guest, not yet started, in which instructions are counted."""
    return Guest(bed.kernel, bed.image, machine.counting(bed.machine), pace=bed.pace)


def _run(guest: Guest, command: str) -> str:
    result = guest.run(command, timeout=_SECONDS)
    if result.status != 0 or result.text.startswith("ret -"):
        raise GuestError(f"'{command}' failed in the guest", evidence=result.text)
    return result.text


def enter(guest: Guest, state: State) -> None:
    """Bring a guest from the state before into a state.

    Raises:
        GuestError: one of the state's commands fails, or the kernel dies.
    """
    for command in state.prepare:
        _run(guest, command)


def sample(guest: Guest, kind: Kind, *more: int) -> Sample:
    """Measure one kind in a guest.

    Args:
        guest: from `guest()`.
        kind: what to measure.
        more: how many VMAs to make, and how many faults to cause, before it.

    Raises:
        GuestError: the program fails in the guest, or the kernel dies.
    """
    return parse(_run(guest, " ".join(map(str, (_SELF, kind.name, kind.count, *more)))))


def _all_kinds(guest: Guest) -> dict[str, Sample]:
    return {kind.name: sample(guest, kind) for kind in KINDS}


def _scaled(guest: Guest, *more: int) -> Iterator[tuple[str, int]]:
    for kind in KINDS:
        if kind.name in SCALED:
            yield kind.name, sample(guest, kind, *more).typical


def _per_process(guest: Guest) -> Iterator[tuple[tuple[str, str], dict[int, int]]]:
    """Yield the costs by the number of VMAs of the process, and by that of its faults so far."""
    for what, before in (("VMAs", ()), ("faults so far", (0,))):
        found: dict[str, dict[int, int]] = {name: {} for name in SCALED}
        for size in SIZES:
            for name, ticks in _scaled(guest, *before, size):
                found[name][size] = ticks
        for name, by_size in found.items():
            yield (what, name), by_size


def _names(guest: Guest) -> dict[tuple[str, str], dict[int, int]]:
    """Return the costs by the number of other names that are tracked."""
    found: dict[tuple[str, str], dict[int, int]] = {("tracked names", name): {} for name in SCALED}
    for size in SIZES:
        _run(guest, f"cost track {size}")
        for name, ticks in _scaled(guest):
            found["tracked names", name][size] = ticks
    return found


def _crowd(
    guest: Guest, states: Mapping[str, tuple[str, ...]], leave: str = ""
) -> dict[str, dict[tuple[str, str], dict[int, int]]]:
    """Return the costs by the number of processes on the machine, in states that are entered and left each time."""
    found: dict[str, dict[tuple[str, str], dict[int, int]]] = {
        state: {("processes", name): {} for name in SCALED} for state in states
    }
    there = 0
    for size in SIZES:
        _run(guest, f"cost crowd {size - there}")
        there = size
        for state, commands in states.items():
            for command in commands:
                _run(guest, command)
            for name, ticks in _scaled(guest):
                found[state]["processes", name][size] = ticks
            if commands and leave:
                _run(guest, leave)
    return found


def _memory(guest: Guest) -> dict[str, float]:
    """Return what names and counters take from the kernel's allocator, in bytes."""

    def taken(command: str, count: int) -> float:
        before = slab_bytes(_run(guest, "cat /proc/slabinfo"))
        _run(guest, command)
        return (slab_bytes(_run(guest, "cat /proc/slabinfo")) - before) / count

    names = taken(f"{_SELF} track {_NAMES}", _NAMES)
    # Counters stay until the next run, so neither reuses what the other has given back.
    for name in (_SELF, _SPARSE):
        _run(guest, f"pfcall set {name} -")
    _run(guest, f"cp {_SELF} {_SPARSE}")
    dense = taken(f"{_SELF} first 1 0 {_PAGES}", _PAGES)
    sparse = taken(f"./{_SPARSE} sparse {_CHUNKS}", _CHUNKS)
    return {
        "a tracked name": names,
        f"a page with faults, {_PAGES:,} of them side by side": dense,
        f"a page with faults, {_CHUNKS} of them 4 MB apart": sparse,
    }
