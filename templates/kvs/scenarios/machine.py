"""What the kernel log says, and what is left when a process dies: what a program cannot see of itself.

The programs are those of the scenarios in C, each of which makes a store's ordinary and odd calls.
"""

from __future__ import annotations

from patchgen.testing.lab import Lab, expect, scenario


def expect_silence(lab: Lab, *programs: str) -> None:
    """Demand that programs, all scenarios of each, leave no line in the kernel log; how they end is another matter."""
    # Where no call is there, silence means nothing.
    lab.run("./store keeps_a_value")
    for program in programs:
        result = lab.run(f"./{program} >/dev/null", status=None, timeout=120.0)
        expect(f"kernel log of ./{program}", [line.text for line in result.log], [])


@scenario("S3")
def success_logs_nothing(lab: Lab) -> None:
    """Calls with right arguments leave no line in the kernel log."""
    expect_silence(lab, "store", "bytes", "processes")


@scenario("S3", "L8")
def failures_log_nothing(lab: Lab) -> None:
    """Calls with pointers and lengths that are wrong leave no line in the kernel log either."""
    expect_silence(lab, "pointers", "lengths", "buffers")


@scenario("S3", "3.6-2")
def failed_allocations_log_nothing(lab: Lab) -> None:
    """Calls for which there is no memory leave no line in the kernel log."""
    expect_silence(lab, "nomemory")


@scenario("3.6-2")
def a_killed_process_leaves_a_sound_store(lab: Lab) -> None:
    """A process that is killed while it inserts, replaces and deletes leaves a store that works."""
    lab.run("./store keeps_a_value")
    for pause in (100_000, 300_000, 700_000):
        lab.run(f"./many ten_thousand_entries >/dev/null & usleep {pause}; kill -9 $!; killall -9 many; wait; true")
    lab.run("./store keeps_a_value && ./store replaced_values_do_not_come_back && ./bytes keys_that_begin_alike")
