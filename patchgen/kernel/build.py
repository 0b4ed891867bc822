"""Building a kernel: configuration with proof, an incremental build, and a cache of what was built."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from patchgen import process, progress, resources, toolchain
from patchgen.base import worktree
from patchgen.base.bases import DEFAULT
from patchgen.base.resolve import Source
from patchgen.cache import Cache, digest, machine_faults, prune, replacing, write_text
from patchgen.errors import BuildError, MachineError, UsageError
from patchgen.kernel import sandboxed
from patchgen.kernel.sandboxed import Box, Chain, Objects
from patchgen.sandbox import MIB, Sandbox

KERNELS = resources.QEMU / "kernel"
_RECIPE = 8  # Part of every key: a change of how kernels are made here starts them afresh.
_KEPT = 96  # A kernel takes 3 MB; those of verdicts that are under way must be among them.
# What is taken out of a build, and how large each may be.
_IMAGE, _MAP, _CONFIG = "arch/x86/boot/bzImage", "System.map", ".config"
_RESULTS = {_IMAGE: 48 * MIB, _MAP: 32 * MIB}
_CONFIG_MAX, _NOTES_MAX = MIB, 4 * MIB
_SAID = ".patchgen-warnings"  # in a build directory: the warnings of each file
_MAKE_SECONDS = 3600.0
_CONFIG_SECONDS = 300.0
_SETTING = re.compile(r"^(?:(CONFIG_\w+)=(.*)|# (CONFIG_\w+) is not set)$")
_STEP = re.compile(r"^  (?:[A-Z][A-Z0-9_]*(?: \[M\])?|HOST\w+|\[M\])\s+\S")
_WARNING = re.compile(r"^(?P<file>[^:\s]+):(?:\d+:)*\s*[Ww]arning:\s*(?P<text>.*)$")
_MACHINE = re.compile(r"No space left on device|Killed signal terminated program|Cannot allocate memory")
_WORKSPACE = re.compile(r"^/.*/work/[^/]+/[^/]+/src/")
# For make, which looks at the file that it compiles. What .incbin includes is in no dependency file, so ccache would
# give one kernel the compressed image of another (piggy.S) if it had the same size.
_COMPILER = "$(if $(filter %.S,$<),,ccache )$(CROSS_COMPILE)gcc"
_ERROR = re.compile(r"error:|Error \d|\*\*\*|undefined reference|No rule to make")


class Config(BaseModel):
    """A way to configure a kernel, from `qemu/kernel/kernels.toml`.

    Attributes:
        name: its name there.
        title: for people.
        arch: make's ARCH=.
        start: the make target that the configuration starts from.
        fragments: files of settings put on top, in order.
        cflags: added to every compilation (make's KCFLAGS).
        patches: directory beside kernels.toml with a series that goes on top of the tree; "" for none.
        profile: objects that are compiled with gcov's counters, where the tree has them.
        steps: about how many steps a first build has.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    arch: str
    start: str
    fragments: tuple[str, ...]
    cflags: tuple[str, ...] = ()
    patches: str = ""
    profile: tuple[str, ...] = ()
    steps: int = Field(gt=0)

    def identity(self) -> dict[str, object]:
        """Return what decides about the kernel that comes out; the title and the number of steps do not."""
        return self.model_dump(exclude={"title", "steps"}, exclude_unset=True)

    def settings(self) -> dict[str, str]:
        """Return what the fragments ask for: option to value, "n" where it must be off."""
        wanted: dict[str, str] = {}
        for fragment in self.fragments:
            wanted.update(parse_config((KERNELS / fragment).read_text()))
        return wanted


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


def load_config(name: str, base: str = DEFAULT) -> Config:
    """Return the configuration of that name.

    Args:
        name: its name.
        base: name of the base it is for. What its directory here has goes on top: keys of a kernels.toml replace
            those of the table of the same name, and a fragment follows the fragment of the same name.

    Raises:
        UsageError: there is none, or the file is wrong.
    """
    path, own = KERNELS / "kernels.toml", KERNELS / base
    data = tomllib.loads(path.read_text())
    if name not in data:
        raise UsageError(f"there is no kernel configuration {name}", hint=f"known: {', '.join(data)}")
    differs = tomllib.loads((own / path.name).read_text()).get(name, {}) if (own / path.name).is_file() else {}
    fields = {**data[name], **differs}
    wanted = [name for one in fields.get("fragments", ()) for name in (one, f"{base}/{one}")]
    fields["fragments"] = [one for one in wanted if "/" not in one or (KERNELS / one).is_file()]
    try:
        return Config(name=name, **fields)
    except ValidationError as error:
        raise UsageError(f"{path} is wrong: {error}") from error


def parse_config(text: str) -> dict[str, str]:
    """Return the settings of a .config or fragment: option to value, "n" for `# CONFIG_X is not set`."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _SETTING.match(line)
        if match:
            found[match[1] or match[3]] = match[2] if match[1] else "n"
    return found


@functools.cache
def compiler() -> str:
    """Return the first line that `gcc --version` prints: part of what a kernel is made from.

    Raises:
        ToolMissingError: gcc is not installed.
    """
    return process.run(
        [process.find(toolchain.tool("gcc")), "--version"], cwd=Path("/"), timeout=30
    ).stdout.splitlines()[0]


def key_of(config: Config, tree_id: str, source: Source, before: Sequence[str] | None = None) -> str:
    """Return the hash of everything that a kernel is made from.

    Args:
        config: how it is configured.
        tree_id: git tree id of its source.
        source: the base.
        before: of an untrusted build, the trees whose builds may have left something for it, in their order
            (`Chain.before`); None for a trusted build, which starts from nothing that an untrusted one has made.
    """
    untrusted = () if before is None else ("untrusted", *before)
    return digest(
        _RECIPE, config.identity(), config.settings(), tree_id, sorted(source.missing), compiler(), *untrusted
    )


def _kept_at(config: Config, tree_id: str, source: Source, cache: Cache, before: Sequence[str] | None) -> Path:
    """Return where a kernel is kept, whether it is there or not. A flood of untrusted ones displaces no trusted one."""
    kind = "kernels" if before is None else "untrusted-kernels"
    return cache.directory(kind) / key_of(config, tree_id, source, before)


def cached(
    config: Config, tree_id: str, source: Source, cache: Cache, before: Sequence[str] | None = None
) -> Kernel | None:
    """Return the kernel if it has been built; `before` as for `key_of`.

    What trusted work has made of a tree serves an untrusted submission with that tree, too; never the other way round.
    """
    places = [_kept_at(config, tree_id, source, cache, how) for how in dict.fromkeys((None, before))]
    directory = next((place for place in places if (place / "kernel.json").is_file()), None)
    if directory is None:
        return None
    data = json.loads((directory / "kernel.json").read_text())
    return Kernel(directory / "bzImage", **{**data, "warnings": tuple(data["warnings"])})


def build(
    config: Config,
    tree_id: str,
    source: Source,
    cache: Cache,
    *,
    slot: str,
    jobs: int,
    sandbox: Sandbox | None = None,
    chain: Chain | None = None,
) -> Kernel:
    """Build a kernel, unless the cache has it.

    Args:
        config: how.
        tree_id: git tree id of its source in the source's repository.
        source: the base.
        cache: where it is built and kept.
        slot: the workspace; trees that follow each other there are built incrementally.
        jobs: parallel compilers.
        sandbox: what an untrusted build is shut in. It begins with the base's objects, and nobody else gets what it
            makes: neither a trusted build nor an untrusted one of another chain.
        chain: builds in the sandbox may begin with the objects of the one before, and add theirs.

    Raises:
        BuildError: the configuration cannot be had, or it does not compile; with the compiler's lines. In a sandbox
            also if it does not keep to its limits.
        MachineError: a tool is missing or the disk is full.
    """
    before = (chain.before(config.name) if chain else ()) if sandbox else None
    if chain:
        chain.note(config.name, tree_id)
    kernel = cached(config, tree_id, source, cache, before)
    if kernel:
        return kernel
    slot = worktree.slot_of(slot, boxed=sandbox is not None)
    with contextlib.ExitStack() as stack:
        seed = _objects(config, tree_id, source, cache, jobs, chain) if sandbox else None
        stack.enter_context(cache.lock(worktree.workspace_lock(source, slot)))
        kernel = cached(config, tree_id, source, cache, before)
        if kernel:
            return kernel
        space = worktree.workspace(source, slot, cache)
        begin = time.monotonic()
        box = stack.enter_context(_box(sandbox, space, config, source, cache, seed)) if sandbox else None
        if seed:
            written = worktree.lay_out(space, source, tree_id, cache, seed.tree)
        else:
            written = _switch(space, source, tree_id, config)
        maker = _Maker(space, config, cache, jobs, box)
        maker.configure(start_config(config, source, cache))
        kept = chain.room_for(config.name, tree_id) if chain else None
        log = maker.compile(kept)
        said = maker.warnings(log, written, seed.warnings if seed else None)
        target = _kept_at(config, tree_id, source, cache, before)
        _keep(config, tree_id, target, maker.output, log, said, time.monotonic() - begin)
        if chain and kept:
            chain.add(config.name, Objects(tree_id, kept, said))
    prune(target.parent, _KEPT)
    kernel = cached(config, tree_id, source, cache, before)
    assert kernel is not None, "it was written just now"
    return kernel


def _keep(
    config: Config,
    tree_id: str,
    target: Path,
    output: Path,
    log: str,
    said: Mapping[str, list[str]],
    seconds: float,
) -> None:
    """Keep a kernel that was built in the directory `output` at `target`, whose name is its key.

    Raises:
        MachineError: the disk is full.
    """
    fields = {
        "tree": tree_id,
        "config": config.name,
        "key": target.name,
        "warnings": sorted(f"{name}: {text}" for name, texts in said.items() for text in texts),
        "seconds": round(seconds, 1),
    }
    with replacing(target) as fresh, machine_faults("cannot keep the kernel"):
        fresh.mkdir()
        for file, name in ((_IMAGE, "bzImage"), (_MAP, _MAP), (_CONFIG, "config")):
            shutil.copyfile(output / file, fresh / name)
        for notes in _notes(config):
            if (output / notes).is_file():
                (fresh / notes).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(output / notes, fresh / notes)
        (fresh / "build.log").write_text(log)
        (fresh / "kernel.json").write_text(json.dumps(fields, indent=1))


def _notes(config: Config) -> list[str]:
    """Return what gcc writes for gcov about the objects that are compiled with its counters."""
    return [str(Path(name).with_suffix(".gcno")) for name in config.profile]


def _objects(config: Config, tree_id: str, source: Source, cache: Cache, jobs: int, chain: Chain | None) -> Objects:
    """Return what an untrusted build of a tree begins with: the last of its chain, or the base's objects.

    Of the two it is what leaves less to compile. The base's objects are built if need be.

    Raises:
        BuildError: the base does not build.
        MachineError: a tool is missing or the disk is full.
    """
    last = chain.last.get(config.name) if chain else None
    if last and worktree.distance(source, last.tree, tree_id) < worktree.distance(source, source.tree, tree_id):
        return last
    key = digest("seed", key_of(config, source.tree, source))
    kept = sandboxed.seed_of(key, cache)
    if not kept.is_file():
        with cache.lock(worktree.workspace_lock(source, worktree.BASE_SLOT)):
            if not kept.is_file():
                space = worktree.workspace(source, worktree.BASE_SLOT, cache)
                # Even if the cache has the kernel: its objects may be gone, or of another tree.
                written = _switch(space, source, source.tree, config)
                maker = _Maker(space, config, cache, jobs)
                maker.configure(start_config(config, source, cache))
                maker.warnings(maker.compile(), written)
                sandboxed.keep_seed(space.output(config.name), key, cache)
    said = worktree.workspace_place(source, worktree.BASE_SLOT, cache).output(config.name) / _SAID
    return Objects(source.tree, kept, json.loads(said.read_text()) if said.is_file() else {})


@contextlib.contextmanager
def _box(
    sandbox: Sandbox, space: worktree.Workspace, config: Config, source: Source, cache: Cache, seed: Objects | None
) -> Iterator[Box]:
    """Give the box for a stranger's tree: everything is seen where the base's workspace has it."""
    seen = worktree.workspace_place(source, worktree.BASE_SLOT, cache)
    with sandboxed.room_for(cache) as output:
        yield Box(sandbox, space.files, seen, config.name, seed.tar if seed else None, output, cache)


def compile_some(  # noqa: PLR0913 - keyword-only
    config: Config,
    tree_id: str,
    source: Source,
    cache: Cache,
    *,
    slot: str,
    jobs: int,
    objects: Callable[[Path], list[str]],
    arguments: tuple[str, ...] = (),
    sandbox: Sandbox | None = None,
    chain: Chain | None = None,
) -> tuple[str, int]:
    """Compile some objects of a tree anew, for what is said about them.

    Args:
        config: how.
        tree_id: git tree id of the source.
        source: the base.
        cache: where the build directory is.
        slot: the workspace.
        jobs: parallel compilers.
        objects: called with the directory of the tree's files, says which.
        arguments: for make, `W=1` for example.
        sandbox: what a stranger's build is shut in.
        chain: in the sandbox, what begins with the objects that a build there has left.

    Returns:
        Everything that was printed, and how many objects were compiled.

    Raises:
        BuildError: they do not compile.
    """
    with contextlib.ExitStack() as stack:
        start = load_config(config.name, source.base.name)  # without what was added to it
        seed = _objects(start, tree_id, source, cache, jobs, chain) if sandbox else None
        since = seed.tree if seed else ""
        space = stack.enter_context(worktree.held(source, tree_id, slot, cache, boxed=sandbox is not None, since=since))
        box = stack.enter_context(_box(sandbox, space, config, source, cache, seed)) if sandbox else None
        maker = _Maker(space, config, cache, jobs, box)
        maker.configure(start_config(config, source, cache))
        wanted = objects(space.files)
        # Only what is said of these files counts, not of the headers' generators, which come first.
        return maker.make(*arguments, *wanted, before=("prepare", "scripts"), anew=wanted), len(wanted)


def tree_path(name: str) -> str:
    """Return a file's name in the kernel tree for what a compiler calls it, in whatever workspace it ran."""
    return _WORKSPACE.sub("", os.path.normpath(name)).removeprefix("../src/")


def _switch(space: worktree.Workspace, source: Source, tree_id: str, config: Config) -> list[str]:
    """Bring the workspace to the tree and return the paths that count as changed since the last whole build.

    The list of what an unfinished build was to compile is kept until one is finished: it may have compiled any of it.
    """
    unfinished = space.output(config.name) / ".patchgen-unfinished"
    written = set(worktree.switch(space, source, tree_id))
    before = set(json.loads(unfinished.read_text())) if unfinished.is_file() else set()
    for path in before:
        with contextlib.suppress(FileNotFoundError):
            (space.files / path).touch()
    changed = sorted(written | before)
    write_text(unfinished, json.dumps(changed))
    return changed


def warnings(lines: Iterable[str], files: Path, output: Path) -> dict[str, list[str]]:
    """Return the compiler's warnings in a build log by file, without line numbers, so that two builds compare.

    Args:
        lines: the log.
        files: where the kernel's files are; names come out relative to it.
        output: the build directory, which relative names in the log start from.
    """
    found: dict[str, set[str]] = {}
    for line in lines:
        match = _WARNING.match(line)
        if match:
            whole = Path(os.path.normpath(output / match["file"]))
            # ccache repeats what the compiler said when it ran, perhaps in another workspace.
            inside = str(whole.relative_to(files)) if whole.is_relative_to(files) else tree_path(match["file"])
            found.setdefault(inside, set()).add(match["text"])
    return {name: sorted(texts) for name, texts in found.items()}


class _Maker:
    """Calls make for one workspace and configuration, for a stranger's tree in a box.

    Attributes:
        output: where its results are on this machine.
    """

    def __init__(
        self, space: worktree.Workspace, config: Config, cache: Cache, jobs: int, box: Box | None = None
    ) -> None:
        # As make sees it, and as it is: in a box these differ.
        self._seen, self._files = (box.seen if box else space), space.files
        self._config, self._jobs, self._box = config, jobs, box
        self.output = box.output if box else space.output(config.name)
        self.output.mkdir(parents=True, exist_ok=True)
        self._env = {
            "ARCH": config.arch,
            "KBUILD_BUILD_USER": "patchgen",
            "KBUILD_BUILD_HOST": "patchgen",
            "KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970",
            "LOCALVERSION": "",
            # The assembler starts while the compiler is at work: a twentieth of the time of a build.
            "KCFLAGS": " ".join(("-pipe", *config.cflags)),
        }
        self._ccache = shutil.which("ccache") is not None
        if self._ccache:
            # An untrusted build reads what the base was compiled to, and sees nothing of any other tree, ours included.
            base = box is not None or space.slot == worktree.BASE_SLOT
            self._env |= {
                "CCACHE_DIR": str(cache.directory(sandboxed.CCACHE_OF_BASE if base else "ccache")),
                # With the relative names (see _make) an object is the same in whatever workspace it is made.
                "CCACHE_NOHASHDIR": "1",
                "CCACHE_MAXSIZE": "2G",
                # The compiler's own dependency file instead of a preprocessor run for each miss (see _COMPILER).
                "CCACHE_DEPEND": "1",
                # It costs more time than it saves disk.
                "CCACHE_NOCOMPRESS": "1",
                # Each header is hashed once, not for each of the objects that are made from it.
                "CCACHE_INODECACHE": "1",
                **(sandboxed.CCACHE if box else {}),
            }

    def _make(self, *targets: str) -> list[str]:
        cc = [f"CC={_COMPILER}", "HOSTCC=ccache gcc"] if self._ccache else []
        # Given here, the variables that a Makefile's `GCOV_PROFILE_file.o := y` would set need no Makefile.
        profile = [f"GCOV_PROFILE_{Path(name).name}=y" for name in self._config.profile]
        output = self._seen.output(self._config.name)
        # Relative, as it is by itself for an output directory right in the tree. Then it is in no object and no
        # dependency file where the workspace is, and ccache need not find the real path of each header: with an
        # absolute one, and CCACHE_BASEDIR, it makes ten thousand readlink calls for one object, an eighth of its time.
        source = f"srctree={os.path.relpath(self._seen.files, output)}"
        return [*make_for(self._config.arch, output), source, *cc, *profile, *targets]

    def _run(
        self,
        *targets: str,
        timeout: float = _MAKE_SECONDS,
        env: Mapping[str, str] | None = None,
        before: tuple[str, ...] = (),
        anew: Sequence[str] = (),
        results: Mapping[str, int] | None = None,
        keep: Path | None = None,
        on_line: Callable[[str], None] = lambda _: None,
    ) -> process.Result:
        """Run make, after `before` if that is given, and without the objects `anew`.

        In a box `results` are the files that are wanted from it, and all goes to `keep` as a tar.
        """
        command, whole = self._make(*targets), {**self._env, **(env or {})}
        first = self._make(f"-j{self._jobs}", *before) if before else []
        if self._box:
            return self._box.follow(
                command, env=whole, before=first, results=results or {}, remove=anew, keep=keep, on_line=on_line
            )
        for name in anew:
            (self.output / name).unlink(missing_ok=True)
        for words in (first, command):
            if words:
                result = process.follow(words, cwd=self._files, env=whole, timeout=timeout, on_line=on_line)
            if words and result.status:
                break
        return result

    def configure(self, start: str) -> None:
        """Write .config and prove that every setting that was asked for is in it.

        Args:
            start: the base's configuration; options that the series adds get their defaults.

        Raises:
            BuildError: a setting did not survive, with the dependencies that Kconfig names for it.
        """
        wanted = self._config.settings()
        # Each time from the start, and aside: the tree's Kconfig may have changed, an answer given for the tree
        # before must not outlive it, and a .config that stays the same must keep its date.
        fresh, config = self.output / ".config.fresh", self.output / ".config"
        # What only the series has, the base did not know, so it is asked for once more.
        known = parse_config(start)
        again = (f"{name}={value}" for name, value in wanted.items() if name not in known and value != "n")
        never = (f"# {name} is not set" for name, value in wanted.items() if name not in known and value == "n")
        fresh.write_text("\n".join([start, *again, *never, ""]))
        seen = self._seen.output(self._config.name) / fresh.name
        result = self._run(
            "olddefconfig",
            timeout=_CONFIG_SECONDS,
            env={"KCONFIG_CONFIG": str(seen)},
            results={fresh.name: _CONFIG_MAX},
        )
        if result.status:
            raise _config_failed("olddefconfig", result)
        text = fresh.read_text(errors="replace")
        if not config.is_file() or config.read_text() != text:
            config.write_text(text)
        have = parse_config(text)
        lost = [name for name, value in wanted.items() if have.get(name, "n") != value]
        if lost:
            why = "\n".join(
                f"{name}: asked for {wanted[name]}, got {have.get(name, 'n')}{depends_on(self._files, name)}"
                for name in lost
            )
            raise BuildError(f"the {self._config.title} cannot have {len(lost)} of the options it needs", evidence=why)

    def make(self, *targets: str, before: tuple[str, ...], anew: Sequence[str]) -> str:
        """Make some targets, without the objects `anew`, and return all that was printed.

        Args:
            targets: what is made.
            before: what is made first; what that prints is left out.
            anew: objects that are removed first.

        Raises:
            BuildError: it failed, with the compiler's lines.
        """
        result = self._run(f"-j{self._jobs}", *targets, before=before, anew=anew)
        if result.status:
            raise self._failure(result.stdout)
        return result.stdout

    def compile(self, keep: Path | None = None) -> str:
        """Run the build with its progress shown.

        Args:
            keep: where the build directory goes as a tar, for a build in a box.

        Returns:
            Its whole output.

        Raises:
            BuildError: it failed, with the compiler's lines.
        """
        counted = self.output / ".patchgen-steps"
        first = not counted.is_file() and not self._box
        total = self._config.steps if first else None
        done = 0
        with progress.step(f"building the {self._config.title}", total) as step:

            def on_line(line: str) -> None:
                nonlocal done
                if _STEP.match(line):
                    done += 1
                    step.update(done)

            results = {**_RESULTS, **dict.fromkeys(_notes(self._config), _NOTES_MAX)}
            result = self._run(f"-j{self._jobs}", "bzImage", results=results, keep=keep, on_line=on_line)
        if result.status:
            raise self._failure(result.stdout)
        if missing := [name for name in _RESULTS if not (self.output / name).is_file()]:
            raise BuildError(f"the build of the {self._config.title} succeeds, but makes no {missing[0]}")
        counted.write_text(str(done))
        (self.output / ".patchgen-unfinished").unlink(missing_ok=True)
        return result.stdout

    def warnings(
        self, log: str, written: list[str], before: Mapping[str, list[str]] | None = None
    ) -> dict[str, list[str]]:
        """Return the warnings of a whole kernel of which this build has compiled a part, by file.

        What earlier builds have said of a file stands until the file is changed or compiled again.

        Args:
            log: of this build.
            written: files that were changed since the one before.
            before: what earlier builds have said; if not given, it is what is noted in the build directory.
        """
        output = self._seen.output(self._config.name)
        kept = output / _SAID
        lines = log.splitlines()
        again = {f"{line.split()[-1].removesuffix('.o')}.c" for line in lines if line.startswith("  CC ")}
        known = before if before is not None else json.loads(kept.read_text()) if kept.is_file() else {}
        # What has no file, such as <stdin> of scripts/checksyscalls.sh, is said anew by each build.
        stale = {*again, *written, *(name for name in known if name.startswith("<"))}
        found = {name: list(texts) for name, texts in known.items() if name not in stale}
        for name, texts in warnings(lines, self._seen.files, output).items():
            found[name] = sorted({*found.get(name, []), *texts})
        if not self._box:
            write_text(kept, json.dumps(found, indent=1))
        return found

    def _failure(self, log: str) -> BuildError | MachineError:
        """Return the error that a failed build is, with the lines that tell why.

        In a box the disk and the memory are limits of ours, and the words are the stranger's.
        """
        if _MACHINE.search(log) and not self._box:
            return MachineError(f"the {self._config.title} could not be built", evidence=process.tail(log))
        lines = log.splitlines()
        told = [n for n, line in enumerate(lines) if _ERROR.search(line)]
        shown = lines[max(told[0] - 5, 0) : told[0] + 25] if told else lines[-30:]
        return BuildError(f"the {self._config.title} does not build", evidence="\n".join(shown))


def make_for(arch: str, output: Path) -> list[str]:
    """Return the beginning of a command that runs make for an architecture in a build directory."""
    return [process.find("make"), f"O={output}", f"ARCH={arch}", *toolchain.cross_compile(arch)]


def make_config(command: list[str], files: Path, env: Mapping[str, str]) -> None:
    """Run one of make's configuration targets.

    Raises:
        BuildError: it failed, with its words.
    """
    result = process.run(command, cwd=files, env=env, timeout=_CONFIG_SECONDS, check=False, merge=True)
    if result.status:
        raise _config_failed(command[-1], result)


def _config_failed(target: str, result: process.Result) -> BuildError:
    return BuildError(f"make {target} failed", evidence=process.tail(result.stdout))


def start_config(config: Config, source: Source, cache: Cache) -> str:
    """Return the base's .config: the start target and the fragments, on the pristine tree.

    Not on the patched one: tinyconfig answers every question with no, also those that a series adds, and so a
    feature that is on by default would be off.

    Raises:
        BuildError: make failed.
    """
    kept = cache.directory("configs") / digest(_RECIPE, config.identity(), config.settings(), source.tree, compiler())
    if not kept.is_file():
        files = worktree.pristine(source, cache)
        with cache.scratch("config") as scratch:
            command = make_for(config.arch, scratch)
            make_config([*command, config.start], files, {})
            with (scratch / ".config").open("a") as file:
                for fragment in config.fragments:
                    file.write((KERNELS / fragment).read_text())
            make_config([*command, "olddefconfig"], files, {})
            write_text(kept, (scratch / ".config").read_text())
    return kept.read_text()


def configuration(space: worktree.Workspace, arch: str, target: str) -> dict[str, str]:
    """Return the settings that a make target, such as i386_defconfig, gives a workspace's tree.

    Raises:
        BuildError: make failed.
    """
    output = space.output(f"config-{target}")
    output.mkdir(parents=True, exist_ok=True)
    make_config([*make_for(arch, output), target], space.files, {})
    return parse_config((output / ".config").read_text())


def depends_on(files: Path, option: str) -> str:
    """Return what Kconfig says an option depends on, for a message; "" if it says nothing."""
    symbol = option.removeprefix("CONFIG_")
    head = re.compile(rf"^\s*(?:menu)?config {symbol}$")
    for path in sorted(files.rglob("Kconfig*")):
        lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
        for number, line in enumerate(lines):
            if head.match(line):
                entry = []
                for following in lines[number + 1 :]:
                    if re.match(r"^\s*(?:menu)?config |^(?:choice|endmenu|menu|if|endif|source)\b", following):
                        break
                    if following.strip().startswith("depends on"):
                        entry.append(following.strip())
                if entry:
                    return f" ({'; '.join(entry)}: {path.relative_to(files)})"
    return ""
