"""Scenarios in C: what their source declares, and KTAP as programs print it and dying kernels leave it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchgen.testing import ktap
from patchgen.testing.ktap import Declared, Document, Result, Status

WHOLE = """\
KTAP version 1
1..2
    KTAP version 1
    # Subtest: first
    # it begins
    ok 1 - 3.1-1 L2: kvs_insert
    # got -14, expected -1
    not ok 2 - L1: and is -1
    # afterwards
not ok 1 - first
    KTAP version 1
    # Subtest: second
    1..2
    ok 1 - S5: once
    ok 2 - 3.2-1: the rest # SKIP blocked
ok 2 - second
"""


def only(text: str) -> Result:
    document = ktap.parse(text)
    assert len(document.results) == 1
    return document.results[0]


def nested(lines: str, result: str = "ok 1 - a") -> str:
    inner = "".join(f"    {line}\n" for line in lines.splitlines())
    return f"KTAP version 1\n1..1\n    KTAP version 1\n    # Subtest: a\n{inner}{result}\n"


# --- what is printed ---------------------------------------------------------------------------------------------


def test_a_whole_document() -> None:
    document = ktap.parse(WHOLE)
    first, second = document.results
    assert document.problems == ()
    assert document.status is Status.FAIL
    assert (first.number, first.status, first.description, first.problems) == (1, Status.FAIL, "first", ())
    assert first.diagnostics == ("afterwards",)
    assert first.children == (
        Result(1, Status.PASS, "3.1-1 L2: kvs_insert", diagnostics=("it begins",)),
        Result(2, Status.FAIL, "L1: and is -1", diagnostics=("got -14, expected -1",)),
    )
    assert [one.status for one in second.children] == [Status.PASS, Status.SKIP]
    assert second.children[1].reason == "blocked"
    assert second.status is Status.PASS
    assert document.find("second") is second
    assert document.find("third") is None
    assert [one.number for one in ktap.leaves(first)] == [1, 2]


def test_requirements_are_what_comes_before_a_colon() -> None:
    wanted = {
        "3.1-1 L2: kvs_insert": ("3.1-1", "L2"),
        "2.2-10: a: b": ("2.2-10",),
        "kvs_insert: it": (),
        "S5": (),
        "S5 : x": ("S5",),
        ": x": (),
        "1" * 200 + ": x": (),
    }
    for description, ids in wanted.items():
        one = Result(1, Status.PASS, description)
        assert one.requirements == ids
        assert one.text == (description.split(": ", 1)[1] if ids else description)


def test_all_skipped_is_skipped() -> None:
    document = ktap.parse("KTAP version 1\n1..1\nok 1 - a # SKIP no FAILSLAB\n")
    assert (document.status, document.results[0].reason) == (Status.SKIP, "no FAILSLAB")


@pytest.mark.parametrize(
    ("line", "status", "description", "reason"),
    [
        ("ok 1", Status.PASS, "", ""),
        ("ok 1 a b", Status.PASS, "a b", ""),
        ("ok 1 - a # skip", Status.SKIP, "a", ""),
        ("not ok 1 - a # SKIP why", Status.SKIP, "a", "why"),
        ("ok 1 - a # SKIPPED", Status.PASS, "a", "SKIPPED"),
        ("not ok 1 - a # TIMEOUT 30 seconds", Status.FAIL, "a", "TIMEOUT 30 seconds"),
        ("ok 1 check return code # rcode=0", Status.PASS, "check return code", "rcode=0"),
        ("not ok 1 - a # TODO", Status.FAIL, "a", "TODO"),
    ],
)
def test_result_lines(line: str, status: Status, description: str, reason: str) -> None:
    one = only(f"TAP version 14\n1..1\n{line}\n")
    assert (one.status, one.description, one.reason) == (status, description, reason)


def test_the_example_of_the_kernels_documentation() -> None:
    text = """\
KTAP version 1
1..1
  KTAP version 1
  1..3
    KTAP version 1
    1..1
    # test_1: initializing test_1
    ok 1 test_1
  ok 1 example_test_1
    KTAP version 1
    1..2
    ok 1 test_1 # SKIP test_1 skipped
    ok 2 test_2
  ok 2 example_test_2
    KTAP version 1
    1..3
    ok 1 test_1
    # test_2: FAIL
    not ok 2 test_2
    ok 3 test_3 # SKIP test_3 skipped
  not ok 3 example_test_3
not ok 1 main_test
"""
    document = ktap.parse(text)
    main = document.results[0]
    assert document.problems == main.problems == ()
    assert [one.status for one in main.children] == [Status.PASS, Status.PASS, Status.FAIL]
    assert [len(one.children) for one in main.children] == [1, 2, 3]
    assert main.children[2].children[1].diagnostics == ("test_2: FAIL",)


# --- what is not as it should be ---------------------------------------------------------------------------------


def test_no_output_at_all() -> None:
    for text in ("", "\n\n", "Segmentation fault\n", "ok 1 - a\n"):
        document = ktap.parse(text)
        assert document.status is Status.FAIL
        assert document.results == ()
        assert document.problems == ("no line that says KTAP version 1",)
    assert ktap.parse("usage: PROGRAM\n").diagnostics == ("usage: PROGRAM",)


def test_no_plan() -> None:
    document = ktap.parse("KTAP version 1\nok 1 - a\n")
    assert (document.status, document.problems) == (Status.FAIL, ("no plan",))


@pytest.mark.parametrize(("plan", "came"), [("1..2", 1), ("1..0", 1), ("1..999999999", 1)])
def test_another_number_than_planned(plan: str, came: int) -> None:
    document = ktap.parse(f"KTAP version 1\n{plan}\nok 1 - a\n")
    assert document.status is Status.FAIL
    assert document.problems == (f"{plan[3:]} results were planned and {came} came",)


def test_numbers_out_of_order() -> None:
    document = ktap.parse("KTAP version 1\n1..3\nok 1 - a\nok 3 - b\nok 2 - c\n")
    assert document.problems == ("result 3 where 2 was due", "result 2 where 3 was due")
    assert document.status is Status.FAIL
    one = only(nested("ok 2 - x"))
    assert one.status is Status.FAIL
    assert one.problems[0] == "result 2 where 1 was due"


def test_a_plan_of_subtests_that_is_not_kept() -> None:
    one = only(nested("1..3\nok 1 - x"))
    assert one.status is Status.FAIL
    assert one.problems[0] == "3 results were planned and 1 came"


def test_two_plans_and_two_version_lines() -> None:
    assert "a second plan" in ktap.parse("KTAP version 1\n1..1\n1..1\nok 1 - a\n").problems
    assert "a second version line" in ktap.parse("KTAP version 1\n1..1\nKTAP version 1\nok 1 - a\n").problems


@pytest.mark.parametrize("lines", range(2, 8))
def test_output_that_was_cut_off(lines: int) -> None:
    cut = "\n".join(nested("# before\nok 1 - S1: x\nnot ok 2 - S2: y").splitlines()[:lines])
    document = ktap.parse(cut)
    assert document.status is Status.FAIL
    if lines < 3:
        assert document.results == ()
        return
    [one] = document.results
    assert (one.status, one.description) == (Status.FAIL, "a" if lines > 3 else "")
    assert one.problems == ("the output ends before its result",)
    assert len(one.children) == max(0, lines - 5)


def test_output_that_was_cut_off_within_a_line() -> None:
    one = only(nested("ok 1 - S1: x").removesuffix("k 1 - a\n"))
    assert (one.status, one.problems[-1]) == (Status.FAIL, "the output ends before its result")
    assert one.diagnostics[-1] == "o"


def test_a_result_that_hides_a_failure() -> None:
    one = only(nested("ok 1 - x\nnot ok 2 - y"))
    assert one.status is Status.FAIL
    assert one.problems == ("it says ok, and something in it has failed",)
    hidden = only(nested("not ok 1 - y", "ok 1 - a # SKIP"))
    assert hidden.status is Status.FAIL


def test_a_result_of_another_test_and_of_an_empty_one() -> None:
    assert "the result is not that of a" in only(nested("ok 1 - x", "ok 1 - b")).problems
    assert "there is no result in it" in only(nested("# nothing")).problems
    assert only(nested("# nothing")).status is Status.FAIL


def test_an_inner_test_without_its_result() -> None:
    one = only(nested("    KTAP version 1\n    # Subtest: inner\n    ok 1 - x"))
    assert one.status is Status.FAIL
    [inner] = one.children
    assert (inner.description, inner.status) == ("inner", Status.FAIL)


def test_bail_out_ends_it() -> None:
    document = ktap.parse("KTAP version 1\n1..2\nok 1 - a\nBail out! no memory\nok 2 - b\n")
    assert (document.bail_out, len(document.results), document.status) == ("no memory", 1, Status.FAIL)
    silent = ktap.parse("KTAP version 1\n1..1\nok 1 - a\nBail out!\n")
    assert (silent.bail_out, silent.status) == ("", Status.FAIL)


def test_what_is_neither_is_a_diagnostic() -> None:
    document = ktap.parse("hello\nKTAP version 1\n1..1\nkernel said something\nokay 1 - a\nok one\nok 1 - a\n1..x\n")
    assert document.status is Status.PASS
    assert document.diagnostics == ("hello", "1..x")
    assert document.results[0].diagnostics == ("kernel said something", "okay 1 - a", "ok one")


def test_characters_that_do_not_print_are_spelled_out() -> None:
    one = only("KTAP version 1\r\n1..1\r\n# \x1b[2J\x00\x07\u202e\rok\r\nok 1 - a\x1b]0;x\x07\n")
    assert one.description == r"a\x1b]0;x\x07"
    assert one.diagnostics == (r"\x1b[2J\x00\x07\u202e\x0dok",)


def test_long_lines_are_cut() -> None:
    million = "x" * (1 << 20)
    one = only(f"KTAP version 1\n1..1\n# {million}\nok 1 - {million}\n")
    assert one.status is Status.PASS
    assert len(one.description) < 2100
    assert len(one.diagnostics[0]) < 2100


@pytest.mark.parametrize(
    "line", ["# note", "    ok 1 - x", "ok 1 - a", "1..1", "KTAP version 1", "\t", "#", "ok 1 - " + " " * 1990]
)
def test_a_flood_takes_time_by_its_size_and_is_kept_small(line: str) -> None:
    def seconds(lines: int) -> tuple[float, ktap.Document]:
        text = "KTAP version 1\n1..1\n" + f"{line}\n" * lines
        begin = time.process_time()  # whatever else the machine does
        parsed = ktap.parse(text)
        return time.process_time() - begin, parsed

    few, _ = seconds(30_000)
    many, document = seconds(120_000)
    assert many < 10 * few + 0.2, "four times as much takes four times as long, not sixteen"
    assert document.status is Status.FAIL
    assert "more than 20000 lines" in document.problems
    assert len(document.problems) <= 21
    assert len(document.diagnostics) <= 200


def test_tests_that_are_nested_too_deep() -> None:
    text = "KTAP version 1\n1..1\n" + "".join(f"{'  ' * depth}KTAP version 1\n" for depth in range(1, 1000))
    document = ktap.parse(text)
    assert "tests are nested more than 8 deep" in document.problems
    assert document.status is Status.FAIL


LINES = st.sampled_from(
    [
        "KTAP version 1",
        "1..1",
        "1..2",
        "ok 1 - a",
        "not ok 2 - b",
        "ok 1 - a # SKIP",
        "# Subtest: a",
        "# x",
        "Bail out!",
    ]
)


@given(st.lists(st.tuples(st.integers(0, 3), LINES | st.text(max_size=8)), max_size=25))
def test_whatever_comes_a_tree_comes_of_it(lines: list[tuple[int, str]]) -> None:
    document = ktap.parse("\n".join("  " * indent + line for indent, line in lines))

    def check(one: Result) -> None:
        assert one.status is Status.FAIL or all(child.status is not Status.FAIL for child in one.children)
        for child in one.children:
            check(child)

    for one in document.results:
        check(one)
    if any(one.status is Status.FAIL for one in document.results):
        assert document.status is Status.FAIL


def test_nothing_is_no_success() -> None:
    assert Document(()).status is Status.FAIL
    assert ktap.parse("KTAP version 1\n1..0\n").status is Status.FAIL


# --- what the source declares ------------------------------------------------------------------------------------

SOURCE = """
#include "ktap.h"
/* SCENARIO(not_one, "S1", "a comment") */
SCENARIO(first, "3.1-1 L2", "It says \\"hello\\"")
{
  SCENARIO_IS_NO_MATTER(1);
}

SCENARIO_CPUS(2, second_one, "S5",
  "It is long")
{
}
"""


def test_scenarios_are_found_in_the_source() -> None:
    assert ktap.declared(SOURCE) == (
        Declared("first", ("3.1-1", "L2"), 'It says "hello"', 1),
        Declared("second_one", ("S5",), "It is long", 2),
    )
    assert ktap.declared("int main(void) { return 0; }\n") == ()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('\nSCENARIO(Name, "S1", "a")\n', "line 2: not of the form"),
        ('SCENARIO(name, IDS, "a")\n', "line 1: not of the form"),
        ('SCENARIO(name, "S1")\n', "line 1: not of the form"),
        ('SCENARIO(name, "S1", "")\n', "line 1: not of the form"),
        ('SCENARIO_CPUS(0, name, "S1", "a")\n', "line 1: not of the form"),
        ('SCENARIO(name, " ", "a")\n', "name stands for no requirement"),
        ('SCENARIO(name, "S1", "a")\nSCENARIO(name, "S2", "b")\n', "two scenarios are called name"),
    ],
)
def test_a_declaration_that_is_wrong(source: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ktap.declared(source)
