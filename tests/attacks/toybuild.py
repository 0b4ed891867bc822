"""A toy tree that is built as a kernel is, so that a build can be attacked a hundred times in a minute.

Its Makefile makes a configuration, a "bzImage" and a "System.map" in O=, and an object that is kept from one build to
the next, as a kernel's are.
"""

from __future__ import annotations

from pathlib import Path

import toytree
from attacks.mails import addition
from toytree import File

from patchgen.base import resolve
from patchgen.base.bases import Base
from patchgen.base.resolve import Source
from patchgen.cache import Cache
from patchgen.kernel import build as kernel
from patchgen.kernel.build import BuildRequest, Kernel
from patchgen.kernel.configs import Config
from patchgen.kernel.sandboxed import IncrementalBuilds
from patchgen.sandbox import Sandbox
from patchgen.settings import Settings
from patchgen.submission import apply, patches

RULES = b"""
PHONY: tinyconfig olddefconfig bzImage
tinyconfig olddefconfig:
\t@echo CONFIG_TOY=y > $(or $(KCONFIG_CONFIG),$(O)/.config)
$(O)/object.o: kernel/fork.c
\t@echo "  CC      kernel/fork.o"
\t@sed -n 's,^warn ,$(CURDIR)/kernel/fork.c:1: warning: ,p' kernel/fork.c
\t@cat kernel/fork.c > $@
bzImage: $(O)/object.o
\t@mkdir -p $(O)/arch/x86/boot
\t@cp $(O)/object.o $(O)/arch/x86/boot/bzImage
\t@echo map > $(O)/System.map
"""
FILES = {**toytree.RELEASE, "Makefile": File(toytree.MAKEFILE + RULES)}
CONFIG = Config(name="toy", title="toy kernel", arch="i386", start="tinyconfig", fragments=(), steps=1)


def base() -> Base:
    blobs = {path: toytree.blob_id(FILES[path].data) for path in ("Makefile", "kernel/fork.c")}
    return toytree.base().model_copy(update={"tree": toytree.tree_id(FILES), "blobs": blobs})


def origin(directory: Path, cache: Cache) -> Source:
    """Return the toy release, from a checkout that is written below `directory`."""
    checkout = toytree.write(directory / "linux", FILES)
    return resolve.obtain(base(), Settings(linux_src=checkout, cache=cache.root), cache, ["Makefile"])


def patch(path: str, text: str) -> bytes:
    """Return the mail of a patch that makes a file of the tree this text; a new one if it has none."""
    return addition(path, FILES[path].data.decode() if path in FILES else "", text)


def build(mails: list[bytes], where: Source, cache: Cache, box: Sandbox | None) -> Kernel:
    """Apply patches and build what comes out, as a submission is."""
    tree = trees(mails, where, cache)[-1] if mails else where.tree
    return kernel.build(request(tree, where, cache, box))


def request(
    tree: str, where: Source, cache: Cache, box: Sandbox | None = None, chain: IncrementalBuilds | None = None
) -> BuildRequest:
    """Return a build of the toy kernel, in the workspace of submissions or of our own series."""
    return BuildRequest(CONFIG, tree, where, cache, "submission" if box else "series", 2, box, chain)


def trees(mails: list[bytes], where: Source, cache: Cache) -> tuple[str, ...]:
    """Apply patches and return the tree after each."""
    read = [patches.read(f"{number:04}-a.patch", data, cache) for number, data in enumerate(mails, 1)]
    return apply.apply(where, read, cache).trees
