"""Runs that take the kernel where no scenario reliably does: code that runs only when two CPUs meet.

They are not scenarios, because the assignment demands nothing of what comes out: each makes it likely enough that a
few dozen tries suffice, and the kernel must stay sound. What must come out of such meetings is for the scenarios.
"""

from __future__ import annotations

from patchgen.testing.lab import Scenario

from .lab import Lab

_SECONDS = 120.0


def _loop(times: int, command: str) -> str:
    return f"(i=0; while [ $i -lt {times} ]; do {command}; i=$((i+1)); done) >/dev/null"


def two_first_faults_at_once(lab: Lab) -> None:
    """Two processes of a run have the first faults in the same part of memory, as torture lets them meet."""
    lab.run(["./torture", "race", lab.prefix, "20"], timeout=_SECONDS)


def exec_while_processes_are_adopted(lab: Lab) -> None:
    """A program is executed while pf_set_param still looks for processes of its name."""
    lab.program("one")
    # The one to be adopted is the youngest, behind many others: they are looked at in this order.
    lab.run("i=0; while [ $i -lt 150 ]; do sleep 1000 & i=$((i+1)); done; ./one sleep,1000000 & sleep 0.3")
    track = _loop(60, "pfcall set one -; pfcall cleanup")
    lab.run(f"{_loop(600, './one exit')} & {track}; kill $!", timeout=_SECONDS)


def reading_while_the_process_exits(lab: Lab) -> None:
    """pf_get_info comes when the last user of the memory has gone and nothing is unmapped yet."""
    lab.program("one")
    lab.set_param("one")
    ask = " ".join(["info,one"] * 400)
    lab.run(f"{_loop(300, './one exit')} & {_loop(20, f'./play {ask}')}; wait", timeout=_SECONDS)


RUNS: tuple[Scenario, ...] = tuple(
    Scenario(f"coverage-{run.__name__.replace('_', '-')}", (), run, (run.__doc__ or "").splitlines()[0], cpus=2)
    for run in (two_first_faults_at_once, exec_while_processes_are_adopted, reading_while_the_process_exits)
)
