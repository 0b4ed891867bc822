"""What somebody would use without the series, measured the same way: a tracepoint and a probe of the kernel's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from patchgen.checks import cost
from patchgen.checks.cost import State

if TYPE_CHECKING:
    from patchgen.checks.cost import Sample
    from patchgen.guest.testbed import Testbed

CONFIG = "traced"
_TRACING = "/sys/kernel/debug/tracing"
_TRACEPOINT = f"{_TRACING}/events/exceptions/page_fault_user"
# The error code of a write to a page that is there, from user mode: X86_PF_PROT | X86_PF_WRITE | X86_PF_USER.
_COW = 7

OFF = State("off", "nothing traced")
ON = (
    State(
        "tracepoint",
        f"page_fault_user, error_code=={_COW}",
        (f"echo 'error_code=={_COW}' >{_TRACEPOINT}/filter", f"echo 1 >{_TRACEPOINT}/enable"),
    ),
    State(
        "kprobe",
        "kprobe on wp_page_copy",
        (
            f"echo 0 >{_TRACEPOINT}/enable",
            # gcc makes do_wp_page() a part of its caller. This one sees copies, and no page that is only made writable.
            f"echo 'p:wp wp_page_copy' >{_TRACING}/kprobe_events",
            f"echo 1 >{_TRACING}/events/kprobes/wp/enable",
        ),
    ),
)
KINDS = tuple(kind for kind in cost.KINDS if kind.group != "call")


def measure(traced: Testbed) -> dict[str, dict[str, Sample]]:
    """Measure each kind of fault, with nothing traced and then with each of the kernel's own means.

    Args:
        traced: a kernel without the series, of the configuration CONFIG.

    Returns:
        The samples by state and kind.

    Raises:
        GuestError: the kernel does not boot or dies, or has none of these means.
        MachineError: QEMU failed.
    """
    found = {}
    with cost.guest(traced) as running:
        for state in (OFF, *ON):
            cost.enter(running, state)
            found[state.name] = {kind.name: cost.sample(running, kind) for kind in KINDS}
    return found
