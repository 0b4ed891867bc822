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
from patchgen.base.git import environment
from patchgen.cache import Cache
from patchgen.kernel import build as kernel
from patchgen.kernel import configs
from patchgen.kernel.build import BuildRequest
from patchgen.kernel.start import start_config
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
        """`patchgen patch` with a template changed each time, against the usual way in the same run."""
        count = 0

        def changed() -> None:
            nonlocal count
            count += 1
            run([*PATCHGEN, "patch", "--set", f"hash_bits={4 + count}"], scratch)

        ours = timed(changed)
        self.row("patchgen patch, whole process, templates changed", ours, "at most 1 s")
        usual = timed(lambda: self.usual_way(scratch), 2)
        self.row("worktree, edit, commit, format-patch", usual, "")
        ratio = statistics.median(usual) / statistics.median(ours)
        self.rows.append(("ratio of the two", f"{ratio:.1f}", "at least 5"))
        alone = timed(self.series_only)
        self.row("rendering, commits and format-patch alone", alone, "")

    def series_only(self) -> None:
        """Render, commit and format, within this process."""
        with tempfile.TemporaryDirectory() as out:
            compose.format_patch(pipeline.commit(self.project, self.origin), Path(out))

    def usual_way(self, scratch: Path) -> None:
        """Do what one does by hand: a worktree, the files written, git add, commit, format-patch."""
        steps = compose.render_series(self.project.series, self.origin, self.settings.submission)
        start = pipeline.commit(self.project, self.origin).base
        worktree = scratch / "worktree"

        def git(*words: str) -> str:
            env = {**environment(), "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a"}
            done = process.run(["git", *words], cwd=worktree, env={**env, "GIT_COMMITTER_EMAIL": "a@b"}, timeout=600)
            return done.stdout.strip()

        worktree.mkdir()
        git("init", "-q")
        (worktree / ".git/objects/info/alternates").write_text(f"{self.origin.repository}/objects\n")
        git("update-ref", "HEAD", start)
        git("read-tree", start)
        if self.origin.missing:
            git("update-index", "--skip-worktree", *sorted(self.origin.missing))
        git("checkout-index", "-a", "-q")
        for step in steps:
            for path, data in step.files.items():
                (worktree / path).parent.mkdir(parents=True, exist_ok=True)
                (worktree / path).write_bytes(data)
            git("add", *step.files)
            # What `git commit` does; but it would not commit a tree of which some files' content is missing.
            git(
                "update-ref",
                "HEAD",
                git("commit-tree", "-p", "HEAD", "-m", step.message, git("write-tree", "--missing-ok")),
            )
        git("format-patch", "-q", "-o", "out", start)
        process.run(["rm", "-rf", str(worktree)], cwd=scratch, timeout=600)

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
        plain = timed(lambda: self.plain_make(config, scratch / "plain"), 1)
        self.row("make alone: the same configuration, the tree there, no ccache", plain, "")
        self.rows.append(("first kernel build, as a multiple of make alone", f"{first[0] / plain[0]:.2f}", ""))

    def plain_make(self, config: configs.Config, output: Path) -> None:
        """Build the unpatched kernel as one does by hand."""
        output.mkdir()
        (output / ".config").write_text(start_config(config, self.origin, self.project.cache))
        make = ["make", f"O={output}", f"ARCH={config.arch}", f"KCFLAGS={' '.join(config.cflags)}"]
        for words in (["olddefconfig"], [f"-j{self.settings.jobs}", "bzImage"]):
            process.run([*make, *words], cwd=tree.pristine(self.origin, self.project.cache), timeout=3600)


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
