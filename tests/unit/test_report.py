import hashlib
import io
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pypdf
import pytest

from patchgen import resources
from patchgen.errors import SeriesError, SubmissionError
from patchgen.settings import PLACEHOLDER, Submission
from patchgen.submission import report
from patchgen.submission.report import Facts, PatchFact, Report

DIRECTORY = resources.TEMPLATES / "pf_stat" / "report"
FACTS = Facts(
    patches=tuple(
        PatchFact(i, f"x86/mm: Patch number {i} of the copy-on-write fault statistics", i + 1, 100 * i, 7)
        for i in range(1, 6)
    ),
    parameters={
        "set_param_nr": 385,
        "get_info_nr": 386,
        "cleanup_nr": 387,
        "log_prefix": "[INFO940][ERROR]",
        "max_size_pf": 128,
        "name_max": 255,
    },
    checks={"checkpatch --strict": "0 errors, 0 warnings, 0 checks", "scenarios in QEMU": "61 of 61 passed"},
    measured={"cost of a counted fault": "66 instructions"},
)
LINE = "It took long to see that the error code alone does not say which faults are copy-on-write. "  # Nearly a line.
FILLED = Submission(
    authors=["Ada Lovelace <ada@example.com>", "Łukasz Größe <l@example.com>"],
    hours=42.5,
    difficulties=[LINE * 3, LINE * 3, LINE * 2],
)
HOSTILE = [
    "#panic()",
    "$x$",
    "*a*",
    "_u_",
    "@b",
    "<c>",
    "`d`",
    "[e](f)",
    "back\\slash",
    'say "quotes"',
    "a|b",
    "# no heading",
    "- no item",
    "1. no number",
    "&amp;",
    "{{ g }}",
    "@{ h }",
    "@% i %@",
    "// j",
    "/* k */",
    "~",
    "<b>l</b>",
    "http://m.n/",
    "=",
    "```",
]


def pdf_text(made: Report) -> str:
    return " ".join(" ".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(made.pdf)).pages).split())


def shown(template: str, directory: Path, submission: Submission | None = None) -> str:
    """Return what the PDF of a template of one's own shows."""
    (directory / report.TEMPLATE_NAME).write_text(
        f"#let given = json(bytes(sys.inputs.report))\n{template}", encoding="utf-8"
    )
    return pdf_text(report.render(directory, submission or FILLED, FACTS))


@pytest.fixture(scope="module")
def filled() -> Report:
    return report.render(DIRECTORY, FILLED, FACTS)


class TestTheReport:
    def test_has_two_pages_of_a4(self, filled: Report) -> None:
        pages = pypdf.PdfReader(io.BytesIO(filled.pdf)).pages
        assert filled.pages == len(pages) == 2
        assert {(round(p.mediabox.width), round(p.mediabox.height)) for p in pages} == {(595, 842)}

    def test_everything_it_tells_is_there(self, filled: Report) -> None:
        shown = pdf_text(filled)
        for told in (
            *("Ada Lovelace", "Łukasz Größe", "INFO0940-1", "42.5 hours", "385", "386", "387", "[INFO940][ERROR];"),
            *("checkpatch --strict", "0 errors, 0 warnings, 0 checks", "66 instructions"),
            *("__do_page_fault()", "VM_FAULT_WRITE", "setup_new_exec()", "copy_process()", "do_wp_page()"),
            *("Patch number 5 of the", "No. Patch", "user space"),
        ):
            assert told in shown
        assert shown.count("It took long to see") == 8

    def test_reads_well_without_any_facts_but_parameters(self) -> None:
        shown = pdf_text(report.render(DIRECTORY, FILLED, Facts(parameters=FACTS.parameters)))
        assert "Result" not in shown
        assert "No. Patch" not in shown

    def test_what_was_not_run_is_left_out(self) -> None:
        shown = pdf_text(report.render(DIRECTORY, FILLED, replace(FACTS, checks={})))
        assert "Measured" in shown
        assert "66 instructions" in shown
        assert "checkpatch" not in shown

    def test_nothing_is_open_when_all_is_filled_in(self, filled: Report) -> None:
        assert filled.placeholders == ()
        assert report.TO_FILL_IN not in pdf_text(filled)
        assert filled.missing_glyphs == ""

    def test_too_long_is_an_error_that_says_by_how_much_and_what_to_do(self) -> None:
        long = FILLED.model_copy(update={"difficulties": [LINE * 4] * 40})
        with pytest.raises(SubmissionError, match=r"has [3-9] pages.*shorten submission\.difficulties") as caught:
            report.render(DIRECTORY, long, FACTS)
        assert not isinstance(caught.value, SeriesError)

    def test_document_date_is_the_submission_s(self, filled: Report) -> None:
        metadata = pypdf.PdfReader(io.BytesIO(filled.pdf)).metadata
        assert metadata is not None
        assert {str(metadata["/CreationDate"]), str(metadata["/ModDate"])} == {"D:20230401120000Z"}
        assert "Ada Lovelace" in str(metadata.author)


class TestPlaceholders:
    def test_all_open(self) -> None:
        made = report.render(DIRECTORY, Submission(), FACTS)
        assert made.placeholders == ("submission.authors", "submission.hours", "submission.difficulties")
        assert pdf_text(made).count(report.TO_FILL_IN) == 3
        assert "Your Name" not in pdf_text(made)

    @pytest.mark.parametrize(
        ("change", "name"),
        [
            ({"authors": ["Ada Lovelace <ada@example.com>", PLACEHOLDER]}, "submission.authors"),
            ({"hours": None}, "submission.hours"),
            ({"difficulties": []}, "submission.difficulties"),
        ],
    )
    def test_one_open(self, change: dict[str, object], name: str) -> None:
        made = report.render(DIRECTORY, FILLED.model_copy(update=change), FACTS)
        assert made.placeholders == (name,)
        assert pdf_text(made).count(report.TO_FILL_IN) == 1
        assert "Ada Lovelace" in pdf_text(made)

    @pytest.mark.parametrize(
        ("hours", "shown"),
        [(1.0, "1 hour on"), (0.0, "0 hours"), (30.0, "30 hours"), (1e6, "1000000 hours"), (7.25, "7.2 hours")],
    )
    def test_hours(self, hours: float, shown: str) -> None:
        made = report.render(DIRECTORY, FILLED.model_copy(update={"hours": hours}), FACTS)
        assert f"about {shown}" in pdf_text(made)


class TestValuesAreNeverMarkup:
    def test_each_hostile_text_is_shown_as_it_is(self) -> None:
        made = report.render(DIRECTORY, FILLED.model_copy(update={"difficulties": HOSTILE}), replace(FACTS, patches=()))
        shown = pdf_text(made)
        for text in HOSTILE:
            assert f"• {text} " in f"{shown} "

    def test_in_names_tables_and_code_too(self) -> None:
        submission = FILLED.model_copy(update={"authors": ["*A* #panic() $B$ | `C` <a@example.com>"]})
        facts = replace(
            FACTS,
            patches=(PatchFact(1, "mm: a | b `c` #d \\ *e*", 1, 1, 1),),
            checks={'#panic("x")|': "<y>"},
            parameters={**FACTS.parameters, "log_prefix": "`#x`"},
        )
        shown = pdf_text(report.render(DIRECTORY, submission, facts))
        for text in ("*A* #panic() $B$ | `C`", "mm: a | b `c` #d \\ *e*", '#panic("x")|', "<y>", "`#x`"):
            assert text in shown

    def test_line_ends_and_control_characters_become_blanks(self) -> None:
        difficulties = {"difficulties": ["a\n\n# b\n\x1b[31mc\td\r\n"]}
        assert pdf_text(report.render(DIRECTORY, FILLED.model_copy(update=difficulties), FACTS)).endswith(
            "• a # b [31mc d 2 / 2"
        )

    @pytest.mark.parametrize("name", ["Дмитрий Менделеев", "Νίκος Καζαντζάκης", "Nguyễn Văn Ánh", "Đorđe Šćepanović"])
    def test_names_in_other_scripts(self, name: str) -> None:
        made = report.render(DIRECTORY, FILLED.model_copy(update={"authors": [f"{name} <a@example.com>"]}), FACTS)
        assert name in pdf_text(made)
        assert made.missing_glyphs == ""

    def test_characters_that_no_font_has_are_told(self) -> None:
        made = report.render(DIRECTORY, FILLED.model_copy(update={"authors": ["山田 Ωmega <a@example.com>"]}), FACTS)
        assert "Ωmega" in pdf_text(made)
        assert set(made.missing_glyphs) == set("山田")

    def test_words_that_fit_no_line(self) -> None:
        difficulties = ["x" * 500, "内存" * 100, "long " + "y" * 77]
        shown = report.render(DIRECTORY, FILLED.model_copy(update={"difficulties": difficulties}), FACTS)
        lines = [
            line for page in pypdf.PdfReader(io.BytesIO(shown.pdf)).pages for line in page.extract_text().splitlines()
        ]
        assert sum(line.count("x") for line in lines) >= 500
        assert max(line.count("x") for line in lines) < 120


class TestSameBytesEverywhere:
    PROGRAM = """
import hashlib
from tests.unit.test_report import DIRECTORY, FACTS, FILLED
from patchgen.submission import report
made = report.render(DIRECTORY, FILLED, FACTS)
print(hashlib.sha256(made.pdf).hexdigest())
"""

    @pytest.mark.parametrize(
        "environment",
        [
            {"TZ": "Asia/Tokyo", "LC_ALL": "C", "COLUMNS": "40", "PYTHONHASHSEED": "1"},
            {
                "TZ": "America/New_York",
                "LC_ALL": "C.UTF-8",
                "SOURCE_DATE_EPOCH": "1",
                "FORCE_COLOR": "1",
                "PYTHONHASHSEED": "2",
            },
        ],
    )
    def test_whatever_the_environment(self, environment: dict[str, str], tmp_path: Path, filled: Report) -> None:
        home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PATH": os.defpath}
        done = subprocess.run(
            [sys.executable, "-c", self.PROGRAM],
            env={**home, **environment, "PYTHONPATH": str(Path(__file__).parents[2])},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == hashlib.sha256(filled.pdf).hexdigest()

    def test_wherever_the_source_lies(self, tmp_path: Path, filled: Report) -> None:
        shutil.copytree(DIRECTORY, tmp_path / "elsewhere")
        assert report.render(tmp_path / "elsewhere", FILLED, FACTS) == filled

    def test_date_without_a_zone_is_utc(self, monkeypatch: pytest.MonkeyPatch, filled: Report) -> None:
        naive = FILLED.model_copy(update={"date": datetime.fromisoformat("2023-04-01T12:00:00")})
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "Asia/Tokyo")
            time.tzset()
            made = report.render(DIRECTORY, naive, FACTS)
        time.tzset()
        assert made.pdf == filled.pdf


class TestErrorsInTheTemplate:
    def test_undefined_parameter(self) -> None:
        parameters = {name: value for name, value in FACTS.parameters.items() if name != "cleanup_nr"}
        with pytest.raises(SeriesError, match=r"report\.typ: typst: .*\"cleanup_nr\"") as caught:
            report.render(DIRECTORY, FILLED, replace(FACTS, parameters=parameters))
        assert "parameter.cleanup_nr" in caught.value.evidence

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(SeriesError, match=r"report\.typ does not exist"):
            report.render(tmp_path, FILLED, FACTS)

    def test_typst_s_own_words(self, tmp_path: Path) -> None:
        with pytest.raises(SeriesError, match=r"report\.typ: typst: unknown variable: sorry") as caught:
            shown("#let x = sorry", tmp_path)
        assert "report.typ:2" in caught.value.evidence

    def test_nothing_outside_of_the_directory_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("secret")
        (tmp_path / "report").mkdir()
        with pytest.raises(SeriesError, match=r"report\.typ: typst: "):
            shown('#read("../secret")', tmp_path / "report")


def test_what_a_template_is_given(tmp_path: Path) -> None:
    """The names of docs/series.md."""
    assert shown("#given.keys().sorted().join(sym.space)", tmp_path).split() == [
        "authors", "checks", "difficulties", "hours", "measured", "parameters", "patches", "to_fill_in"
    ]  # fmt: skip
    assert shown("#given.patches.first().keys().join(sym.space)", tmp_path) == "number subject files added removed"
    unknown = Submission(authors=[PLACEHOLDER])
    assert shown("#repr(given.hours) #given.authors.join()", tmp_path, unknown) == f"none {report.TO_FILL_IN}"
