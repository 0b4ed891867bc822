"""Torture: what a kernel under every debugging option says while everything happens to it at once.

One guest with two CPUs goes through the parts of the assignment's `stress.toml` in turn, each a program of the guest.
After the last comes the part *leaks*: what of it all has not been given back.

Everything wrong becomes a finding: what the programs found, any complaint of the kernel's (lockdep, RCU, slub,
kmemleak, a stall), a dead kernel, memory that is not back.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import Field, model_validator

from patchgen import data, progress
from patchgen.assignment import STRESS, Assignment
from patchgen.data import Model
from patchgen.errors import GuestError, UsageError
from patchgen.findings import Finding, Severity, Verdict
from patchgen.guest import kernel_log
from patchgen.guest.machine import Machine
from patchgen.guest.session import Guest
from patchgen.guest.testbed import Testbed

CONFIG = "debug"
_MEMORY = 512  # MiB: slub's guards and kmemleak's records take their part.
_POLL_SECONDS = 0.5
_ANSWER_SECONDS = 60.0  # for a guest at work to answer a poll
_GRACE_SECONDS = 120.0  # for a part to end by itself once it was told to
_SCAN_AGE = 6  # s: kmemleak reports nothing younger than 5
_LEAKED = 8  # objects more of one caller: the kernel itself leaves a few
_SHOWN = 40  # lines of evidence
# What the kernel frees late: an area of vmalloc is given back with many others (mm/vmalloc.c, lazy_max_pages). Where
# one leaks, kmemleak says so.
_LATE = ("alloc_vmap_area",)

_OUTPUT, _STATUS = "/tmp/.output", "/tmp/.status"  # noqa: S108 - in the guest
# Since 5.14 it is in debugfs, with a backtrace below each line.
_DUMP_SLABS = (
    "cd /sys/kernel/slab; for c in kmalloc-*; do"
    ' echo "== $c"; cat $c/alloc_calls 2>&- || cat /sys/kernel/debug/slab/$c/alloc_traces; done'
)
_KMEMLEAK = "/sys/kernel/debug/kmemleak"
# debugfs keeps something for each file that was ever opened.
_WARM_UP = f"cat /sys/kernel/debug/fail*/* {_KMEMLEAK} /sys/kernel/debug/slab/kmalloc-*/alloc_traces >/dev/null"
_OWNER = re.compile(r"^\s*(\d+) (\S+)")
_NUMBER = re.compile(r"^([a-z_]+(?:-\d+)?) (\d+(?: [0-9a-f]{8})?)$")
# What linux-4.15 without any patch says as well when allocations are made to fail. In a page fault it takes memory to
# be out and kills the process that asked; and it loses count of the memory that it has committed.
_INJECTED = re.compile(r"^Out of memory: Kill|^WARNING: .*/mm/util\.c:\d+ __vm_enough_memory")


class Step(Model):
    """A part of the torture, as the assignment has it.

    Attributes:
        name: of the part.
        command: in the guest, with {prefix}, {seed}, {workers}, {calls}, {seconds} and {limit} filled in.
        seconds: how long it is meant to take; 0 where another key says so.
        share: of the seconds that were asked for, how many it is meant to take; 0 for none.
        calls_per_second: the least that it is given time for, where it makes the calls that were asked for; 0 for none.
        stops: it goes on until it is told to stop.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    command: str
    seconds: float = Field(default=0, ge=0)
    share: float = Field(default=0, ge=0)
    calls_per_second: float = Field(default=0, ge=0)
    stops: bool = False

    @model_validator(mode="after")
    def _takes_time(self) -> Step:
        if sum(bool(one) for one in (self.seconds, self.share, self.calls_per_second)) != 1:
            raise ValueError(f"{self.name}: one of seconds, share and calls_per_second says how long it takes")
        return self


class Steps(Model):
    """What an assignment's torture consists of (stress.toml).

    Attributes:
        stop: the file that tells a part to stop.
        cleanup: the command that gives back what the parts have left; "" for none.
        part: the parts, in order.
    """

    stop: str = "/tmp/stress.stop"  # noqa: S108 - in the guest
    cleanup: str = ""
    part: tuple[Step, ...] = Field(min_length=1)


def load(assignment: Assignment) -> Steps:
    """Read the parts.

    Raises:
        UsageError: the assignment has none, or its data is wrong; says where.
    """
    if not assignment.has(STRESS):
        raise UsageError(f"the assignment {assignment.name} has no stress test", hint=f"it has no {STRESS}")
    return data.load(assignment.directory / STRESS, Steps, UsageError)


@dataclass(frozen=True)
class Plan:
    """How long, and with which random numbers.

    Attributes:
        seed: 0 to 2**32 - 1; the same seed gives each worker the same operations and each fuzzer the same calls.
        seconds: of torture, the last third of it with failing allocations; 0 for none. Races take a third of it more.
        calls: of the fuzzer, 0 for none.
        workers: processes that operate at the same time.
    """

    seed: int
    seconds: float
    calls: int
    workers: int = 4


@dataclass(frozen=True)
class Part:
    """What one program in the guest came to.

    Attributes:
        name: of the part.
        numbers: what it counted.
        failures: what it says must not be.
        said: other lines of the kernel's log, without level and time.
        seconds: wall time.
    """

    name: str
    numbers: dict[str, str]
    failures: tuple[str, ...]
    said: tuple[str, ...]
    seconds: float


@dataclass
class _Run:
    """A run of the parts: where it is, and what has come of it."""

    steps: Steps
    prefix: str
    plan: Plan
    facts: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    part: str = "boot"


class Console(Protocol):
    """What of a guest is looked at."""

    @property
    def console(self) -> str:
        """Everything that the kernel has printed."""

    @property
    def complaints(self) -> tuple[str, ...]:
        """The lines of it that tell of trouble."""


def _wrong(part: str, message: str, evidence: str = "") -> Finding:
    return Finding(f"stress-{part}", Severity.ERROR, message, part, evidence)


def machine(described: Machine) -> Machine:
    """Return the machine for torture: more memory, and under TCG a thread of the host for each CPU."""
    accelerator = "tcg,thread=multi" if described.accelerator == "tcg" else described.accelerator
    return dataclasses.replace(described, memory=_MEMORY, accelerator=accelerator)


def run(testbed: Testbed, steps: Steps, prefix: str, plan: Plan) -> Verdict:
    """Torture a kernel.

    Args:
        testbed: of a kernel of the configuration CONFIG.
        steps: the parts.
        prefix: what the log line of each failed call begins with.
        plan: how long, and the seed.

    Returns:
        Its findings, each an error, and what was counted.

    Raises:
        UsageError: the kernel lacks what the configuration has.
        MachineError: the machine failed.
    """
    bed = dataclasses.replace(testbed, machine=machine(testbed.machine))
    course = _Run(steps, prefix, plan)
    course.facts |= {"seed": str(plan.seed), "cpus": str(bed.machine.cpus), "accelerator": bed.machine.accelerator}
    begin = time.monotonic()
    try:
        with bed.ready() as guest:
            try:
                _through(guest, course)
            except GuestError:
                # What it said before it died or fell silent comes first.
                course.findings += judge(guest, Part(course.part, {}, (), (), 0))
                raise
    except GuestError as error:
        course.findings.append(_wrong(course.part, error.message, error.evidence))
    course.facts["seconds"] = f"{time.monotonic() - begin:.0f}"
    return Verdict(tuple(course.findings), course.facts)


def _through(guest: Guest, course: _Run) -> None:
    """Run the parts until one of them shows that the kernel is wrong."""
    guest.run(_WARM_UP, timeout=_ANSWER_SECONDS)
    before = _slabs(guest)
    for step, command, seconds in _parts(course):
        part = course.part = step.name
        done = _run(guest, part, command, _Limits(course.steps.stop, seconds if step.stops else None, seconds))
        course.facts |= {f"{part} {key}": value for key, value in done.numbers.items()}
        course.facts[f"{part} seconds"] = f"{done.seconds:.1f}"
        course.findings += judge(guest, done)
        if course.findings:
            return
    course.part = "leaks"
    _check_leaks(guest, course, before)


@dataclass(frozen=True)
class _Limits:
    """When a part ends.

    Attributes:
        stop: the file that tells it to stop.
        stop_after: seconds after which it is told to; None if it ends by itself.
        meant: seconds that it is meant to take.
    """

    stop: str
    stop_after: float | None
    meant: float


def _parts(course: _Run) -> Iterator[tuple[Step, str, float]]:
    """Yield each part with its command in the guest, and the seconds that it is meant to take."""
    plan = course.plan
    for step in course.steps.part:
        if not (plan.calls if step.calls_per_second else plan.seconds):
            continue
        seconds = step.seconds or step.share * plan.seconds or plan.calls / step.calls_per_second
        words = {
            "prefix": shlex.quote(course.prefix),
            "seed": plan.seed,
            "workers": plan.workers,
            "calls": plan.calls,
            "seconds": f"{seconds:g}",
            "limit": f"{plan.seconds + _GRACE_SECONDS:g}",
        }
        yield step, step.command.format(**words), seconds


def _run(guest: Guest, name: str, command: str, limits: _Limits) -> Part:
    """Run a program to its end, or until the kernel says that something is wrong.

    It runs in the background: the log of a command in the foreground is passed on to the host line by line, which
    takes longer than all that it is about; and the console is looked at meanwhile.

    Raises:
        GuestError: the kernel died or hangs, or the program does not end.
    """
    begin, stop_after = time.monotonic(), limits.stop_after
    limit = limits.meant + _GRACE_SECONDS
    guest.run(f"rm -f {_STATUS}; ({command}; echo $? >{_STATUS}.new; mv {_STATUS}.new {_STATUS}) >{_OUTPUT} 2>&1 &")
    with progress.step(f"torture: {name}", stop_after) as step:
        while True:
            time.sleep(_POLL_SECONDS)
            elapsed = time.monotonic() - begin
            step.update(min(elapsed, stop_after or elapsed))
            ended = guest.run(f"cat {_STATUS} 2>&-", timeout=_ANSWER_SECONDS).text.strip()
            if ended:
                break
            if _complaints(guest):
                time.sleep(_POLL_SECONDS)  # for the rest of what it has to say
                break
            if stop_after and elapsed > stop_after:
                guest.run(f"touch {limits.stop}", timeout=_ANSWER_SECONDS)
            if elapsed > limit:
                blocked = guest.run("echo w >/proc/sysrq-trigger", timeout=_ANSWER_SECONDS)
                shown = "\n".join(line.text for line in blocked.log)
                raise GuestError(f"'{command}' does not end within {limit:.0f} s", evidence=shown)
    output = guest.run(f"cat {_OUTPUT}", timeout=_ANSWER_SECONDS).text
    if ended == "2" or "usage:" in output:
        raise UsageError(f"'{command}' cannot run on this kernel: {output.strip()}", hint="build --config debug")
    part = parse(name, output, time.monotonic() - begin)
    if ended and ended not in "01":
        return dataclasses.replace(part, failures=(*part.failures, f"'{command}' ended with status {ended}"))
    return part


def parse(name: str, output: str, seconds: float) -> Part:
    """Read what the parts' programs print: "NAME NUMBER", "FAIL WHAT", and "kmsg LEVEL LINE" of the kernel's log."""
    numbers, failures, said = {}, [], []
    for line in output.splitlines():
        key, _, rest = line.partition(" ")
        if key == "FAIL":
            failures.append(rest)
        elif key == "kmsg":
            said.append(rest.partition(" ")[2])
        elif match := _NUMBER.match(line):
            numbers[match[1]] = match[2]
    return Part(name, numbers, tuple(failures), tuple(said), seconds)


def judge(guest: Console, part: Part) -> Iterator[Finding]:
    """Yield what is wrong after a part: the kernel's first complaint, and what the part's program says."""
    said = "\n".join(part.said)
    shown = _complaints(guest)
    text = guest.console if shown else said
    for line in (shown or _without_injected(kernel_log.complaints(said)))[:1]:
        yield _wrong(part.name, f"the kernel complains: {line}", around(text, line))
    for failure in part.failures:
        yield _wrong(part.name, failure)


def _complaints(guest: Console) -> tuple[str, ...]:
    return _without_injected(guest.complaints)


def _without_injected(lines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(line for line in lines if not _INJECTED.search(line))


def around(text: str, line: str) -> str:
    """Return a log from just before a line on, as far as one looks."""
    lines = [kernel_log.unstamped(one) for one in text.splitlines() if one.strip()]
    at = lines.index(line) if line in lines else 0
    return "\n".join(lines[max(at - 3, 0) : at + _SHOWN])


def owners(text: str) -> dict[tuple[str, str], int]:
    """Return how many objects of each kmalloc cache each caller has, from slub's alloc_calls (_DUMP_SLABS).

    The text is that of CONFIG_SLUB_DEBUG's alloc_calls, Documentation/vm/slub.txt, or alloc_traces, later slub.rst.
    """
    found: dict[tuple[str, str], int] = {}
    cache = ""
    for line in text.splitlines():
        if line.startswith("== "):
            cache = line[3:]
        elif match := _OWNER.match(line):
            key = (cache, match[2])
            found[key] = found.get(key, 0) + int(match[1])
    return found


def _slabs(guest: Guest) -> dict[tuple[str, str], int]:
    found = owners(guest.run(_DUMP_SLABS, timeout=_ANSWER_SECONDS).text)
    if not found:
        raise UsageError("this kernel does not say who allocated what", hint="build it with --config debug")
    return found


def _check_leaks(guest: Guest, course: _Run, before: dict[tuple[str, str], int]) -> None:
    """Let RCU free what it has to, and see what is still there that was not at the beginning."""
    begin = time.monotonic()
    with progress.step("torture: leaks"):
        guest.run(f"{course.steps.cleanup or 'true'}; sleep {_SCAN_AGE}", timeout=_ANSWER_SECONDS)
        after = _slabs(guest)
        scan = f"echo scan >{_KMEMLEAK} && echo scan >{_KMEMLEAK} && cat {_KMEMLEAK}"
        result = guest.run(scan, timeout=_ANSWER_SECONDS)
    course.findings += judge(guest, Part("leaks", {}, (), (), 0))
    for (cache, caller), count in sorted(after.items()):
        more = count - before.get((cache, caller), 0)
        if more >= _LEAKED and not caller.startswith(_LATE):
            message = f"memory is not given back: {more} objects of {cache}, allocated by {caller}"
            course.findings.append(_wrong("leaks", message))
    count = result.text.count("unreferenced object")
    shown = "\n".join(result.text.splitlines()[:_SHOWN])
    course.facts |= {"leaks kmemleak": str(count), "leaks seconds": f"{time.monotonic() - begin:.1f}"}
    if result.status:
        course.findings.append(_wrong("leaks", "kmemleak does not work any more", shown))
    elif count:
        course.findings.append(_wrong("leaks", f"kmemleak found {count} objects that nobody points to", shown))
