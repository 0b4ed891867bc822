"""The options that say which kernel a command works on. They are the same for all commands: the kernel under test."""

from __future__ import annotations

import functools
import inspect
import shlex
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from patchgen.base.bases import DEFAULT
from patchgen.cli import common
from patchgen.errors import BuildError, UsageError

if TYPE_CHECKING:
    from patchgen.base.resolve import Source
    from patchgen.guest.testbed import Testbed
    from patchgen.kernel.build import Kernel
    from patchgen.pipeline import Project
    from patchgen.sandbox.handling import Handling


@dataclass(frozen=True)
class UnderTest:
    """The kernel under test, as the command line names it; our series on the default base unless it says otherwise.

    The fields are the command line's options: `options` gives them to a command.

    Attributes:
        submission: somebody's patches in place of our series.
        kernel: a built bzImage in place of one that is built now.
        vanilla: the base without any patch.
        trust: the user vouches for the submission, so it needs no sandbox.
        allow_build_changes: the user has looked at what the submission changes of the build.
        set_: replaced parameters of our series, as NAME=VALUE.
        base: the base's name; None: that of the settings.
        assignment: whose series, and whose programs in the guests; None: that of the settings.
    """

    submission: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH",
            help="The submission: an archive, a directory of patches, a patch, or REPO:A..B. Default: our series.",
        ),
    ] = None
    kernel: Annotated[Path | None, typer.Option("--kernel", metavar="BZIMAGE", help="Use this kernel; build none.")] = (
        None
    )
    vanilla: Annotated[bool, typer.Option("--vanilla", help="Use the base without any patch.")] = False
    trust: common.Trust = False
    allow_build_changes: common.AllowBuildChanges = False
    set_: common.Set = None
    base: common.Base = None
    assignment: common.Assignment = None

    def __post_init__(self) -> None:
        """Refuse a command line that names two kernels.

        Raises:
            UsageError: it does.
        """
        named = {"the submission PATH": self.submission, "--kernel": self.kernel, "--vanilla": self.vanilla}
        given = [name for name, value in named.items() if value]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} name two kernels", hint="give one of them")

    def project(self) -> Project:
        """Open the project that the options choose.

        Raises:
            UsageError: a setting is wrong, or there is no such base or parameter.
        """
        from patchgen import pipeline

        return pipeline.open_project(common.load_settings(self.base, self.assignment), common.parse_set(self.set_))

    def handling(self) -> Handling:
        """Return how the submission is handled: what it is shut in and what it may change; without one, our own series.

        Raises:
            MachineError: it must be shut in, and this machine has no sandbox.
        """
        from patchgen.sandbox import handling

        return handling.untrusted(self.trust, self.allow_build_changes) if self.submission else handling.OURS

    def tree(self, project: Project, origin: Source) -> tuple[str, str]:
        """Return the git tree id of the kernel's source, and the name of the workspace that builds it.

        Raises:
            SubmissionError: the series is wrong, or the submission does not apply.
        """
        from patchgen import pipeline

        if self.vanilla:
            return origin.tree, "vanilla"
        return pipeline.tree_under_test(project, origin, self.submission, self.handling())

    def build(self, project: Project, config: str = "small") -> Kernel:
        """Build the kernel unless the cache has it.

        Args:
            project: that of the options.
            config: the kernel configuration's name.

        Raises:
            BuildError: it does not build.
            PatchgenError: the base is missing, or the patches do not apply.
        """
        from patchgen import pipeline, progress
        from patchgen.kernel import build as kernel
        from patchgen.kernel import configs, questions

        chosen, box = configs.load(config, project.base.name), self.handling().sandbox
        origin = project.source()
        tree, workspace = self.tree(project, origin)
        whole = pipeline.patched_for(chosen, tree, origin, project)
        jobs = project.settings.jobs
        request = kernel.BuildRequest(chosen, whole, origin, project.cache, workspace, jobs, box)
        try:
            built = kernel.build(request)
        except BuildError as error:
            if self.submission or self.vanilla:
                raise
            raise BuildError(
                error.message, evidence=error.evidence, hint=_templates(error.evidence, project)
            ) from error
        if not self.vanilla and (
            said := questions.asked(tree, origin, project.cache, workspace=workspace, sandbox=box)
        ):
            message = f"make asks for {', '.join(questions.options(said)) or 'something'} on a tree that has a .config"
            if not self.submission:
                raise BuildError(message, evidence=said, hint=questions.HINT)
            progress.warn(f"{message}; it is built with the default answer")
        return built

    def image(self, project: Project, config: str = "small") -> Path:
        """Return the bzImage: the file that `--kernel` names, or one that is built now unless the cache has it.

        Raises:
            UsageError: there is no such file.
            PatchgenError: as `build` does.
        """
        return self._named() if self.kernel else self.build(project, config).image

    def testbed(self, project: Project, config: str = "small") -> Testbed:
        """Return what guests of the kernel are made of.

        Args:
            project: whose.
            config: the kernel configuration's name.

        Raises:
            UsageError: there is no such file, or the user's program does not compile.
            MachineError: a tool is missing.
            PatchgenError: as `build` does.
        """
        from patchgen import pipeline

        return pipeline.testbed_of(project, self.image(project, config), self.handling().sandbox)

    def built_image(self, project: Project) -> Path | None:
        """Return the bzImage if it is there already, and build nothing.

        Raises:
            UsageError: there is no such file.
            PatchgenError: the base is missing, or the patches do not apply.
        """
        from patchgen.kernel import configs
        from patchgen.kernel.build import BuildRequest, cached

        if self.kernel:
            return self._named()
        chosen = configs.load("small", project.base.name)
        origin = project.source()
        tree, workspace = self.tree(project, origin)
        found = cached(BuildRequest(chosen, tree, origin, project.cache, workspace, sandbox=self.handling().sandbox))
        return found.image if found else None

    def reproduce(self, command: str, words: Sequence[str], base: str = DEFAULT) -> str:
        """Return the command line that does something to the same kernel once more.

        Args:
            command: the subcommand.
            words: its own options.
            base: the name of the base in use.
        """
        named = ["--base", base] if base != DEFAULT else []
        return shlex.join(["patchgen", command, *named, *words, *replace(self, base=None).words()])

    def words(self) -> list[str]:
        """Return the words of the command line that give a command these options."""
        found = ["--base", self.base] if self.base else []
        found += ["--assignment", self.assignment] if self.assignment else []
        found += [*["--trust"] * self.trust, *["--allow-build-changes"] * self.allow_build_changes]
        found += ["--kernel", str(self.kernel)] if self.kernel else []
        found += [*["--vanilla"] * self.vanilla, *(word for pair in self.set_ or [] for word in ("--set", pair))]
        return [*found, *([str(self.submission)] if self.submission else [])]

    def _named(self) -> Path:
        assert self.kernel is not None
        if not self.kernel.is_file():
            raise UsageError(f"there is no kernel {self.kernel}")
        return self.kernel


def _templates(said: str, project: Project) -> str:
    """Return which lines of our templates a compiler speaks of, "" if of none."""
    from patchgen.series import trace

    return "\n".join(trace.explained(said, project.series, project.source(), project.settings.submission))


def options(*, without: Collection[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a command these options, for its parameter `target: UnderTest`.

    Args:
        without: fields of `UnderTest` that make no sense for the command.
    """
    hints = get_type_hints(UnderTest, include_extras=True)
    chosen = {one.name: (hints[one.name], one.default) for one in fields(UnderTest) if one.name not in without}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            command(target=UnderTest(**{name: given.pop(name) for name in chosen}), **given)

        signature = inspect.signature(command, eval_str=True)
        parameters: list[inspect.Parameter] = []
        for one in signature.parameters.values():
            wanted = chosen if one.name == "target" else {one.name: (one.annotation, one.default)}
            parameters += [
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=default)
                for name, (hint, default) in wanted.items()
            ]
        # What typer reads, in the order in which --help shows it.
        setattr(run, "__signature__", signature.replace(parameters=parameters))  # noqa: B010
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate
