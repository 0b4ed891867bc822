"""Runs the patchgen command the way a user does, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_SECONDS = 1500  # more than pytest gives any test: it ends a test first, and the command with it
# Root without capabilities is bound by file modes as anybody is.
POWERLESS = ("setpriv", "--bounding-set=-all", "--") if os.geteuid() == 0 else ()


def patchgen(*words: str, cwd: Path, prefix: tuple[str, ...] = (), **env: str) -> subprocess.CompletedProcess[str]:
    """Run `patchgen WORDS` with variables on top of the environment; never with a traceback as its answer."""
    done = subprocess.run(
        [*prefix, sys.executable, "-P", "-m", "patchgen", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert "internal error" not in done.stderr, done.stderr
    return done


def offline(*words: str, cwd: Path, prefix: tuple[str, ...] = (), **env: str) -> subprocess.CompletedProcess[str]:
    """Run patchgen with no way out to the network."""
    closed = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:1")
    return patchgen(*words, cwd=cwd, prefix=prefix, **{**closed, **env})
