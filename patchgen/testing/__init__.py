"""Scenarios on a kernel: the lab they work in, the runner, and what came of them."""
