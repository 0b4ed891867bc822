"""Static analysis of what a series touches: sparse, more warnings of gcc, and the kernel's semantic patches.

The kernel is full of what these tools complain about. So each looks at the same files with and without the series, and
a finding is what only the series has. Findings are compared without their line numbers.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from patchgen import process, progress
from patchgen.base import worktree
from patchgen.cache import digest, file_digest, prune, write_text
from patchgen.errors import CommandError, OverLimitError, TimeoutExpiredError, UsageError
from patchgen.findings import Finding, Severity
from patchgen.kernel import configs
from patchgen.kernel.build import BuildRequest, compile_some
from patchgen.kernel.warnings import tree_path
from patchgen.sandbox import with_files

if TYPE_CHECKING:
    from patchgen.base.resolve import Source
    from patchgen.cache import Cache
    from patchgen.kernel.sandboxed import IncrementalBuilds
    from patchgen.sandbox import Sandbox

CONFIG = "static"
# In a sandbox every build directory goes away, so the objects of a kernel's can be used.
SANDBOXED = "small"
_KEPT = 200  # results of a tool on a tree, a few KB each
_SCRIPT_SECONDS = 150.0  # deref_null.cocci takes more than a minute of one CPU
_LINE = re.compile(r"^(?P<file>[^\s:]+\.[chS]):(?P<line>\d+):(?:[\d-]+:)?\s*(?P<text>\S.*)$")
_TOLD = re.compile(r"^(?:warning|error):")
_OPTIONS = re.compile(r"^// Options:(.*)$", re.MULTILINE)
_REPORTS = re.compile(r"^virtual\b.*\breport\b", re.MULTILINE)
_SOURCE = re.compile(r"\.c$")


@dataclass(frozen=True)
class Target:
    """What is analysed.

    Attributes:
        source: the base.
        tree: git tree id with the series.
        workspace: the workspace for such trees.
        paths: files that the series adds or changes.
        sandbox: what an untrusted tree is looked at in.
        chain: the builds of untrusted trees so far.
    """

    source: Source
    tree: str
    workspace: str
    paths: frozenset[str]
    sandbox: Sandbox | None = None
    chain: IncrementalBuilds | None = None

    def request(self, cache: Cache, jobs: int = 1) -> BuildRequest:
        """Return the build in which objects of the tree are compiled once more.

        Args:
            cache: where it is built.
            jobs: parallel compilers.
        """
        config = configs.load(SANDBOXED if self.sandbox else CONFIG, self.source.base.name)
        return BuildRequest(config, self.tree, self.source, cache, self.workspace, jobs, self.sandbox, self.chain)

    def vanilla(self) -> Target:
        """Return the same for the base."""
        return Target(self.source, self.source.tree, "vanilla", self.paths)


@dataclass(frozen=True)
class Report:
    """What the tools said.

    Attributes:
        findings: what only the series has; errors.
        rows: for each tool, what it looked at and how many things it said of both trees, in words.
        missing: tools that are not installed, so that nothing is known: "sparse (Debian package sparse)".
        silent: semantic patches that failed or did not come to an end, with the reason.
    """

    findings: tuple[Finding, ...]
    rows: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    silent: tuple[str, ...]


@dataclass(frozen=True)
class Diagnostic:
    """One thing that a tool said.

    Attributes:
        path: the file in the kernel tree.
        line: its number.
        text: what.
    """

    path: str
    line: int
    text: str


@dataclass(frozen=True)
class ToolResult:
    """What came of a tool on one tree.

    Attributes:
        said: what it said, by the part of it that did: a semantic patch, "" for a tool that is one.
        what: what it looked at, in words.
        silent: parts that failed or did not come to an end, with the reason.
    """

    said: Mapping[str, set[Diagnostic]]
    what: str
    silent: Mapping[str, str] = field(default_factory=dict)

    def without(self, parts: Iterable[str]) -> set[Diagnostic]:
        """Return what the other parts said."""
        left_out = set(parts)
        return {one for part, said in self.said.items() if part not in left_out for one in said}


@dataclass(frozen=True)
class _Tool:
    name: str
    program: str
    package: str
    run: Callable[[Target, Cache, int], ToolResult]


def analyse(target: Target, cache: Cache, jobs: int, only: str = "") -> Report:
    """Run the tools.

    Args:
        target: what is analysed.
        cache: for build directories and what is known of the base.
        jobs: parallel processes.
        only: name of the one tool to run, "" for all.

    Raises:
        UsageError: there is no such tool.
        BuildError: the series does not compile.
    """
    chosen = [tool for tool in _TOOLS if only in ("", tool.name)]
    if not chosen:
        raise UsageError(f"there is no tool {only}", hint=f"known: {', '.join(tool.name for tool in _TOOLS)}")
    findings: list[Finding] = []
    rows, missing, unheard = [], [], []
    for tool in chosen:
        if shutil.which(tool.program) is None:
            missing.append(f"{tool.name} (Debian package {tool.package})")
            continue
        with progress.step(f"{tool.name}, without and with the series"):
            base, series = tool.run(target.vanilla(), cache, jobs), tool.run(target, cache, jobs)
        # A part that is silent on one of the trees says nothing about the other.
        silent = {**base.silent, **series.silent}
        before, after = base.without(silent), series.without(silent)
        fresh = new(before, after)
        counts = f"{len(before)} without the series, {len(after)} with it, {len(fresh)} new"
        rows.append((tool.name, f"{series.what}: {counts}"))
        unheard += [f"{part} ({why})" for part, why in sorted(silent.items())]
        findings += [
            Finding(tool.name, Severity.ERROR, one.text, f"{one.path}:{one.line}", path=one.path, line=one.line)
            for one in fresh
        ]
    return Report(tuple(findings), tuple(rows), tuple(missing), tuple(unheard))


def new(before: Iterable[Diagnostic], after: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return what was said after and not before; lines may have moved, so of equals the last ones are new."""
    known = Counter((one.path, one.text) for one in before)
    found = []
    for one in sorted(after, key=lambda said: (said.path, said.line, said.text)):
        if known[one.path, one.text]:
            known[one.path, one.text] -= 1
        else:
            found.append(one)
    return found


def parse(text: str, paths: Callable[[str], str], *, all_lines: bool = False) -> set[Diagnostic]:
    """Return what a compiler, sparse or spatch said.

    Args:
        text: its output.
        paths: makes a file's name in the output that in the kernel tree.
        all_lines: whatever follows file and line is said; otherwise only warnings and errors.
    """
    found = set()
    for line in text.splitlines():
        match = _LINE.match(line)
        if match and (all_lines or _TOLD.match(match["text"])):
            found.add(Diagnostic(paths(match["file"]), int(match["line"]), match["text"]))
    return found


def _names(target: Target) -> list[str]:
    """Return the objects to look at, without their ending: of touched files, and those with the counters.

    The latter have the inline functions of an edited header in them.
    """
    names = {path.removesuffix(".c") for path in target.paths if _SOURCE.search(path)}
    names |= {name.removesuffix(".o") for name in configs.load("gcov", target.source.base.name).profile}
    return sorted(name for name in names if name.startswith("arch/x86/") or not name.startswith("arch/"))


def _objects(target: Target, there: Path) -> list[str]:
    return [f"{name}.o" for name in _names(target) if (there / f"{name}.c").is_file()]


def _make(
    target: Target,
    cache: Cache,
    jobs: int,
    *,
    arguments: Iterable[str] = (),
    version: str = "",
) -> ToolResult:
    """Compile the files anew in a way of its own, and return what was said; it is kept by tree, way and `version`."""
    request = target.request(cache, jobs)
    way = (request.key(), _names(target), list(arguments))
    kept = cache.directory("static") / f"{digest(2, *way, version)}.json"
    if kept.is_file():
        data = json.loads(kept.read_text(encoding="utf-8"))
        return ToolResult({"": {Diagnostic(*one) for one in data["said"]}}, data["what"])
    log, count = compile_some(request, lambda there: _objects(target, there), tuple(arguments))
    said, what = parse(log, tree_path), f"{count} files"
    listed = sorted((one.path, one.line, one.text) for one in said)
    write_text(kept, json.dumps({"said": listed, "what": what}))
    prune(kept.parent, _KEPT)
    return ToolResult({"": said}, what)


def _sparse(target: Target, cache: Cache, jobs: int) -> ToolResult:
    sparse = process.find("sparse")
    version = process.run([sparse, "--version"], cwd=cache.root, timeout=_SCRIPT_SECONDS).stdout
    return _make(target, cache, jobs, arguments=("C=2", f"CHECK={sparse}"), version=version)


def _more_warnings(target: Target, cache: Cache, jobs: int) -> ToolResult:
    return _make(target, cache, jobs, arguments=("W=1",))


def _coccinelle(target: Target, cache: Cache, jobs: int) -> ToolResult:
    """Run the base's semantic patches in report mode on the touched files, as scripts/coccicheck does."""
    said: dict[str, set[Diagnostic]] = {}
    silent: dict[str, str] = {}
    boxed = target.sandbox is not None
    with worktree.locked(target.source, target.tree, target.workspace, cache, boxed=boxed) as space:
        files = sorted(path for path in target.paths if _SOURCE.search(path) and (space.files / path).is_file())
        scripts = sorted((worktree.pristine(target.source, cache) / "scripts/coccinelle").rglob("*.cocci"))
        scripts = [script for script in scripts if _REPORTS.search(script.read_text(encoding="utf-8"))]
        content = {path: file_digest(space.files / path) for path in files}
        # What it includes has a say, too: in somebody else's tree that may be another text.
        content |= {"tree": target.tree} if boxed else {}

        def run(script: Path) -> None:
            try:
                text = _spatch(script, files, content, space.files, cache, target.sandbox)
            except (CommandError, TimeoutExpiredError, OverLimitError) as error:
                silent[script.name] = (error.evidence.strip() or error.message).splitlines()[-1]
            else:
                said[script.name] = parse(text, tree_path, all_lines=True)

        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(run, scripts))
    return ToolResult(said, f"{len(said)} of {len(scripts)} scripts on {len(files)} files", silent)


def _spatch(
    script: Path, files: list[str], content: Mapping[str, str], where: Path, cache: Cache, sandbox: Sandbox | None
) -> str:
    """Return what one semantic patch reports.

    Raises:
        CommandError: it fails.
        TimeoutExpiredError: it does not come to an end.
    """
    if not files:
        return ""
    spatch = process.find("spatch")
    text = script.read_text(encoding="utf-8")
    version = process.run([spatch, "--version"], cwd=where, timeout=_SCRIPT_SECONDS).stdout
    kept = cache.directory("coccinelle") / digest(2, version, text, content)
    if kept.is_file():
        return kept.read_text(encoding="utf-8")
    options = " ".join(_OPTIONS.findall(text)).split()
    mode = ["-D", "report", "--no-show-diff", "--very-quiet", "--cocci-file", str(script)]
    box = sandbox and with_files(sandbox, sandbox.limits, where, script)
    result = process.run([spatch, *mode, *options, *files], cwd=where, timeout=_SCRIPT_SECONDS, sandbox=box)
    write_text(kept, result.stdout)
    return result.stdout


_TOOLS = (
    _Tool("sparse", "sparse", "sparse", _sparse),
    _Tool("W=1", "gcc", "gcc", _more_warnings),
    _Tool("coccinelle", "spatch", "coccinelle", _coccinelle),
)
