"""Where the `patchgen` command begins, and how it starts itself once more.

A grader unpacks submissions into the directory in which he works. Python would search that directory for modules: first
of all with `python -m`, and with an empty name in PYTHONPATH. A submission that brings `typer.py` or `patchgen/` would
then run as the grader. So this module imports nothing that is not loaded anyway before it has taken that directory out.
"""

import json
import os
import sys

# Isolated (-I), Python heeds no variable and adds no directory; what may be searched comes as the first argument.
_START = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from patchgen.entry import main; main()"


def main() -> None:
    """Run the command line and exit with its status."""
    sys.path[:] = modules()
    from patchgen.cli import main as command_line

    command_line()


def command(*words: str) -> list[str]:
    """Return the command that runs `patchgen WORDS` in a process of its own, with the modules that this one has."""
    return [sys.executable, "-I", "-c", _START, json.dumps(modules()), *words]


def modules() -> list[str]:
    """Return where modules are searched: `sys.path` without the current directory.

    In a checkout that is not installed the program itself lies there. Then it comes last, and so hides nothing.
    """
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - loaded already
    try:
        here = os.path.realpath(os.curdir)
    except OSError:  # it is gone
        here = ""
    found = [entry for entry in sys.path if entry and os.path.realpath(entry) not in (here, os.path.realpath(own))]
    return [*found, own]
