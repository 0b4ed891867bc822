"""Tests see neither the user's configuration nor the user's cache (the kernel tests do: kernel/conftest.py)."""

from __future__ import annotations

import gc
import os
from collections import Counter
from pathlib import Path

import kernels
import pytest
from _pytest.terminal import TerminalReporter

from patchgen import progress
from patchgen.cache import Cache
from patchgen.findings import Result

_CALLERS = ("GIT_", "XDG_", "PATCHGEN_", "LINUX_", "BASE")


def pytest_collection_finish() -> None:
    """Keep what was collected out of the garbage collector's way: it stays to the end, and is large."""
    gc.freeze()


@pytest.fixture(autouse=True)
def isolation(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test a home of its own and none of the caller's settings."""
    home = tmp_path_factory.mktemp("home")
    for name in list(os.environ):
        if name.startswith(_CALLERS) or name in ("TEST_PROGRAM", "FORK_PROGRAM"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATCHGEN_CACHE", str(home / "cache"))
    monkeypatch.setattr(progress, "_quiet", True)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """Return a cache of the test's own."""
    return Cache(tmp_path / "cache")


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say loudly how many kernel tests were skipped, and why: a green run without them proves much less."""
    skipped = [report for report in terminalreporter.stats.get(Result.SKIP, []) if "kernel" in report.keywords]
    if skipped:
        reasons = Counter(str(report.longrepr[2]) for report in skipped if isinstance(report.longrepr, tuple))
        terminalreporter.section("KERNEL TESTS SKIPPED", red=True)
        terminalreporter.line(f"{len(skipped)} kernel tests did not run:", red=True)
        for reason, count in sorted(reasons.items()):
            terminalreporter.line(f"  {count}: {reason.removeprefix('Skipped: ')}", red=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say once more, after everything else, on which kernels the tests ran."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    chosen = kernels.decided()
    if reporter and chosen and not hasattr(config, "workerinput"):
        skipped = [report for report in reporter.stats.get(Result.SKIP, []) if "kernel" in report.keywords]
        reporter.line(chosen.sentence() + (f"; {len(skipped)} of them skipped" if skipped else ""))
