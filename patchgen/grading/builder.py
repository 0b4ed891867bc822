"""Where a submission's kernels are built and run: the one place that knows what they must be kept away from."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from patchgen import pipeline, sandbox
from patchgen.cache import machine_faults
from patchgen.checks import static
from patchgen.kernel import configs, lines, questions
from patchgen.kernel.build import BuildRequest, build
from patchgen.kernel.sandboxed import IncrementalBuilds

if TYPE_CHECKING:
    from patchgen.base.resolve import Source
    from patchgen.cache import Cache
    from patchgen.guest.oops import Frame
    from patchgen.guest.testbed import Testbed
    from patchgen.kernel.build import Kernel
    from patchgen.pipeline import Project
    from patchgen.sandbox import Sandbox

CONFIG = "small"
_WORKSPACES = 64


@contextlib.contextmanager
def locked_workspace(cache: Cache) -> Iterator[str]:
    """Give the name of a workspace that no other verdict uses meanwhile: always the first that is free."""
    for number in range(1, _WORKSPACES + 1):
        name = f"submission-{number}" if number > 1 else "submission"
        lock = FileLock(cache.directory("locks") / f"workspace-{name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        try:
            yield name
        finally:
            lock.release()
        return
    with cache.lock("workspace-last"):  # more at a time than any machine would do: wait
        yield f"submission-{_WORKSPACES + 1}"


@dataclass(frozen=True)
class KernelBuilder:
    """Builds and boots the kernels of one submission.

    Attributes:
        project: settings, cache and our series (for its parameters).
        origin: the base.
        workspace: the workspace for the submission's trees.
        trust: the user vouches for the submission.
        time_scale: what time limits in guests are multiplied by.
        place: a directory that holds the kernels for as long as the verdict takes; the cache may drop them.
        chain: its builds so far, each of which may begin where the one before it has ended.
    """

    project: Project
    origin: Source
    workspace: str
    trust: bool = False
    time_scale: float = 1.0
    place: Path | None = None
    chain: IncrementalBuilds | None = None

    def within(self, place: Path) -> KernelBuilder:
        """Return the same for one verdict, with a directory for what it holds."""
        return dataclasses.replace(self, place=place, chain=IncrementalBuilds(place))

    def build(self, config: str, tree: str) -> Kernel:
        """Build a tree that is graded, unless the cache has it: from the base's objects, in one step.

        Raises:
            BuildError: it does not build.
            MachineError: the machine failed.
        """
        # What another tree of the same submission has left could be anything.
        first = self.chain is not None and not self.chain.before(config)
        return self._build(config, tree, self.chain if first else None)

    def build_on(self, config: str, tree: str) -> Kernel:
        """Build a tree only to see that it builds: quickly, from what the builds before it have left.

        Raises:
            BuildError: it does not build.
            MachineError: the machine failed.
        """
        return self._build(config, tree, self.chain)

    def line(self, config: str, tree: str, path: str, frame: Frame) -> int:
        """Return the line of a file that a place in a kernel comes from; 0 if that cannot be told.

        Raises:
            PatchgenError: it cannot be compiled once more.
        """
        chosen, cache, jobs = configs.load(config), self.project.cache, self.project.settings.jobs
        request = BuildRequest(chosen, tree, self.origin, cache, self.workspace, jobs, self.box(), self.chain)
        return lines.line(request, path, frame.function, frame.offset)

    def _build(self, config: str, tree: str, chain: IncrementalBuilds | None) -> Kernel:
        chosen = configs.load(config)
        ours = tree == self.origin.tree
        workspace, box = ("vanilla", None) if ours else (self.workspace, self.box())
        jobs = self.project.settings.jobs
        cache = self.project.cache
        chain = chain if box else None
        return self._held(build(BuildRequest(chosen, tree, self.origin, cache, workspace, jobs, box, chain)))

    def _held(self, built: Kernel) -> Kernel:
        """Return a kernel whose files stay: the cache keeps only the newest, and other verdicts build meanwhile."""
        if self.place is None:
            return built
        held = self.place / built.key
        if not held.is_dir():
            with machine_faults("cannot hold the kernel"):
                held.mkdir()
                for name in ("bzImage", "build.log"):
                    os.link(built.image.with_name(name), held / name)
        return dataclasses.replace(built, image=held / "bzImage")

    def vanilla(self, config: str = CONFIG) -> Kernel:
        """Build the base itself."""
        return self.build(config, self.origin.tree)

    def testbed(self, image: Path) -> Testbed:
        """Return what guests of a kernel are made of; the base's own go into the sandbox as well, to compare with.

        Raises:
            MachineError: a tool is missing.
        """
        return dataclasses.replace(pipeline.testbed_of(self.project, image, self.box()), time_scale=self.time_scale)

    def questions(self, tree: str) -> str:
        """Return what plain `make` asks on a tree with the base's .config; "" if it asks nothing.

        Raises:
            BuildError: it fails without a question.
            MachineError: the machine failed.
        """
        return questions.asked(tree, self.origin, self.project.cache, workspace=self.workspace, sandbox=self.box())

    def sparse(self, tree: str, paths: frozenset[str]) -> static.Report:
        """Let sparse look at the files of a tree, and at those of the base.

        Raises:
            BuildError: they do not compile.
            MachineError: the machine failed.
        """
        target = static.Target(self.origin, tree, self.workspace, paths, self.box(), self.chain)
        return static.analyse(target, self.project.cache, self.project.settings.jobs, "sparse")

    def box(self) -> Sandbox | None:
        """Return what the submission is shut in, None where the user vouches for it.

        Raises:
            MachineError: there is no sandbox here.
        """
        return sandbox.sandbox_for_untrusted(self.trust)
