"""The package knows no assignment: everything about one is in its directory."""

from __future__ import annotations

import re
from pathlib import Path

import patchgen
from patchgen import assignment

PACKAGE = Path(patchgen.__file__).parent


def test_no_file_of_the_package_names_an_assignment() -> None:
    found = {
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.j2")]
        for line in path.read_text().splitlines()
        for name in assignment.names()
        if re.search(rf"\b{name}\b|pf_|INFO940|set_param|get_info|\bcow\b|patch\.tar\.gz|['\"]\d\.\d-\d+['\"]", line)
    }
    assert found == set()
