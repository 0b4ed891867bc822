"""Building an untrusted tree: make runs in a sandbox, from the base's objects, and nothing it does outlives it.

In the sandbox everything is where the base's workspace has it, so the base's objects fit:
`src` is the untrusted tree and can only be read (its files are hard links of the pristine ones), the build directory
is in memory and begins as what the base's build has left, kept as a tar. There is no compiler cache; `unchanged.py`
stands in its place.
So no submission can harm the pristine tree, the cache or another submission's verdict; what one leaves in its build
directory goes with it.

Each call of make starts anew from there. What it is to find besides (`.config`) comes from a directory of ours, and
what we want of its results goes to files that are there already and have a greatest size.

The trees of one submission differ by a patch each. So the build directory that one has left is where the next begins
(`IncrementalBuilds`): it too only ever leaves a sandbox as a tar of limited size, and is only unpacked in another one.
"""

from __future__ import annotations

import dataclasses
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from patchgen import process
from patchgen.base.git import bare_repository, git_errors
from patchgen.cache import Cache, digest, file_digest, machine_faults, prune, replacing
from patchgen.errors import BuildError, OverLimitError
from patchgen.kernel import unchanged
from patchgen.sandbox import open_to

if TYPE_CHECKING:
    from patchgen.base.resolve import Source
    from patchgen.base.worktree import Workspace
    from patchgen.sandbox import Sandbox

_RECIPE = 2  # Part of `recipe`: a change of how a sandbox builds, here, builds anew.
# What a new system call changes for all that include it, though few use it.
_TYPICAL = ("include/linux/syscalls.h", "asm/unistd_32.h", "include/generated/asm-offsets.h")
_UNCHANGED = Path(unchanged.__file__)
_PYTHON = Path("/usr/bin/python3")  # the one that a sandbox has, if there is one
_GIVEN, _RESULTS = Path("/given"), Path("/results")
_KEPT = 8  # Base's build directories of 55 MB and more.
_TAR_SECONDS = 120.0
_TEXTS_SECONDS = 600.0
_OBJECTS = "objects"  # what the tar of a build directory is called on its way out
# Arguments: how many results, their names, the command. Of the command in BEFORE something is seen only if it fails.
_SCRIPT = """
if [ -p /dev/stdin ]; then tar -xf - || exit 99; fi
eval "rm -f -- $REMOVE"
for name in .config .config.fresh; do
  if [ -f /given/$name ]; then cmp -s /given/$name $name || cp /given/$name $name; fi
done
if [ -x "$PYTHON" ]; then
  PATH=/given/bin:$PATH; export PATH
  if [ "$UNCHANGED_HEADERS" ]; then $UNCHANGED --forget || exit 99; fi
fi
results=$1; shift
names=; while [ "$results" -gt 0 ]; do names="$names $1"; shift; results=$((results - 1)); done
out=$PWD; cd "$SOURCE" || exit 99
eval "$BEFORE" > /tmp/before 2>&1 || { status=$?; cat /tmp/before; exit $status; }
"$@"; status=$?
number=0
cd "$out"
for name in $names; do [ -f "$name" ] && cat "$name" > /results/$number; number=$((number + 1)); done
if [ $status = 0 ] && [ -f /results/objects ]; then
  find . -mindepth 1 -maxdepth 1 -print0 | tar --format=posix --null -T - -cf /results/objects || : > /results/objects
fi
exit $status
"""


@dataclass(frozen=True)
class Objects:
    """What a build has left, for another one to begin with.

    Attributes:
        tree: git tree id of the source they were made from.
        tar: the build directory.
        warnings: what the compiler has said of each file.
    """

    tree: str
    tar: Path
    warnings: Mapping[str, list[str]]


@dataclass
class IncrementalBuilds:
    """Builds of one submission's trees, of which each begins with what the one before it has left.

    Attributes:
        place: a directory for that; what is there goes with it.
        last: the objects of the last build, by configuration.
        trees: the trees that were built or are being built, by configuration.
    """

    place: Path
    last: dict[str, Objects] = field(default_factory=dict)
    trees: dict[str, list[str]] = field(default_factory=dict)

    def before(self, config: str) -> tuple[str, ...]:
        """Return the trees whose builds may have left something for the next one, in their order."""
        return tuple(self.trees.get(config, ()))

    def note(self, config: str, tree: str) -> None:
        """Note that a tree is built, or was found built: from now on it may have a part in what comes."""
        self.trees.setdefault(config, []).append(tree)

    def room_for(self, config: str, tree: str) -> Path:
        """Return where the objects of a tree go; never where those of another are, which stand until `add`."""
        return self.place / f"{config}-{tree}.tar"

    def add(self, config: str, objects: Objects) -> None:
        """Let the next build begin with these, if the build has kept them, and else with those of before."""
        if objects.tar.is_file():
            before = self.last.get(config)
            self.last[config] = objects
            if before and before.tar != objects.tar:
                before.tar.unlink()


@dataclass(frozen=True)
class Call:
    """One call of make.

    Attributes:
        words: the command.
        env: its variables.
        before: a command that is run first.
        remove: files that are removed from the build directory first.
        results: files of the build directory that are wanted from a box, with the bytes that each may have.
        keep: where a box's build directory goes as a tar after a success, unless it is too large for the sandbox.
    """

    words: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    before: Sequence[str] = ()
    remove: Sequence[str] = ()
    results: Mapping[str, int] = field(default_factory=dict)
    keep: Path | None = None


@dataclass(frozen=True)
class Box:
    """Where make runs for one untrusted tree and one configuration.

    Attributes:
        sandbox: with its limits.
        files: the tree on this machine.
        seen: the workspace whose places they have in the sandbox.
        name: the configuration's.
        seed: tar of the build directory to begin from, None for an empty one.
        output: directory of ours, in place of the build directory: `.config` goes in from here, results come here.
        cache: for scratch space.
        changes: what `unchanged.py` is told of the tree, as variables.
    """

    sandbox: Sandbox
    files: Path
    seen: Workspace
    name: str
    seed: Path | None
    output: Path
    cache: Cache
    changes: Mapping[str, str] = field(default_factory=dict)

    def follow(self, call: Call, on_line: Callable[[str], None] = lambda _: None) -> process.Result:
        """Run make in the sandbox. What the command before it prints does not count.

        Args:
            call: what is run.
            on_line: called with each line of output.

        Raises:
            BuildError: it did not keep to its limits, or a result is larger than it may be.
        """
        with ExitStack() as stack:
            room = stack.enter_context(self.cache.scratch("box"))
            files = [room / str(number) for number in range(len(call.results))]
            files += [room / _OBJECTS] if call.keep else []
            for file in files:
                file.touch()
                open_to(file)
            words = ["sh", "-c", _SCRIPT, "sh", str(len(call.results)), *call.results, *call.words]
            ours = {
                "BEFORE": shlex.join(call.before),
                "REMOVE": shlex.join(call.remove),
                "SOURCE": str(self.seen.files),
                "PYTHON": str(_PYTHON),
                "UNCHANGED": f"{_PYTHON} -IS {_GIVEN / _UNCHANGED.name}",
            }
            try:
                result = process.follow(
                    words,
                    cwd=self.seen.output(self.name),
                    timeout=self.sandbox.limits.seconds,
                    env={**call.env, **self.changes, **ours},
                    on_line=on_line,
                    sandbox=self._sandbox(files),
                )
            except OverLimitError as error:
                raise BuildError(f"the build was stopped: {error.message}", evidence=error.evidence) from error
            for (name, limit), file in zip(call.results.items(), files, strict=False):
                self._take(name, limit, file)
            if call.keep and (room / _OBJECTS).stat().st_size:
                shutil.move(room / _OBJECTS, call.keep)
        return result

    def _sandbox(self, files: Sequence[Path]) -> Sandbox:
        return dataclasses.replace(
            self.sandbox,
            readable=((self.files, self.seen.files), (self.output, _GIVEN)),
            private=(self.seen.output(self.name),),
            writable=tuple((file, _RESULTS / file.name) for file in files),
            feed=self.seed,
        )

    def _take(self, name: str, limit: int, file: Path) -> None:
        size = file.stat().st_size
        if size > limit:
            raise BuildError(f"the build left a {name} of {size} bytes; {limit} are allowed")
        if size:
            target = self.output / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


@contextmanager
def room_for(cache: Cache) -> Iterator[Path]:
    """Give a directory for `Box.output`, which the sandbox can read."""
    with cache.scratch("output") as scratch:
        scratch.chmod(0o755)
        ccache = scratch / "bin" / "ccache"
        ccache.parent.mkdir()
        ccache.write_text(unchanged.COMPILE)
        ccache.chmod(0o755)
        shutil.copyfile(_UNCHANGED, scratch / _UNCHANGED.name)
        yield scratch


def changed_headers(origin: Source, since: str, tree: str) -> dict[str, str]:
    """Return what `unchanged.py` is told of a tree: what its headers declare, and which have changed otherwise.

    Args:
        origin: the base.
        since: git tree id of what the objects were made from.
        tree: git tree id of what is built.

    Raises:
        MachineError: git failed.
    """
    names = (declared for declared in _added(origin, origin.tree, tree).values() if declared)
    hard = [path for path, declared in _added(origin, since, tree).items() if declared is None]
    return {unchanged.NAMES: " ".join(sorted(set().union(*names))), unchanged.HEADERS: " ".join(hard)}


def _added(origin: Source, one: str, other: str) -> dict[str, set[str] | None]:
    """Return the names that the lines declare which a tree's headers have more; None for another change of one."""
    with git_errors("cannot compare the trees"):
        repository = bare_repository(origin.repository)
        diff = str(repository.git.diff_tree("-p", "-U0", "--no-renames", one, other, "--", "*.h"))
    found: dict[str, set[str] | None] = {}
    for file in diff.split("\ndiff --git "):
        head, _, hunks = file.partition("\n@@ ")
        path = head.partition("\n--- a/")[2].partition("\n")[0]
        if path:  # of a new header no object is made yet
            lines = hunks.splitlines()[1:]
            less = any(line.startswith("-") for line in lines)
            more = "\n".join(line[1:] for line in lines if line.startswith("+"))
            found[path] = None if less or "\n+++ b/" not in head else unchanged.declared(more)
    return found


def keep_seed(output: Path, key: str, cache: Cache) -> None:
    """Keep a build directory of the base as a tar.

    Args:
        output: the directory; the caller holds its workspace's lock.
        key: as `seed_key` returns it.
        cache: where it is kept.

    Raises:
        MachineError: the disk is full.
    """
    target = seed_of(key, cache)
    with replacing(target) as fresh, machine_faults("cannot keep the base's objects"):
        if _PYTHON.is_file():
            words = [str(_PYTHON), "-IS", str(_UNCHANGED), unchanged.RECORD, *_TYPICAL]
            process.run(words, cwd=output, timeout=_TEXTS_SECONDS)
        # The format that keeps fractions of seconds: make compares times.
        command = [process.find("tar"), "--format=posix", "-C", str(output), "-cf", str(fresh)]
        # Not ".": the directory in the sandbox belongs to somebody else.
        command += sorted(path.name for path in output.iterdir())
        process.run(command, cwd=Path("/"), timeout=_TAR_SECONDS)
    prune(target.parent, _KEPT)


def recipe() -> tuple[int, str]:
    """Return what is part of the key of all that a sandbox builds: how that is done."""
    return _RECIPE, file_digest(_UNCHANGED)


def seed_key(base: str) -> str:
    """Return the key of the base's objects, and of what is noted of them, for the key of its build."""
    return digest("seed", file_digest(_UNCHANGED), _TYPICAL, base)


def seed_of(key: str, cache: Cache) -> Path:
    """Return where the base's objects of that key are kept, whether they are there or not."""
    return cache.directory("seeds") / f"{key}.tar"
