"""Which kernels the tests run on: linux-4.15, and in its place, or beside it, the one that Debian ships.

`prepare.py` decides once, before pytest, and hands the decision on in a variable: it may take a download, or the time
in which one fails.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from patchgen import pipeline
from patchgen.base import bases, worktree
from patchgen.base.resolve import Source
from patchgen.cli import choice
from patchgen.errors import BaseError, DownloadError
from patchgen.kernel import build as kernel
from patchgen.kernel import configs
from patchgen.kernel.build import BuildRequest, Kernel
from patchgen.pipeline import Project
from patchgen.settings import Settings, load

VARIABLE = "PATCHGEN_TEST_KERNELS"

# Read before any test's isolation hides the caller's cache, source and programs.
SETTINGS = load(Path.cwd())
_DECIDED = os.environ.get(VARIABLE, "")


@dataclass(frozen=True)
class Kernels:
    """What the kernel tests run on.

    Attributes:
        main: base of all of them; "" if none can be had.
        second: base of the conformance suite beside it; "" for none.
        lacking: why another base is not among them, by its name.
    """

    main: str
    second: str
    lacking: Mapping[str, str]

    @property
    def substitute(self) -> bool:
        """Whether the main one stands in for linux-4.15."""
        return bool(self.main) and bases.DEFAULT in self.lacking

    @property
    def alone(self) -> bool:
        """Whether there is to be no second one: the caller has named the main one, or it stands in for linux-4.15."""
        return not self.second and not set(self.lacking) - {bases.DEFAULT}

    def sentence(self) -> str:
        """Say it, for the first and the last line of a run."""
        titles = {name: bases.load(name).title for name in bases.names()}
        why = "; ".join(f"{titles[name]} cannot be had: {reason}" for name, reason in self.lacking.items())
        if not self.main:
            return f"kernel tests: NONE, {why}"
        if self.substitute:
            return f"kernel tests: on {titles[self.main]}, because {why}"
        also = f"; the conformance suite on {titles[self.second]} too" if self.second else ""
        return f"kernel tests: on {titles[self.main]}{also}" + (f" ({why})" if why else "")


def decide(settings: Settings, obtain: choice.Obtain = choice.fetch) -> Kernels:
    """Find out which bases can be had.

    Args:
        settings: the caller's; a base that they name is the only one.
        obtain: brings a base into the cache, or raises.

    Raises:
        PatchgenError: what the caller named cannot be had, or the machine is at fault in a way that hits every base.
    """
    if choice.is_named(settings):
        obtain(settings)
        return Kernels(settings.base, "", {})
    lacking: dict[str, str] = {}
    try:
        obtain(settings.model_copy(update={"base": bases.DEFAULT}))
    except (BaseError, DownloadError) as error:
        if settings.linux_src:
            raise
        lacking[bases.DEFAULT] = error.message
    there = choice.newest_other(settings, obtain, lacking)
    return Kernels(there, "", lacking) if bases.DEFAULT in lacking else Kernels(bases.DEFAULT, there, lacking)


def of_this_run() -> Kernels:
    """Return what was decided for this run; decide now, if pytest was started without prepare.py.

    Raises:
        PatchgenError: as `decide`.
    """
    if known := decided():
        return known
    return decide(SETTINGS)


def decided() -> Kernels | None:
    """Return what prepare.py has decided, None if it did not run."""
    return Kernels(**json.loads(_DECIDED)) if _DECIDED else None


def as_text(kernels: Kernels) -> str:
    """Return the variable's value."""
    return json.dumps(asdict(kernels))


def build(project: Project, origin: Source, *, vanilla: bool, config: str = "small") -> Kernel:
    """Return the kernel with the series, or without."""
    tree = origin.tree if vanilla else pipeline.commit(project, origin).tree
    workspace, jobs = worktree.BASE_SLOT if vanilla else project.workspace, project.settings.jobs
    chosen = configs.load(config, origin.base.name)
    return kernel.build(BuildRequest(chosen, tree, origin, project.cache, workspace, jobs))
