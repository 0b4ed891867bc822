"""The real kernel, built with and without the series, from the user's own cache.

It is linux-4.15, or Debian's in its place where that cannot be had (kernels.py). Where neither can be, every test that
needs one is skipped with the reason; nothing stands in for a kernel.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from kernels import SETTINGS, Kernels, build, decided, of_this_run

from patchgen import pipeline
from patchgen.base import bases
from patchgen.base.resolve import Source
from patchgen.cache import Cache
from patchgen.checks import stress
from patchgen.guest import busybox, testbed
from patchgen.guest.initramfs import Image
from patchgen.guest.testbed import Testbed
from patchgen.kernel.build import Kernel
from patchgen.pipeline import Project
from patchgen.series import compose
from patchgen.series.compose import Step
from patchgen.settings import Settings

HOME = os.environ.get("HOME", "/")
Made = Callable[..., Path]
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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark everything here; tests/kernel is what `-m kernel` selects.

    On one base alone there is nothing to be tested beside it, and nothing that was skipped. A second base that should
    have been there and cannot be had is another matter: that is a skip.
    """
    chosen = decided()
    if chosen and chosen.alone:
        beside = [item for item in items if "second_bed" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=beside)
        items[:] = [item for item in items if item not in beside]
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.kernel)


@pytest.fixture(scope="session")
def kernels() -> Kernels:
    """Return which kernels this run is on."""
    return of_this_run()


@pytest.fixture(scope="session")
def settings(kernels: Kernels) -> Settings:
    """Return the caller's settings, with the base that the tests run on."""
    return SETTINGS.model_copy(update={"base": kernels.main or bases.DEFAULT})


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what says of itself that only linux-4.15 can show it, where another kernel stands in for that.

    Before any fixture is made: those of a module would build kernels.
    """
    marker = item.get_closest_marker("only_linux_4_15")
    if marker and (name := of_this_run().main or bases.DEFAULT) != bases.DEFAULT:
        pytest.skip(f"only linux-4.15 can show it, and this is {name}: {marker.args[0]}")


@pytest.fixture(scope="session")
def project(settings: Settings) -> Project:
    """Return our series on the caller's cache."""
    return pipeline.open_project(settings, {})


@pytest.fixture(scope="session")
def origin(kernels: Kernels, project: Project) -> Source:
    """Return the base, or skip."""
    if not kernels.main:
        pytest.skip(kernels.sentence())
    return project.source()


@pytest.fixture(scope="session")
def series_kernel(project: Project, origin: Source) -> Kernel:
    """Return the kernel with our series."""
    return build(project, origin, vanilla=False)


@pytest.fixture(scope="session")
def second_project(kernels: Kernels) -> Project:
    """Return our series on the base that is tested beside linux-4.15, or skip."""
    if not kernels.second:
        pytest.skip(kernels.sentence())
    return pipeline.open_project(SETTINGS.model_copy(update={"base": kernels.second}), {})


@pytest.fixture(scope="session")
def second_bed(second_project: Project) -> Testbed:
    """Return the testbed of our series on the second base."""
    built = build(second_project, second_project.source(), vanilla=False)
    return pipeline.testbed_of(second_project, built.image)


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
    return pipeline.testbed_of(project, build(project, origin, vanilla=False, config=stress.CONFIG).image)


@pytest.fixture
def machine_environment(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Give a test's commands the caller's cache back."""
    monkeypatch.setenv("HOME", HOME)
    monkeypatch.setenv("PATCHGEN_CACHE", str(settings.cache))
    places = {"LINUX_SRC": settings.linux_src, "LINUX_BASE": settings.linux_base, "BASE_SRC": settings.base_src}
    for name, value in {**places, "BASE": settings.base}.items():
        if value:
            monkeypatch.setenv(name, str(value))


@pytest.fixture(scope="session")
def ours(project: Project, origin: Source, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return our own series as a patch.tar.gz, in one patch: the kernel of its tree was built by trusted work."""
    author, place = project.settings.submission, tmp_path_factory.mktemp("ours")
    steps = compose.render_series(project.series, origin, author)
    (whole,) = compose.format_patch(compose.commit(origin, [compose.squash(steps)], author, project.cache), place)
    others = {name: data for name, data in pipeline.generate(project).files.items() if not name.endswith(".patch")}
    path = place / "patch.tar.gz"
    path.write_bytes(pipeline.pack({**others, whole.name: whole.read_bytes()}, project).data)
    return path


@pytest.fixture(scope="session")
def edited(project: Project, origin: Source, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Return what makes a submission whose patches give a file of the base one text after the other."""

    def make(path: str, *edits: Callable[[str], str]) -> Path:
        files, modes = compose._base_files(origin, [path])
        author = project.settings.submission.authors[0]
        steps = [
            Step(str(number), f"x86: Change it\n\nBecause.\n\nSigned-off-by: {author}\n", {path: data}, modes)
            for number, data in enumerate(edit(files[path]).encode() for edit in edits)
        ]
        composed = compose.commit(origin, steps, project.settings.submission, project.cache)
        target = tmp_path_factory.mktemp("edited") / "patch"
        target.mkdir()
        compose.format_patch(composed, target)
        (target / "report.txt").write_text("A report.\n")
        return target

    return make


@pytest.fixture(scope="session")
def idle(edited: Made) -> Path:
    """Return a submission that only adds a comment."""
    return edited("lib/ctype.c", lambda text: f"{text}\n/* Nothing was done. */\n")


@pytest.fixture(scope="session")
def foreign(idle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a patch on something else than linux-4.15."""
    text = next(idle.glob("*.patch")).read_text()
    assert "EXPORT_SYMBOL" in text
    path = tmp_path_factory.mktemp("foreign") / "0001-x86-Change-it.patch"
    path.write_text(text.replace("EXPORT_SYMBOL", "IMPORT_SYMBOL"))
    return path


@pytest.fixture(scope="session")
def user_cache(settings: Settings) -> Cache:
    """Return the caller's own cache: busybox need not be fetched, a kernel not be booted, for every run."""
    return Cache(settings.cache)


@pytest.fixture(scope="session")
def image(vanilla_kernel: Path, project: Project, user_cache: Cache) -> Image:
    """Return our own programs, whatever the caller's settings have in their place, with the base's call numbers."""
    ours = project.settings.model_copy(update={"test_program": None, "fork_program": None})
    return testbed.make(
        vanilla_kernel, testbed.Contents(ours, project.assignment, project.series.parameters), user_cache
    ).image


@pytest.fixture
def own_cache(tmp_path: Path, user_cache: Cache, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """Return an empty cache; busybox need not be fetched for it."""
    monkeypatch.setenv(busybox.VARIABLE, str(busybox.find(user_cache)))
    return Cache(tmp_path / "cache")
