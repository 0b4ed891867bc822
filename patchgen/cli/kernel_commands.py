"""Commands that need a kernel: build, boot, run; and how these and `test` come by one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from patchgen.cli import common
from patchgen.errors import BuildError, UsageError
from patchgen.handling import OURS, Handling
from patchgen.text import visible

if TYPE_CHECKING:
    from patchgen.base.resolve import Source
    from patchgen.guest.session import CommandResult
    from patchgen.guest.testbed import Testbed
    from patchgen.kernel.build import Kernel
    from patchgen.pipeline import Project

_COMMAND_SECONDS = 60.0

ConfigName = Annotated[str, typer.Option("--config", help="A kernel configuration of qemu/kernel/kernels.toml.")]
Vanilla = Annotated[bool, typer.Option("--vanilla", help="The base without any patch.")]
KernelFile = Annotated[Path | None, typer.Option("--kernel", metavar="BZIMAGE", help="Use this kernel instead.")]
Given = Annotated[
    Path | None,
    typer.Argument(
        metavar="[PATH]",
        help="patch.tar.gz, a directory of patches, a patch or REPO:A..B; default: our series as it is.",
    ),
]
Submission = Annotated[
    Path | None, typer.Option("--submission", metavar="PATH", help="Somebody's patches instead of our series.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (build, boot, run):
        app.command()(command)


def _wanted(project: Project, origin: Source, given: Path | None, vanilla: bool, how: Handling) -> tuple[str, str]:
    """Return tree and workspace of the kernel under test: the base, a submission, or our series as it is."""
    from patchgen import pipeline

    return (origin.tree, "vanilla") if vanilla else pipeline.tree_under_test(project, origin, given, how)


def _build(project: Project, config: str, given: Path | None, vanilla: bool, how: Handling) -> Kernel:
    from patchgen import pipeline, progress
    from patchgen.kernel import build as kernel
    from patchgen.kernel import questions

    chosen = kernel.load_config(config, project.base.name)
    origin = project.source()
    tree, slot = _wanted(project, origin, given, vanilla, how)
    whole = pipeline.patched_for(chosen, tree, origin, project)
    jobs, box = project.settings.jobs, how.sandbox
    built = kernel.build(chosen, whole, origin, project.cache, slot=slot, jobs=jobs, sandbox=box)
    if not vanilla and (said := questions.asked(tree, origin, project.cache, slot=slot, sandbox=box)):
        message = f"make asks for {', '.join(questions.options(said)) or 'something'} on a tree that has a .config"
        if not given:
            raise BuildError(message, evidence=said, hint=questions.HINT)
        progress.warn(f"{message}; it is built with the default answer")
    return built


def built(project: Project, *, given: Path | None, vanilla: bool, how: Handling) -> Path | None:
    """Return the kernel under test if it has been built as it is handled; nothing is built now.

    Raises:
        PatchgenError: there is no base, or the patches do not apply.
    """
    from patchgen.kernel import build as kernel

    origin = project.source()
    tree, _ = _wanted(project, origin, given, vanilla, how)
    before = () if how.sandbox else None
    found = kernel.cached(kernel.load_config("small", project.base.name), tree, origin, project.cache, before)
    return found.image if found else None


def kernel_of(
    project: Project,
    *,
    config: str = "small",
    kernel: Path | None = None,
    given: Path | None = None,
    vanilla: bool = False,
    how: Handling = OURS,
) -> Path:
    """Return the kernel under test: the file named, or one that is built now.

    Raises:
        UsageError: there is no such file.
        BuildError: it does not build.
    """
    if kernel:
        if not kernel.is_file():
            raise UsageError(f"there is no kernel {kernel}")
        return kernel
    return _build(project, config, given, vanilla, how).image


def kernel_and_testbed(
    project: Project,
    *,
    given: Path | None = None,
    vanilla: bool = False,
    config: str = "small",
    how: Handling = OURS,
) -> Testbed:
    """Return the testbed of a kernel that is built now unless the cache has it.

    Raises:
        SubmissionError: the series or the submission is wrong, or does not build.
        MachineError: a tool is missing.
    """
    from patchgen import pipeline

    image = kernel_of(project, config=config, given=given, vanilla=vanilla, how=how)
    return pipeline.testbed_of(project, image, how.sandbox)


def build(
    submission: Given = None,
    config: ConfigName = "small",
    vanilla: Vanilla = False,
    trust: common.Trust = False,
    allow_build_changes: common.AllowBuildChanges = False,
    set_: common.Set = None,
    base: common.Base = None,
    json: common.Json = False,
) -> None:
    """Build the kernel with the series and say where its bzImage is."""
    from patchgen import pipeline

    project = pipeline.open_project(common.load_settings(base), common.parse_set(set_))
    how = common.handling(submission, trust, allow_build_changes)
    built = _build(project, config, submission, vanilla, how)
    if json:
        common.emit({**asdict(built), "image": str(built.image)})
        return
    typer.echo(str(built.image))


def boot(
    kernel: KernelFile = None,
    submission: Submission = None,
    vanilla: Vanilla = False,
    trust: common.Trust = False,
    allow_build_changes: common.AllowBuildChanges = False,
    set_: common.Set = None,
    base: common.Base = None,
) -> None:
    """Boot the kernel under test and open a shell in it; ./test and ./fork are there. Ctrl-] ends it."""
    import sys

    from patchgen import pipeline, progress

    if not sys.stdin.isatty():
        raise UsageError("patchgen boot needs a terminal", hint="patchgen run -- 'COMMAND' … does not")
    project = pipeline.open_project(common.load_settings(base), common.parse_set(set_))
    how = common.handling(submission, trust, allow_build_changes)
    image = kernel_of(project, kernel=kernel, given=submission, vanilla=vanilla, how=how)
    with pipeline.testbed_of(project, image, how.sandbox).ready() as guest:
        progress.note("Type exit, or Ctrl-], to end. Try: ./test -o set_param -p fork")
        guest.interact()


def run(
    commands: Annotated[list[str], typer.Argument(metavar="-- 'COMMAND' …", help="Shell lines, run in order.")],
    copy: Annotated[
        list[str] | None,
        typer.Option("--copy", metavar="FILE[:/PATH]", help="Copy a file into the guest; a .c file is compiled."),
    ] = None,
    submission: Submission = None,
    kernel: KernelFile = None,
    vanilla: Vanilla = False,
    trust: common.Trust = False,
    allow_build_changes: common.AllowBuildChanges = False,
    timeout: Annotated[float, typer.Option(help="Seconds that each command may take.", min=0.1)] = _COMMAND_SECONDS,
    set_: common.Set = None,
    base: common.Base = None,
    json: common.Json = False,
) -> None:
    """Boot the kernel under test, run commands in it, and print what came of each."""
    from patchgen import pipeline

    project = pipeline.open_project(common.load_settings(base), common.parse_set(set_))
    # Before the kernel is built: a wrong name must not cost the minutes that this may take.
    files = dict(_copied(project, item) for item in copy or [])
    how = common.handling(submission, trust, allow_build_changes)
    image = kernel_of(project, kernel=kernel, given=submission, vanilla=vanilla, how=how)
    bed = pipeline.testbed_of(project, image, how.sandbox)
    results = []
    with bed.booted(files) if files else bed.ready() as guest:
        for command in commands:
            results.append(guest.run(command, timeout=timeout))
            if not json:
                _show_result(results[-1])
    if json:
        common.emit({"kernel": str(image), "commands": [_as_dict(result) for result in results]})
    raise typer.Exit(0 if all(result.status == 0 for result in results) else 1)


def _copied(project: Project, item: str) -> tuple[str, Path]:
    """Return where in the guest a `--copy FILE[:/PATH]` goes, and the file; a C file is compiled first."""
    from patchgen.guest import programs

    name, colon, target = item.partition(":/")
    file = Path(name)
    if not file.is_file():
        raise UsageError(f"--copy {item}: there is no file {file}")
    if file.suffix == ".c":
        built = programs.build(project.cache, programs.Recipe(file, "dynamic", ours=False))
        return (f"/{target}" if colon else f"/root/{file.stem}"), built
    return (f"/{target}" if colon else f"/root/{file.name}"), file


def _as_dict(result: CommandResult) -> dict[str, object]:
    return {
        "command": result.command,
        "status": result.status,
        "signal": result.signal,
        "output": result.text,
        "log": [{"level": line.level, "text": line.text} for line in result.log],
    }


def _show_result(result: CommandResult) -> None:
    text = visible(result.text)
    typer.echo(f"$ {result.command}")
    typer.echo(text, nl=not text.endswith("\n") and bool(text))
    for line in result.log:
        typer.echo(f"[kernel {line.level}] {visible(line.text)}")
    if result.timed_out:
        typer.echo("[it did not end in time and was killed]")
    elif result.signal:
        typer.echo(f"[ended by signal {result.signal}]")
    elif result.status:
        typer.echo(f"[status {result.status}]")
