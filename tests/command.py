"""Runs the patchgen command the way a user does, in a process of its own.

Loading the command takes a third of a second. So a process that has loaded it already is forked. Two kinds of run start
Python anew: those through another program, and those that measure coverage, which a forked process does not save.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext
from pathlib import Path

from patchgen import entry, resources

_SECONDS = 1500  # more than pytest gives any test: it ends a test first, and the command with it
# Root without capabilities is bound by file modes as anybody is.
POWERLESS = ("setpriv", "--bounding-set=-all", "--") if os.geteuid() == 0 else ()


def patchgen(*words: str, cwd: Path, prefix: tuple[str, ...] = (), **env: str) -> subprocess.CompletedProcess[str]:
    """Run `patchgen WORDS` with variables on top of the environment; never with a traceback as its answer."""
    whole = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **env}
    command = [*prefix, sys.executable, "-P", "-m", "patchgen", *words]
    if prefix or "COVERAGE_PROCESS_CONFIG" in os.environ:
        done = subprocess.run(
            command, cwd=cwd, env=whole, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    else:
        with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as error:
            process = _loaded().Process(target=_run, args=(words, cwd, whole, out.name, error.name))
            process.start()
            try:
                process.join(_SECONDS)
                status = process.exitcode
            finally:
                process.kill()
            if status is None:
                raise subprocess.TimeoutExpired(command, _SECONDS)
            text = (Path(one.name).read_text(encoding="utf-8", errors="replace") for one in (out, error))
            done = subprocess.CompletedProcess(command, status, *text)
    assert "Traceback" not in done.stderr, done.stderr
    assert "internal error" not in done.stderr, done.stderr
    return done


def offline(*words: str, cwd: Path, prefix: tuple[str, ...] = (), **env: str) -> subprocess.CompletedProcess[str]:
    """Run patchgen with no way out to the network."""
    closed = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:1")
    return patchgen(*words, cwd=cwd, prefix=prefix, **{**closed, **env})


@functools.cache
def _loaded() -> ForkServerContext:
    """Return what forks a process that has the command loaded, and has not run anything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["patchgen.cli"])
    return context


def _run(words: tuple[str, ...], cwd: Path, env: Mapping[str, str], out: str, error: str) -> None:
    """Become the command."""
    for name, descriptor, flags in ((os.devnull, 0, os.O_RDONLY), (out, 1, os.O_WRONLY), (error, 2, os.O_WRONLY)):
        file = os.open(name, flags)
        os.dup2(file, descriptor)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["patchgen", *words]
    tests = str(Path(__file__).parent)
    sys.path[:] = [place for place in sys.path if not place.startswith((tests, str(resources.TEMPLATES)))]
    entry.main()
