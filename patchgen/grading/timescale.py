"""How slow the machine is at this time: time limits in guests grow with it.

Measured is the unpatched kernel, just before a submission's: a guest is restored, and some programs run in it. On the
machine on which the limits were chosen that takes REFERENCE. A machine that is busy, or slow, takes longer, and all
limits are multiplied by as much. They never shrink: a limit that is too long costs patience only.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from patchgen.cache import write_text

if TYPE_CHECKING:
    from patchgen.cache import Cache
    from patchgen.guest.testbed import Testbed

REFERENCE = 0.6  # s, on two quiet cores of 2023 with QEMU's TCG
_VALID = 180.0  # s that an answer stands
_MOST = 50.0  # times as slow: beyond that it is the machine that is graded
_SECONDS = 600.0
_WORK = "for i in 1 2 3 4 5; do play map,0,400,rw,anon write,0,400 fork write,0,400 end write,0,400; done"


def of(seconds: float) -> float:
    """Return what limits are multiplied by where the work takes that long."""
    return round(min(max(seconds / REFERENCE, 1.0), _MOST), 2)


def measure(vanilla: Testbed, cache: Cache, now: float | None = None) -> float:
    """Return what time limits are to be multiplied by, measured now or within the last few minutes.

    Args:
        vanilla: testbed of the unpatched kernel.
        cache: where the last answer is kept.
        now: seconds since the epoch, for tests.

    Raises:
        MachineError: the unpatched kernel does not even come that far.
        GuestError: the same.
    """
    kept = cache.directory("time_scale") / "vanilla.json"
    moment = time.time() if now is None else now
    try:
        known = json.loads(kept.read_text())
        if 0 <= moment - known["at"] < _VALID:
            return float(known["time_scale"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    with vanilla.ready():  # the first one is saved, which takes longer
        pass
    begin = time.monotonic()
    with vanilla.ready() as guest:
        guest.run(_WORK, timeout=_SECONDS)
    found = of(time.monotonic() - begin)
    write_text(kept, json.dumps({"at": moment, "time_scale": found}))
    return found
