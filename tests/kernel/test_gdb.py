"""A guest that waits for a debugger: gdb stops the kernel where it is told to, and lets it boot."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from patchgen.guest.testbed import Testbed


def address(kernel: Path, symbol: str) -> str:
    """Return where a kernel has a symbol."""
    lines = (line.split() for line in kernel.with_name("System.map").read_text().splitlines())
    return next(f"0x{words[0]}" for words in lines if words[2] == symbol)


def test_nothing_runs_before_a_debugger_says_so(vanilla_bed: Testbed) -> None:
    class Seen(Exception):
        pass

    def look(socket: Path) -> None:
        time.sleep(2)
        assert socket.is_socket()
        assert (socket.parent / "console").read_bytes() == b""
        raise Seen

    with pytest.raises(Seen), vanilla_bed.debugged(look):
        pytest.fail("it has booted")


@pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not installed")
def test_gdb_stops_it_and_lets_it_boot(vanilla_bed: Testbed) -> None:
    said = []

    def debug(socket: Path) -> None:
        start = address(vanilla_bed.kernel, "start_kernel")
        orders = [f"target remote {socket}", f"hbreak *{start}", "continue", "print/x $pc", "delete", "detach"]
        words = ["gdb", "-nx", "-batch", *(word for order in orders for word in ("-ex", order))]
        said.append((start, subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout))

    with vanilla_bed.debugged(debug) as guest:
        assert guest.run("echo here").text == "here\n"
    start, text = said[0]
    assert f"$1 = {start}" in text
