"""Reading configurations and build logs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from patchgen import kernel, proc, tree
from patchgen.cache import Cache

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


@pytest.mark.skipif(shutil.which("ccache") is None, reason="ccache is not installed")
def test_ccache_never_keeps_what_incbin_reads(tmp_path: Path) -> None:
    """The compressed kernel comes into the bzImage by .incbin; kernels of the same size must not be taken for equal."""
    maker = kernel._Maker(tree.Workspace(tmp_path), kernel.load_config("small"), Cache(tmp_path / "cache"), 1)
    (tmp_path / "piggy.S").write_text('.section .data\n.incbin "blob"\n')
    made = []
    for blob in (b"AAAA", b"BBBB"):
        (tmp_path / "blob").write_bytes(blob)
        command = ["ccache", "gcc", "-Wp,-MD,piggy.d", "-c", "piggy.S", "-o", "piggy.o"]
        proc.run(command, cwd=tmp_path, timeout=60, env=maker._env)
        made.append((tmp_path / "piggy.o").read_bytes())
    assert [blob in data for data, blob in zip(made, (b"AAAA", b"BBBB"), strict=True)] == [True, True]


def test_a_stale_image_is_found(tmp_path: Path) -> None:
    maker = kernel._Maker(tree.Workspace(tmp_path), kernel.load_config("small"), Cache(tmp_path / "cache"), 1)
    output = tree.Workspace(tmp_path).output("small")
    contents = {
        "arch/x86/boot/compressed/vmlinux.bin.gz": b"new kernel",
        "arch/x86/boot/bzImage": b"setup old kernel",
        "arch/x86/realmode/rm/realmode.bin": b"real",
        "vmlinux": b"a real one",
    }
    for name, data in contents.items():
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).write_bytes(data)
    assert list(maker._not_included()) == ["arch/x86/boot/compressed/piggy.o"]
    (output / "arch/x86/boot/bzImage").write_bytes(b"setup new kernel")
    assert list(maker._not_included()) == []


def test_every_configuration_loads() -> None:
    for name in ("small", "defconfig", "x86_64"):
        assert kernel.load_config(name).settings()
