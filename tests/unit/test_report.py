import hashlib
import io
import json
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
from rich.cells import cell_len

from patchgen import resources
from patchgen.errors import SeriesError, SubmissionError
from patchgen.settings import PLACEHOLDER, Submission
from patchgen.submission import report, report_text
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
MINIMAL = "#for part in json(bytes(sys.inputs.report)).blocks { par(repr(part)) }\n"


def pdf_text(made: Report) -> str:
    pages = pypdf.PdfReader(io.BytesIO(made.pdf)).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def unwrapped(made: Report) -> str:
    return " ".join(made.text.split())


def directory_with(tmp_path: Path, source: str, style: str = MINIMAL) -> Path:
    (tmp_path / report.SOURCE_NAME).write_text(source, encoding="utf-8")
    (tmp_path / report.STYLE_NAME).write_text(style, encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def filled() -> Report:
    return report.render(DIRECTORY, FILLED, FACTS)


class TestTheReport:
    def test_has_two_pages_of_a4(self, filled: Report) -> None:
        pages = pypdf.PdfReader(io.BytesIO(filled.pdf)).pages
        assert filled.pages == len(pages) == 2
        assert {(round(p.mediabox.width), round(p.mediabox.height)) for p in pages} == {(595, 842)}

    def test_everything_it_tells_is_in_both_forms(self, filled: Report) -> None:
        for shown in (unwrapped(filled), pdf_text(filled)):
            for told in ("Ada Lovelace", "Łukasz Größe", "INFO0940-1", "42.5 hours", "385", "386", "387"):
                assert told in shown
            for told in (
                "checkpatch --strict",
                "0 errors, 0 warnings, 0 checks",
                "66 instructions",
                "[INFO940][ERROR]",
            ):
                assert told in shown
            assert "Patch number 5 of the" in shown
            assert shown.count("It took long to see") == 8
            for line in ("__do_page_fault()", "VM_FAULT_WRITE", "setup_new_exec()", "copy_process()", "do_wp_page()"):
                assert line in shown

    def test_reads_well_without_any_facts_but_parameters(self) -> None:
        made = report.render(DIRECTORY, FILLED, Facts(parameters=FACTS.parameters))
        assert "Result" not in made.text
        assert "No. | Patch" not in made.text

    def test_what_was_not_run_is_left_out(self) -> None:
        made = report.render(DIRECTORY, FILLED, replace(FACTS, checks={}))
        assert "Measured" in made.text
        assert "66 instructions" in made.text
        assert "checkpatch" not in made.text

    def test_nothing_is_open_when_all_is_filled_in(self, filled: Report) -> None:
        assert filled.placeholders == ()
        assert report.TO_FILL_IN not in filled.text
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
        assert made.text.count(report.TO_FILL_IN) == pdf_text(made).count(report.TO_FILL_IN) == 3
        assert "Your Name" not in made.text

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
        assert unwrapped(made).count(report.TO_FILL_IN) == 1
        assert "Ada Lovelace" in made.text

    @pytest.mark.parametrize(
        ("hours", "shown"),
        [(1.0, "1 hour on"), (0.0, "0 hours"), (30.0, "30 hours"), (1e6, "1000000 hours"), (7.25, "7.2 hours")],
    )
    def test_hours(self, hours: float, shown: str) -> None:
        assert f"about {shown}" in report.render(DIRECTORY, FILLED.model_copy(update={"hours": hours}), FACTS).text


class TestValuesAreNeverMarkup:
    def test_each_hostile_text_is_shown_as_it_is(self) -> None:
        made = report.render(DIRECTORY, FILLED.model_copy(update={"difficulties": HOSTILE}), replace(FACTS, patches=()))
        shown = pdf_text(made)
        for text in HOSTILE:
            assert f"- {text}\n" in made.text
            assert text in shown

    def test_in_names_tables_and_code_too(self) -> None:
        submission = FILLED.model_copy(update={"authors": ["*A* #panic() $B$ | `C` <a@example.com>"]})
        facts = replace(
            FACTS,
            patches=(PatchFact(1, "mm: a | b `c` #d \\ *e*", 1, 1, 1),),
            checks={'#panic("x")|': "<y>"},
            parameters={**FACTS.parameters, "log_prefix": "`#x`"},
        )
        made = report.render(DIRECTORY, submission, facts)
        for shown in (made.text, pdf_text(made)):
            assert "*A* #panic() $B$ | `C`" in shown
            assert "mm: a | b `c` #d \\ *e*" in shown
            assert '#panic("x")|' in shown
            assert "<y>" in shown
            assert "`#x`" in shown

    def test_line_ends_and_control_characters_become_blanks(self) -> None:
        made = report.render(
            DIRECTORY, FILLED.model_copy(update={"difficulties": ["a\n\n# b\n\x1b[31mc\td\r\n"]}), FACTS
        )
        assert "- a # b [31mc d\n" in made.text

    @pytest.mark.parametrize("name", ["Дмитрий Менделеев", "Νίκος Καζαντζάκης", "Nguyễn Văn Ánh", "Đorđe Šćepanović"])
    def test_names_in_other_scripts(self, name: str) -> None:
        made = report.render(DIRECTORY, FILLED.model_copy(update={"authors": [f"{name} <a@example.com>"]}), FACTS)
        assert name in made.text
        assert name in pdf_text(made)
        assert made.missing_glyphs == ""

    def test_characters_that_no_font_has_are_told(self) -> None:
        made = report.render(DIRECTORY, FILLED.model_copy(update={"authors": ["山田 Ωmega <a@example.com>"]}), FACTS)
        assert "山田 Ωmega" in made.text
        assert set(made.missing_glyphs) == set("山田")


class TestSameBytesEverywhere:
    PROGRAM = """
import hashlib, json, sys
from pathlib import Path
from tests.unit.test_report import DIRECTORY, FACTS, FILLED
from patchgen.submission import report
made = report.render(DIRECTORY, FILLED, FACTS)
print(json.dumps([hashlib.sha256(made.pdf).hexdigest(), hashlib.sha256(made.text.encode()).hexdigest()]))
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
        here = [hashlib.sha256(data).hexdigest() for data in (filled.pdf, filled.text.encode())]
        assert json.loads(done.stdout) == here

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


class TestErrorsInTheSource:
    def test_undefined_name(self, tmp_path: Path) -> None:
        directory = directory_with(tmp_path, "# Title\n\nauthors\n\n@{ nobody }\n")
        with pytest.raises(SeriesError, match=r"report\.md\.j2:5: 'nobody' is undefined"):
            report.render(directory, FILLED, FACTS)

    def test_undefined_parameter_of_the_real_one(self) -> None:
        with pytest.raises(SeriesError, match=r"report\.md\.j2:\d+: 'cleanup_nr' is undefined"):
            report.render(DIRECTORY, FILLED, replace(FACTS, parameters={"set_param_nr": 1, "get_info_nr": 2}))

    def test_expression_that_fails(self, tmp_path: Path) -> None:
        directory = directory_with(tmp_path, "# Title\n\n@{ 1 / (patches | length - 5) }\n")
        with pytest.raises(SeriesError, match=r"report\.md\.j2:3: .*zero"):
            report.render(directory, FILLED, FACTS)

    def test_syntax(self, tmp_path: Path) -> None:
        directory = directory_with(tmp_path, "# Title\n\n@% for x in %@\n")
        with pytest.raises(SeriesError, match=r"report\.md\.j2:3: "):
            report.render(directory, FILLED, FACTS)

    @pytest.mark.parametrize("name", [report.SOURCE_NAME, report.STYLE_NAME])
    def test_missing_file(self, tmp_path: Path, name: str) -> None:
        (directory_with(tmp_path, "# Title\n") / name).unlink()
        with pytest.raises(SeriesError, match=name):
            report.render(tmp_path, FILLED, FACTS)

    def test_typst_s_own_words(self, tmp_path: Path) -> None:
        directory = directory_with(tmp_path, "# Title\n", "\n#let x = sorry\n")
        with pytest.raises(SeriesError, match=r"report\.typ: typst: unknown variable: sorry") as caught:
            report.render(directory, FILLED, FACTS)
        assert "report.typ:2" in caught.value.evidence

    @pytest.mark.parametrize(
        "source",
        ["![x](y)", "[x](y)", "> quote", "1. one", "```c\nint x;\n```", "- a\n\n  b", "- a\n  - b", "***", "<b>"],
    )
    def test_markdown_that_would_get_lost(self, tmp_path: Path, source: str) -> None:
        directory = directory_with(tmp_path, f"# Title\n\n{source}\n")
        if source == "<b>":  # Not HTML, just text.
            assert "<b>" in report.render(directory, FILLED, FACTS).text
            return
        with pytest.raises(SeriesError, match=r"report\.md\.j2: a report cannot have ") as caught:
            report.render(directory, FILLED, FACTS)
        assert source.splitlines()[0] in caught.value.evidence

    @pytest.mark.parametrize(
        ("diagram", "message"),
        [
            ("columns = [", "not valid TOML"),
            ("columns = [10]", "row: Field required"),
            ("columns = [70, 70]\n[[row]]\nboxes = ['a', 'b']", "more than 78 characters"),
            ("columns = [10, 10]\n[[row]]\nboxes = ['a']", "row 1 must have either boxes or arrows, for 2 columns"),
            ("columns = [10]\n[[row]]\nboxes = ['a']\narrows = ['down: b']", "row 1 must have either"),
            ("columns = [10]\n[[row]]\narrows = ['left: b']", "'none', 'down', 'up' or 'both'"),
        ],
    )
    def test_diagram_that_makes_no_sense(self, tmp_path: Path, diagram: str, message: str) -> None:
        directory = directory_with(tmp_path, f"# Title\n\n```diagram\n{diagram}\n```\n")
        with pytest.raises(SeriesError) as caught:
            report.render(directory, FILLED, FACTS)
        assert message in caught.value.message


class TestText:
    def test_no_line_is_too_long_or_ends_in_blanks(self, filled: Report) -> None:
        lines = filled.text.splitlines()
        assert max(map(cell_len, lines)) <= report_text.WIDTH
        assert all(line == line.rstrip() for line in lines)
        assert filled.text.endswith(".\n")

    def test_words_that_fit_no_line_and_wide_characters(self) -> None:
        difficulties = ["x" * 500, "内存" * 100, "long " + "y" * 77]
        made = report.render(DIRECTORY, FILLED.model_copy(update={"difficulties": difficulties}), FACTS)
        assert max(map(cell_len, made.text.splitlines())) <= report_text.WIDTH
        assert made.text.count("x") >= 500
        pages = pypdf.PdfReader(io.BytesIO(made.pdf)).pages
        assert max(line.count("x") for page in pages for line in page.extract_text().splitlines()) < 120

    def test_a_small_document(self) -> None:
        source = """# Title

Some *words* of `code` and
**more**.

## Part

- one
- two

| A | Number |
| - | -----: |
| b |      1 |

```diagram
columns = [20, 16]
[[row]]
boxes = ["over `x()`\\nboth"]
spans = [2]
[[row]]
arrows = ["both: talk", ""]
boundary = ["up", "down"]
[[row]]
boxes = ["left", "right"]
```
"""
        assert report_text.to_text(report_text.parse(source, lambda text: text)).splitlines() == [
            "Title",
            "=====",
            "",
            "Some *words* of code and more.",
            "",
            "Part",
            "----",
            "",
            "- one",
            "",
            "- two",
            "",
            "+------------+",
            "| A | Number |",
            "|---+--------|",
            "| b |      1 |",
            "+------------+",
            "",
            "+------------------------------------+",
            "|              over x()              |",
            "|                both                |",
            "+------------------------------------+",
            "     ^",
            "- - -|- -  up / down  - - - - - - - -",
            "     | talk",
            "     v",
            "+------------------+  +--------------+",
            "|       left       |  |    right     |",
            "+------------------+  +--------------+",
        ]
