"""Decides which kernels the tests run on, and builds them with the progress shown that pytest would swallow.

The decision goes to standard output, for the variable that kernels.py reads. Where no kernel can be had it says so and
succeeds: the tests are then skipped, with the same reason.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext

import kernels

from patchgen import assignment, pipeline, progress
from patchgen.checks import stress
from patchgen.cli import choice
from patchgen.errors import BuildError, PatchgenError
from patchgen.pipeline import Project
from patchgen.process import running
from patchgen.settings import Settings

# Which kernels: whether of the base itself, and the configuration.
_ALL = ((True, "small"), (False, "small"), (False, stress.CONFIG))
_CONFORMANCE = ((False, "small"),)
_END_SECONDS = 10.0  # that a build has to clean up
_over = threading.Event()  # no other kernel is to be built


def main() -> int:
    """Build them; return the exit status."""
    with ThreadPoolExecutor(2) as pool:
        building: list[Future[None]] = []

        def obtain(settings: Settings) -> None:
            """Get a base, and let its kernels be built while the next one is fetched, which takes one CPU."""
            with progress.hidden() if building else nullcontext():  # a terminal has room for one bar
                choice.fetch(settings)
            building.append(pool.submit(build_all, settings.base, main=not building))

        try:
            chosen = kernels.decide(kernels.SETTINGS, obtain)
            progress.note(chosen.sentence())
            for one in building[:1]:
                one.result()
            for one in building[1:]:
                with nullcontext() if one.done() else progress.step(f"building the kernels on {chosen.second}"):
                    one.result()
            print(kernels.as_text(chosen))  # noqa: T201 - what is asked for
        except PatchgenError as error:
            progress.warn(f"kernel tests cannot run: {error.message}")
        finally:  # by an error, or Ctrl-C, while kernels are still built
            if any(not one.done() for one in building):
                _over.set()
                running.interrupt_all(_END_SECONDS)
    return 0


def build_all(base: str, *, main: bool) -> None:
    """Build the kernels of a base; show it for the main one."""
    with nullcontext() if main else progress.hidden():
        # The default one has the base built, whose objects then serve the others, too.
        for exercise in sorted(assignment.names(), key=lambda one: one != assignment.default()):
            settings = kernels.SETTINGS.model_copy(update={"base": base, "assignment": exercise})
            project = pipeline.open_project(settings, {})
            build(project, _ALL if main and project.assignment.is_default else _CONFORMANCE)


def build(project: Project, wanted: Iterable[tuple[bool, str]]) -> None:
    """Build the kernels of a base."""
    origin = project.source()
    try:
        for vanilla, name in wanted:
            if not _over.is_set():
                kernels.build(project, origin, vanilla=vanilla, config=name)
    except BuildError as error:
        if not _over.is_set():
            progress.warn(f"{error.message}; the tests will say more")


if __name__ == "__main__":
    sys.exit(main())
