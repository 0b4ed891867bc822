"""Speed and memory, as a table. It judges nothing: the machine is noisy, so look at ratios and medians.

make bench                     what takes seconds
make bench BENCH=--build       also the kernel builds, from an empty cache of their own
"""

from __future__ import annotations

import argparse
import functools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from patchgen import pipeline, process, progress, toolchain
from patchgen.base import bases, resolve
from patchgen.base import worktree as tree
from patchgen.cache import Cache
from patchgen.kernel import build as kernel
from patchgen.kernel import configs
from patchgen.kernel.build import BuildRequest
from patchgen.series import compose
from patchgen.settings import Settings, load

RUNS = 5
PATCHGEN = [sys.executable, "-P", "-m", "patchgen"]


def timed(action: Callable[[], object], runs: int = RUNS) -> list[float]:
    """Return the wall times of several runs, in seconds, sorted."""
    times = []
    for _ in range(runs):
        begin = time.monotonic()
        action()
        times.append(time.monotonic() - begin)
    return sorted(times)


def run(argv: list[str], cwd: Path, **extra: str) -> int:
    """Run a program with the caller's environment and return its peak memory in KiB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    subprocess.run(argv, cwd=cwd, env={**os.environ, **extra}, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return after if after > before else before


class Bench:
    """Measures, and collects the rows of the table."""

    def __init__(self) -> None:
        self.settings = load(Path.cwd())
        self.project = pipeline.open_project(self.settings, {})
        self.origin = self.project.source()
        self.rows: list[tuple[str, str, str]] = []

    def row(self, what: str, times: list[float], bar: str) -> None:
        """Add a row of times: median, minimum and maximum."""
        shown = f"{statistics.median(times):.2f} s"
        if len(times) > 1:
            shown += f" ({times[0]:.2f} to {times[-1]:.2f})"
        self.rows.append((what, shown, bar))

    def patch(self, scratch: Path) -> None:
        """`patchgen patch` with a template changed each time."""
        count = 0

        def changed() -> None:
            nonlocal count
            count += 1
            run([*PATCHGEN, "patch", "--set", f"hash_bits={4 + count}"], scratch)

        ours = timed(changed)
        self.row("patchgen patch, whole process, templates changed", ours, "at most 1 s")
        alone = timed(self.series_only)
        self.row("rendering, commits and format-patch alone", alone, "")

    def series_only(self) -> None:
        """Render, commit and format, within this process."""
        with tempfile.TemporaryDirectory() as out:
            compose.format_patch(pipeline.commit(self.project, self.origin), Path(out))

    def guest(self) -> None:
        """A ready guest restored and its first command answered."""
        config = configs.load("small")
        wanted = pipeline.commit(self.project, self.origin).tree
        jobs = self.settings.jobs
        built = kernel.build(BuildRequest(config, wanted, self.origin, self.project.cache, "series", jobs))
        bed = pipeline.testbed_of(self.project, built.image)

        def first_command() -> None:
            with bed.ready() as guest:
                assert guest.run("true").status == 0

        def boot() -> None:
            with bed.booted({"/tmp/x": Path(__file__)}) as guest:
                assert guest.run("true").status == 0

        first_command()
        self.row("ready guest restored, first command answered, ended", timed(first_command, 11), "at most 0.2 s")
        self.row("guest booted, first command answered, ended", timed(boot), "")

    def memory(self, scratch: Path) -> None:
        """Peak memory of the Python process."""
        peak = run([*PATCHGEN, "patch"], scratch)
        self.rows.append(("peak memory of patchgen patch", f"{peak / 1024:.0f} MB", "at most 200 MB"))

    def imports(self, scratch: Path) -> None:
        """Import of an unpacked tree and of a tarball, each into an empty cache."""
        unpacked = tree.pristine(self.origin, self.project.cache)
        archive = scratch / "linux-4.15.tar"
        process.run(["tar", "cf", str(archive), "--transform=s,^[.],linux-4.15,", "."], cwd=unpacked, timeout=600)
        for what, path in (("unpacked tree", unpacked), ("tarball (.tar)", archive)):
            cache = Cache(scratch / f"cache-{path.name}")
            settings = Settings(linux_src=path, cache=cache.root)
            obtain = functools.partial(resolve.obtain, bases.load(), settings, cache, self.project.series.edited)
            self.row(f"import of the {what}", timed(obtain, 1), "at most 60 s")

    def builds(self, scratch: Path) -> None:
        """First kernel build, then one after an edit of a template, in a cache of its own."""
        config = configs.load("small")
        cache = Cache(scratch / "build-cache")
        jobs = self.settings.jobs

        def build(bits: int) -> None:
            project = pipeline.open_project(self.settings, {"hash_bits": str(bits)})
            wanted = pipeline.commit(project, self.origin).tree
            kernel.build(BuildRequest(config, wanted, self.origin, cache, "series", jobs))

        first = timed(lambda: build(4), 1)
        self.row("first kernel build, with the tree laid out", first, "at most 90 s")
        self.row("kernel build after an edit of a template", timed(lambda: build(5), 1), "at most 20 s")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--build", action="store_true", help="also measure kernel builds (minutes)")
    arguments = parser.parse_args()
    bench = Bench()
    progress.set_quiet(False)
    with tempfile.TemporaryDirectory(dir=bench.project.cache.directory("scratch")) as name:
        scratch = Path(name)
        bench.memory(scratch)  # first: it is the largest of all children so far
        bench.patch(scratch)
        bench.imports(scratch)
        bench.guest()
        if arguments.build:
            bench.builds(scratch)
    table = Table("what", "median (range)", "bar", title=f"{os.cpu_count()} CPUs, {toolchain.compiler()}")
    for row in bench.rows:
        table.add_row(*row)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
