"""Decides which kernels the tests run on, and builds them with the progress shown that pytest would swallow.

The decision goes to standard output, for the variable that kernels.py reads. Where no kernel can be had it says so and
succeeds: the tests are then skipped, with the same reason.
"""

from __future__ import annotations

import sys

import kernels

from patchgen import assignment, pipeline, progress
from patchgen.checks import stress
from patchgen.errors import BuildError, PatchgenError
from patchgen.pipeline import Project

# Configurations of the base and of the series.
_ALL = (("small",), ("small", stress.CONFIG))
_CONFORMANCE = ((), ("small",))


def main() -> int:
    """Build them; return the exit status."""
    try:
        chosen = kernels.of_this_run()
        progress.note(chosen.sentence())
        for name, wanted in ((chosen.main, _ALL), (chosen.second, _CONFORMANCE)):
            # The default one has the base built, whose objects then serve the others, too.
            for exercise in sorted(assignment.names(), key=lambda one: one != assignment.default()) if name else ():
                settings = kernels.SETTINGS.model_copy(update={"base": name, "assignment": exercise})
                project = pipeline.open_project(settings, {})
                build(project, wanted if project.assignment.is_default else _CONFORMANCE)
        print(kernels.as_text(chosen))  # noqa: T201 - what is asked for
    except PatchgenError as error:
        progress.warn(f"kernel tests cannot run: {error.message}")
    return 0


def build(project: Project, wanted: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    """Build the kernels of a base."""
    origin, (of_base, of_series) = project.source(), wanted
    try:
        for name in of_base:
            kernels.build(project, origin, vanilla=True, config=name)
        for name in of_series:
            kernels.build(project, origin, vanilla=False, config=name)
    except BuildError as error:
        progress.warn(f"{error.message}; the tests will say more")


if __name__ == "__main__":
    sys.exit(main())
