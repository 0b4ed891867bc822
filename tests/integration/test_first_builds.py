"""The first build of a workspace begins with what the base's build has left, and compiles all that differs from it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from attacks import toybuild

from patchgen.base import worktree
from patchgen.base.resolve import Source
from patchgen.cache import Cache
from patchgen.kernel import build as kernel
from patchgen.kernel.build import BuildRequest, Kernel
from patchgen.kernel.make import UNFINISHED

COMPILES = "  CC      kernel/fork.o"


@pytest.fixture
def origin(tmp_path: Path, cache: Cache) -> Source:
    found = toybuild.origin(tmp_path, cache)
    kernel.build(toybuild.request(found.tree, found, cache).of_base())
    return found


def wanted(path: str, text: str, origin: Source, cache: Cache) -> BuildRequest:
    (tree,) = toybuild.trees([toybuild.patch(path, text)], origin, cache)
    return toybuild.request(tree, origin, cache)


def log(built: Kernel) -> str:
    return built.image.with_name("build.log").read_text()


def output(request: BuildRequest) -> Path:
    return worktree.workspace_place(request.origin, request.workspace, request.cache).output(request.config.name)


def test_what_is_as_in_the_base_is_not_compiled(origin: Source, cache: Cache) -> None:
    built = kernel.build(wanted("MAINTAINERS", "me\n", origin, cache))
    assert COMPILES not in log(built)
    assert built.image.read_text() == toybuild.FILES["kernel/fork.c"].data.decode()


def test_what_differs_is_compiled(origin: Source, cache: Cache) -> None:
    built = kernel.build(wanted("kernel/fork.c", "mine\n", origin, cache))
    assert COMPILES in log(built)
    assert built.image.read_text() == "mine\n"


def test_what_was_written_before_the_base_was_built_is_compiled_too(origin: Source, cache: Cache) -> None:
    request = wanted("kernel/fork.c", "mine\n", origin, cache)
    kernel.build(request)
    shutil.rmtree(output(request))
    shutil.rmtree(cache.directory("kernels"))
    (output(request.of_base()) / "object.o").touch()
    assert kernel.build(request).image.read_text() == "mine\n"


def test_an_unfinished_build_of_the_base_is_nothing_to_begin_with(origin: Source, cache: Cache) -> None:
    request = wanted("MAINTAINERS", "me\n", origin, cache)
    (output(request.of_base()) / UNFINISHED).write_text("[]")
    assert COMPILES in log(kernel.build(request))
