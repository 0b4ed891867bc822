"""Where the data that comes with the program lies: `templates/` and `qemu/`.

In a checkout they are beside the package, so that editing a template takes effect at once; in an installed
wheel they are inside it (pyproject.toml, force-include).
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "data"
ROOT = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent

TEMPLATES = ROOT / "templates"
QEMU = ROOT / "qemu"
BASES = TEMPLATES / "bases"
