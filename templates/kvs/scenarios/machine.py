"""What the kernel log says, which a program cannot see of itself.

The programs are those of the scenarios in C, each of which makes ordinary and odd calls.
"""

from __future__ import annotations

from patchgen.testing.lab import Lab, expect, scenario


def expect_silence(lab: Lab, *programs: str) -> None:
    """Demand that programs, all scenarios of each, leave no line in the kernel log; how they end is another matter."""
    # Where no call is there, silence means nothing.
    text = lab.run("./store keeps_a_value", status=None).text
    expect("whether the calls are not implemented", "ENOSYS" in text, False, text)
    for program in programs:
        result = lab.run(f"./{program} >/dev/null", status=None, timeout=120.0)
        expect(f"kernel log of ./{program}", [line.text for line in result.log], [])


@scenario("S3")
def success_logs_nothing(lab: Lab) -> None:
    """Calls with right arguments leave no line in the kernel log."""
    expect_silence(lab, "store", "bytes", "processes")


@scenario("S3")
def failures_log_nothing(lab: Lab) -> None:
    """Calls with pointers and lengths that are wrong leave no line in the kernel log either."""
    expect_silence(lab, "pointers", "lengths", "buffers")


@scenario("S3")
def failed_allocations_log_nothing(lab: Lab) -> None:
    """Calls for which there is no memory leave no line in the kernel log."""
    expect_silence(lab, "nomemory")
