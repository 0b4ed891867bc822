"""The stage that builds: the kernel at each patch, and what compiler and sparse say of it and not of the base."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from patchgen.errors import BuildError
from patchgen.findings import Finding, Severity
from patchgen.kernel import Kernel
from patchgen.verify.case import Case
from patchgen.verify.workshop import CONFIG

_SHOWN = 6  # lines of the build's log for a warning


def build(case: Case) -> Iterator[Finding]:
    """Build the tree with all patches, which is what is judged, and see that the tree after each patch builds.

    The last tree is built first, from the base's objects alone. From there it goes back patch by patch, each build with
    the objects of the one before it: as quick as going forward, and no patch can leave anything in what is judged.
    """
    given, applied = case.submission, case.applied
    assert given is not None, "the first stage has read it"
    assert applied is not None, "the second has applied it"
    vanilla = set(case.shop.vanilla().warnings)
    *between, last = applied.trees
    final = _outcome(case.shop.build, last)
    said: list[Finding] = []
    if isinstance(final, Kernel):
        case.kernel = final
        # Before any other tree is built, so that it begins with what this one has left, and with nothing else.
        said = list(_sparse(case, frozenset(path for patch in given.patches for path in patch.paths)))
    backwards = [_outcome(case.shop.build_on, tree) for tree in reversed(between)]
    known: set[str] = set()
    built = []
    for patch, outcome in zip(given.patches, [*reversed(backwards), final], strict=True):
        if isinstance(outcome, BuildError):
            yield _does_not_build(outcome, patch.name, outcome is final)
            continue
        built.append(outcome.seconds)
        for text in sorted(set(outcome.warnings) - vanilla - known):
            known.add(text)
            yield Finding("warning", Severity.WARNING, text, patch.name, _in_log(outcome, text), ("3-3",))
    case.facts["built"] = f"{len(built)} of {len(given.patches)}, {sum(built):.0f} s of building"
    case.facts["new warnings"] = str(len(known))
    yield from said


def _outcome(build: Callable[[str, str], Kernel], tree: str) -> Kernel | BuildError:
    """Return the kernel that a tree builds, or why it does not build."""
    try:
        return build(CONFIG, tree)
    except BuildError as error:
        return error


def _does_not_build(error: BuildError, name: str, last: bool) -> Finding:
    if last:
        message = f"{error.message} with all patches"
        return Finding("build", Severity.ERROR, message, name, error.evidence, ("6-7",))
    message = f"{error.message} with the patches up to this one"
    return Finding("build-each", Severity.ERROR, message, name, error.evidence, ("6-7", "3-3"))


def _in_log(kernel: Kernel, text: str) -> str:
    """Return the compiler's lines for a warning, with line numbers and source; "" if an earlier build said it."""
    path, _, words = text.partition(": ")
    log = kernel.image.with_name("build.log")
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    name = Path(path).name
    for number, line in enumerate(lines):
        if words in line and name in line:
            rest = lines[number : number + _SHOWN]
            end = next((at for at, one in enumerate(rest[1:], 1) if not one.startswith(" ")), len(rest))
            return "\n".join([line[line.index(path) :] if path in line else line, *rest[1:end]])
    return ""


def _sparse(case: Case, paths: frozenset[str]) -> Iterator[Finding]:
    assert case.kernel is not None, "it was built"
    try:
        report = case.shop.sparse(case.kernel.tree, paths)
    except BuildError as error:
        # The kernel builds; with sparse in the way it does not, which is not the submission's fault.
        case.not_judged["sparse"] = error.message
        return
    if report.missing:
        case.not_judged["sparse"] = f"{report.missing[0]} is not installed"
    case.facts |= dict(report.rows)
    for one in report.findings:
        yield Finding("sparse", Severity.WARNING, one.message, one.where, "", ("3-4",))
