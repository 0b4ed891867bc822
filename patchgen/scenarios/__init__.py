"""What the kernel under test must do, as scenarios."""

from patchgen.scenarios import cleanup, counting, errors, runs, session, tracking, vmas
from patchgen.testing.lab import REGISTRY, Failed, Lab, Scenario, Skipped

__all__ = [
    "SCENARIOS",
    "Failed",
    "Lab",
    "Scenario",
    "Skipped",
    "cleanup",
    "counting",
    "errors",
    "runs",
    "session",
    "tracking",
    "vmas",
]

SCENARIOS: tuple[Scenario, ...] = tuple(REGISTRY.scenarios)
