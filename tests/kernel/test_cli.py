"""The command line on the real kernel: the two commands, and every way in which they can be misused."""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import re
import shutil
from pathlib import Path

import pypdf
import pytest
from command import offline, patchgen
from kernels import Kernels

from patchgen import resources, toolchain
from patchgen.base import bases
from patchgen.base.resolve import Source
from patchgen.cache import Cache
from patchgen.checks import measured
from patchgen.kernel.build import Kernel
from patchgen.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SESSION = html.unescape("\n".join(re.findall(">(.*)</text>", (ROOT / "docs/pictures/session.svg").read_text())))

pytestmark = pytest.mark.usefixtures("machine_environment")

PACKED = pytest.mark.only_linux_4_15("nothing is packed for a base that is none of submissions")
REPORT = pytest.mark.only_linux_4_15("a report belongs to a submission")
ITS_OWN_ANCHOR = pytest.mark.only_linux_4_15("another base has an anchor of its own there")
AUTHORED = """\
[submission]
authors = ["Ada Lovelace <ada@example.org>"]
hours = 12
difficulties = ["Finding the hook."]
"""


@pytest.fixture
def here(tmp_path: Path, origin: Source) -> Path:
    """Return a user's directory with a finished patchgen.toml."""
    (tmp_path / "patchgen.toml").write_text(AUTHORED)
    return tmp_path


@pytest.fixture
def own_series(here: Path) -> Path:
    """Return a copy of the series, to be spoiled."""
    return Path(shutil.copytree(resources.TEMPLATES / "pf_stat", here / "mine"))


def spoil(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@PACKED
def test_patch_check_bundle(here: Path) -> None:
    done = patchgen("patch", "--json", cwd=here)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["placeholders"] == []
    assert sorted(path.name for path in (here / "dist/patch").iterdir()) == [
        *(patch["name"] for patch in made["patches"]),
        "report.pdf",
    ]
    tar = gzip.decompress((here / "dist/patch.tar.gz").read_bytes())
    assert hashlib.sha256(tar).hexdigest() == made["tar_sha256"]
    assert patchgen("check", cwd=here).returncode == 0
    (here / "dist/patch.tar.gz").unlink()
    again = patchgen("bundle", "--json", cwd=here)
    assert json.loads(again.stdout)["tar_sha256"] == made["tar_sha256"]


def test_a_port_is_checked_and_not_packed(here: Path, kernels: Kernels) -> None:
    if "debian-6.12" not in (kernels.main, kernels.second):
        pytest.skip(kernels.sentence())
    done = patchgen("patch", "--base", "debian-6.12", "--json", cwd=here)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["archive"] is None
    assert {path.name for path in (here / "dist").rglob("*") if path.is_file()} == {
        patch["name"] for patch in made["patches"]
    }
    assert {path.parent for path in (here / "dist").rglob("*.patch")} == {here / "dist/debian-6.12/patch"}
    done = patchgen("check", "--base", "debian-6.12", cwd=here)
    assert done.returncode == 0
    assert "checkpatch --strict: 0 errors, 0 warnings, 0 checks" in done.stdout
    done = patchgen("bundle", "dist/debian-6.12/patch", "--base", "debian-6.12", cwd=here)
    assert done.returncode == 2
    assert "no base of a submission" in done.stderr


def test_a_port_stands_in_where_linux_4_15_cannot_be_had(
    here: Path, kernels: Kernels, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "debian-6.12" not in (kernels.main, kernels.second):
        pytest.skip(kernels.sentence())
    kept, cache = Cache(settings.cache).root, Cache(tmp_path / "cache").root
    cache.mkdir(parents=True)
    for name in ("objects.git", "trees"):
        (cache / name).symlink_to(kept / name)
    # What the user's cache has, but for the release.
    release = f"{bases.load(bases.DEFAULT).tree}.json"
    shutil.copytree(kept / "bases", cache / "bases", ignore=shutil.ignore_patterns(release))
    for name in ("BASE", "LINUX_SRC", "LINUX_BASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATCHGEN_CACHE", str(tmp_path / "cache"))
    done = offline("patch", "--or-port", cwd=here)
    assert done.returncode == 0, done.stderr
    first, *between, last = done.stdout.splitlines()
    assert first == last
    assert first.startswith("this is a port to Debian's Linux 6.12, to look at and to test, because Linux 4.15 cannot")
    assert "checkpatch --strict: 0 errors, 0 warnings, 0 checks" in between
    assert {path.parent for path in (here / "dist").rglob("*") if path.is_file()} == {here / "dist/debian-6.12/patch"}
    assert offline("patch", "--or-port", cwd=here, BASE=bases.DEFAULT).returncode == 3


@REPORT
def test_patch_without_an_author_warns(here: Path) -> None:
    (here / "patchgen.toml").unlink()
    done = patchgen("patch", cwd=here)
    assert done.returncode == 0
    shown = "\n".join(f"    {line}" for line in done.stdout.splitlines()).partition(" (tar")[0]
    assert shown in README, "the README shows what it prints"
    for placeholder in ("submission.authors", "submission.hours", "submission.difficulties"):
        assert placeholder in done.stderr


@REPORT
def test_the_report_has_what_was_run_on_exactly_this_tree(here: Path) -> None:
    assert patchgen("test", "--only", "tracked-and-never-run", cwd=here).returncode == 0
    reports = []
    for words in ((), ("--set", "max_size_pf=77")):
        assert patchgen("patch", *words, cwd=here).returncode == 0
        pages = pypdf.PdfReader(here / "dist/patch/report.pdf").pages
        reports.append(" ".join(page.extract_text() for page in pages))
    assert measured.SCENARIOS in reports[0]
    assert measured.SCENARIOS not in reports[1]


def test_set_reaches_the_patches(here: Path) -> None:
    assert patchgen("patch", "--set", "max_size_pf=77", cwd=here).returncode == 0
    text = "".join(path.read_text() for path in sorted((here / "dist").rglob("*.patch")))
    assert "+#define MAX_SIZE_PF 77" in text


@PACKED
def test_bundle_refuses_what_does_not_apply(here: Path) -> None:
    assert patchgen("patch", cwd=here).returncode == 0
    before = (here / "dist/patch.tar.gz").read_bytes()
    second = sorted((here / "dist/patch").glob("*.patch"))[1]
    spoil(second, "kbasename(bprm->filename), true);", "kbasename(bprm->filename), false);")
    done = patchgen("bundle", cwd=here)
    assert done.returncode == 1
    assert f"{second.name} does not apply" in done.stderr
    assert (here / "dist/patch.tar.gz").read_bytes() == before
    done = patchgen("check", "dist/patch", cwd=here)
    assert done.returncode == 1
    assert f"{second.name} does not apply" in done.stdout


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("files/arch/x86/mm/pf_stat.c.j2", "@{ name_max }", "@{ nome_max }", r"pf_stat.c.j2:"),
        ("files/arch/x86/mm/pf_stat.c.j2", "@% endif %@", "@% endof %@", r"pf_stat.c.j2:"),
        pytest.param(
            "edits/fs/exec.c.toml",
            "__set_task_comm(current,",
            "__set_tusk_comm(current,",
            "matches nowhere in fs/exec.c",
            marks=ITS_OWN_ANCHOR,
        ),
        ("edits/fs/exec.c.toml", "#include <linux/vmalloc.h>", "return retval;", "times in fs/exec.c"),
        ("series.toml", '"kernel/fork.c"', '"kernel/fork.x"', "series.toml"),
        ("messages/wire.txt.j2", "@{ cleanup_nr }", "@{ cleanup }", "wire.txt.j2:7"),
        pytest.param("report/report.typ", "parameter.log_prefix", "parameter.log_profix", "report.typ:", marks=REPORT),
    ],
)
def test_spoiled_templates(here: Path, own_series: Path, file: str, old: str, new: str, said: str) -> None:
    spoil(own_series / file, old, new)
    done = patchgen("patch", "--assignment", "mine", cwd=here)
    assert done.returncode == 1, done.stderr
    assert said in done.stderr
    assert not (here / "dist").exists()


def test_a_kernel_that_does_not_build(here: Path, own_series: Path) -> None:
    spoil(
        own_series / "files/arch/x86/mm/pf_stat.c.j2",
        "static u32 pf_stat_hash(const char",
        "static u32 pf_stat_hash(const viod",
    )
    (here / "patchgen.toml").write_text('assignment = "mine"\n' + AUTHORED)
    done = patchgen("build", cwd=here)
    assert done.returncode == 1
    assert "does not build" in done.stderr
    assert "viod" in done.stderr


def test_run(here: Path, series_kernel: Kernel) -> None:
    (here / "answer.c").write_text('#include <stdio.h>\nint main(void) { printf("%d\\n", 6 * 7); return 5; }\n')
    (here / "notes.txt").write_text("hello\n")
    commands = ["answer", "cat /tmp/n.txt", "pfcall cleanup", "kill -11 $$"]
    copies = ["--copy", "answer.c", "--copy", "notes.txt:/tmp/n.txt"]
    done = patchgen("run", "--json", *copies, "--", *commands, cwd=here)
    assert done.returncode == 1
    answer = json.loads(done.stdout)
    assert Path(answer["kernel"]).name == "bzImage"
    assert [one["command"] for one in answer["commands"]] == commands
    assert [one["status"] for one in answer["commands"]] == [5, 0, 0, None]
    assert [one["signal"] for one in answer["commands"]] == [None, None, None, 11]
    assert [one["output"] for one in answer["commands"][:2]] == ["42\n", "hello\n"]
    assert [[line["level"] for line in one["log"]] for one in answer["commands"]] == [[], [], ["err"], []]
    assert answer["commands"][2]["log"][0]["text"].startswith("[INFO940][ERROR]")


def test_the_session_of_the_readme(here: Path, series_kernel: Kernel) -> None:
    """Process numbers and addresses differ, and so does the total: the loader's part of it depends on these."""
    commands = re.findall(r"^\$ (.*)", SESSION, re.M)
    assert len(commands) >= 4
    done = patchgen("run", "--", *commands, cwd=here)
    changing = re.compile(r"(?<=child )\d+|(?<=parent )\d+|(?<=COW faults: )\d+|0x[0-9a-f]+ - 0x[0-9a-f]+")
    assert changing.sub("N", done.stdout.strip()) == changing.sub("N", SESSION)


@REPORT
def test_the_scenarios_that_the_readme_shows(here: Path, series_kernel: Kernel) -> None:
    shown = re.search(r"    \$ patchgen (test --requirement .*)\n((?:    .*\n)+)", README)
    assert shown
    done = patchgen(*shown[1].split(), cwd=here)
    assert done.stdout == re.sub("^    ", "", shown[2], flags=re.M)


def test_run_on_another_kernel(here: Path, vanilla_kernel: Path) -> None:
    done = patchgen("run", "--kernel", str(vanilla_kernel), "--", "./test -o cleanup", cwd=here)
    assert done.returncode == 1
    assert "not implemented" in done.stdout


def test_a_panic(here: Path, series_kernel: Kernel) -> None:
    done = patchgen("run", "--", "echo c >/proc/sysrq-trigger", cwd=here)
    assert done.returncode == 1
    assert "sysrq" in done.stderr.lower()


def test_a_kernel_file_that_is_none(here: Path) -> None:
    (here / "bzImage").write_bytes(b"x" * 4096)
    done = patchgen("run", "--kernel", "bzImage", "--", "true", cwd=here)
    assert done.returncode == 1
    assert "bzImage" in done.stderr


def test_a_test_program_that_does_not_compile(here: Path) -> None:
    (here / "mine.c").write_text("int main(void) { return nothing; }\n")
    done = patchgen("run", "--", "true", cwd=here, TEST_PROGRAM="mine.c")
    assert done.returncode == 2
    assert "mine.c" in done.stderr
    assert "nothing" in done.stderr


def test_the_users_own_test_program(here: Path, series_kernel: Kernel) -> None:
    (here / "mine.c").write_text('#include <stdio.h>\nint main(void) { puts("mine"); return 0; }\n')
    done = patchgen("run", "--json", "--", "./test", cwd=here, TEST_PROGRAM="mine.c")
    assert json.loads(done.stdout)["commands"][0]["output"] == "mine\n"


def test_no_qemu(here: Path, series_kernel: Kernel, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in {"git", "gcc", toolchain.tool("gcc"), "env", "sh", "cc1", "as", "ld", "make", "perl", "readelf"}:
        if found := shutil.which(name):
            (tools / name).symlink_to(found)
    done = patchgen("run", "--kernel", str(series_kernel.image), "--", "true", cwd=here, PATH=str(tools))
    assert done.returncode == 3
    assert "qemu-system-i386 is not installed" in done.stderr


def test_scenarios_from_the_command_line(here: Path, series_kernel: Kernel) -> None:
    done = patchgen("test", "--only", "appendix-a", "--json", "--junit", "out/junit.xml", cwd=here)
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["passed"] == 1
    assert 'tests="1"' in (here / "out/junit.xml").read_text()
    done = patchgen("test", "--vanilla", "--only", "appendix-a", "--junit", "out/junit.xml", cwd=here)
    assert done.returncode == 1
    assert "0 passed, 1 failed" in done.stdout
    assert 'failures="1"' in (here / "out/junit.xml").read_text()


def test_the_scenarios_of_a_sentence(here: Path, series_kernel: Kernel) -> None:
    done = patchgen("test", "-r", "2.2-5", "-r", "2.4", "-k", "resets", "--json", cwd=here)
    assert done.returncode == 0, done.stdout
    seen = json.loads(done.stdout)["scenarios"]
    assert {one["scenario"] for one in seen} == {
        "a-second-run-resets",
        "a-run-without-faults-resets-too",
        "executing-itself-resets",
    }
