"""What the kernel under test must do, as scenarios."""

from patchgen.scenarios import counting, errors, session, tracking
from patchgen.scenarios.model import REGISTRY, Failed, Lab, Scenario

__all__ = ["SCENARIOS", "Failed", "Lab", "Scenario", "counting", "errors", "session", "tracking"]

SCENARIOS: tuple[Scenario, ...] = tuple(REGISTRY.scenarios)
