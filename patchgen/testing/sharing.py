"""Scenarios that share a guest: which do, and how the guest is tidied up between two of them.

Half of a short scenario's time goes by until its guest has answered the first command: QEMU translates the kernel's
code anew in each. So where the assignment says how to undo what a scenario has done (`reset`), several run one after
another in one guest (`runner.run_some`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from patchgen.testing.lab import Scenario

if TYPE_CHECKING:
    from patchgen.guest.session import Guest

TOGETHER = 8  # More save no time (docs/speed.md).
_SECONDS = 5.0  # after which a kernel hangs in the assignment's line
# The files of a guest that has just booted; then: end every process, and remove every file that is not among those.
_LIST = "printf '|%s' /root/* /tmp/* ''"
_TIDY = """kill -9 -1 2>/dev/null
for i in /root/* /tmp/*; do case "$FIRST" in *"|$i|"*) ;; *) rm -r "$i" ;; esac; done
"""


def groups(scenarios: Sequence[Scenario], reset: str) -> list[list[Scenario]]:
    """Return which scenarios run in one guest, in the order in which the guests start: the long ones first.

    A group depends on the scenarios alone, not on how many guests run at a time: what is run twice is run the same way.

    Args:
        scenarios: those to run.
        reset: the assignment's shell line; "" if each scenario has a guest of its own.
    """
    together: dict[int, list[Scenario]] = {}
    found = []
    for one in sorted(scenarios, key=lambda scenario: not scenario.long):
        group = [] if one.long or one.alone or not reset else together.setdefault(one.cpus, [])
        if not group:
            found.append(group)
        group.append(one)
        if len(group) == TOGETHER:
            del together[one.cpus]
    return found


class Tidy:
    """Undoes what a scenario has done in a guest: its processes and files, and what the assignment's line undoes.

    Args:
        guest: in which nothing was run yet.
        reset: the assignment's shell line.
    """

    def __init__(self, guest: Guest, reset: str) -> None:
        self._guest, self._line = guest, _TIDY + reset
        self._first = guest.run(_LIST).text

    def __call__(self) -> bool:
        """Do it, and return whether that was possible: whether the line's status is 0.

        Raises:
            GuestError: the kernel died of it.
            MachineError: QEMU failed.
        """
        return self._guest.run(self._line, _SECONDS, env={"FIRST": self._first}).status == 0
