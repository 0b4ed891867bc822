"""Reading configurations and build logs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from patchgen import process
from patchgen.base import worktree
from patchgen.cache import Cache
from patchgen.kernel import configs, warnings
from patchgen.kernel.make import Maker

SPACE = Path("/c/v1/work/abc-1/series")


def test_parse_config() -> None:
    text = '# x\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C="a b"\nCONFIG_D=0x10\n#CONFIG_E=y\n'
    assert configs.parse(text) == {"CONFIG_A": "y", "CONFIG_B": "n", "CONFIG_C": '"a b"', "CONFIG_D": "0x10"}


def test_warnings_compare_across_builds() -> None:
    same = [
        "/c/v1/work/abc-1/series/src/mm/a.c:1:2: warning: odd [-Wodd]",
        "../src/mm/a.c:77:2: warning: odd [-Wodd]",
        "/c/v1/work/other/vanilla/src/mm/a.c:3:9: warning: odd [-Wodd]",
        "/c/v1/work/other/vanilla/src/arch/x86/rm/../../../mm/a.c:3:9: warning: odd [-Wodd]",
    ]
    for line in same:
        assert warnings.parse([line], SPACE / "src", SPACE / "out-small") == {"mm/a.c": ["odd [-Wodd]"]}
    assert warnings.parse(["  CC      mm/a.o", "no warning here"], SPACE / "src", SPACE / "out-small") == {}


@pytest.mark.skipif(shutil.which("ccache") is None, reason="ccache is not installed")
def test_ccache_never_sees_what_incbin_reads(tmp_path: Path) -> None:
    """The compressed kernel comes into the bzImage by .incbin; kernels of the same size must not be taken for equal."""
    maker = Maker(worktree.Workspace(tmp_path), configs.load("small"), Cache(tmp_path / "cache"), 1)
    (tmp_path / "Makefile").write_text("%.o: %.S\n\t$(CC) -Wp,-MD,$@.d -c -o $@ $<\n%.o: %.c\n\t$(CC) -c -o $@ $<\n")
    (tmp_path / "piggy.S").write_text('.section .data\n.incbin "blob"\n')
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
    compiler = next(word for word in maker._make() if word.startswith("CC="))
    said = ""
    for blob in (b"AAAA", b"BBBB"):
        (tmp_path / "blob").write_bytes(blob)
        done = process.run(["make", "-B", compiler, "piggy.o", "main.o"], cwd=tmp_path, timeout=60, env=maker._env)
        assert blob in (tmp_path / "piggy.o").read_bytes()
        said += done.stdout
    assert said.count("ccache gcc -c -o main.o main.c") == 2  # what is no assembler goes through it


def test_every_configuration_loads() -> None:
    for name in ("small", "defconfig", "x86_64"):
        assert configs.load(name).settings()


def test_a_base_puts_its_own_on_top() -> None:
    own = configs.load("debug", "debian-6.12")
    assert own.fragments == ("small.config", "debian-6.12/small.config", "debug.config", "debian-6.12/debug.config")
    settings = own.settings()
    # Of small.config, and of the base; what debug.config asks for has another name there.
    assert (settings["CONFIG_SMP"], settings["CONFIG_COMPAT_32BIT_TIME"]) == ("y", "y")
    assert settings["CONFIG_DEBUG_KMEMLEAK_EARLY_LOG_SIZE"] == "n"
    assert configs.load("debug").settings()["CONFIG_DEBUG_KMEMLEAK_EARLY_LOG_SIZE"] == "4000"
    assert (configs.load("gcov").patches, configs.load("gcov", "debian-6.12").patches) == ("gcov", "")


def test_the_release_has_the_plain_configurations() -> None:
    for name in ("small", "debug", "gcov"):
        assert not [one for one in configs.load(name).fragments if "/" in one]
