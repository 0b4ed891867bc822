"""Runs that take the kernel where no scenario reliably does: code that runs only when two CPUs meet.

They are not scenarios, because the assignment demands nothing of what comes out: each makes it likely enough that a
few dozen tries suffice, and the kernel must stay sound. What must come out of such meetings is for the scenarios.
"""

from __future__ import annotations

from patchgen.scenarios import Lab, Scenario

_SECONDS = 120.0
_WORK = "map,0,512,rw,anon write,0,512 fork write,0,512 end"


def _loop(times: int, command: str) -> str:
    return f"(i=0; while [ $i -lt {times} ]; do {command}; i=$((i+1)); done) >/dev/null"


def faults_while_a_run_ends(lab: Lab) -> None:
    """One process of a program faults while another one's exec ends its run: the number is looked at once more."""
    lab.program("one")
    lab.set_param("one")
    busy = _loop(40, f"./one {_WORK}")
    lab.run(f"{busy} & {busy} & wait", timeout=_SECONDS)


def exec_while_processes_are_adopted(lab: Lab) -> None:
    """A program is executed while pf_set_param still looks for processes of its name."""
    lab.program("one")
    # The one to be adopted is the youngest, behind many others: they are looked at in this order.
    lab.run("i=0; while [ $i -lt 150 ]; do sleep 1000 & i=$((i+1)); done; ./one sleep,1000000 & sleep 0.3")
    track = _loop(60, "pfcall set one -; pfcall cleanup")
    lab.run(f"{_loop(600, './one exit')} & {track}; kill $!", timeout=_SECONDS)


def reading_while_memory_is_mapped(lab: Lab) -> None:
    """pf_get_info of a process whose threads change its mappings all the time: it has to try again."""
    lab.program("one")
    lab.set_param("one")
    mapping = "map,0,1024,rw,anon write,0,1024 unmap,0,1024 " * 12
    lab.run(
        f"./one tstart {mapping} end {mapping} join & {_loop(400, 'pfcall get one - here')}; wait", timeout=_SECONDS
    )


RUNS: tuple[Scenario, ...] = tuple(
    Scenario(f"coverage-{run.__name__.replace('_', '-')}", (), run, (run.__doc__ or "").splitlines()[0])
    for run in (faults_while_a_run_ends, exec_while_processes_are_adopted, reading_while_memory_is_mapped)
)
