"""The line at an address in a kernel, from a file that is compiled once more: of trusted and of untrusted work."""

from __future__ import annotations

from pathlib import Path

import pytest

from patchgen.base import worktree
from patchgen.base.resolve import Source
from patchgen.grading.builder import CONFIG, KernelBuilder
from patchgen.guest.oops import Frame
from patchgen.kernel.build import Kernel
from patchgen.pipeline import Project

FILE = "mm/mincore.c"


@pytest.mark.only_linux_4_15("the function has another name elsewhere")
@pytest.mark.parametrize("trust", [False, True])
def test_the_line_of_an_address(project: Project, origin: Source, vanilla: Kernel, tmp_path: Path, trust: bool) -> None:
    builder = KernelBuilder(project, origin, "submission", trust=trust).within(tmp_path)
    text = (worktree.pristine(origin, project.cache) / FILE).read_text().splitlines()
    first = next(number for number, line in enumerate(text, 1) if line.startswith("SYSCALL_DEFINE3(mincore"))
    found = builder.line(CONFIG, origin.tree, FILE, Frame("SyS_mincore", 0x20))
    assert first <= found <= first + 40
    assert builder.line(CONFIG, origin.tree, FILE, Frame("no_such_function", 0)) == 0
