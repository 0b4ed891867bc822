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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from patchgen import proc, progress, resources, tree
from patchgen.cache import Cache, digest, machine_faults, prune, replacing, write_text
from patchgen.errors import BuildError, MachineError, UsageError
from patchgen.source import Source

KERNELS = resources.QEMU / "kernel"
_RECIPE = 6  # Part of every key: a change of how kernels are made here starts them afresh.
_KEPT = 96  # A kernel takes 3 MB; those of verdicts that are under way must be among them.
_MAKE_SECONDS = 3600.0
_CONFIG_SECONDS = 300.0
_SETTING = re.compile(r"^(?:(CONFIG_\w+)=(.*)|# (CONFIG_\w+) is not set)$")
_STEP = re.compile(r"^  (?:[A-Z][A-Z0-9_]*(?: \[M\])?|HOST\w+|\[M\])\s+\S")
_WARNING = re.compile(r"^(?P<file>[^:\s]+):(?:\d+:)*\s*[Ww]arning:\s*(?P<text>.*)$")
_MACHINE = re.compile(r"No space left on device|Killed signal terminated program|Cannot allocate memory")
_WORKSPACE = re.compile(r"^/.*/work/[^/]+/[^/]+/src/")
# What an object includes by .incbin: what it is linked into, the included file, the object.
_INCLUSIONS = (
    ("arch/x86/boot/bzImage", "arch/x86/boot/compressed/vmlinux.bin.[glx]z*", "arch/x86/boot/compressed/piggy.o"),
    ("vmlinux", "arch/x86/realmode/rm/realmode.bin", "arch/x86/realmode/rmpiggy.o"),
)
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


def load_config(name: str) -> Config:
    """Return the configuration of that name.

    Raises:
        UsageError: there is none, or the file is wrong.
    """
    path = KERNELS / "kernels.toml"
    data = tomllib.loads(path.read_text())
    if name not in data:
        raise UsageError(f"there is no kernel configuration {name}", hint=f"known: {', '.join(data)}")
    try:
        return Config(name=name, **data[name])
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
    return proc.run([proc.find("gcc"), "--version"], cwd=Path("/"), timeout=30).stdout.splitlines()[0]


def key_of(config: Config, tree_id: str, source: Source) -> str:
    """Return the hash of everything that a kernel is made from."""
    return digest(_RECIPE, config.identity(), config.settings(), tree_id, sorted(source.missing), compiler())


def cached(config: Config, tree_id: str, source: Source, cache: Cache) -> Kernel | None:
    """Return the kernel if it has been built."""
    directory = cache.directory("kernels") / key_of(config, tree_id, source)
    if not (directory / "kernel.json").is_file():
        return None
    data = json.loads((directory / "kernel.json").read_text())
    return Kernel(directory / "bzImage", **{**data, "warnings": tuple(data["warnings"])})


def build(config: Config, tree_id: str, source: Source, cache: Cache, *, slot: str, jobs: int) -> Kernel:
    """Build a kernel, unless the cache has it.

    Args:
        config: how.
        tree_id: git tree id of its source in the source's repository.
        source: the base.
        cache: where it is built and kept.
        slot: the workspace; trees that follow each other there are built incrementally.
        jobs: parallel compilers.

    Raises:
        BuildError: the configuration cannot be had, or it does not compile; with the compiler's lines.
        MachineError: a tool is missing or the disk is full.
    """
    kernel = cached(config, tree_id, source, cache)
    if kernel:
        return kernel
    with cache.lock(tree.workspace_lock(source, slot)):
        kernel = cached(config, tree_id, source, cache)
        if kernel:
            return kernel
        space = tree.workspace(source, slot, cache)
        begin = time.monotonic()
        written = _switch(space, source, tree_id, config)
        maker = _Maker(space, config, cache, jobs)
        maker.configure(start_config(config, source, cache))
        log = maker.compile()
        key = key_of(config, tree_id, source)
        target = cache.directory("kernels") / key
        fields = {
            "tree": tree_id,
            "config": config.name,
            "key": key,
            "warnings": _all_warnings(log, written, space, space.output(config.name)),
            "seconds": round(time.monotonic() - begin, 1),
        }
        with replacing(target) as fresh, machine_faults("cannot keep the kernel"):
            fresh.mkdir()
            output = space.output(config.name)
            for file, name in (("arch/x86/boot/bzImage", "bzImage"), ("System.map",) * 2, (".config", "config")):
                shutil.copyfile(output / file, fresh / name)
            for notes in (Path(name).with_suffix(".gcno") for name in config.profile):
                if (output / notes).is_file():
                    (fresh / notes).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(output / notes, fresh / notes)
            (fresh / "build.log").write_text(log)
            (fresh / "kernel.json").write_text(json.dumps(fields, indent=1))
    prune(cache.directory("kernels"), _KEPT)
    kernel = cached(config, tree_id, source, cache)
    assert kernel is not None, "it was written just now"
    return kernel


def compile_some(
    config: Config,
    tree_id: str,
    source: Source,
    cache: Cache,
    *,
    slot: str,
    jobs: int,
    objects: Callable[[Path], list[str]],
    arguments: tuple[str, ...] = (),
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

    Returns:
        Everything that was printed, and how many objects were compiled.

    Raises:
        BuildError: they do not compile.
    """
    with cache.lock(tree.workspace_lock(source, slot)):
        space = tree.workspace(source, slot, cache)
        tree.switch(space, source, tree_id)
        maker = _Maker(space, config, cache, jobs)
        maker.configure(start_config(config, source, cache))
        wanted = objects(space.files)
        for name in wanted:
            (space.output(config.name) / name).unlink(missing_ok=True)
        # Only what is said of these files counts, not of the headers' generators, which come first.
        maker.make("prepare", "scripts")
        return maker.make(*arguments, *wanted), len(wanted)


def tree_path(name: str) -> str:
    """Return a file's name in the kernel tree for what a compiler calls it, in whatever workspace it ran."""
    return _WORKSPACE.sub("", os.path.normpath(name)).removeprefix("../src/")


def _switch(space: tree.Workspace, source: Source, tree_id: str, config: Config) -> list[str]:
    """Bring the workspace to the tree and return the paths that count as changed since the last whole build.

    The list of what an unfinished build was to compile is kept until one is finished: it may have compiled any of it.
    """
    unfinished = space.output(config.name) / ".patchgen-unfinished"
    written = set(tree.switch(space, source, tree_id))
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
            inside = str(whole.relative_to(files)) if whole.is_relative_to(files) else match["file"]
            # ccache repeats what the compiler said when it ran, perhaps in another workspace.
            found.setdefault(_WORKSPACE.sub("", inside), set()).add(match["text"])
    return {name: sorted(texts) for name, texts in found.items()}


def _all_warnings(log: str, written: list[str], space: tree.Workspace, output: Path) -> list[str]:
    """Return the warnings of a whole kernel of which this build has compiled a part.

    What earlier builds in the directory said of a file stands until the file is changed or compiled again.
    """
    kept = output / ".patchgen-warnings"
    lines = log.splitlines()
    again = {f"{line.split()[-1].removesuffix('.o')}.c" for line in lines if line.startswith("  CC ")}
    known = json.loads(kept.read_text()) if kept.is_file() else {}
    # What has no file, such as <stdin> of scripts/checksyscalls.sh, is said anew by each build.
    stale = {*again, *written, *(name for name in known if name.startswith("<"))}
    known = {name: texts for name, texts in known.items() if name not in stale}
    for name, texts in warnings(lines, space.files, output).items():
        known[name] = sorted({*known.get(name, []), *texts})
    write_text(kept, json.dumps(known, indent=1))
    return sorted(f"{name}: {text}" for name, texts in known.items() for text in texts)


class _Maker:
    """Calls make for one workspace and configuration."""

    def __init__(self, space: tree.Workspace, config: Config, cache: Cache, jobs: int) -> None:
        self._space, self._config, self._jobs = space, config, jobs
        self._output = space.output(config.name)
        self._output.mkdir(parents=True, exist_ok=True)
        self._env = {
            "ARCH": config.arch,
            "KBUILD_BUILD_USER": "patchgen",
            "KBUILD_BUILD_HOST": "patchgen",
            "KBUILD_BUILD_TIMESTAMP": "Thu Jan  1 00:00:00 UTC 1970",
            "LOCALVERSION": "",
            "KCFLAGS": " ".join(config.cflags),
        }
        if shutil.which("ccache"):
            self._env |= {
                "CCACHE_DIR": str(cache.directory("ccache")),
                "CCACHE_BASEDIR": str(space.root),
                "CCACHE_NOHASHDIR": "1",
                "CCACHE_MAXSIZE": "2G",
                # Not CCACHE_DEPEND: without a preprocessor run ccache does not see that a file has an .incbin.
            }

    def _make(self, *targets: str) -> list[str]:
        cc = ["CC=ccache gcc", "HOSTCC=ccache gcc"] if "CCACHE_DIR" in self._env else []
        # Given here, the variables that a Makefile's `GCOV_PROFILE_file.o := y` would set need no Makefile.
        profile = [f"GCOV_PROFILE_{Path(name).name}=y" for name in self._config.profile]
        return [proc.find("make"), f"O={self._output}", f"ARCH={self._config.arch}", *cc, *profile, *targets]

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
        fresh, config = self._output / ".config.fresh", self._output / ".config"
        # What only the series has, the base did not know, so it is asked for once more.
        known = parse_config(start)
        again = (f"{name}={value}" for name, value in wanted.items() if name not in known and value != "n")
        never = (f"# {name} is not set" for name, value in wanted.items() if name not in known and value == "n")
        fresh.write_text("\n".join([start, *again, *never, ""]))
        make_config(self._make("olddefconfig"), self._space.files, {**self._env, "KCONFIG_CONFIG": str(fresh)})
        text = fresh.read_text()
        if not config.is_file() or config.read_text() != text:
            config.write_text(text)
        have = parse_config(text)
        lost = [name for name, value in wanted.items() if have.get(name, "n") != value]
        if lost:
            why = "\n".join(
                f"{name}: asked for {wanted[name]}, got {have.get(name, 'n')}{depends_on(self._space.files, name)}"
                for name in lost
            )
            raise BuildError(f"the {self._config.title} cannot have {len(lost)} of the options it needs", evidence=why)

    def make(self, *targets: str) -> str:
        """Make some targets and return all that was printed.

        Raises:
            BuildError: it failed, with the compiler's lines.
        """
        command = self._make(f"-j{self._jobs}", *targets)
        result = proc.run(command, cwd=self._space.files, env=self._env, timeout=_MAKE_SECONDS, check=False, merge=True)
        if result.status:
            raise _failure(self._config, result.stdout)
        return result.stdout

    def compile(self) -> str:
        """Run the build with its progress shown.

        Returns:
            Its whole output.

        Raises:
            BuildError: it failed, with the compiler's lines.
        """
        counted = self._output / ".patchgen-steps"
        first = not counted.is_file()
        total = self._config.steps if first else None
        done = 0
        with progress.step(f"building the {self._config.title}", total) as step:

            def on_line(line: str) -> None:
                nonlocal done
                if _STEP.match(line):
                    done += 1
                    step.update(done)

            result = proc.follow(
                self._make(f"-j{self._jobs}", "bzImage"),
                cwd=self._space.files,
                env=self._env,
                timeout=_MAKE_SECONDS,
                on_line=on_line,
            )
        if result.status:
            raise _failure(self._config, result.stdout)
        log = result.stdout + self._prove_inclusions()
        counted.write_text(str(done))
        (self._output / ".patchgen-unfinished").unlink(missing_ok=True)
        return log

    def _prove_inclusions(self) -> str:
        """See that what .incbin includes is what was built; if it is not, build that once more without ccache.

        ccache may give an object back that was made of another file than is there now. The compressed kernels of two
        trees are often of the same size, and then nothing else tells their piggy.S apart.

        Returns:
            The output of the second build, "" if there was none.

        Raises:
            MachineError: that does not help.
        """
        wrong = list(self._not_included())
        if not wrong:
            return ""
        for name in wrong:
            (self._output / name).unlink(missing_ok=True)
        self._env["CCACHE_DISABLE"] = "1"
        try:
            log = self.make("bzImage")
        finally:
            del self._env["CCACHE_DISABLE"]
        if list(self._not_included()):
            raise MachineError(f"the {self._config.title} does not hold what was built: {', '.join(wrong)} is stale")
        return log

    def _not_included(self) -> Iterator[str]:
        """Yield the objects whose included file is not in what they were linked into."""
        for whole, part, name in _INCLUSIONS:
            for file in self._output.glob(part):
                if file.read_bytes() not in (self._output / whole).read_bytes():
                    yield name


def _failure(config: Config, log: str) -> BuildError | MachineError:
    """Return the error that a failed build is, with the lines that tell why."""
    if _MACHINE.search(log):
        return MachineError(f"the {config.title} could not be built", evidence=proc.tail(log))
    lines = log.splitlines()
    told = [n for n, line in enumerate(lines) if _ERROR.search(line)]
    shown = lines[max(told[0] - 5, 0) : told[0] + 25] if told else lines[-30:]
    return BuildError(f"the {config.title} does not build", evidence="\n".join(shown))


def make_config(command: list[str], files: Path, env: Mapping[str, str]) -> None:
    """Run one of make's configuration targets.

    Raises:
        BuildError: it failed, with its words.
    """
    result = proc.run(command, cwd=files, env=env, timeout=_CONFIG_SECONDS, check=False, merge=True)
    if result.status:
        raise BuildError(f"make {command[-1]} failed", evidence=proc.tail(result.stdout))


def start_config(config: Config, source: Source, cache: Cache) -> str:
    """Return the base's .config: the start target and the fragments, on the pristine tree.

    Not on the patched one: tinyconfig answers every question with no, also those that a series adds, and so a
    feature that is on by default would be off.

    Raises:
        BuildError: make failed.
    """
    kept = cache.directory("configs") / digest(_RECIPE, config.identity(), config.settings(), source.tree, compiler())
    if not kept.is_file():
        files = tree.pristine(source, cache)
        with cache.scratch("config") as scratch:
            command = [proc.find("make"), f"O={scratch}", f"ARCH={config.arch}"]
            make_config([*command, config.start], files, {})
            with (scratch / ".config").open("a") as file:
                for fragment in config.fragments:
                    file.write((KERNELS / fragment).read_text())
            make_config([*command, "olddefconfig"], files, {})
            write_text(kept, (scratch / ".config").read_text())
    return kept.read_text()


def configuration(space: tree.Workspace, arch: str, target: str) -> dict[str, str]:
    """Return the settings that a make target, such as i386_defconfig, gives a workspace's tree.

    Raises:
        BuildError: make failed.
    """
    output = space.output(f"config-{target}")
    output.mkdir(parents=True, exist_ok=True)
    make_config([proc.find("make"), f"O={output}", f"ARCH={arch}", target], space.files, {})
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
