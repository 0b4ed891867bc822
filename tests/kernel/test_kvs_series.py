"""The series of the assignment kvs as patches: style, warnings, what make asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from patchgen import pipeline
from patchgen.checks import shape
from patchgen.kernel import build as kernel
from patchgen.kernel import configs, questions
from patchgen.kernel.build import BuildRequest, Kernel
from patchgen.pipeline import Project
from patchgen.series import compose
from patchgen.settings import Settings
from patchgen.submission import patches
from patchgen.submission.archive import Submission


@pytest.fixture(scope="module")
def kvs(settings: Settings) -> Project:
    return pipeline.open_project(settings.model_copy(update={"assignment": "kvs"}), {})


def test_checkpatch_and_git_am_have_nothing_to_say(kvs: Project, tmp_path: Path) -> None:
    origin = kvs.source()
    made = patches.read_all(compose.format_patch(pipeline.commit(kvs, origin), tmp_path), kvs.cache)
    handed_in = Submission(Path("patch.tar.gz"), tuple(made), {}, ())
    verdict, applied = shape.check(handed_in, origin, kvs.cache, None, kvs.assignment)
    assert verdict.facts["checkpatch --strict"] == "0 errors, 0 warnings, 0 checks"
    assert verdict.findings == ()
    assert applied is not None
    assert applied.trees[-1] == pipeline.commit(kvs, origin).tree
    assert sum(one.added for one in made) <= 250


def test_make_asks_nothing(kvs: Project) -> None:
    origin = kvs.source()
    assert questions.asked(pipeline.commit(kvs, origin).tree, origin, kvs.cache, workspace=kvs.workspace) == ""


def test_the_compiler_has_nothing_to_say(kvs: Project, vanilla: Kernel) -> None:
    origin, config = kvs.source(), configs.load("small", kvs.base.name)
    tree = pipeline.commit(kvs, origin).tree
    built = kernel.build(BuildRequest(config, tree, origin, kvs.cache, kvs.workspace, kvs.settings.jobs))
    assert set(built.warnings) <= set(vanilla.warnings)
