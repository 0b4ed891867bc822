"""Builds of which each begins with what the one before it has left: what that saves, and what cannot come of it.

Attackers know their victim's patch, or our own series: they hand in the same tree, and a patch before it that leaves
something of theirs in a build directory.
"""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from attacks import toybuild
from attacks.catalogue import Attack, needs_sandbox
from attacks.mails import addition
from pfstat import ASSIGNMENT

from patchgen import sandbox
from patchgen.base import worktree as trees_on_disk
from patchgen.base.resolve import Source
from patchgen.cache import Cache
from patchgen.checks import static
from patchgen.errors import BuildError
from patchgen.grading import build_stage, rubric
from patchgen.grading.builder import KernelBuilder
from patchgen.grading.context import GradingContext, Request
from patchgen.kernel import build as kernel
from patchgen.kernel import configs
from patchgen.kernel.build import Kernel
from patchgen.kernel.sandboxed import IncrementalBuilds
from patchgen.sandbox import Sandbox
from patchgen.settings import Settings
from patchgen.submission import apply, patches

pytestmark = needs_sandbox

VICTIM = Attack(
    "a first patch that leaves foreign code in an object; the second takes it back and makes the tree a victim's",
    "what an untrusted build makes is keyed by all trees that had a part in it, and kept apart",
    "victim",
)
TRUSTED = Attack(
    "the same with the tree of our own series, for `patchgen run` to boot it without a sandbox",
    "what an untrusted build makes is never used for trusted work",
    "trusted",
)
JUDGED = Attack(
    "a patch that leaves foreign code in an object, so that the kernel that is graded is not made from its sources",
    "the kernel that is graded is built from the base's objects in one step",
    "graded",
)
STATIC = Attack(
    "a first patch that leaves a tool that finds nothing, for a victim with the same last tree",
    "what static analysis found is keyed as kernels are",
    "static",
)
ATTACKS = (VICTIM, TRUSTED, JUDGED, STATIC)

BOX = sandbox.Sandbox()
MAKEFILE = toybuild.FILES["Makefile"].data.decode()
COMPILES = "  CC      kernel/fork.o"


@pytest.fixture
def origin(tmp_path: Path, cache: Cache) -> Source:
    return toybuild.origin(tmp_path, cache)


@pytest.fixture
def chain(tmp_path: Path) -> IncrementalBuilds:
    (tmp_path / "place").mkdir()
    return IncrementalBuilds(tmp_path / "place")


@pytest.fixture
def on_and_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each build begin with the objects of the one before, even where the base is nearer."""
    monkeypatch.setattr(trees_on_disk, "distance", lambda origin, one, _: (int(one == origin.tree), 0), raising=False)


def built(tree: str, origin: Source, cache: Cache, chain: IncrementalBuilds, box: Sandbox = BOX) -> Kernel:
    return kernel.build(toybuild.request(tree, origin, cache, box, chain))


def log(of: Kernel) -> str:
    return of.image.with_name("build.log").read_text()


def test_what_is_as_it_was_is_not_compiled_again(cache: Cache, origin: Source, chain: IncrementalBuilds) -> None:
    mails = [toybuild.patch("kernel/fork.c", "warn me\n"), toybuild.patch("MAINTAINERS", "me\n")]
    first, second = [built(tree, origin, cache, chain) for tree in toybuild.trees(mails, origin, cache)]
    assert COMPILES in log(first)
    assert first.warnings == ("kernel/fork.c: me",)
    assert COMPILES not in log(second)
    assert second.image.read_text() == "warn me\n"
    # Of a file that this build had no need to compile, too.
    assert second.warnings == first.warnings


@pytest.mark.usefixtures("on_and_on")
def test_what_is_as_in_the_base_again_is_compiled_again(cache: Cache, origin: Source, chain: IncrementalBuilds) -> None:
    original = toybuild.FILES["kernel/fork.c"].data.decode()
    back = addition("kernel/fork.c", "warn me\n", original)
    mails = [toybuild.patch("kernel/fork.c", "warn me\n"), toybuild.patch("MAINTAINERS", "me\n"), back]
    kernels = [built(tree, origin, cache, chain) for tree in toybuild.trees(mails, origin, cache)]
    assert [COMPILES in log(one) for one in kernels] == [True, False, True]
    assert kernels[-1].image.read_text() == original
    assert kernels[-1].warnings == ()


def test_a_build_that_fails_leaves_the_chain_as_it_was(cache: Cache, origin: Source, chain: IncrementalBuilds) -> None:
    broken = MAKEFILE.replace("\t@echo map", "\t@exit 1; echo map")
    mails = [toybuild.patch("kernel/fork.c", "one\n"), toybuild.patch("Makefile", broken)]
    first, second = toybuild.trees(mails, origin, cache)
    built(first, origin, cache, chain)
    with pytest.raises(BuildError):
        built(second, origin, cache, chain)
    assert chain.last["toy"].tree == first


def test_what_is_larger_than_the_sandbox_allows_is_not_kept(
    cache: Cache, origin: Source, chain: IncrementalBuilds
) -> None:
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
    cache: Cache, origin: Source, chain: IncrementalBuilds
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
    cache: Cache, origin: Source, chain: IncrementalBuilds, tmp_path: Path
) -> None:
    """Its first patch leaves an object that is not what the source says; that is its own affair."""
    plants = MAKEFILE.replace("\t@echo map", "\t@echo forged > $(O)/object.o; ln -s / $(O)/root; echo map")
    mails = [toybuild.patch("Makefile", plants), toybuild.patch("MAINTAINERS", "x\n")]
    first, second = toybuild.trees(mails, origin, cache)
    built(first, origin, cache, chain)
    assert built(second, origin, cache, chain).image.read_text() == "forged\n"
    other = toybuild.trees([toybuild.patch("MAINTAINERS", "y\n")], origin, cache)[-1]
    (tmp_path / "other").mkdir()
    found = built(other, origin, cache, IncrementalBuilds(tmp_path / "other"))
    assert found.image.read_bytes() == toybuild.FILES["kernel/fork.c"].data


FORGED = MAKEFILE.replace("\t@echo map", "\t@echo forged > $(O)/object.o; touch -d 2099-01-01 $(O)/object.o; echo map")
HONEST = toybuild.FILES["kernel/fork.c"].data.decode()


def attacks_mails() -> list[bytes]:
    """Return a patch that leaves a forged object, and one that takes that back and adds the victim's change."""
    poison = toybuild.patch("Makefile", FORGED)
    back, change = addition("Makefile", FORGED, MAKEFILE), toybuild.patch("MAINTAINERS", "the victim\n")
    return [poison, back + change.split(b"---\n", 1)[1]]


@pytest.fixture
def forged(cache: Cache, origin: Source, chain: IncrementalBuilds, on_and_on: None) -> str:
    """Return the victim's tree after the attacker's patches were built one on the other."""
    first, second = toybuild.trees(attacks_mails(), origin, cache)
    victims = toybuild.trees([toybuild.patch("MAINTAINERS", "the victim\n")], origin, cache)[-1]
    assert second == victims
    built(first, origin, cache, chain)
    assert built(second, origin, cache, chain).image.read_text() == "forged\n", "the attack works up to here"
    return victims


def test_a_victim_does_not_get_an_attackers_kernel(cache: Cache, origin: Source, tmp_path: Path, forged: str) -> None:
    (tmp_path / "other").mkdir()
    assert built(forged, origin, cache, IncrementalBuilds(tmp_path / "other")).image.read_text() == HONEST


def test_trusted_work_does_not_get_an_attackers_kernel(cache: Cache, origin: Source, forged: str) -> None:
    assert kernel.cached(toybuild.request(forged, origin, cache)) is None
    found = kernel.build(toybuild.request(forged, origin, cache))
    assert found.image.read_text() == HONEST


def case_of(
    mails: list[bytes], cache: Cache, origin: Source, place: Path, monkeypatch: pytest.MonkeyPatch
) -> GradingContext:
    """Return a submission that has come as far as the stage that builds, which builds the toy kernel."""
    monkeypatch.setattr(configs, "load", lambda name, base="": toybuild.CONFIG)  # noqa: ARG005
    monkeypatch.setattr(build_stage, "_sparse", lambda case, paths: iter(()))  # noqa: ARG005
    monkeypatch.setattr(build_stage, "_questions", lambda case, patches: iter(()))  # noqa: ARG005 - the toy has no Kconfig
    project: Any = SimpleNamespace(cache=cache, settings=Settings(cache=cache.root, jobs=2))
    read = [patches.read(f"{number:04}-a.patch", data, cache) for number, data in enumerate(mails, 1)]
    (place / "verdict").mkdir()
    shop = KernelBuilder(project, origin, "submission").within(place / "verdict")
    case = GradingContext(Request(place, rubric.load(ASSIGNMENT), frozenset({4})), shop)
    case.submission = SimpleNamespace(patches=read)  # type: ignore[assignment]
    case.applied = case.buildable = apply.apply(origin, read, cache)
    return case


def test_the_kernel_that_is_graded_is_made_from_its_sources(
    cache: Cache, origin: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first patch leaves a forged object behind; two more follow."""
    mails = [*attacks_mails(), toybuild.patch("fs/more.c", "x\n")]
    case = case_of(mails, cache, origin, tmp_path, monkeypatch)
    assert list(build_stage.build(case)) == []
    assert case.facts["built"].startswith("3 of 3")
    assert case.kernel is not None
    assert case.kernel.image.read_text() == HONEST
    assert case.applied is not None
    assert case.kernel.tree == case.applied.trees[-1]


def test_what_is_not_the_last_tree_is_built_on_what_is_there(cache: Cache, origin: Source, tmp_path: Path) -> None:
    """Going back, only what a patch changes is compiled; where the base is nearer, it begins there."""
    (tmp_path / "back").mkdir()
    chain = IncrementalBuilds(tmp_path / "back")
    mails = [toybuild.patch("MAINTAINERS", "me\n"), toybuild.patch("kernel/fork.c", "two\n")]
    mails += [toybuild.patch("fs/a.c", "a\n")]
    one, two, three = toybuild.trees(mails, origin, cache)
    kernels = [built(tree, origin, cache, chain) for tree in (three, two, one)]
    assert [COMPILES in log(found) for found in kernels] == [True, False, False]
    assert [found.image.read_text() for found in kernels] == ["two\n", "two\n", HONEST]
    assert len({found.key for found in kernels}) == 3


def test_a_submission_that_is_graded_again_is_not_built_again(cache: Cache, origin: Source, tmp_path: Path) -> None:
    mails = [toybuild.patch("kernel/fork.c", "one\n"), toybuild.patch("MAINTAINERS", "me\n")]
    trees = toybuild.trees(mails, origin, cache)
    images = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        chain = IncrementalBuilds(tmp_path / name)
        images.append([built(tree, origin, cache, chain).image for tree in reversed(trees)])
        assert bool(chain.last) == (name == "first"), "only the first has built anything"
    assert images[0] == images[1]


def test_results_of_static_analysis_are_keyed_as_kernels_are(
    cache: Cache, origin: Source, chain: IncrementalBuilds
) -> None:
    first, second = toybuild.trees(attacks_mails(), origin, cache)
    alone = static.Target(origin, second, "submission", frozenset(), BOX, IncrementalBuilds(chain.place))
    chain.note(static.SANDBOXED, first)
    after = static.Target(origin, second, "submission", frozenset(), BOX, chain)
    trusted = static.Target(origin, second, "series", frozenset())
    requests = [one.request(cache) for one in (alone, after, trusted)]
    # The configuration alone would tell the trusted one.
    keys = {dataclasses.replace(one, config=requests[0].config).key() for one in requests}
    assert len(keys) == 3


def test_what_the_last_tree_was_warned_of_is_shown_with_the_patch_that_brought_it(
    cache: Cache, origin: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is compiled once, for the last tree; the tree before it has no log of it."""
    mails = [toybuild.patch("kernel/fork.c", "warn me\n"), toybuild.patch("MAINTAINERS", "me\n")]
    found = list(build_stage.build(case_of(mails, cache, origin, tmp_path, monkeypatch)))
    assert [(one.check, one.where) for one in found] == [("warning", "0001-a.patch")]
    assert found[0].evidence.endswith("kernel/fork.c:1: warning: me")
