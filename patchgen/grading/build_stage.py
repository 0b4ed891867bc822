"""The stage that builds: the kernel at each patch, what compiler and sparse say of it and not of the base, and whether
plain `make` builds it on a tree that is configured already.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from patchgen.errors import BuildError
from patchgen.findings import Finding, Severity
from patchgen.grading.builder import CONFIG
from patchgen.grading.context import GradingContext
from patchgen.kernel import questions
from patchgen.kernel.build import Kernel
from patchgen.submission.patches import PatchFile

_WARNING = re.compile(r"([^:\s]+):(?:\d+:)*\s*[Ww]arning:\s*(.*)$")
_PLACE = re.compile(r"([^:\s]+):(\d+):")
_SHOWN = 6  # lines of the build's log for a warning


def build(context: GradingContext) -> Iterator[Finding]:
    """Build the tree with all patches, which is what is graded, and see that the tree after each patch builds.

    The last tree is built first, from the base's objects alone. From there it goes back patch by patch, each build with
    the objects of the one before it: as quick as going forward, and no patch can leave anything in what is graded.
    """
    given, applied = context.submission, context.buildable
    assert given is not None, "the first stage has read it"
    assert applied is not None, "the second has applied it"
    vanilla = set(context.builder.vanilla().warnings)
    *between, last = applied.trees
    final = _outcome(context.builder.build, last)
    said: list[Finding] = []
    if isinstance(final, Kernel):
        context.kernel = final
        # Before any other tree is built, so that it begins with what this one has left, and with nothing else.
        said = list(_sparse(context, frozenset(path for patch in given.patches for path in patch.paths)))
    backwards = [_outcome(context.builder.build_on, tree) for tree in reversed(between)]
    known: set[str] = set()
    built = []
    for patch, outcome in zip(given.patches, [*reversed(backwards), final], strict=True):
        if isinstance(outcome, BuildError):
            yield _does_not_build(outcome, patch.name, outcome is final)
            continue
        built.append(outcome.seconds)
        fresh = sorted(set(outcome.warnings) - vanilla - known)
        known.update(fresh)
        # The compiler may have said it when it made the last tree, and had no reason to look at that file again.
        logs = [final, outcome] if isinstance(final, Kernel) else [outcome]
        shown = {text: lines for kernel in logs for text, lines in _in_log(kernel, fresh).items()}
        for text in fresh:
            yield _warning(text, patch.name, shown.get(text, ""))
    context.facts["built"] = f"{len(built)} of {len(given.patches)}, {sum(built):.0f} s of building"
    context.facts["new warnings"] = str(len(known))
    if context.kernel:
        yield from _questions(context, given.patches)
    yield from said


def build_last(context: GradingContext) -> Iterator[Finding]:
    """Build the tree with all patches and look at nothing else: what later stages need of this one."""
    assert context.submission is not None, "the first stage has read it"
    assert context.buildable is not None, "the second has applied it"
    final = _outcome(context.builder.build, context.buildable.trees[-1])
    if isinstance(final, Kernel):
        context.kernel = final
    else:
        yield _does_not_build(final, context.submission.patches[-1].name, True)


def _outcome(build: Callable[[str, str], Kernel], tree: str) -> Kernel | BuildError:
    """Return the kernel that a tree builds, or why it does not build."""
    try:
        return build(CONFIG, tree)
    except BuildError as error:
        return error


def _warning(text: str, patch: str, lines: str) -> Finding:
    """Return the finding of a compiler's warning, `PATH: WORDS`, with the lines of the log that show it."""
    path, _, _ = text.partition(": ")
    place = _PLACE.match(lines)
    line = int(place[2]) if place and place[1].endswith(path) else 0
    return Finding("warning", Severity.WARNING, text, patch, lines, path=path, line=line)


def _does_not_build(error: BuildError, name: str, last: bool) -> Finding:
    if last:
        message = f"{error.message} with all patches"
        return Finding("build", Severity.ERROR, message, name, error.evidence)
    message = f"{error.message} with the patches up to this one"
    return Finding("build-each", Severity.ERROR, message, name, error.evidence)


def _questions(context: GradingContext, given: Sequence[PatchFile]) -> Iterator[Finding]:
    """Say whether make stops at a question where nobody can answer; all other stages have its default answer."""
    assert context.kernel is not None, "it was built"
    try:
        said = context.builder.questions(context.kernel.tree)
    except BuildError as error:
        yield Finding("question", Severity.ERROR, error.message, "", error.evidence)
        return
    if not said:
        return
    names = questions.options(said)
    about = f" about {', '.join(names)}" if names else ""
    message = f"make asks{about}, so that it stops on a tree with a .config where there is no terminal"
    where = next((patch.name for patch in given if any(_adds(patch, name) for name in names)), "")
    yield Finding("question", Severity.ERROR, f"{message}; {questions.HINT}", where, said)


def _adds(patch: PatchFile, option: str) -> bool:
    """Whether a patch adds a Kconfig option."""
    entry = re.compile(rf"^\s*(?:menu)?config {option}\s*$")
    lines = (line for file in patch.files for hunk in file for line in hunk if line.is_added)
    return any(entry.match(line.value) for line in lines)


def _in_log(kernel: Kernel, texts: Sequence[str]) -> dict[str, str]:
    """Return the compiler's lines for warnings, with line numbers and source; none for what an earlier build said.

    A log may have 28 MB, so it is read once: a line of it is looked up by its file and words.
    """
    log = kernel.image.with_name("build.log")
    wanted = {(Path(path).name, words): (path, text) for text in texts for path, _, words in [text.partition(": ")]}
    found: dict[str, str] = {}
    lines = log.read_text(errors="replace").splitlines() if wanted and log.is_file() else []
    for number, line in enumerate(lines):
        said = _WARNING.match(line)
        path, text = wanted.get((Path(said[1]).name, said[2]), ("", "")) if said else ("", "")
        if text and text not in found:
            rest = lines[number : number + _SHOWN]
            end = next((at for at, one in enumerate(rest[1:], 1) if not one.startswith(" ")), len(rest))
            found[text] = "\n".join([line[line.index(path) :] if path in line else line, *rest[1:end]])
    return found


def _sparse(context: GradingContext, paths: frozenset[str]) -> Iterator[Finding]:
    assert context.kernel is not None, "it was built"
    try:
        report = context.builder.sparse(context.kernel.tree, paths)
    except BuildError as error:
        # The kernel builds; with sparse in the way it does not, which is not the submission's fault.
        context.errors["sparse"] = error.message
        return
    if report.missing:
        context.errors["sparse"] = f"{report.missing[0]} is not installed"
    context.facts |= dict(report.rows)
    for one in report.findings:
        yield Finding("sparse", Severity.WARNING, one.message, one.where, "", path=one.path, line=one.line)
