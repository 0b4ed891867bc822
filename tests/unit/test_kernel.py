"""Reading configurations and build logs."""

from __future__ import annotations

from pathlib import Path

from patchgen import kernel

SPACE = Path("/c/v1/work/abc-1/series")


def test_parse_config() -> None:
    text = '# x\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C="a b"\nCONFIG_D=0x10\n#CONFIG_E=y\n'
    assert kernel.parse_config(text) == {"CONFIG_A": "y", "CONFIG_B": "n", "CONFIG_C": '"a b"', "CONFIG_D": "0x10"}


def test_warnings_compare_across_builds() -> None:
    same = [
        "/c/v1/work/abc-1/series/src/mm/a.c:1:2: warning: odd [-Wodd]",
        "../src/mm/a.c:77:2: warning: odd [-Wodd]",
        "/c/v1/work/other/vanilla/src/mm/a.c:3:9: warning: odd [-Wodd]",
    ]
    for line in same:
        assert kernel.warnings([line], SPACE / "src", SPACE / "out-small") == {"mm/a.c": ["odd [-Wodd]"]}
    assert kernel.warnings(["  CC      mm/a.o", "no warning here"], SPACE / "src", SPACE / "out-small") == {}


def test_every_configuration_loads() -> None:
    for name in ("small", "defconfig", "x86_64"):
        assert kernel.load_config(name).settings()


def test_a_base_puts_its_own_on_top() -> None:
    own = kernel.load_config("debug", "debian-6.1")
    assert own.fragments == ("small.config", "debian-6.1/small.config", "debug.config", "debian-6.1/debug.config")
    settings = own.settings()
    # Of small.config, and of the base; what debug.config asks for has another name there.
    assert (settings["CONFIG_SMP"], settings["CONFIG_COMPAT_32BIT_TIME"]) == ("y", "y")
    assert settings["CONFIG_DEBUG_KMEMLEAK_EARLY_LOG_SIZE"] == "n"
    assert kernel.load_config("debug").settings()["CONFIG_DEBUG_KMEMLEAK_EARLY_LOG_SIZE"] == "4000"
    assert (kernel.load_config("gcov").patches, kernel.load_config("gcov", "debian-6.1").patches) == ("gcov", "")


def test_the_release_has_the_plain_configurations() -> None:
    for name in ("small", "debug", "gcov"):
        assert not [one for one in kernel.load_config(name).fragments if "/" in one]
