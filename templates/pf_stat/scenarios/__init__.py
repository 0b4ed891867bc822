"""What the assignment asks for, as scenarios. Each module here is loaded by itself; `Lab` is what they are given."""

from .coverage_runs import RUNS as COVERAGE_RUNS
from .lab import Lab

__all__ = ["COVERAGE_RUNS", "Lab"]
