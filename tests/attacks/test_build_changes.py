"""Submissions that change how the kernel is built: what is refused, and what an honest submission may do."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import toytree
from attacks import toybuild
from attacks.catalogue import Attack, named
from attacks.mails import addition
from pfstat import ASSIGNMENT

from patchgen import pipeline, sandbox
from patchgen.base.resolve import Source
from patchgen.cache import Cache
from patchgen.errors import SubmissionError, UsageError
from patchgen.grading import grader, rubric
from patchgen.grading.builder import KernelBuilder
from patchgen.grading.context import Request
from patchgen.grading.model import Result
from patchgen.sandbox.handling import Handling
from patchgen.settings import Settings
from patchgen.submission import allowed, apply, patches
from patchgen.submission.allowed import Allowed
from patchgen.submission.apply import Applied

FORMS = "lines of a few forms only"
FILES = "files of a few kinds only"
MAKEFILE = toybuild.FILES["Makefile"].data.decode()
LIST = "core-y\t\t+= kernel/ fs/\n"
RULES = allowed.load(ASSIGNMENT)


def makefile(*lines: str) -> tuple[str, str, str]:
    """A Makefile of its own directory."""
    return "kernel/hidden/Makefile", "", "".join(f"{line}\n" for line in lines)


def kconfig(*lines: str) -> tuple[str, str, str]:
    before = 'config X86_32\n\tbool "32-bit"\n'
    return "arch/x86/Kconfig", before, before + "".join(f"{line}\n" for line in lines)


def edited(path: str, before: str, after: str) -> tuple[str, str, str]:
    return path, before, after


ATTACKS = (
    Attack(
        "the reference kernel as hex in CREDITS, unpacked by the Makefile",
        FORMS,
        edited("Makefile", MAKEFILE, MAKEFILE.replace("\t@echo map", "\t@xxd -r -p CREDITS > $(O)/bzImage; echo map")),
        "xxd",
    ),
    Attack("$(shell) in a list of objects", FORMS, makefile("obj-y += $(shell touch owned).o"), "shell"),
    Attack("backticks in a flag", FORMS, makefile("ccflags-y += -DX=`touch owned`"), "owned"),
    Attack("a shell's metacharacters in a flag", FORMS, makefile("ccflags-y += -DX=a;touch"), "touch"),
    Attack("a compiler plugin among the flags", FORMS, makefile("ccflags-y += -fplugin=kernel/x.o"), "plugin"),
    Attack("a file that is included by a flag", FORMS, makefile("CFLAGS_x.o += -include /etc/passwd"), "passwd"),
    Attack("headers from outside of the tree", FORMS, makefile("ccflags-y += -I/usr/include"), "/usr/include"),
    Attack("headers from a directory above", FORMS, makefile("ccflags-y += -I$(src)/../../../home"), "home"),
    Attack("an option of the assembler or linker", FORMS, makefile("ccflags-y += -Wa,--defsym,x=1"), "-Wa"),
    Attack("a Makefile that includes a file", FORMS, makefile("-include ../../CREDITS"), "include"),
    Attack("a rule with a recipe", FORMS, makefile("all: ; touch owned"), "touch"),
    Attack("a variable of several lines", FORMS, makefile("define cmd", "touch owned", "endef"), "define cmd"),
    Attack("a program for the machine that builds", FORMS, makefile("hostprogs-y := x.o"), "hostprogs"),
    Attack("an object from a directory above", FORMS, makefile("obj-y += ../../owned.o"), "owned"),
    Attack(
        "a command that a backslash hides in a comment's next line",
        FORMS,
        makefile("# harmless \\", "$(shell touch owned)"),
        "harmless",
    ),
    Attack(
        "two backslashes, that only look as if the comment went on",
        FORMS,
        makefile("# harmless \\\\", "$(shell touch owned)"),
        "owned",
    ),
    Attack("a comment that a recipe would expand", FORMS, makefile("\t# $(shell touch owned)"), "owned"),
    Attack("a carriage return in a comment", FORMS, makefile("# a\r$(shell touch owned)"), "owned"),
    Attack(
        "a line that is taken out of a Makefile",
        "nothing may go from a Makefile",
        edited("Makefile", MAKEFILE, MAKEFILE.replace("PHONY: tinyconfig olddefconfig bzImage\n", "")),
        "PHONY",
    ),
    Attack(
        "a backslash behind a line, that swallows the next one",
        FORMS,
        edited("Makefile", MAKEFILE, MAKEFILE.replace("NAME = Toy\n", "NAME = Toy \\\n")),
        "NAME",
    ),
    Attack(
        "a list that is longer by a command",
        FORMS,
        edited("kernel/Makefile", LIST, LIST.replace("fs/", "fs/ $(shell touch owned)")),
        "owned",
    ),
    Attack("a list that is shorter", FORMS, edited("kernel/Makefile", LIST, LIST.replace(" fs/", "")), "core-y"),
    Attack("a Kconfig that includes a file from elsewhere", FORMS, kconfig('source "/etc/passwd"'), "/etc/passwd"),
    Attack("a Kconfig that includes a text", FORMS, kconfig('source "Documentation/x.txt"'), "x.txt"),
    Attack("a Kconfig that reads the environment", FORMS, kconfig("\toption \\", '\tenv="HOME"'), "option"),
    Attack("an option whose value is an environment variable", FORMS, kconfig('\toption env="HOME"'), "HOME"),
    Attack(
        "an option whose value is a command for make",
        FORMS,
        kconfig("config PF", "\tstring", '\tdefault "$(shell id)"'),
        "shell",
    ),
    Attack(
        "a cross compiler that is a shell script",
        FORMS,
        kconfig("config CROSS_COMPILE", "\tstring", '\tdefault "sh kernel/x.c "'),
        "sh kernel",
    ),
    Attack("a script of the build", FILES, edited("scripts/run.sh", "#!/bin/sh\n", "#!/bin/sh\nid\n"), ""),
    Attack("a host program of the build", FILES, edited("scripts/kconfig/conf.c", "", "int x;\n"), ""),
    Attack("the program that puts the bzImage together", FILES, edited("arch/x86/boot/tools/build.c", "", "x\n"), ""),
    Attack("a linker script that links another file", FILES, edited("arch/x86/kernel/vmlinux.lds.S", "", "x\n"), ""),
    Attack("a header of a host program", FILES, edited("arch/x86/include/asm/cpufeatures.h", "", "x\n"), ""),
    Attack("an object that is shipped in text", FILES, edited("kernel/x.o_shipped", "", "x\n"), ""),
    Attack("a file with commands that kbuild reads", FILES, edited("kernel/.x.o.cmd", "", "x\n"), ""),
    Attack("a Makefile in another name", FILES, edited("arch/x86/Makefile_32.cpu", "", "x\n"), ""),
    Attack("a Makefile of the documentation", FILES, edited("Documentation/x/Makefile", "", "obj-y := x.o\n"), ""),
    Attack("bytes of another file in an object", FORMS, edited("kernel/x.S", "", '.incbin "CREDITS"\n'), "incbin"),
    Attack("a host file that C includes", FORMS, edited("kernel/x.c", "", '#include "/etc/passwd"\n'), "passwd"),
    Attack(
        "a line in the table of system calls that is none",
        FORMS,
        edited("arch/x86/entry/syscalls/syscall_32.tbl", "0\ti386\ta\tsys_a\n", "0\ti386\ta\tsys_a\n1 `id`\n"),
        "`id`",
    ),
)


@pytest.fixture
def origin(tmp_path: Path, cache: Cache) -> Source:
    return toybuild.origin(tmp_path, cache)


def looked_at(rules: Allowed, *files: tuple[str, str, str]) -> list[allowed.Change]:
    """Return what is found in patches that make these files of what they were before."""
    steps, mails = [], []
    base: dict[str, bytes] = {}
    for number, (path, before, after) in enumerate(files):
        mails.append(patches.PatchFile(f"{number:04}-a.patch", b"", "", "", "", "", ()))
        base |= {path: before.encode()} if before and path not in base else {}
        steps.append({path: apply.Row("M", "100644", after.encode())})
    return allowed.changes(rules, mails, Applied((), {}, "", base, tuple(steps)))


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_what_changes_the_build_is_found(attack: Attack) -> None:
    found = looked_at(RULES, attack.means)
    assert {one.path for one in found} == {attack.means[0]}
    assert any(attack.said in one.line for one in found)


HONEST = (
    edited("kernel/Makefile", "obj-y = a.o \\\n\tb.o\n\nall: ; x\n", "obj-y = a.o \\\n\tb.o pf.o\n\nall: ; x\n"),
    edited("kernel/Makefile", "obj-y = a.o b.o\n", "obj-y = a.o b.o \\\n\tpf.o\n"),
    edited("kernel/Makefile", "obj-y = a.o\nx: y\n", "obj-y = a.o\nobj-$(CONFIG_PF) += pf.o # ours\nx: y\n"),
    edited("kernel/Makefile", "\n# old\nobj-y = a.o\n", "obj-y = a.o\n# new\n\n"),
    edited("Makefile", "core-y := usr/\ncore-y\t\t+= a/ b/\n", "core-y := usr/\ncore-y\t\t+= a/ b/ pf/\n"),
    edited("Makefile", "core-y := usr/\nx: y\n", "core-y := usr/\ncore-y += pf/\nx: y\n"),
    makefile("# SPDX", "obj-y := pf.o", "pf-objs := a.o b.o", "obj-m += x/"),
    makefile("ccflags-y += -I$(src)/include -DDEBUG -DX=1 -Wall -Wno-unused", "CFLAGS_pf.o := -Iinclude/pf"),
    edited("include/uapi/linux/Kbuild", "", "header-y += pf_stat.h\n"),
    kconfig("config PF", '\tbool "Count faults"', "\tdefault y if X86", "\thelp", "\t  It's counted; see x."),
    kconfig('source "kernel/pf/Kconfig"'),
    edited("arch/x86/entry/syscalls/syscall_32.tbl", "0\ti386\ta\tsys_a\n", "0\ti386\ta\tsys_a\n385 i386 p sys_p\n"),
    edited("scripts/checksyscalls.sh", "#!/bin/sh\n", "#!/bin/sh\n#define __IGNORE_pf_cleanup\n"),
    edited("mm/memory.c", "int x;\n", '#include "../internal.h"\nint x = sizeof(struct a){ .b = 1 };\n'),
    edited("MAINTAINERS", "a\n", "a\n$(shell touch x)\n"),
    edited("kernel/pf.c.orig", "", "x\n"),
    edited("Documentation/pf.txt", "", "x\n"),
)


@pytest.mark.parametrize("change", HONEST, ids=lambda change: change[0])
def test_what_an_honest_submission_does_is_none(change: tuple[str, str, str]) -> None:
    assert looked_at(RULES, change) == []


def test_every_patch_counts_and_its_own_lines_may_go_again() -> None:
    path, _, evil = makefile("obj-y += $(shell touch owned).o")
    found = looked_at(RULES, (path, "", evil), (path, "", "obj-y += pf.o\n"), (path, "", evil), (path, "", "\n"))
    assert [(one.patch, one.what) for one in found] == [("0000-a.patch", "added")], "told once, although it goes again"


def test_rules_that_make_no_sense(tmp_path: Path) -> None:
    (tmp_path / "allowed.toml").write_text('allowed = []\nforbidden = []\n[[lines]]\nfiles = ["a"]\nadded = ["("]\n')
    with pytest.raises(UsageError, match=r"lines\.0\.added: '\(' is no regular expression"):
        allowed.load(dataclasses.replace(ASSIGNMENT, directory=tmp_path))


def handed_in(place: Path) -> Path:
    return toytree.tarball(place / "patch.tar.gz", [toytree.member("patch/0001-a.patch", addition(*ATTACKS[0].means))])


def test_it_is_built_only_if_the_user_has_looked(tmp_path: Path, cache: Cache, origin: Source) -> None:
    project = pipeline.open_project(Settings(cache=cache.root), {})
    given = handed_in(tmp_path)
    with pytest.raises(SubmissionError, match="changes how the kernel is built") as caught:
        pipeline.tree_under_test(project, origin, given, Handling(None, may_change_build=False))
    assert "xxd" in caught.value.evidence
    assert "--allow-build-changes" in caught.value.hint
    assert pipeline.tree_under_test(project, origin, given, Handling(None, may_change_build=True))[1] == "submission"


@pytest.mark.skipif(bool(sandbox.why_not()), reason=f"no sandbox here: {sandbox.why_not()}")
@pytest.mark.parametrize("allow", [False, True])
def test_a_verdict_stops_before_the_build(tmp_path: Path, cache: Cache, origin: Source, allow: bool) -> None:
    project = pipeline.open_project(Settings(cache=cache.root), {})
    given = handed_in(tmp_path)
    request = Request(given, rubric.load(ASSIGNMENT), frozenset({4} if not allow else {2}), allow_build_changes=allow)
    found = grader.grade(request, KernelBuilder(project, origin, "submission"))
    changes = [one for one in found.findings if one.check == "build-changes"]
    assert "xxd" in changes[0].evidence
    if allow:
        assert {one.severity for one in changes} == {"note"}
    else:
        build = found.stages[3]
        assert (build.status, "--allow-build-changes" in build.why) == (Result.BLOCKED, True)
        assert found.status is Result.FAIL
