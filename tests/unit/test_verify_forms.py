"""The forms of a verdict: terminal, JSON and its schema, JUnit, the page; whatever a submission puts into them."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import unicodedata
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
from command import patchgen
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pf_stat.scenarios.lab import Info, picture
from pfstat import ASSIGNMENT
from verdicts import finding, verdict

from patchgen.findings import Finding, Severity
from patchgen.grading import junit, model, order, page, text
from patchgen.grading import picture as drawing
from patchgen.grading.clean import clean
from patchgen.grading.model import Result, Verdict
from patchgen.testing.picture import Picture, Vma
from patchgen.text import one_line, visible

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "docs" / "verdict.schema.json"
HOSTILE = "<script>alert(1)</script>\"'&\x1b[2J\x07\u202e\udcff\x9b{{7*7}}]]>"


def test_the_schema_is_current() -> None:
    assert SCHEMA.read_text() == model.schema(), "patchgen verify --schema >docs/verdict.schema.json"


def test_the_schema_is_printed(tmp_path: Path) -> None:
    done = patchgen("verify", "--schema", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, SCHEMA.read_text())


def test_a_verdict_is_read_back() -> None:
    made = clean(verdict(finding("report", "archive")))
    assert Verdict.model_validate_json(made.model_dump_json()) == made
    assert made.schema_version == json.loads(model.schema())["properties"]["schema_version"]["const"]


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain \u00e9\u4e2d text\twith\nlines", "plain \u00e9\u4e2d text\twith\nlines"),
        ("\x1b[2J\x07\x9b", r"\x1b[2J\x07\x9b"),
        ("a\rb\x00", r"a\x0db\x00"),
        ("\u202eexe\u2066\ufeff", r"\u202eexe\u2066\ufeff"),
        ("\udcff", r"\udcff"),
        ("\U000e0041", r"\U000e0041"),
        ("\u2028", r"\u2028"),
    ],
)
def test_what_does_not_print_shows(raw: str, shown: str) -> None:
    assert visible(raw) == shown


@given(st.text(st.characters(codec=None)))
def test_nothing_invisible_is_left(raw: str) -> None:
    shown = visible(raw)
    assert not [char for char in shown if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co") and char not in "\n\t"]
    shown.encode()
    assert "\n" not in one_line(raw)


class _Reader(HTMLParser):
    """Collects the page's tags and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(verdict: Verdict) -> _Reader:
    reader = _Reader()
    reader.feed(page.render(verdict, ASSIGNMENT.page))
    reader.close()
    return reader


def shape(reader: _Reader) -> list[str]:
    return [tag for tag, _ in reader.tags]


def shown(text: str) -> Finding:
    """Return a finding with evidence, in which a text stands wherever it can."""
    found = finding("x", "build", Severity.ERROR, message=text, where=text)
    return dataclasses.replace(found, evidence=text, details=text, path=text, line=3, reproduce=text)


@functools.cache
def plain_shape() -> list[str]:
    return shape(read(clean(verdict(shown("plain"), status=Result.FAIL))))


def test_the_page_and_the_text_begin_with_the_diagnosis() -> None:
    found = finding("odd", "build", Severity.ERROR, message="no kernel")
    told = clean(verdict(found, text="It forgets.", status=Result.FAIL))
    shown = read(told).text
    assert shown.index("2 points lost") < shown.index("no kernel")
    lines = list(text.summary(told))
    first = next(number for number, line in enumerate(lines) if line.startswith("mistake  2.00 It forgets."))
    assert first < next(number for number, line in enumerate(lines) if "no kernel" in line)
    assert any("no known mistake explains It forgets." in line for line in lines)


def test_a_title_is_one_line() -> None:
    told = verdict(finding("build", "build", Severity.ERROR, message="one\n" + "two " * 90), status=Result.FAIL)
    assert '<p class="what">one</p>' in page.render(told, ASSIGNMENT.page)
    long = page.render(verdict(finding("build", "build", message="x" * 500), status=Result.FAIL), ASSIGNMENT.page)
    titles = re.findall(r'<p class="what">([^<]*)</p>', long)
    assert max(len(one) for one in titles) == 110


@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.text(st.characters(codec=None), min_size=1, max_size=40))
@example(HOSTILE)
def test_the_page_escapes_everything(raw: str) -> None:
    """Whatever text a submission brings, the page has the same tags as with plain text, and shows the text."""
    reader = read(clean(verdict(shown(raw), text=raw, status=Result.FAIL)))
    assert shape(reader) == plain_shape()
    assert visible(raw).split() == [] or visible(raw).split()[0] in reader.text
    assert "script" not in shape(reader)


def test_the_page_needs_nothing_else() -> None:
    reader = read(verdict())
    for tag, attributes in reader.tags:
        assert tag not in {"script", "link", "img", "iframe", "object", "base", "form"}
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "srcset")]
        assert attributes.get("href", "#") is None or str(attributes.get("href", "#")).startswith("#")
    assert "url(" not in page.render(verdict(), ASSIGNMENT.page)
    assert "default-src 'none'" in page.render(verdict(), ASSIGNMENT.page)


def test_each_sentence_that_is_named_is_there() -> None:
    html = page.render(verdict(), ASSIGNMENT.page)
    for id_ in re.findall(r'href="#requirement-([^"]+)"', html):
        assert f'id="requirement-{id_}"' in html


def test_the_summary_fits_a_screen() -> None:
    many = [finding("scenario", "behaviour", Severity.ERROR, message=HOSTILE * 9, where="x" * 300) for _ in range(200)]
    lines = list(text.summary(clean(verdict(*many, status=Result.FAIL, text=HOSTILE))))
    assert len(lines) <= 40
    assert all(len(line) <= text.WIDTH for line in lines[1:])
    assert all(line.isprintable() for line in lines)


def test_the_gravest_comes_first() -> None:
    found = [
        finding("a", "archive", Severity.NOTE),
        finding("b", "archive"),
        finding("c", "patches", Severity.ERROR),
        finding("d", "style"),
        finding("e", "build", Severity.ERROR),
    ]
    assert [one.check for one in order.ranked(found)] == ["c", "e", "b", "d"]


def test_what_says_the_same_is_told_once() -> None:
    found = [
        finding("scenario", "behaviour", Severity.ERROR, message=f"pfcall {number}: wanted '0', got 'ENOSYS'")
        for number in range(90)
    ]
    odd = finding("scenario", "behaviour", Severity.ERROR, message="faults: wanted 3, got 4")
    lines = list(text.summary(verdict(*found[:50], odd, *found[50:], status=Result.FAIL)))
    assert [line for line in lines if "the same cause" in line] == ["          and 89 more for the same cause"]
    assert any("wanted 3, got 4" in line for line in lines)


def test_the_headline() -> None:
    assert text.headline(verdict()) == "pass, 7 of 10"
    zero = verdict(finding("build", "build", Severity.ERROR), status=Result.FAIL)
    assert text.headline(zero) == "FAIL, 0 of 10"
    unknown = verdict(status=Result.ERROR, behaviour=Result.ERROR)
    assert text.headline(unknown) == "NOT ALL GRADED, 4 of 4 so far"
    assert text.headline(verdict(behaviour=Result.SKIP)) == "pass, 4 of 4 (10 with what was not asked for)"


def test_exit_statuses() -> None:
    for status, number in ((Result.PASS, 0), (Result.FAIL, 1), (Result.ERROR, 3)):
        assert verdict(status=status).exit_status == number


def test_junit(tmp_path: Path) -> None:
    found = [finding("build", "build", Severity.ERROR, message=HOSTILE), finding("checkpatch", "style")]
    junit.write(clean(verdict(*found, text="x", status=Result.FAIL, cost=Result.SKIP)), tmp_path / "j.xml")
    root = ET.parse(tmp_path / "j.xml").getroot()
    assert [suite.get("name") for suite in root] == [
        "1 archive", "2 patches", "3 style", "4 build", "5 behaviour", "6 robustness", "7 cost"
    ]  # fmt: skip
    assert (root.get("failures"), root.get("errors"), root.get("skipped")) == ("2", "0", "1")
    junit.write(verdict(status=Result.ERROR, build=Result.ERROR), tmp_path / "k.xml")
    assert ET.parse(tmp_path / "k.xml").getroot().get("errors") == "1"


# Pictures.

AREAS = (Vma(0x1000, 0x2000, 0), Vma(0x2000, 0x4000, 3), Vma(0x9000, 0xA000, 5))


def seen(*asked: tuple[int, int]) -> Info:
    info = Info(len(AREAS), 8, AREAS)
    for start, end in asked:
        info.at(start, end)
    return info


def test_a_picture_of_one_number() -> None:
    found = picture(seen((0x9000, 0xA000), (0x2000, 0x4000)), 7, 3, passed=False)
    assert found == Picture(AREAS, 8, (Vma(0x2000, 0x4000, 7),))


def test_a_total_is_no_area() -> None:
    assert picture(seen((0x2000, 0x4000)), 6, 8, passed=False) == Picture(AREAS, 8)


def test_a_picture_of_several() -> None:
    found = picture(seen((0x1000, 0x2000), (0x2000, 0x4000)), [1, 4], [0, 3], passed=False)
    assert found.expected == (Vma(0x1000, 0x2000, 1), Vma(0x2000, 0x4000, 4))


def test_a_picture_of_bounds() -> None:
    found = picture(seen(), ((0x1000, 0x2000), (0x5000, 0x6000)), (), passed=False)
    assert (found.listed, found.expected) == ((Vma(0x1000, 0x2000), Vma(0x5000, 0x6000)), ())


@pytest.mark.parametrize("wanted", [None, True, "0", [1, 2, 3], ["x"], ()])
def test_a_picture_that_knows_nothing_better(wanted: object) -> None:
    assert picture(seen((0x2000, 0x4000)), wanted, 3, passed=False) == Picture(AREAS, 8)


def test_a_picture_of_what_passed() -> None:
    found = picture(seen((0x2000, 0x4000), (0x2000, 0x4000)), None, None, passed=True)
    assert found.expected == (Vma(0x2000, 0x4000, 3),)


def test_the_drawing_shows_what_differs() -> None:
    made = drawing.columns(Picture(AREAS, 8, (Vma(0x2000, 0x4000, 7),), (Vma(0x1000, 0x2000), Vma(0x5000, 0x6000))))
    assert [(one.start, one.expected, one.found, one.wrong, one.gap) for one in made.columns] == [
        (0x1000, None, 0, False, False),
        (0x2000, 7, 3, True, False),
        (0x5000, None, None, True, True),
        (0x9000, None, 5, True, True),
    ]
    assert all(one.x + one.width <= after.x for one, after in zip(made.columns, made.columns[1:], strict=False))
    assert made.columns[-1].x + made.columns[-1].width == made.width


def test_a_drawing_of_too_many_has_what_is_wrong() -> None:
    many = tuple(Vma(0x1000 * number, 0x1000 * (number + 1), number % 3) for number in range(300))
    made = drawing.columns(Picture(many, 300, (Vma(0x1000 * 250, 0x1000 * 251, 9),)))
    assert made.left_out == 260
    assert [one.start for one in made.columns if one.wrong] == [0x1000 * 250]
