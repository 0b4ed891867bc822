"""Objects that a submission leaves as they are although it changes a header: which texts count as the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from patchgen.kernel import unchanged

SCRIPT = [sys.executable, "-IS", unchanged.__file__]
CALL = "asmlinkage long sys_new(const char __user *name, size_t len);"
ON_I386 = CALL.replace("asmlinkage", "__attribute__((regparm(0)))").replace("__user ", "")
BASE = """\
struct page;
long sys_old(int fd);
int main(void) { return sys_old(3); }
"""


@pytest.mark.parametrize(
    ("added", "names"),
    [
        (CALL, {"sys_new"}),
        (f"/* A call; of our own */\n{CALL}\n\n", {"sys_new"}),
        ("extern unsigned long *more(struct new *one,\n\t\t\tint two[3]);\nstruct new;", {"more", "new"}),
        ("#define NEW 1\n#ifdef CONFIG_NEW\nlong other(void);\n#endif\n", {"other"}),
        ("", set()),
        ("struct new { int a; };", None),
        ("static inline int f(void) { return 1; }", None),
        ("int variable;", None),
        ("#include <linux/new.h>", None),
        ('long other(void) __attribute__((alias("x")));', None),
        ('long other(void) __asm__("memcpy");', None),
        ("long other(void); int variable;", None),
        ("// " + "x" * 5000, None),
        ("".join(f"long f{number}(void);" for number in range(40)), None),
    ],
)
def test_what_a_header_declares(added: str, names: set[str] | None) -> None:
    assert unchanged.declared(added) == names


def with_lines(lines: str) -> bytes:
    return BASE.replace("long sys_old", f"{lines}long sys_old").encode()


@pytest.mark.parametrize("lines", [f"{ON_I386}\n", "struct new;\nlong sys_new(struct new *one,\n\tint two);\n"])
def test_what_is_declared_and_not_used_does_not_count(lines: str) -> None:
    assert unchanged.normal(with_lines(lines), {"sys_new", "new"}) == unchanged.normal(BASE.encode(), ())


@pytest.mark.parametrize(
    "lines",
    [
        f"{ON_I386}\nlong (*f)(const char *, size_t) = sys_new;\n",
        "long sys_new(void) { return 1; }\n",
        'extern typeof(sys_old) sys_new __attribute__((alias("sys_old")));\n',
        'long sys_new(void) __asm__("sys_old");\n',
        "#pragma pack(1)\nlong sys_new(void);\n",
        "int sys_new;\n",
        "long unheard_of(void);\n",
    ],
)
def test_everything_else_counts(lines: str) -> None:
    assert unchanged.normal(with_lines(lines), {"sys_new", "new"}) != unchanged.normal(BASE.encode(), ())


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """Return a directory in which an object was built as kbuild does it, and its text noted."""
    (tmp_path / "ccache").write_text(unchanged.COMPILE)
    (tmp_path / "ccache").chmod(0o755)
    (tmp_path / "a.h").write_text("long sys_old(int fd);\n")
    (tmp_path / "a.c").write_text('#include "a.h"\nint main(void) { return sys_old(3); }\n')
    compile_it(tmp_path)
    command = " ".join(["ccache", *words()])
    includes = "deps_a.o := \\\n  ../src/include/linux/a.h \\\n  a.c\n"
    (tmp_path / ".a.o.cmd").write_text(f"cmd_a.o := {command}\n\n{includes}")
    subprocess.run([*SCRIPT, unchanged.RECORD, "include/linux/a.h"], cwd=tmp_path, check=True)
    return tmp_path


def environment(**env: str) -> dict[str, str]:
    """Return the environment of make in a sandbox."""
    return {"PATH": os.environ["PATH"], "UNCHANGED": " ".join(SCRIPT), **env}


def words(*options: str) -> list[str]:
    return ["gcc", "-O2", *options, "-c", "-o", "a.o", "a.c"]


def compile_it(place: Path, *options: str, **env: str) -> bool:
    """Compile as make does in a sandbox, and return whether the compiler has made another object."""
    before = (place / "a.o").stat() if (place / "a.o").exists() else None
    subprocess.run([place / "ccache", *words(*options)], cwd=place, check=True, env=environment(**env))
    after = (place / "a.o").stat()
    assert before is None or after.st_mtime_ns > before.st_mtime_ns
    return before is None or after.st_ino != before.st_ino or after.st_size != before.st_size


def mark(place: Path) -> None:
    """Make the object one that can be told from what the compiler makes."""
    with (place / "a.o").open("ab") as file:
        file.write(b"kept")


def test_the_object_stays(built: Path) -> None:
    mark(built)
    (built / "a.h").write_text("/* Calls */\nlong sys_old(int fd);\nlong sys_new(void);\n")
    assert not compile_it(built, **{unchanged.NAMES: "sys_new"})
    assert (built / "a.o").read_bytes().endswith(b"kept")


@pytest.mark.parametrize("change", ["text", "command", "header", "nothing noted"])
def test_the_object_is_made_anew(built: Path, change: str) -> None:
    mark(built)
    options = []
    if change == "text":
        (built / "a.h").write_text("#define sys_old(fd) (fd)\n")
    elif change == "command":
        options = ["-Os"]
    elif change == "header":
        headers = environment(**{unchanged.HEADERS: "include/linux/b.h include/linux/a.h"})
        subprocess.run([*SCRIPT, unchanged.FORGET], cwd=built, check=True, env=headers)
    else:
        Path(built / unchanged.kept("a.o")).unlink()
    assert compile_it(built, *options)
    assert not (built / "a.o").read_bytes().endswith(b"kept")
    assert (built / unchanged.kept("a.o")).exists() == (change in ("text", "command"))


def test_what_was_made_anew_stays_the_next_time(built: Path) -> None:
    (built / "a.h").write_text("#define sys_old(fd) (fd)\n")
    assert compile_it(built)
    mark(built)
    assert not compile_it(built)


def test_the_compiler_speaks_as_it_does_without_it(built: Path) -> None:
    """Python brings a locale of its own, in which gcc has other quotes: each warning of the base would be a new one."""
    (built / "a.h").write_text("long sys_old(int fd);\nstatic int unused;\n")
    said = [
        subprocess.run([*before, *words("-Wall")], cwd=built, capture_output=True, check=True, env=environment()).stderr
        for before in ([], [str(built / "ccache")])
    ]
    assert b"unused" in said[0]
    assert said[0] == said[1]


def test_an_error_is_the_compilers(built: Path) -> None:
    (built / "a.h").write_text("long sys_old(int fd)\n")
    command, env = [str(built / "ccache"), *words()], environment()
    done = subprocess.run(command, cwd=built, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 1
    assert "error: " in done.stderr
