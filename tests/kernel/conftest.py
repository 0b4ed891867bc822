"""The real linux-4.15, built with and without the series, from the user's own cache.

Where the source cannot be had, every test that needs it is skipped with the reason; nothing stands in for it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from patchgen import kernel, pipeline, torture
from patchgen.errors import BaseError, DownloadError
from patchgen.kernel import Kernel
from patchgen.pipeline import Project
from patchgen.settings import Settings, load
from patchgen.source import Source
from patchgen.testbed import Testbed

# Read before any test's isolation hides the caller's cache, source and programs.
SETTINGS = load(Path.cwd())
HOME = os.environ.get("HOME", "/")
CONFIG = "small"


def build(project: Project, origin: Source, *, vanilla: bool, config: str = CONFIG) -> Kernel:
    """Return the kernel with the series, or without."""
    tree = origin.tree if vanilla else pipeline.commit(project, origin).tree
    slot = "vanilla" if vanilla else "series"
    return kernel.build(kernel.load_config(config), tree, origin, project.cache, slot=slot, jobs=project.settings.jobs)


BUILD_TABLE = pytest.StashKey[dict[str, dict[str, str]]]()


@pytest.fixture(scope="session")
def build_table(pytestconfig: pytest.Config) -> dict[str, dict[str, str]]:
    """Return the table of what was built, by configuration and patch; it is printed at the end."""
    return pytestconfig.stash.setdefault(BUILD_TABLE, {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was built, if anything was."""
    table = config.stash.get(BUILD_TABLE, {})
    if table:
        terminalreporter.section("each patch in each way")
    for name, row in table.items():
        for column, cell in row.items():
            terminalreporter.write_line(f"{name:14} {column:8} {cell}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here; tests/kernel is what `-m kernel` selects."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.kernel)


@pytest.fixture(scope="session")
def settings() -> Settings:
    """Return the caller's settings."""
    return SETTINGS


@pytest.fixture(scope="session")
def project(settings: Settings) -> Project:
    """Return our series on the caller's cache."""
    return pipeline.open_project(settings, {})


@pytest.fixture(scope="session")
def origin(project: Project) -> Source:
    """Return linux-4.15, or skip."""
    try:
        return project.source()
    except (BaseError, DownloadError) as error:
        if project.settings.linux_src:
            raise
        pytest.skip(f"linux-4.15 cannot be had: {error.message}")


@pytest.fixture(scope="session")
def series_kernel(project: Project, origin: Source) -> Kernel:
    """Return the kernel with our series."""
    return build(project, origin, vanilla=False)


@pytest.fixture(scope="session")
def vanilla(project: Project, origin: Source) -> Kernel:
    """Return the kernel without any patch."""
    return build(project, origin, vanilla=True)


@pytest.fixture(scope="session")
def vanilla_kernel(vanilla: Kernel) -> Path:
    """Return the bzImage without any patch."""
    return vanilla.image


@pytest.fixture(scope="session")
def series_bed(project: Project, series_kernel: Kernel) -> Testbed:
    """Return the testbed of the kernel with our series."""
    return pipeline.testbed_of(project, series_kernel.image)


@pytest.fixture(scope="session")
def vanilla_bed(project: Project, vanilla: Kernel) -> Testbed:
    """Return the testbed of the kernel without any patch."""
    return pipeline.testbed_of(project, vanilla.image)


@pytest.fixture(scope="session")
def debug_bed(project: Project, origin: Source) -> Testbed:
    """Return the testbed of the kernel with our series and every check that it has of its own."""
    return pipeline.testbed_of(project, build(project, origin, vanilla=False, config=torture.CONFIG).image)


@pytest.fixture
def machine_environment(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Give a test's commands the caller's cache back."""
    monkeypatch.setenv("HOME", HOME)
    monkeypatch.setenv("PATCHGEN_CACHE", str(settings.cache))
    for name, value in (("LINUX_SRC", settings.linux_src), ("LINUX_BASE", settings.linux_base)):
        if value:
            monkeypatch.setenv(name, str(value))
