"""The line of the source at an address in a kernel: what an oops names is a function and an offset.

No kernel is built with debugging information for that, which would cost each build time and space. The one file is
compiled once more with line numbers (4 s), which makes the same code of it.
"""

from __future__ import annotations

import re
from pathlib import Path

from patchgen import process
from patchgen.kernel.build import BuildRequest, object_with_lines
from patchgen.sandbox import with_files

_SECONDS = 60.0
_SYMBOL = re.compile(r"^([0-9a-f]+) [tTwW] (\S+)$", re.M)


def line(request: BuildRequest, path: str, function: str, offset: int) -> int:
    """Return the number of the line in a file that an address in a function comes from; 0 if that cannot be told.

    Args:
        request: the build of the kernel.
        path: the file, in the tree.
        function: its name as the kernel knows it.
        offset: of the address, from the function's beginning.

    Raises:
        BuildError: the file does not compile.
        CommandError: its object cannot be read.
        MachineError: a tool is missing.
    """
    with object_with_lines(request, f"{path.removesuffix('.c')}.o") as compiled:
        symbols = {match[2]: int(match[1], 16) for match in _SYMBOL.finditer(_run(request, "nm", compiled))}
        if function not in symbols:
            return 0
        address = f"{symbols[function] + offset:#x}"
        # Inlined functions too, from the inside out: the first that is in the file itself.
        said = _run(request, "addr2line", "-i", "-j", ".text", "-e", compiled, address)
    here = (one.rpartition("/")[2].partition(" ")[0] for one in said.splitlines())
    found = (one.partition(":")[2] for one in here if one.startswith(f"{Path(path).name}:"))
    return next((int(number) for number in found if number.isdigit()), 0)


def _run(request: BuildRequest, tool: str, *words: str | Path) -> str:
    """Run a tool on what was compiled: in the sandbox if somebody else wrote it."""
    files = [word for word in words if isinstance(word, Path)]
    box = request.sandbox and with_files(request.sandbox, request.sandbox.limits, *files)
    return process.run([process.find(tool), *words], cwd=Path("/"), timeout=_SECONDS, sandbox=box).stdout
