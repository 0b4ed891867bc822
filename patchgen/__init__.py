"""Generate, build, boot, check and package a Linux kernel patch series from templates."""

__version__ = "0.1.0"  # the only place: pyproject.toml and `patchgen --version` read it
