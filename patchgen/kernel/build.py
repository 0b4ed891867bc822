"""Building a kernel: an incremental build of a request, and a cache of what was built."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from patchgen import process, toolchain
from patchgen.base import worktree
from patchgen.base.resolve import Source
from patchgen.base.worktree import Workspace
from patchgen.cache import Cache, digest, machine_faults, prune, replacing, write_text
from patchgen.kernel import sandboxed, warnings
from patchgen.kernel.configs import RECIPE, Config
from patchgen.kernel.make import CONFIG, IMAGE, MAP, SYMBOLS, UNFINISHED, Maker
from patchgen.kernel.sandboxed import Box, IncrementalBuilds, Objects
from patchgen.kernel.start import start_config
from patchgen.sandbox import MIB, Sandbox

_KEPT = 96  # A kernel takes 3 MB; those of verdicts that are under way must be among them.
_RECORD = "kernel.json"
_OBJECT_MAX = 16 * MIB


@dataclass(frozen=True)
class BuildRequest:
    """A kernel that is wanted.

    Attributes:
        config: how it is configured.
        tree: git tree id of its source in the base's repository.
        origin: the base.
        cache: where it is built and kept.
        workspace: the workspace; trees that follow each other there are built incrementally.
        jobs: parallel compilers.
        sandbox: what an untrusted build is shut in. It begins with the base's objects, and nobody else gets what it
            makes: neither a trusted build nor an untrusted one of another chain.
        chain: builds in the sandbox may begin with the objects of the one before, and add theirs.
    """

    config: Config
    tree: str
    origin: Source
    cache: Cache
    workspace: str = ""
    jobs: int = 1
    sandbox: Sandbox | None = None
    chain: IncrementalBuilds | None = None

    def key(self) -> str:
        """Return the hash of everything that the kernel is made from.

        For an untrusted one these are also the trees whose builds may have left something for it, in their order. A
        trusted build starts from nothing that an untrusted one has made.

        Raises:
            ToolMissingError: there is no compiler.
        """
        config, missing = self.config, sorted(self.origin.missing)
        before = self.chain.before(config.name) if self.chain else ()
        untrusted = ("untrusted", *sandboxed.recipe(), *before) if self.sandbox else ()
        made_from = (config.identity(), config.settings(), self.tree, missing, toolchain.compiler())
        return digest(RECIPE, *made_from, *untrusted)

    def trusted(self) -> BuildRequest:
        """Return the same for a tree that is trusted."""
        return replace(self, sandbox=None, chain=None)

    def of_base(self) -> BuildRequest:
        """Return the same for the base itself, in its own workspace."""
        return replace(self.trusted(), tree=self.origin.tree, workspace=worktree.BASE_SLOT)


@dataclass(frozen=True)
class Kernel:
    """A kernel that was built.

    Attributes:
        image: its bzImage.
        tree: git tree id it was built from.
        config: name of its configuration.
        key: what it was built from, as a hash.
        warnings: the compiler's warnings, without line numbers, sorted.
        seconds: how long the build took.
    """

    image: Path
    tree: str
    config: str
    key: str
    warnings: tuple[str, ...]
    seconds: float


def cached(request: BuildRequest) -> Kernel | None:
    """Return the kernel if it has been built.

    What trusted work has made of a tree serves an untrusted submission with that tree, too; never the other way round.
    """
    return _found(_places(request))


def _places(request: BuildRequest) -> list[Path]:
    """Return where the kernel may be, whether it is there or not; the last one is its own place.

    A flood of untrusted kernels displaces no trusted one.
    """
    places = [request.cache.directory("kernels") / request.trusted().key()]
    if request.sandbox:
        places.append(request.cache.directory("untrusted-kernels") / request.key())
    return places


def _found(places: Sequence[Path]) -> Kernel | None:
    directory = next((place for place in places if (place / _RECORD).is_file()), None)
    if directory is None:
        return None
    data = json.loads((directory / _RECORD).read_text())
    return Kernel(directory / "bzImage", **{**data, "warnings": tuple(data["warnings"])})


def build(request: BuildRequest) -> Kernel:
    """Build a kernel, unless the cache has it.

    Raises:
        BuildError: the configuration cannot be had, or it does not compile; with the compiler's lines. In a sandbox
            also if it does not keep to its limits.
        MachineError: a tool is missing or the disk is full.
    """
    places = _places(request)
    if request.chain:  # after the places: what is noted is part of the key from now on
        request.chain.note(request.config.name, request.tree)
    if kernel := _found(places):
        return kernel
    workspace = worktree.own_name(request.workspace, boxed=request.sandbox is not None)
    seed = _objects(request) if request.sandbox else None
    with request.cache.lock(worktree.workspace_lock(request.origin, workspace)):
        if kernel := _found(places):
            return kernel
        kernel = _make(request, worktree.workspace(request.origin, workspace, request.cache), seed, places[-1])
    prune(places[-1].parent, _KEPT)
    return kernel


def _make(request: BuildRequest, space: Workspace, seed: Objects | None, target: Path) -> Kernel:
    """Build a kernel in a workspace and keep it at `target`. The caller holds the workspace's lock."""
    config, chain, begin = request.config, request.chain, time.monotonic()
    with _maker(request, space, seed) as maker:
        if seed:
            written = worktree.lay_out(space, request.origin, request.tree, request.cache, seed.tree)
        else:
            written = _switch(request, space)
        maker.configure(start_config(config, request.origin, request.cache))
        kept = chain.room_for(config.name, request.tree) if chain else None
        log = maker.compile(kept)
        found = maker.warnings(log, written, seed.warnings if seed else None)
        told = tuple(sorted(f"{name}: {text}" for name, texts in found.items() for text in texts))
        seconds = round(time.monotonic() - begin, 1)
        kernel = Kernel(target / "bzImage", request.tree, config.name, target.name, told, seconds)
        _keep(kernel, config, maker.output, log)
        if chain and kept:
            chain.add(config.name, Objects(request.tree, kept, found))
    return kernel


def _keep(kernel: Kernel, config: Config, output: Path, log: str) -> None:
    """Keep a kernel that was built in the directory `output`.

    Raises:
        MachineError: the disk is full.
    """
    fields = asdict(kernel)
    del fields["image"]
    with replacing(kernel.image.parent) as fresh, machine_faults("cannot keep the kernel"):
        fresh.mkdir()
        for file, name in ((IMAGE, "bzImage"), (MAP, MAP), (CONFIG, "config")):
            shutil.copyfile(output / file, fresh / name)
        if config.symbols:
            shutil.copyfile(output / SYMBOLS, fresh / SYMBOLS)
        for notes in config.notes():
            if (output / notes).is_file():
                (fresh / notes).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(output / notes, fresh / notes)
        (fresh / "build.log").write_text(log)
        (fresh / _RECORD).write_text(json.dumps(fields, indent=1))


def compile_some(
    request: BuildRequest, objects: Callable[[Path], list[str]], arguments: Sequence[str] = ()
) -> tuple[str, int]:
    """Compile some objects of a tree anew, for what is said about them.

    Args:
        request: a build of the tree; in a sandbox it begins with the objects that a build there has left.
        objects: called with the directory of the tree's files, says which.
        arguments: for make, `W=1` for example.

    Returns:
        Everything that was printed, and how many objects were compiled.

    Raises:
        BuildError: they do not compile.
    """
    with _laid_out(request) as (maker, space):
        maker.configure(start_config(request.config, request.origin, request.cache))
        wanted = objects(space.files)
        # Only what is said of these files counts, not of the headers' generators, which come first.
        return maker.make(*arguments, *wanted, before=("prepare", "scripts"), anew=wanted), len(wanted)


def update_config(request: BuildRequest, start: str, target: str) -> process.Result:
    """Let make bring a .config up to date.

    Args:
        request: a build of the tree. The build directory of its configuration keeps make's own programs.
        start: the .config.
        target: the file by which make comes to this step.

    Raises:
        BuildError: it does not keep to the sandbox's limits.
    """
    with _laid_out(request) as (maker, _):
        (maker.output / CONFIG).write_text(start)
        return maker.make_anew(target)


@contextlib.contextmanager
def object_with_lines(request: BuildRequest, name: str) -> Iterator[Path]:
    """Compile one object of a tree once more, with line numbers in it: its code is the same as without.

    Args:
        request: a build of the tree.
        name: the object's path in the tree.

    Raises:
        BuildError: it does not compile.
    """
    flags = " ".join(("-pipe", *request.config.cflags, "-g1"))
    with _laid_out(request) as (maker, _):
        maker.configure(start_config(request.config, request.origin, request.cache))
        results = {name: _OBJECT_MAX}
        maker.make(f"KCFLAGS={flags}", name, before=("prepare", "scripts"), anew=[name], results=results)
        yield maker.output / name


@contextlib.contextmanager
def _laid_out(request: BuildRequest) -> Iterator[tuple[Maker, Workspace]]:
    """Give what calls make on the request's tree, and the workspace that the tree is laid out in and that is locked."""
    origin, cache, boxed = request.origin, request.cache, request.sandbox is not None
    seed = _objects(request) if boxed else None
    since = seed.tree if seed else ""
    with worktree.locked(origin, request.tree, request.workspace, cache, boxed=boxed, since=since) as space:
        with _maker(request, space, seed) as maker:
            yield maker, space


@contextlib.contextmanager
def _maker(request: BuildRequest, space: Workspace, seed: Objects | None) -> Iterator[Maker]:
    """Give what calls make, in a box for an untrusted tree: everything is seen where the base's workspace has it."""
    with contextlib.ExitStack() as stack:
        box = None
        if request.sandbox:
            seen = worktree.workspace_place(request.origin, worktree.BASE_SLOT, request.cache)
            output = stack.enter_context(sandboxed.room_for(request.cache))
            tar, since = (seed.tar, seed.tree) if seed else (None, request.origin.tree)
            changes = sandboxed.changed_headers(request.origin, since, request.tree)
            box = Box(request.sandbox, space.files, seen, request.config.name, tar, output, request.cache, changes)
        yield Maker(space, request.config, request.cache, request.jobs, box)


def _objects(request: BuildRequest) -> Objects:
    """Return what an untrusted build begins with: the last of its chain, or the base's objects.

    Of the two it is what leaves less to compile. The base's objects are built if need be.

    Raises:
        BuildError: the base does not build.
        MachineError: a tool is missing or the disk is full.
    """
    origin, cache, config = request.origin, request.cache, request.config
    last = request.chain.last.get(config.name) if request.chain else None
    if last:
        to_base = worktree.distance(origin, origin.tree, request.tree)
        if worktree.distance(origin, last.tree, request.tree) < to_base:
            return last
    base = request.of_base()
    key = sandboxed.seed_key(base.key())
    kept = sandboxed.seed_of(key, cache)
    if not kept.is_file():
        with cache.lock(worktree.workspace_lock(origin, base.workspace)):
            if not kept.is_file():
                space = worktree.workspace(origin, base.workspace, cache)
                # Even if the cache has the kernel: its objects may be gone, or of another tree.
                written = _switch(base, space)
                maker = Maker(space, config, cache, request.jobs)
                maker.configure(start_config(config, origin, cache))
                maker.warnings(maker.compile(), written)
                sandboxed.keep_seed(space.output(config.name), key, cache)
    output = worktree.workspace_place(origin, base.workspace, cache).output(config.name)
    return Objects(origin.tree, kept, warnings.noted(output))


def _switch(request: BuildRequest, space: Workspace) -> list[str]:
    """Bring the workspace to the tree and return the paths that count as changed since the last whole build.

    The list of what an unfinished build was to compile is kept until one is finished: it may have compiled any of it.
    """
    unfinished = space.output(request.config.name) / UNFINISHED
    _begin_with_base(request, space)
    written = set(worktree.switch(space, request.origin, request.tree))
    before = set(json.loads(unfinished.read_text())) if unfinished.is_file() else set()
    for path in before:
        with contextlib.suppress(FileNotFoundError):
            (space.files / path).touch()
    changed = sorted(written | before)
    write_text(unfinished, json.dumps(changed))
    return changed


def _begin_with_base(request: BuildRequest, space: Workspace) -> None:
    """Let a build directory that is not there yet begin as a copy of the base's, if that was built.

    Its objects fit, since all names in it are relative. The files in which the workspace differs from the base count as
    changed.
    """
    output = space.output(request.config.name)
    base = worktree.workspace_place(request.origin, worktree.BASE_SLOT, request.cache)
    theirs = base.output(request.config.name)
    if output == theirs or any(output.iterdir()):
        return
    with request.cache.lock(worktree.workspace_lock(request.origin, worktree.BASE_SLOT)):
        if (theirs / IMAGE).is_file() and not (theirs / UNFINISHED).is_file():
            with replacing(output) as fresh, machine_faults("cannot copy the base's objects"):
                shutil.copytree(theirs, fresh, symlinks=True)
                (fresh / UNFINISHED).write_text(json.dumps(sorted(worktree.changed(space))))
