"""The configuration that a build starts from: the base's .config."""

from __future__ import annotations

from patchgen import toolchain
from patchgen.base import worktree
from patchgen.base.resolve import Source
from patchgen.cache import Cache, digest, write_text
from patchgen.kernel.configs import KERNELS, RECIPE, Config, parse
from patchgen.kernel.make import make_config, make_for


def start_config(config: Config, source: Source, cache: Cache) -> str:
    """Return the base's .config: the start target and the fragments, on the pristine tree.

    Not on the patched one: tinyconfig answers every question with no, also those that a series adds, and so a
    feature that is on by default would be off.

    Raises:
        BuildError: make failed.
    """
    kept = cache.directory("configs") / digest(
        RECIPE, config.identity(), config.settings(), source.tree, toolchain.compiler()
    )
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
    return parse((output / ".config").read_text())
