"""What plain `make` asks on a tree with the base's .config: the build as a course's platform does it.

The platform has the kernel with its .config in place, applies the patches, and runs `make` without a terminal. make
then brings the configuration up to date (silentoldconfig, syncconfig in later kernels). It asks for each new option
that has a prompt, and linux-4.15 stops there: "(NEW) aborted! Console input/output is redirected". `kernel.build`
answers with the defaults (olddefconfig), so it does not see that. Only this step is run here, not a second build.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from patchgen import process, toolchain
from patchgen.base import worktree
from patchgen.base.resolve import Source
from patchgen.cache import Cache, digest, prune, write_text
from patchgen.errors import BuildError
from patchgen.kernel import build, configs
from patchgen.kernel.build import BuildRequest
from patchgen.kernel.start import start_config
from patchgen.sandbox import Sandbox

# What a platform's kernel most likely has: most options that another one depends on are on in it.
CONFIG = "defconfig"
# Whose objects an untrusted make begins with: make's own programs are among them, which take some seconds.
_OBJECTS = "small"
HINT = "a new option without a prompt (def_bool y) takes its default, and make goes on"
# The rule of the kernel's Makefile by which plain `make` comes to this step, on every base.
_TARGET = "include/config/auto.conf"
_KEPT = 256
_RECIPE = 3
_CODE = {".c", ".h", ".S", ".tbl"}
# "Count the faults (PF_STAT) [Y/n/?] (NEW) aborted!": a prompt, the option, the answers; and it has no value so far.
_NEW, _STOPS = "(NEW)", "Console input/output is redirected"
_OPTION = re.compile(r"\((?P<name>[A-Z0-9_]+)\) \[[^\]]*\] \(NEW\)")


def asked(tree_id: str, source: Source, cache: Cache, *, workspace: str, sandbox: Sandbox | None = None) -> str:
    """Return what make asks, in its own words; "" if it goes on without a question.

    Args:
        tree_id: git tree id of the kernel's source.
        source: the base; its .config is made on the pristine tree.
        cache: where the answer is kept.
        workspace: the workspace, as for `kernel.build`.
        sandbox: what the make of an untrusted tree is shut in.

    Raises:
        BuildError: the step fails without a question, or does not keep to the sandbox's limits.
        MachineError: a tool is missing or the disk is full.
    """
    changes = worktree.changes(source, tree_id)
    if not any(_configures(path) for path in changes):
        return ""
    config = configs.load(CONFIG, source.base.name)
    start = start_config(config, source, cache)
    made_from = [_RECIPE, start, sorted(source.missing), toolchain.compiler(), sandbox is not None]
    # An untrusted Kconfig may read any file of its tree, ours reads no code.
    changed = [(path, entry) for path, entry in changes.items() if sandbox or _configures(path)]
    kept = cache.directory("questions") / f"{digest('questions', made_from, changed)}.txt"
    if not kept.is_file():
        # Our own tree's build directory stays. This .config in that of a kernel would make all its objects anew.
        where = configs.load(_OBJECTS, source.base.name) if sandbox else config.model_copy(update={"name": "questions"})
        request = BuildRequest(where, tree_id, source, cache, workspace, sandbox=sandbox)
        result = build.update_config(request, start, _TARGET)
        said = result.stdout if _NEW in result.stdout else ""
        if result.status and not said:
            message = "plain make cannot bring the base's .config up to date"
            raise BuildError(message, evidence=process.tail(result.stdout))
        write_text(kept, said)
        prune(kept.parent, _KEPT)
    return "\n".join(_shown(kept.read_text()))


def _configures(path: str) -> bool:
    """Whether a change of a file alone can change what the base's Kconfig files and the program that reads them do."""
    return Path(path).suffix not in _CODE or path.startswith("scripts/")


def options(said: str) -> list[str]:
    """Return the options that questions are about, without CONFIG_, in their order."""
    return [match["name"] for match in _OPTION.finditer(said)]


def _shown(said: str) -> Iterator[str]:
    """Yield each question once, and what make says of it."""
    yield from dict.fromkeys(line for line in said.splitlines() if _NEW in line or line.startswith(_STOPS))
