"""The exam on real kernels: our series passes, and what fails is one line that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from pf_stat.model import exam as paper

from patchgen import pipeline
from patchgen.guest.testbed import Testbed
from patchgen.kernel import build as kernel
from patchgen.kernel import configs
from patchgen.kernel.build import BuildRequest
from patchgen.settings import Settings
from patchgen.testing import exam

pytestmark = pytest.mark.only_linux_4_15("an exam is for submissions, which are made on linux-4.15")


def test_our_series_passes(series_bed: Testbed) -> None:
    found = exam.sit(series_bed, paper, 940, 60)
    assert (found.count, found.failed) == (60, 0), found.failure


def test_a_difference_is_made_small(series_bed: Testbed) -> None:
    """A teacher who is wrong in one thing, that forks do not count, is told so by a program of a few operations."""

    class Wrong(paper.Program):
        def check(self, output: str) -> str:
            said = super().check(output)
            return said or ("it counts" if "fork" in self.command and "write" in self.command else "")

        def smaller(self) -> Iterator[Wrong]:
            return (Wrong(one.ops) for one in super().smaller())

    odd: Any = SimpleNamespace(
        PREPARE=paper.PREPARE, programs=lambda seed, count: (Wrong(one.ops) for one in paper.programs(seed, count))
    )
    found = exam.sit(series_bed, odd, 7, 10)
    assert found.failed > 0
    assert found.failure is not None
    assert found.failure.what == "it counts"
    assert len(found.failure.program.command.split()) < 16, found.failure.program.command


def test_the_store_passes(settings: Settings) -> None:
    store = pipeline.open_project(settings.model_copy(update={"assignment": "kvs"}), {})
    origin, config = store.source(), configs.load("small", store.base.name)
    tree = pipeline.commit(store, origin).tree
    built = kernel.build(BuildRequest(config, tree, origin, store.cache, store.workspace, store.settings.jobs))
    found = exam.sit(pipeline.testbed_of(store, built.image), exam.load(store.assignment), 940, 60)
    assert (found.count, found.failed) == (60, 0), found.failure
