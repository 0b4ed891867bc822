"""Builds of which each begins with what the one before it has left: what that saves, and what cannot come of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from attacks import toybuild
from attacks.catalogue import needs_sandbox
from attacks.mails import addition

from patchgen import kernel, sandbox
from patchgen.cache import Cache
from patchgen.errors import BuildError
from patchgen.kernel import Kernel
from patchgen.kernel_box import Chain
from patchgen.sandbox import Sandbox
from patchgen.source import Source

pytestmark = needs_sandbox

BOX = sandbox.Sandbox()
MAKEFILE = toybuild.FILES["Makefile"].data.decode()
COMPILES = "  CC      kernel/fork.o"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def origin(tmp_path: Path, cache: Cache) -> Source:
    return toybuild.origin(tmp_path, cache)


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    (tmp_path / "place").mkdir()
    return Chain(tmp_path / "place")


def built(tree: str, origin: Source, cache: Cache, chain: Chain, box: Sandbox = BOX) -> Kernel:
    return kernel.build(toybuild.CONFIG, tree, origin, cache, slot="submission", jobs=2, sandbox=box, chain=chain)


def log(of: Kernel) -> str:
    return of.image.with_name("build.log").read_text()


def test_what_is_as_it_was_is_not_compiled_again(cache: Cache, origin: Source, chain: Chain) -> None:
    mails = [toybuild.patch("kernel/fork.c", "warn me\n"), toybuild.patch("MAINTAINERS", "me\n")]
    first, second = [built(tree, origin, cache, chain) for tree in toybuild.trees(mails, origin, cache)]
    assert COMPILES in log(first)
    assert first.warnings == ("kernel/fork.c: me",)
    assert COMPILES not in log(second)
    assert second.image.read_text() == "warn me\n"
    # Of a file that this build had no need to compile, too.
    assert second.warnings == first.warnings


def test_what_is_as_in_the_base_again_is_compiled_again(cache: Cache, origin: Source, chain: Chain) -> None:
    original = toybuild.FILES["kernel/fork.c"].data.decode()
    back = addition("kernel/fork.c", "warn me\n", original)
    mails = [toybuild.patch("kernel/fork.c", "warn me\n"), toybuild.patch("MAINTAINERS", "me\n"), back]
    kernels = [built(tree, origin, cache, chain) for tree in toybuild.trees(mails, origin, cache)]
    assert [COMPILES in log(one) for one in kernels] == [True, False, True]
    assert kernels[-1].image.read_text() == original
    assert kernels[-1].warnings == ()


def test_a_build_that_fails_leaves_the_chain_as_it_was(cache: Cache, origin: Source, chain: Chain) -> None:
    broken = MAKEFILE.replace("\t@echo map", "\t@exit 1; echo map")
    mails = [toybuild.patch("kernel/fork.c", "one\n"), toybuild.patch("Makefile", broken)]
    first, second = toybuild.trees(mails, origin, cache)
    built(first, origin, cache, chain)
    with pytest.raises(BuildError):
        built(second, origin, cache, chain)
    assert chain.last["toy"].tree == first


def test_what_is_larger_than_the_sandbox_allows_is_not_kept(cache: Cache, origin: Source, chain: Chain) -> None:
    box = replace(BOX, limits=replace(sandbox.BUILD, file=sandbox.MIB))
    fills = MAKEFILE.replace("\t@echo map", "\t@head -c 1000000 /dev/zero | tee $(O)/a > $(O)/b; echo map")
    first, second = toybuild.trees(
        [toybuild.patch("Makefile", fills), toybuild.patch("MAINTAINERS", "x\n")], origin, cache
    )
    built(first, origin, cache, chain, box)
    assert chain.last == {}
    assert list(chain.place.iterdir()) == []
    assert built(second, origin, cache, chain).image.is_file()


def test_objects_that_were_not_kept_are_not_taken_for_those_of_before(
    cache: Cache, origin: Source, chain: Chain
) -> None:
    """The second tree's are too large, so the third begins with the first's, and compiles what the second changed."""
    fills = MAKEFILE.replace("\t@echo map", "\t@head -c 1000000 /dev/zero | tee $(O)/a > $(O)/b; echo map")
    first, filled = "one\n", [toybuild.patch("kernel/fork.c", "one\n"), toybuild.patch("Makefile", fills)]
    mails = [*filled, addition("kernel/fork.c", first, "two\n"), toybuild.patch("MAINTAINERS", "me\n")]
    one, _, two, last = toybuild.trees(mails, origin, cache)
    small = replace(BOX, limits=replace(sandbox.BUILD, file=sandbox.MIB))
    built(one, origin, cache, chain)
    built(two, origin, cache, chain, small)
    assert chain.last["toy"].tree == one
    found = built(last, origin, cache, chain)
    assert COMPILES in log(found)
    assert found.image.read_text() == "two\n"
    assert [path.name for path in chain.place.iterdir()] == [f"toy-{last}.tar"]


def test_nobody_else_gets_what_a_submission_has_left(
    cache: Cache, origin: Source, chain: Chain, tmp_path: Path
) -> None:
    """Its first patch leaves an object that is not what the source says; that is its own affair."""
    plants = MAKEFILE.replace("\t@echo map", "\t@echo forged > $(O)/object.o; ln -s / $(O)/root; echo map")
    mails = [toybuild.patch("Makefile", plants), toybuild.patch("MAINTAINERS", "x\n")]
    first, second = toybuild.trees(mails, origin, cache)
    built(first, origin, cache, chain)
    assert built(second, origin, cache, chain).image.read_text() == "forged\n"
    other = toybuild.trees([toybuild.patch("MAINTAINERS", "y\n")], origin, cache)[-1]
    (tmp_path / "other").mkdir()
    found = built(other, origin, cache, Chain(tmp_path / "other"))
    assert found.image.read_bytes() == toybuild.FILES["kernel/fork.c"].data
