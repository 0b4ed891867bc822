"""How a submission is handled: what it is shut in, and what it may change. The one place for both questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from patchgen import sandbox

if TYPE_CHECKING:
    from patchgen.sandbox import Sandbox


@dataclass(frozen=True)
class Handling:
    """How patches are handled.

    Attributes:
        sandbox: what everything that reads, builds or runs them is shut in; None for trusted work.
        may_change_build: they may change how the kernel is built (see `patchgen.submission.allowed`).
    """

    sandbox: Sandbox | None = None
    may_change_build: bool = True


OURS = Handling()


def untrusted(trust: bool, allow_build_changes: bool) -> Handling:
    """Return how a submission is handled.

    Args:
        trust: the user vouches for it: it needs no sandbox and may change what it likes.
        allow_build_changes: the user has looked at what it changes of the build.

    Raises:
        MachineError: it must be shut in, and this machine has no sandbox.
    """
    return Handling(sandbox.sandbox_for_untrusted(trust), trust or allow_build_changes)
