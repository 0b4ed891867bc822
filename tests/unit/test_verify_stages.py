"""The first stages, on submissions that are made up: what is given, the archive's form, the patches, leftovers."""

from __future__ import annotations

import io
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
import toytree
from pfstat import ASSIGNMENT
from pypdf import PdfWriter

from patchgen import pipeline
from patchgen.base.resolve import Source
from patchgen.cache import Cache
from patchgen.checks import diff_lint, shape
from patchgen.errors import SubmissionError, UsageError
from patchgen.findings import Finding, Severity
from patchgen.grading import patch_stages, rubric
from patchgen.grading.builder import KernelBuilder
from patchgen.grading.context import GradingContext, Request
from patchgen.pipeline import Project
from patchgen.settings import Settings
from patchgen.submission import inputs
from patchgen.submission.archive import Submission
from patchgen.submission.patches import read

FILES = {"patch/0001-x86-Add-it.patch": b"", "patch/report.txt": b"A report.\n"}


def mail(added: str = "int pf_x;", *, number: str = "1/1", path: str = "mm/x.c", subject: str = "x86: Add it") -> bytes:
    lines = added.split("\n")
    body = "".join(f"+{line}\n" for line in lines)
    return (
        "From 1234567890123456789012345678901234567890 Mon Sep 17 00:00:00 2001\n"
        "From: A Student <a@example.org>\nDate: Sat, 1 Apr 2023 12:00:00 +0000\n"
        f"Subject: [PATCH {number}] {subject}\n\nWhy.\n\nSigned-off-by: A Student <a@example.org>\n---\n"
        f"diff --git a/{path} b/{path}\nnew file mode 100644\nindex 0000000..1234567\n--- /dev/null\n+++ b/{path}\n"
        f"@@ -0,0 +1,{len(lines)} @@\n{body}-- \n2.39.2\n"
    ).encode()


def archive(path: Path, files: Mapping[str, bytes]) -> Path:
    return toytree.tarball(path, [toytree.member(*one) for one in files.items()])


def pdf(pages: int) -> bytes:
    writer = PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(210, 297)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return pipeline.open_project(Settings(cache=tmp_path / "cache"), {})


def look(project: Project, given: Path) -> tuple[GradingContext, list[Finding]]:
    shop = KernelBuilder(project, cast("Source", None), "submission")
    case = GradingContext(Request(given, rubric.load(ASSIGNMENT), frozenset({1})), shop)
    return case, list(patch_stages.archive(case))


def graded(project: Project, path: Path, files: Mapping[str, bytes]) -> list[tuple[str, str]]:
    whole = {name: data or mail() for name, data in files.items()}
    _, found = look(project, archive(path / "patch.tar.gz", whole))
    return [(one.check, one.where or one.message) for one in found]


def test_a_good_archive(project: Project, tmp_path: Path) -> None:
    assert graded(project, tmp_path, FILES) == []
    case, found = look(project, archive(tmp_path / "group7.tar.gz", {**FILES, "patch/0001-x86-Add-it.patch": mail()}))
    assert [(one.check, one.severity) for one in found] == [("archive", Severity.NOTE)]
    assert case.facts == {"form": "archive, 1 patch", "report": "report.txt"}


def test_what_is_no_archive(project: Project, tmp_path: Path) -> None:
    (tmp_path / "patch.tar.gz").write_bytes(b"PK\x03\x04 zip")
    case, found = look(project, tmp_path / "patch.tar.gz")
    assert [(one.check, one.requirements) for one in found] == [("unreadable", ())]
    assert ASSIGNMENT.blame(found[0]).requirements == ("6-6", "6-7")
    assert case.submission is None
    with pytest.raises(UsageError, match="does not exist"):
        look(project, tmp_path / "none.tar.gz")


def test_what_does_not_belong_there(project: Project, tmp_path: Path) -> None:
    more = {"patch/pf.o": b"\x7fELF", "patch/.0001.swp": b"x", "patch/sub/0002-a.c": b"x", "README": b"x"}
    found = graded(project, tmp_path, {**FILES, **more})
    assert sorted(where for check, where in found if check == "others") == [
        "./README",
        ".0001.swp",
        "patch/sub/0002-a.c",
        "pf.o",
    ]
    assert [check for check, _ in found if check != "others"] == ["directory"]


@pytest.mark.parametrize("top", ["", "submission/", "submission/patch/", "patches/"])
def test_not_in_one_directory_called_patch(project: Project, tmp_path: Path, top: str) -> None:
    found = graded(project, tmp_path, {f"{top}0001-x86-Add-it.patch": b"", f"{top}report.txt": b"x"})
    assert "directory" in [check for check, _ in found]


def test_the_same_name_in_two_places(project: Project, tmp_path: Path) -> None:
    files = {"patch/0001-a.patch": mail("int one;"), "0001-a.patch": mail("int two;"), "patch/report.txt": b"x"}
    case, _ = look(project, archive(tmp_path / "patch.tar.gz", files))
    assert case.submission is not None
    assert len(case.submission.patches) == 2, "neither hides the other"


def test_there_is_no_report(project: Project, tmp_path: Path) -> None:
    assert graded(project, tmp_path, {"patch/0001-x86-Add-it.patch": b""}) == [
        ("report", "there is no report, .pdf or .txt")
    ]


def test_a_report_of_three_pages(project: Project, tmp_path: Path) -> None:
    for name, data, wrong in (
        ("report.pdf", pdf(2), False),
        ("Rapport_groupe-7.pdf", pdf(2), False),
        ("report.pdf", pdf(3), True),
        ("report.pdf", b"%PDF-1.4 broken", True),
        ("report.txt", b"line\n" * 176, False),
        ("report.txt", b"line\n" * 177, True),
    ):
        found = graded(project, tmp_path, {"patch/0001-x86-Add-it.patch": b"", f"patch/{name}": data})
        assert [check for check, _ in found] == ["report-form"] * wrong, name


@pytest.mark.parametrize(
    ("text", "pages"),
    [("", 1), ("a", 1), ("a\n" * 88, 1), ("a\n" * 89, 2), ("a\fb\fc", 3), ("x" * 101, 1), ("x" * 100 * 89, 2)],
)
def test_pages_of_a_text(text: str, pages: int) -> None:
    assert shape.text_pages(text.encode()) == pages


def made_by_git(project: Project, data: bytes, number: int = 1, count: int = 1) -> list[str]:
    return [one.message for one in patch_stages.made_by_git(read("0001-a.patch", data, project.cache), number, count)]


def test_a_plain_diff_is_not_made_by_format_patch(project: Project) -> None:
    assert made_by_git(project, mail()) == []
    plain = mail()[mail().index(b"diff --git") :]
    said = made_by_git(project, plain)
    assert any("does not begin as git format-patch" in one for one in said)
    assert "it has no subject" in said


def test_patches_out_of_order(project: Project) -> None:
    assert made_by_git(project, mail(number="2/3"), 2, 3) == []
    assert made_by_git(project, mail(number="2/3"), 1, 3) == ["it says that it is 2 of 3, but it is 1 of 3"]
    assert made_by_git(project, mail(number="1/2"), 1, 1) == ["it says that it is 1 of 2, but it is 1 of 1"]


def test_lines_of_another_system(project: Project) -> None:
    assert "its lines end with CR and LF" in made_by_git(project, mail("int a;\r"))


def left(project: Project, added: str, path: str = "mm/x.c") -> list[str]:
    patch = read("0001-a.patch", mail(added, path=path), project.cache)
    return [one.check.removeprefix("residue-") for one in diff_lint.find(patch)]


@pytest.mark.parametrize(
    "added",
    [
        'printk(KERN_INFO "here");',
        'printk("here");',
        'printk_ratelimited(KERN_DEBUG "x");',
        'printk(\n\tKERN_WARNING "x");',
        'pr_info("x");',
        'pr_debug("x %d", y);',
        'pr_warn_once("x");',
        'trace_printk("x");',
        'if (err) pr_notice("x");',
    ],
)
def test_output_that_is_no_errors(project: Project, added: str) -> None:
    assert left(project, added) == ["level" if added == 'printk("here");' else "print"]


@pytest.mark.parametrize(
    "added",
    [
        'printk(KERN_ERR "[INFO940][ERROR] no memory");',
        'printk(KERN_ERR PREFIX "no memory");',
        'printk(\n\tKERN_ERR "x");',
        'printk_ratelimited(KERN_CRIT "x");',
        'pr_err("x");',
        'pr_err_ratelimited("x");',
        "#define pf_log(text) printk(PF_LEVEL text)",
        '/* printk() and pr_info("x") are not used here */',
        'strcpy(a, "pr_info(x)");',
        "vprintk(x);",
        "my_pr_info(x);",
    ],
)
def test_output_that_may_be(project: Project, added: str) -> None:
    assert left(project, added) == []


@pytest.mark.parametrize(
    ("added", "kind"),
    [
        ("#if 0\nint a;\n#endif", "if"),
        ("#  if 1", "if"),
        ("#define DEBUG", "debug"),
        ("#define PF_DEBUG(x) x", "debug"),
        ("#ifdef DEBUG", "debug"),
        ("#if defined(DEBUG)", "debug"),
        ("\tdump_stack();", "debug"),
        ("\t// foo(bar);", "code"),
        ("\t/* foo(bar); */", "code"),
        ("/*\n * if (x) {\n *\tcount = count + 1;\n * }\n */", "code"),
        ("\t/* return -EINVAL; */", "code"),
        ("\t// struct pf_prog *prog = NULL;", "code"),
        ("\t//prog->faults++; x = 1;", "none"),
        ("\t/* x->y = 0; */", "code"),
    ],
)
def test_code_that_was_left(project: Project, added: str, kind: str) -> None:
    assert left(project, added) == ([kind] if kind != "none" else [])


@pytest.mark.parametrize(
    "added",
    [
        "/* Takes the lock; the caller holds mmap_sem. */",
        "/* See pf_find(). */",
        " * pf_exec - start a new run (of a program); it must be tracked",
        "/*\n * Return: 0, or -EINVAL if it is not;\n * see pf_read() too.\n */",
        "#ifdef CONFIG_DEBUG_VM",
        "#ifdef CONFIG_PF_STAT",
        "/* while it is there, its count is right */",
        "/* for each VMA (see below) */",
        'char *s = "// foo(bar);";',
        "char c = '\"'; /* a quote */ int d;",
        "a = b / *c; d = e * f;",
        "\tchunk = prog->chunks[i]; /* NULL: none yet */",
        "#if IS_ENABLED(CONFIG_X)",
        "/* If this fails, there is no memory; it is not counted. */",
        "/* SPDX-License-Identifier: GPL-2.0 */",
    ],
)
def test_code_that_belongs_there(project: Project, added: str) -> None:
    assert left(project, added) == []


def test_only_c_is_looked_at(project: Project) -> None:
    assert left(project, 'pr_info("x");', "Documentation/x.txt") == []
    assert left(project, "x", "mm/x.c.orig") == ["file"]
    assert left(project, "x", "mm/x.o") == ["file"]


def test_our_own_series_leaves_nothing(project: Project) -> None:
    """What the series adds is not on disk here; its templates are."""
    for path in (ASSIGNMENT.directory / "files").rglob("*.c.j2"):
        text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("@%"))
        assert left(project, text) == [], path


# What can be given.


def test_a_directory_and_a_patch(project: Project, tmp_path: Path) -> None:
    directory = tmp_path / "handed-in" / "patch"
    directory.mkdir(parents=True)
    (directory / "0001-a.patch").write_bytes(mail())
    for given, kind in (
        (directory, "directory"),
        (directory.parent, "directory"),
        (directory / "0001-a.patch", "patch"),
    ):
        assert inputs.kind(given) == kind
        assert [patch.subject for patch in inputs.load(given, project.cache, None).patches] == ["x86: Add it"]
        assert inputs.load(given, project.cache, None).origin == given


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    directory = toytree.write(tmp_path / "repo")
    toytree.commit(directory)
    for number in (1, 2):
        (directory / "mm.c").write_text(f"int pf_{number};\n" * number)
        toytree.commit(directory, message=f"Patch {number}")
    return directory


def test_a_range_of_commits(project: Project, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = repository.parent / "ran"
    for name in ("core.fsmonitor", "diff.external", "core.hooksPath"):
        toytree.git(repository, "config", name, f"touch {marker}")
    whole = inputs.load(Path(f"{repository}:HEAD~2..HEAD"), project.cache, None)
    assert [patch.subject for patch in whole.patches] == ["Patch 1", "Patch 2"]
    assert list(patch_stages.made_by_git(whole.patches[0], 1, 2)) == []
    monkeypatch.chdir(repository)
    assert [patch.subject for patch in inputs.load(Path("HEAD~1..main"), project.cache, None).patches] == ["Patch 2"]
    assert [patch.subject for patch in inputs.load(Path("HEAD~1.."), project.cache, None).patches] == ["Patch 2"]
    assert not marker.exists(), "nothing of the repository's is run"


@pytest.mark.parametrize(
    ("span", "error"),
    [
        ("HEAD..HEAD", SubmissionError),
        ("nowhere..HEAD", UsageError),
        ("--output=x..HEAD", UsageError),
        ("HEAD..-x", UsageError),
    ],
)
def test_a_range_that_is_none(project: Project, repository: Path, span: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        inputs.load(Path(f"{repository}:{span}"), project.cache, None)


@pytest.mark.parametrize("text", ["../x", "..", "a/../b", "./..", "x.tar.gz"])
def test_a_path_is_no_range(text: str) -> None:
    wanted = inputs.git_range(Path(text))
    assert wanted is None or not wanted.repository.exists() or text == "a/../b"


def test_the_content_decides(project: Project, tmp_path: Path) -> None:
    def content(name: str, files: Mapping[str, bytes]) -> str:
        return inputs.content(inputs.load(archive(tmp_path / name, files), Cache(tmp_path / "c"), None))

    whole = {"patch/0001-a.patch": mail(), "patch/report.txt": b"r"}
    assert content("a.tar.gz", whole) == content("b.tar.gz", dict(reversed(whole.items())))
    assert content("a.tar.gz", whole) != content("b.tar.gz", {**whole, "patch/report.txt": b"s"})
    assert content("a.tar.gz", whole) != content("b.tar.gz", {**whole, "patch/0001-a.patch": mail("int b;")})
    assert content("a.tar.gz", whole) != content("b.tar.gz", {**whole, "patch/x.o": b"s"})


@pytest.mark.parametrize(
    ("entry", "options"),
    [
        ('config PF_ASKED\n\tdefault y\n\tbool "Ask"\n\thelp\n\t  Why.', ["PF_ASKED"]),
        ("config PF_ASKED\n\tint\n\tprompt 'How many'", ["PF_ASKED"]),
        ('config PF_SILENT\n\tdef_bool y\n\nconfig PF_ASKED\n\tbool "Ask"', ["PF_ASKED"]),
        ("config PF_SILENT\n\tdef_bool y\n\tdepends on X86_32", []),
        ('comment "bool"\n\tdepends on X86_32', []),
    ],
)
def test_an_option_with_a_prompt_is_told_of(entry: str, options: list[str], tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    patch = read("0001-x86-Add-it.patch", mail(entry, path="arch/x86/Kconfig"), cache)
    other = read("0002-x86-Add-it.patch", mail(entry, path="arch/x86/notes"), cache)
    found = shape.prompts(Submission(Path("patch"), (patch, other), {}, ()))
    assert [one.message.split()[0] for one in found] == options
    assert all((one.severity, one.where) == (Severity.WARNING, patch.name) for one in found)


def test_the_command_that_reproduces_a_finding_names_the_assignment(project: Project, tmp_path: Path) -> None:
    given = archive(tmp_path / "patch.tar.gz", FILES)
    other = pipeline.open_project(project.settings.model_copy(update={"assignment": "kvs"}), {})
    for chosen, words in ((project, ["--only", "x"]), (other, ["--only", "x", "--assignment", "kvs"])):
        case, _ = look(chosen, given)
        assert shlex.split(case.reproduce("test", "--only", "x")) == ["patchgen", "test", *words, str(given)]
