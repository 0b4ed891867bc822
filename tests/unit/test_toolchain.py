"""Which compiler makes i386 code, told by stand-ins for gcc."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from patchgen import host, toolchain
from patchgen.errors import ToolMissingError
from patchgen.guest import programs

WHOLE = 'case "$*" in *-print-file-name=*) echo "/nowhere/${2#*=}" ;; esac'
HALF = 'case "$*" in *-print-file-name=libgcc.a) echo libgcc.a ;; *) echo "/nowhere/${2#*=}" ;; esac'
NONE = 'case "$*" in *-m32*) echo "unrecognized command-line option" >&2; exit 1 ;; esac'
CROSS_GCC = f"{toolchain.CROSS}gcc"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the directory of all programs that there are; what is known of the host's is forgotten."""
    forget = (toolchain.prefix.cache_clear, programs.compiler_file.cache_clear, toolchain.compiler.cache_clear)
    for clear in forget:
        clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    yield tmp_path
    for clear in forget:
        clear()


def compiler(tools: Path, text: str, name: str = "gcc") -> None:
    (tools / name).write_text(f"#!/bin/sh\n{text}\n")
    (tools / name).chmod(0o755)


def test_gcc_with_both_halves_is_taken_beside_a_cross_compiler(tools: Path) -> None:
    compiler(tools, WHOLE)
    compiler(tools, WHOLE, CROSS_GCC)
    assert toolchain.tool("ld") == "ld"
    assert toolchain.cross_compile("i386") == []


@pytest.mark.parametrize("text", [HALF, NONE])
def test_a_cross_compiler_where_gcc_cannot(tools: Path, text: str) -> None:
    compiler(tools, text)
    compiler(tools, f'{WHOLE}\ncase "$*" in --version) echo "cross 1.0" ;; esac', CROSS_GCC)
    assert toolchain.tool("gcov") == "i686-linux-gnu-gcov"
    assert toolchain.cross_compile("i386") == ["CROSS_COMPILE=i686-linux-gnu-"]
    assert programs.compiler_file("libc.so.6") == Path("/nowhere/libc.so.6")
    assert toolchain.compiler() == "cross 1.0"


def test_where_nothing_can_gcc_is_what_is_asked_for(tools: Path) -> None:
    compiler(tools, NONE)
    assert toolchain.tool("gcc") == "gcc"
    (tools / "gcc").unlink()
    with pytest.raises(ToolMissingError, match="gcc is not installed"):
        programs.compiler_file("libc.so.6")


def test_x86_64_needs_no_cross_compiler_on_x86_64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert toolchain.cross_compile("x86_64") == []
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert toolchain.cross_compile("x86_64") == ["CROSS_COMPILE=x86_64-linux-gnu-"]


@pytest.mark.parametrize(("machine", "package"), [("x86_64", "gcc-multilib"), ("aarch64", "gcc-i686-linux-gnu")])
def test_the_packages_are_those_of_the_host(machine: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    [need] = [need for need in host.needs("test") if need.probe == "i386"]
    assert package in need.packages
    assert package in host.install_line([need]).split()
    assert package in toolchain.hint()


def test_the_probe_asks_the_compiler_that_is_used(tools: Path) -> None:
    compiler(tools, NONE)
    [need] = [need for need in host.needs("test") if need.probe == "i386"]
    assert not need.present()
    toolchain.prefix.cache_clear()
    compiler(tools, f'{WHOLE}\necho "$*" >>{tools}/asked', CROSS_GCC)
    assert need.present()
    assert need.what() == CROSS_GCC
    asked = (tools / "asked").read_text().splitlines()
    assert [("-static" in line) for line in asked] == [False, True]
    assert os.environ["PATH"] == str(tools)
