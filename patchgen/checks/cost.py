"""What a kernel change costs: instructions for each fault and call, bytes for each thing that it keeps.

Instructions are counted by QEMU (docs/cost.md): the same kernel gives the same figures, however busy the host is. What
is measured, and in which states of the kernel, is data of the assignment (`cost_plan`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from patchgen.checks.cost_plan import VANILLA, Growth, Kind, Plan, State
from patchgen.errors import GuestError
from patchgen.guest import machine
from patchgen.guest.session import Guest

if TYPE_CHECKING:
    from patchgen.guest.testbed import Testbed

_SECONDS = 120.0
_PAGE = 4096  # bytes

Curves = dict[tuple[str, str], dict[int, int]]


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


@dataclass
class Costs:
    """Everything that was measured.

    Attributes:
        plan: what was to be measured.
        samples: by state and kind.
        scaling: typical instructions by state, then "what KIND", then how many of that there were.
        memory: bytes by what they are for.
    """

    plan: Plan
    samples: dict[str, dict[str, Sample]] = field(default_factory=dict)
    scaling: dict[str, Curves] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)

    def added(self, state: str, kind: str) -> int:
        """Return how many instructions more than on the vanilla kernel something takes."""
        return self.samples[state][kind].typical - self.samples[VANILLA.name][kind].typical

    def curve(self, state: str, what: str, kind: str) -> dict[int, int]:
        """Return how many instructions more than on the vanilla kernel something takes, by the number of something."""
        # What only a changed kernel has, the vanilla one has none of.
        sizes = self.plan.growth.sizes if self.plan.growth else ()
        plain = dict.fromkeys(sizes, self.samples[VANILLA.name][kind].typical)
        base = self.scaling[VANILLA.name].get((what, kind), plain)
        return {size: ticks - base[size] for size, ticks in self.scaling[state][what, kind].items()}

    def growth(self, state: str, what: str, kind: str) -> int:
        """Return by how much the added cost grows from the least to the most of something."""
        added = self.curve(state, what, kind)
        return max(added.values()) - added[min(added)]


def measure(plan: Plan, vanilla: Testbed, patched: Testbed, *, kinds_only: bool = False) -> Costs:
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
        plain = pool.submit(_one, plan, vanilla, [VANILLA], not kinds_only)
        changed = pool.submit(_one, plan, patched, plan.state, not kinds_only)
        one, two = plain.result(), changed.result()
    return Costs(plan, one.samples | two.samples, one.scaling | two.scaling, two.memory)


def measure_instead(plan: Plan, traced: Testbed) -> dict[str, dict[str, Sample]]:
    """Measure what somebody would use without the change: with nothing traced, then with each means.

    Args:
        plan: with `instead`.
        traced: a kernel without the change, of the configuration that `instead` names.

    Returns:
        The samples by state and kind.

    Raises:
        GuestError: the kernel does not boot or dies, or has none of these means.
        MachineError: QEMU failed.
    """
    assert plan.instead is not None, "there is something to compare with"
    found = {}
    with guest(traced) as running:
        for state in plan.instead.states:
            for command in state.prepare:
                _run(running, command)
            found[state.name] = {kind.name: sample(running, plan, kind) for kind in plan.instead_kinds}
    return found


def _one(plan: Plan, bed: Testbed, states: Iterable[State], whole: bool) -> Costs:
    """Measure one kernel in its states."""
    costs = Costs(plan)
    names = [state.name for state in states]
    with guest(bed) as running:
        if whole and VANILLA.name not in names:
            # First, while the allocator keeps no memory that was freed.
            costs.memory = _memory(running, plan)
        for state in states:
            enter(running, plan, state)
            costs.samples[state.name] = {kind.name: sample(running, plan, kind) for kind in plan.kind}
        if whole and plan.growth:
            costs.scaling = _scaling(running, plan, plan.growth, [one for one in states if one.name in plan.scaled])
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
    return Guest(bed.kernel, bed.image, machine.counting(bed.machine), time_scale=bed.time_scale)


def _run(guest: Guest, command: str) -> str:
    result = guest.run(command, timeout=_SECONDS)
    if result.status != 0 or result.text.startswith("ret -"):
        raise GuestError(f"'{command}' failed in the guest", evidence=result.text)
    return result.text


def enter(guest: Guest, plan: Plan, state: State) -> None:
    """Bring a guest into a state, whatever state it was in.

    Raises:
        GuestError: one of the state's commands fails, or the kernel dies.
    """
    if plan.reset and state is not VANILLA:
        guest.run(plan.reset, timeout=_SECONDS)  # It may fail: there may be nothing to take back.
    for command in state.prepare:
        _run(guest, command)


def sample(guest: Guest, plan: Plan, kind: Kind, arguments: str = "") -> Sample:
    """Measure one kind in a guest.

    Args:
        guest: from `guest()`.
        plan: whose program measures.
        kind: what to measure.
        arguments: more words for the program.

    Raises:
        GuestError: the program fails in the guest, or the kernel dies.
    """
    return parse(_run(guest, f"{plan.program} {kind.name} {kind.count} {arguments}".rstrip()))


def _scaling(guest: Guest, plan: Plan, growth: Growth, states: list[State]) -> dict[str, Curves]:
    """Return the typical costs by the number of something: each number in each state."""
    found: dict[str, Curves] = {state.name: {} for state in states}
    kinds = [kind for kind in plan.kind if kind.name in growth.kinds]
    for one in growth.with_:
        there = 0
        for size in growth.sizes:
            words = {"size": size, "more": size - there}
            there = size
            if one.before:
                _run(guest, one.before.format(**words))
            for state in states:
                if state.name not in one.states:
                    continue
                enter(guest, plan, state)
                if one.inside:
                    _run(guest, one.inside.format(**words))
                for kind in kinds:
                    ticks = sample(guest, plan, kind, one.arguments.format(**words)).typical
                    found[state.name].setdefault((one.what, kind.name), {})[size] = ticks
    return found


def _memory(guest: Guest, plan: Plan) -> dict[str, float]:
    """Return what things take from the kernel's allocator, in bytes."""
    found = {}
    for one in plan.memory:
        for command in one.prepare:
            _run(guest, command)
        before = slab_bytes(_run(guest, "cat /proc/slabinfo"))
        _run(guest, one.command)
        found[one.what] = (slab_bytes(_run(guest, "cat /proc/slabinfo")) - before) / one.count
    return found
