"""The series of the assignment kvs as patches: style, warnings, what make asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from patchgen import pipeline
from patchgen.checks import shape
from patchgen.kernel import build as kernel
from patchgen.kernel import questions
from patchgen.kernel.build import Kernel
from patchgen.pipeline import Project
from patchgen.series import compose
from patchgen.settings import Settings
from patchgen.submission import patches
from patchgen.submission.archive import Submission


@pytest.fixture(scope="module")
def kvs(settings: Settings) -> Project:
    return pipeline.open_project(settings, {}, "kvs")


def test_checkpatch_and_git_am_have_nothing_to_say(kvs: Project, tmp_path: Path) -> None:
    origin = kvs.source()
    made = patches.read_all(compose.format_patch(pipeline.commit(kvs, origin), tmp_path), kvs.cache)
    verdict, applied = shape.check(Submission(Path("patch.tar.gz"), tuple(made), {}, ()), origin, kvs.cache, None)
    assert verdict.facts["checkpatch --strict"] == "0 errors, 0 warnings, 0 checks"
    assert not [one for one in verdict.findings if one.check != "report"]
    assert applied is not None
    assert applied.trees[-1] == pipeline.commit(kvs, origin).tree
    assert sum(one.added for one in made) <= 250


def test_make_asks_nothing(kvs: Project) -> None:
    origin = kvs.source()
    assert questions.asked(pipeline.commit(kvs, origin).tree, origin, kvs.cache, slot="series") == ""


def test_the_compiler_has_nothing_to_say(kvs: Project, vanilla: Kernel) -> None:
    origin, config = kvs.source(), kernel.load_config("small", kvs.base.name)
    tree, jobs = pipeline.commit(kvs, origin).tree, kvs.settings.jobs
    built = kernel.build(config, tree, origin, kvs.cache, slot="series", jobs=jobs)
    assert set(built.warnings) <= set(vanilla.warnings)
