"""Calling make for one workspace and configuration, which is proved; in a box for an untrusted tree."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from patchgen import process, progress, toolchain
from patchgen.base import worktree
from patchgen.cache import Cache
from patchgen.errors import BuildError, MachineError
from patchgen.kernel import warnings
from patchgen.kernel.configs import Config, depends_on, parse
from patchgen.kernel.sandboxed import Box, Call
from patchgen.sandbox import MIB

# What is taken out of a build, and how large each may be.
IMAGE, MAP, CONFIG = "arch/x86/boot/bzImage", "System.map", ".config"
_RESULTS = {IMAGE: 48 * MIB, MAP: 32 * MIB}
SYMBOLS, _SYMBOLS_MAX = "vmlinux", 512 * MIB
_CONFIG_MAX, _NOTES_MAX = MIB, 4 * MIB
# In a build directory: the files that a build was to compile and which it did not end; how many steps the last one had.
UNFINISHED, _STEPS = ".patchgen-unfinished", ".patchgen-steps"
_MAKE_SECONDS = 3600.0
_CONFIG_SECONDS = 300.0
_STEP = re.compile(r"^  (?:[A-Z][A-Z0-9_]*(?: \[M\])?|HOST\w+|\[M\])\s+\S")
_MACHINE = re.compile(r"No space left on device|Killed signal terminated program|Cannot allocate memory")
_ERROR = re.compile(r"error:|Error \d|\*\*\*|undefined reference|No rule to make")
# For make, which looks at the file that it compiles. What .incbin includes is in no dependency file, so ccache would
# give one kernel the compressed image of another (piggy.S) if it had the same size.
_COMPILER = "$(if $(filter %.S,$<),,ccache )$(CROSS_COMPILE)gcc"


def make_for(arch: str, output: Path) -> list[str]:
    """Return the beginning of a command that runs make for an architecture in a build directory."""
    return [process.find("make"), f"O={output}", f"ARCH={arch}", *toolchain.cross_compile(arch)]


def make_config(command: list[str], files: Path, env: Mapping[str, str]) -> None:
    """Run one of make's configuration targets.

    Raises:
        BuildError: it failed, with its words.
    """
    result = process.follow(command, cwd=files, env=env, timeout=_CONFIG_SECONDS)
    if result.status:
        raise _config_failed(command[-1], result)


def _config_failed(target: str, result: process.Result) -> BuildError:
    return BuildError(f"make {target} failed", evidence=process.tail(result.stdout))


class Maker:
    """Calls make for one workspace and configuration, for an untrusted tree in a box.

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
        if self._ccache and not box:  # in a box, something else is called ccache (unchanged.py)
            self._env |= {
                "CCACHE_DIR": str(cache.directory("ccache")),
                # With the relative names (see _make) an object is the same in whatever workspace it is made.
                "CCACHE_NOHASHDIR": "1",
                "CCACHE_MAXSIZE": "2G",
                # The compiler's own dependency file instead of a preprocessor run for each miss (see _COMPILER).
                "CCACHE_DEPEND": "1",
                # It costs more time than it saves disk.
                "CCACHE_NOCOMPRESS": "1",
                # Each header is hashed once, not for each of the objects that are made from it.
                "CCACHE_INODECACHE": "1",
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
        fresh, config = self.output / ".config.fresh", self.output / CONFIG
        # What only the series has, the base did not know, so it is asked for once more.
        known = parse(start)
        again = (f"{name}={value}" for name, value in wanted.items() if name not in known and value != "n")
        never = (f"# {name} is not set" for name, value in wanted.items() if name not in known and value == "n")
        fresh.write_text("\n".join([start, *again, *never, ""]))
        seen = self._seen.output(self._config.name) / fresh.name
        env = {**self._env, "KCONFIG_CONFIG": str(seen)}
        result = self._run(Call(self._make("olddefconfig"), env, results={fresh.name: _CONFIG_MAX}), _CONFIG_SECONDS)
        if result.status:
            raise _config_failed("olddefconfig", result)
        text = fresh.read_text(errors="replace")
        if not config.is_file() or config.read_text() != text:
            config.write_text(text)
        have = parse(text)
        lost = [name for name, value in wanted.items() if have.get(name, "n") != value]
        if lost:
            why = "\n".join(
                f"{name}: asked for {wanted[name]}, got {have.get(name, 'n')}{depends_on(self._files, name)}"
                for name in lost
            )
            raise BuildError(f"the {self._config.title} cannot have {len(lost)} of the options it needs", evidence=why)

    def make_anew(self, target: str) -> process.Result:
        """Remove a file and its `.cmd` file, make it with the .config in `output`, and return how make ended."""
        return self._run(Call(self._make(target), self._env, remove=(target, f"{target}.cmd")), _CONFIG_SECONDS)

    def make(
        self,
        *targets: str,
        before: tuple[str, ...],
        anew: Sequence[str],
        results: Mapping[str, int] | None = None,
    ) -> str:
        """Make some targets, without the objects `anew`, and return all that was printed.

        Args:
            targets: what is made.
            before: what is made first; what that prints is left out.
            anew: objects that are removed first.
            results: files that are wanted from a box, with the bytes that each may have.

        Raises:
            BuildError: it failed, with the compiler's lines.
        """
        jobs = f"-j{self._jobs}"
        first = self._make(jobs, *before) if before else []
        result = self._run(
            Call(self._make(jobs, *targets), self._env, before=first, remove=anew, results=results or {})
        )
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
        counted = self.output / _STEPS
        first = not counted.is_file() and not self._box
        total = self._config.steps if first else None
        done = 0
        with progress.step(f"building the {self._config.title}", total) as step:

            def on_line(line: str) -> None:
                nonlocal done
                if _STEP.match(line):
                    done += 1
                    step.update(done)

            results = {**_RESULTS, **dict.fromkeys(self._config.notes(), _NOTES_MAX)}
            results |= {SYMBOLS: _SYMBOLS_MAX} if self._config.symbols else {}
            call = Call(self._make(f"-j{self._jobs}", "bzImage"), self._env, results=results, keep=keep)
            result = self._run(call, on_line=on_line)
        if result.status:
            raise self._failure(result.stdout)
        if missing := [name for name in _RESULTS if not (self.output / name).is_file()]:
            raise BuildError(f"the build of the {self._config.title} succeeds, but makes no {missing[0]}")
        counted.write_text(str(done))
        (self.output / UNFINISHED).unlink(missing_ok=True)
        return result.stdout

    def warnings(
        self, log: str, written: Sequence[str], before: Mapping[str, list[str]] | None = None
    ) -> dict[str, list[str]]:
        """Return the warnings of a whole kernel of which this build has compiled a part, by file.

        Args:
            log: of this build.
            written: files that were changed since the one before.
            before: what earlier builds have said; if not given, it is what is noted in the build directory.
        """
        output = self._seen.output(self._config.name)
        known = warnings.noted(output) if before is None else before
        found = warnings.merge(known, log, written, self._seen.files, output)
        if not self._box:
            warnings.note(output, found)
        return found

    def _run(
        self, call: Call, timeout: float = _MAKE_SECONDS, on_line: Callable[[str], None] = lambda _: None
    ) -> process.Result:
        """Run make, in the box if there is one."""
        if self._box:
            return self._box.follow(call, on_line)
        for name in call.remove:
            (self.output / name).unlink(missing_ok=True)
        for words in (call.before, call.words):
            if words:
                result = process.follow(words, cwd=self._files, env=call.env, timeout=timeout, on_line=on_line)
            if words and result.status:
                break
        return result

    def _failure(self, log: str) -> BuildError | MachineError:
        """Return the error that a failed build is, with the lines that tell why.

        In a box the disk and the memory are limits of ours, and the words are the submission's.
        """
        if _MACHINE.search(log) and not self._box:
            return MachineError(f"the {self._config.title} could not be built", evidence=process.tail(log))
        lines = log.splitlines()
        told = [n for n, line in enumerate(lines) if _ERROR.search(line)]
        shown = lines[max(told[0] - 5, 0) : told[0] + 25] if told else lines[-30:]
        return BuildError(f"the {self._config.title} does not build", evidence="\n".join(shown))
