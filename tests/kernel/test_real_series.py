"""The series as patches: style, application, warnings, configuration."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from patchgen import pipeline
from patchgen.base import worktree
from patchgen.base.resolve import Source
from patchgen.checks import shape
from patchgen.kernel.build import Kernel
from patchgen.kernel.start import configuration
from patchgen.pipeline import Project
from patchgen.series import compose
from patchgen.submission import allowed, apply, archive, patches
from patchgen.submission.archive import Submission
from patchgen.submission.patches import PatchFile


@pytest.fixture(scope="module")
def made(project: Project, origin: Source, tmp_path_factory: pytest.TempPathFactory) -> list[PatchFile]:
    directory = tmp_path_factory.mktemp("patches")
    return patches.read_all(compose.format_patch(pipeline.commit(project, origin), directory), project.cache)


@pytest.mark.only_linux_4_15("the tree of another base is not known beforehand")
def test_it_is_pristine_linux(origin: Source) -> None:
    assert origin.tree == origin.base.tree


def test_four_to_six_patches(made: list[PatchFile]) -> None:
    assert 4 <= len(made) <= 6


def test_checkpatch_and_git_am_have_nothing_to_say(made: list[PatchFile], project: Project, origin: Source) -> None:
    handed_in = Submission(Path("patch.tar.gz"), tuple(made), {"report.txt": b"x"}, ())
    verdict, applied = shape.check(handed_in, origin, project.cache, None, project.assignment)
    assert verdict.findings == ()
    assert verdict.facts["checkpatch --strict"] == "0 errors, 0 warnings, 0 checks"
    assert applied is not None
    assert applied.trees[-1] == pipeline.commit(project, origin).tree


def test_it_may_change_what_it_changes(made: list[PatchFile], project: Project, origin: Source) -> None:
    rules = allowed.load(project.assignment)
    applied = apply.apply(origin, made, project.cache)
    assert allowed.changes(rules, made, applied) == []
    without = rules.model_copy(
        update={"lines": [one for one in rules.lines if "scripts/checksyscalls.sh" not in one.files]}
    )
    if any("scripts/checksyscalls.sh" in patch.paths for patch in made):
        assert allowed.changes(without, made, applied), "the negative control"


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("Makefile", r"^(core-y\s*\+= kernel/.*)$", r"\1 pf_stat/"),
        ("Makefile", r"^(core-y\s*\+= kernel/.*)$", r"\1\ncore-y += pf_stat/"),
        ("kernel/Makefile", r"^(\s+async\.o range\.o.*)$", r"\1 pf_stat.o"),
        ("kernel/Makefile", r"^(obj-\$\(CONFIG_FREEZER\).*)$", r"\1\nobj-y += pf_stat.o"),
        ("mm/Makefile", r"\Z", "obj-$(CONFIG_PF_STAT) += pf_stat.o\n"),
        ("init/Kconfig", r"^(menu \"General setup\".*)$", r"config PF_STAT\n\tdef_bool y\n\n\1"),
    ],
)
@pytest.mark.only_linux_4_15("submissions are made on no other base")
def test_what_honest_submissions_do_to_the_real_files(
    project: Project, origin: Source, path: str, old: str, new: str
) -> None:
    before = (worktree.pristine(origin, project.cache) / path).read_text()
    after = re.sub(old, new, before, count=1, flags=re.M)
    assert after != before
    patch = patches.PatchFile("0001-a.patch", b"", "", "", "", "", ())
    step = {path: apply.Row("M", "100644", after.encode())}
    applied = apply.Applied((), {}, "", {path: before.encode()}, (step,))
    rules = allowed.load(project.assignment)
    assert allowed.changes(rules, [patch], applied) == []
    emptied = {path: apply.Row("M", "100644", after.replace("\n", " $(x)\n", 9).encode())}
    assert allowed.changes(rules, [patch], apply.Applied((), {}, "", {path: before.encode()}, (emptied,)))


def test_the_kernels_own_data_structures(made: list[PatchFile]) -> None:
    """No list, tree or table of our own: the hash table and its links are the kernel's."""
    added = [line for patch in made for file in patch.files for hunk in file for line in hunk if line.is_added]
    text = "".join(line.value for line in added)
    assert "#include <linux/hashtable.h>" in text
    assert "hash_for_each_possible_rcu(" in text
    assert not re.search(r"struct (?!hlist_node)\w+ \*(next|prev|left|right|parent|child);", text)


def test_checkpatch_would_speak(made: list[PatchFile], project: Project, origin: Source) -> None:
    """The negative control of the test above."""
    last = made[-1]
    spoiled = patches.read(last.name, last.data.replace(b"Signed-off-by", b"Signed-by"), project.cache)
    handed_in = Submission(Path("patch.tar.gz"), (*made[:-1], spoiled), {"report.txt": b"x"}, ())
    verdict, _ = shape.check(handed_in, origin, project.cache, None, project.assignment)
    assert {(finding.check, finding.where) for finding in verdict.findings} == {("checkpatch", last.name)}
    assert any("MISSING_SIGN_OFF" in finding.message for finding in verdict.findings)
    assert not verdict.ok


def test_no_new_warning(series_kernel: Kernel, vanilla: Kernel) -> None:
    assert set(series_kernel.warnings) - set(vanilla.warnings) == set()


@pytest.mark.only_linux_4_15("gcc 12 has nothing to say about later kernels")
def test_warnings_are_noticed(vanilla: Kernel) -> None:
    assert vanilla.warnings, "gcc 12 does warn about 4.15: a log without any was not read"


def test_a_plain_defconfig_has_it(project: Project, origin: Source) -> None:
    composed = pipeline.commit(project, origin)
    with project.cache.lock(worktree.workspace_lock(origin, "series")):
        space = worktree.workspace(origin, "series", project.cache)
        worktree.switch(space, origin, composed.tree)
        have = configuration(space, "i386", "i386_defconfig")
        assert have["CONFIG_PF_STAT"] == "y"
        assert "CONFIG_PF_STAT" not in configuration(space, "x86_64", "x86_64_defconfig")


@pytest.mark.only_linux_4_15("nothing is packed for a base that is none of submissions")
def test_the_archive_is_read_back(project: Project, origin: Source, tmp_path: Path) -> None:
    generated = pipeline.generate(project)
    packed = pipeline.pack(generated.files, project)
    (tmp_path / "patch.tar.gz").write_bytes(packed.data)
    loaded = archive.load(tmp_path / "patch.tar.gz", project.cache, None)
    assert [patch.data for patch in loaded.patches] == [patch.data for patch in generated.patches]
    assert list(loaded.reports) == ["report.pdf"]
    assert loaded.others == ()
    assert packed.names == (*(f"patch/{patch.name}" for patch in generated.patches), "patch/report.pdf")
