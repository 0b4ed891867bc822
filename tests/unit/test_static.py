"""What static analysis says, and what of it is new."""

from __future__ import annotations

from patchgen.checks import static
from patchgen.checks.static import Diagnostic, ToolResult
from patchgen.kernel.warnings import tree_path

LOG = """\
  CHECK   ../src/fs/exec.c
../src/fs/exec.c:62:13: warning: symbol 'x' was not declared. Should it be static?
/c/v1/work/1dc1-af/series/src/arch/x86/mm/pf_stat.c:94:23: warning: context imbalance in 'f' - wrong count at exit
  CC      fs/exec.o
../src/fs/exec.c: In function 'g':
../src/fs/exec.c:70:2: note: here
../src/include/linux/rcu.h:9:1: error: undefined identifier
"""


def test_warnings_and_errors_of_a_log() -> None:
    assert static.parse(LOG, tree_path) == {
        Diagnostic("fs/exec.c", 62, "warning: symbol 'x' was not declared. Should it be static?"),
        Diagnostic("arch/x86/mm/pf_stat.c", 94, "warning: context imbalance in 'f' - wrong count at exit"),
        Diagnostic("include/linux/rcu.h", 9, "error: undefined identifier"),
    }


def test_reports_of_semantic_patches_have_no_level() -> None:
    line = "fs/exec.c:12:1-10: WARNING: opportunity for kmemdup"
    assert static.parse(line, tree_path, all_lines=True) == {
        Diagnostic("fs/exec.c", 12, "WARNING: opportunity for kmemdup")
    }


def test_only_what_the_base_does_not_have_is_new() -> None:
    before = {Diagnostic("a.c", 10, "w"), Diagnostic("a.c", 90, "v")}
    moved = {Diagnostic("a.c", 12, "w"), Diagnostic("a.c", 93, "v")}
    assert static.new(before, moved) == []
    assert static.new(before, {*moved, Diagnostic("b.c", 12, "w")}) == [Diagnostic("b.c", 12, "w")]


def test_a_second_one_of_a_kind_is_new() -> None:
    before = {Diagnostic("a.c", 10, "w")}
    assert static.new(before, {Diagnostic("a.c", 10, "w"), Diagnostic("a.c", 20, "w")}) == [Diagnostic("a.c", 20, "w")]


def test_a_part_that_is_silent_on_one_tree_says_nothing_about_the_other() -> None:
    said = {"a": {Diagnostic("x.c", 1, "warning: a")}, "b": {Diagnostic("x.c", 2, "warning: b")}}
    assert ToolResult(said, "2 files").without({"b"}) == said["a"]
    assert ToolResult(said, "2 files").without(()) == said["a"] | said["b"]
