"""The stage that builds: the kernel at each patch, what compiler and sparse say of it and not of the base, and whether
plain `make` builds it on a tree that is configured already.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from patchgen import questions
from patchgen.errors import BuildError
from patchgen.findings import Finding, Severity
from patchgen.kernel import Kernel
from patchgen.patches import PatchFile
from patchgen.verify.case import Case
from patchgen.verify.workshop import CONFIG

_SHOWN = 6  # lines of the build's log for a warning


def build(case: Case) -> Iterator[Finding]:
    """Build the tree after each patch, in order, in one workspace."""
    given, applied = case.submission, case.applied
    assert given is not None, "the first stage has read it"
    assert applied is not None, "the second has applied it"
    vanilla = set(case.shop.vanilla().warnings)
    known: set[str] = set()
    built = []
    last = len(applied.trees) - 1
    for number, (patch, tree) in enumerate(zip(given.patches, applied.trees, strict=True)):
        try:
            kernel = case.shop.build(CONFIG, tree)
        except BuildError as error:
            yield _does_not_build(error, patch.name, number == last)
            continue
        built.append(kernel.seconds)
        if number == last:
            case.kernel = kernel
        for text in sorted(set(kernel.warnings) - vanilla - known):
            known.add(text)
            yield Finding("warning", Severity.WARNING, text, patch.name, _in_log(kernel, text), ("3-3",))
    case.facts["built"] = f"{len(built)} of {len(given.patches)}, {sum(built):.0f} s of building"
    case.facts["new warnings"] = str(len(known))
    if case.kernel:
        yield from _questions(case, given.patches)
        yield from _sparse(case, frozenset(path for patch in given.patches for path in patch.paths))


def _does_not_build(error: BuildError, name: str, last: bool) -> Finding:
    if last:
        message = f"{error.message} with all patches"
        return Finding("build", Severity.ERROR, message, name, error.evidence, ("6-7",))
    message = f"{error.message} with the patches up to this one"
    return Finding("build-each", Severity.ERROR, message, name, error.evidence, ("6-7", "3-3"))


def _questions(case: Case, given: Sequence[PatchFile]) -> Iterator[Finding]:
    """Say whether make stops at a question where nobody can answer; all other stages have its default answer."""
    assert case.kernel is not None, "it was built"
    try:
        said = case.shop.questions(case.kernel.tree)
    except BuildError as error:
        yield Finding("question", Severity.ERROR, error.message, "", error.evidence, ("6-7",))
        return
    if not said:
        return
    names = questions.options(said)
    about = f" about {', '.join(names)}" if names else ""
    message = f"make asks{about}, so that it stops on a tree with a .config where there is no terminal"
    where = next((patch.name for patch in given if any(_adds(patch, name) for name in names)), "")
    yield Finding("question", Severity.ERROR, f"{message}; {questions.HINT}", where, said, ("6-7",))


def _adds(patch: PatchFile, option: str) -> bool:
    """Whether a patch adds a Kconfig option."""
    entry = re.compile(rf"^\s*(?:menu)?config {option}\s*$")
    lines = (line for file in patch.files for hunk in file for line in hunk if line.is_added)
    return any(entry.match(line.value) for line in lines)


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
