"""Scenarios in C, compiled and run on this machine's kernel: what ktap.h prints is what the parser reads."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from patchgen import resources
from patchgen.cache import Cache
from patchgen.guest import programs
from patchgen.testing import ktap
from patchgen.testing.ktap import Document, Result, Status

SCENARIOS = sorted((resources.TEMPLATES / "kvs" / "scenarios").glob("*.c"))
# Numbers of no call, on any kernel.
NO_CALLS = {"KVS_NR_INSERT": "9385", "KVS_NR_SEARCH": "9386", "KVS_NR_DELETE": "9387"}

TOY = r"""
#include "nolibc.h"
#include "ktap.h"

SCENARIO(passes, "1-1 L2", "It passes")
{
    EXPECT(1, "1-1", "%d, %u, 0x%x, %s and %%", -5, 4294967295U, 0xbeefU, "text");
    EXPECT_EQ(2, 2, "L2", "two");
    NEED_BYTES("abc", "abc", 3, "L2", "three");
}

SCENARIO(fails, "1-2", "It fails")
{
    EXPECT_EQ(-7, 1 - 3, "1-2", "a number");
    EXPECT_RET(-14, -1, "1-2", "a result");
    EXPECT_BYTES("abcd", "abXd", 4, "1-2", "bytes");
    NOTE("as %s", "noted");
    EXPECT(0, "1-2 1-3", "it goes on");
    EXPECT(1, "1-3", "to its end");
}

static void deep(void)
{
    NEED(0, "1-4", "the set-up");
}

SCENARIO(is_blocked, "1-5 1-6", "It needs what is not there")
{
    deep();
    EXPECT(0, "1-5", "never");
}

SCENARIO(is_skipped, "1-7", "It cannot be run")
{
    SKIP("there is no %s", "reason");
}

SCENARIO(fails_and_is_skipped, "1-7", "It has failed before it could not go on")
{
    EXPECT(0, "1-7", "this");
    SKIP("the rest");
}

SCENARIO_CPUS(2, crashes, "1-8", "It is ended by a signal")
{
    EXPECT(1, "1-8", "before");
    __builtin_trap();
}

SCENARIO(checks_nothing, "1-9", "It has no check")
{
}

SCENARIO(is_long, "2-1", "Its line is cut")
{
    static char text[2000];

    memset(text, 'x', sizeof(text) - 1);
    EXPECT(1, "2-1", "%s", text);
}
"""


def run(program: Path, *words: str) -> tuple[Document, int]:
    ended = subprocess.run([program, *words], check=False, capture_output=True, timeout=60)
    return ktap.parse(ended.stdout.decode()), ended.returncode


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("toy")
    (directory / "toy.c").write_text(TOY)
    return programs.build(Cache(directory), programs.Recipe(directory / "toy.c", "bare"))


def one(toy: Path, name: str) -> tuple[Result, int]:
    document, status = run(toy, name)
    assert document.problems == ()
    assert [result.description for result in document.results] == [name]
    return document.results[0], status


def test_one_that_passes(toy: Path) -> None:
    result, status = one(toy, "passes")
    assert (result.status, status) == (Status.PASS, 0)
    assert result.children[0].text == "-5, 4294967295, 0xbeef, text and %"
    assert [child.requirements for child in result.children] == [("1-1",), ("L2",), ("L2",)]


def test_one_that_fails(toy: Path) -> None:
    result, status = one(toy, "fails")
    assert (result.status, status) == (Status.FAIL, 1)
    assert [child.status is Status.FAIL for child in result.children] == [True, True, True, True, False]
    assert [child.diagnostics for child in result.children] == [
        ("got -7, expected -2",),
        ("got -14 (EFAULT), expected -1 (EPERM)",),
        ("byte 2 of 4: got 0x63, expected 0x58",),
        ("as noted",),
        (),
    ]
    assert result.children[3].requirements == ("1-2", "1-3")


def test_one_whose_set_up_fails_is_blocked(toy: Path) -> None:
    result, status = one(toy, "is_blocked")
    assert (result.status, status) == (Status.FAIL, 1)
    failed, blocked = result.children
    assert (failed.status, failed.requirements) == (Status.FAIL, ("1-4",))
    assert (blocked.status, blocked.requirements, blocked.reason) == (Status.SKIP, ("1-5", "1-6"), "blocked")


def test_one_that_is_skipped(toy: Path) -> None:
    result, status = one(toy, "is_skipped")
    assert (result.status, status) == (Status.SKIP, 0)
    assert result.children[0].reason == "there is no reason"
    assert one(toy, "fails_and_is_skipped")[0].status is Status.FAIL


def test_one_that_crashes_or_checks_nothing(toy: Path) -> None:
    result, status = one(toy, "crashes")
    assert (result.status, status) == (Status.FAIL, 1)
    assert result.diagnostics == ("ended by signal 4",)
    assert [child.status for child in result.children] == [Status.PASS]
    result, status = one(toy, "checks_nothing")
    assert (result.status, status, result.children) == (Status.FAIL, 1, ())


def test_all_in_the_order_of_the_source(toy: Path) -> None:
    document, status = run(toy)
    assert (document.status, status, document.problems) == (Status.FAIL, 1, ())
    assert [result.description for result in document.results] == [found.name for found in ktap.declared(TOY)]
    assert [result.status.value for result in document.results] == [
        *("pass", "fail", "fail", "skip", "fail", "fail", "fail", "pass")
    ]


def test_a_name_that_is_not_there(toy: Path) -> None:
    ended = subprocess.run([toy, "nothing"], check=False, capture_output=True)
    assert (ended.returncode, ended.stdout) == (2, b"")


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: str(path.stem))
def test_each_scenario_of_kvs_fails_where_there_are_no_calls(path: Path, tmp_path: Path) -> None:
    program = programs.build(
        Cache(tmp_path), programs.Recipe(path, "bare", headers=path.parents[1] / "guest"), NO_CALLS
    )
    document, status = run(program)
    assert (status, document.problems) == (1, ())
    assert [result.description for result in document.results] == [one.name for one in ktap.declared(path.read_text())]
    for result in document.results:
        assert result.status is Status.FAIL
        assert result.problems == ()
        assert all(leaf.requirements for leaf in ktap.leaves(result))
        assert any("ENOSYS" in said for leaf in ktap.leaves(result) for said in leaf.diagnostics)
