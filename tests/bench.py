"""Speed and memory, as a table beside the last release's. It judges nothing: machines differ, so look at ratios.

make bench                     what takes seconds
make bench BENCH=--grade       also scenarios, verdicts, batches and watch, on kernels that no cache has (half an hour)
make bench BENCH=--build       also the kernel builds, from an empty cache of their own (minutes)
make bench BENCH=--test        also make test, with what this machine's cache has (minutes)

Each run's figures go to dist/bench/. Those of a release are in docs/bench.json: copy the file there.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import psutil
from distributed import LocalCluster
from rich.console import Console
from rich.table import Table

from patchgen import __version__, pipeline, process, progress, resources, toolchain
from patchgen.base import bases, resolve
from patchgen.base import worktree as tree
from patchgen.cache import Cache
from patchgen.grading import diagnosis, signatures
from patchgen.guest import kvm
from patchgen.kernel import build as kernel
from patchgen.kernel import configs
from patchgen.kernel.build import BuildRequest
from patchgen.series import compose
from patchgen.settings import Settings, load

RUNS = 5
RELEASED = Path(__file__).parents[1] / "docs" / "bench.json"
KEPT = Path("dist/bench")
SUBMISSIONS = 10
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


@contextlib.contextmanager
def most_memory(most: dict[str, dict[int, float]]) -> Iterator[None]:
    """Look at the processes below this one twice a second, and keep the most that each has used.

    Args:
        most: MiB by process, by the beginning of the program's name; what several processes share counts for each in
            part (PSS).
    """
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.5):
            for child in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    kind = next((kind for kind in most if child.name().startswith(kind)), None)
                    if kind:
                        used = child.memory_full_info().pss / 2**20
                        most[kind][child.pid] = max(used, most[kind].get(child.pid, 0.0))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join()


def grade(command: list[str], cwd: Path, *words: str) -> None:
    """Run `verify`, whose status says what it has found.

    Raises:
        RuntimeError: the machine failed.
    """
    made = subprocess.run([*command, *words], cwd=cwd, check=False, capture_output=True, text=True)
    if made.returncode not in (0, 1):
        raise RuntimeError(made.stderr)


class Bench:
    """Measures, and collects the rows of the table."""

    def __init__(self) -> None:
        self.settings = load(Path.cwd())
        self.project = pipeline.open_project(self.settings, {})
        self.origin = self.project.source()
        self.rows: list[tuple[str, str, str]] = []
        self.figures: dict[str, float] = {}

    def row(self, what: str, times: list[float], bar: str, unit: str = "s") -> None:
        """Add a row: median, minimum and maximum."""
        self.figures[what] = round(statistics.median(times), 3)
        shown = f"{self.figures[what]:.2f} {unit}"
        if len(times) > 1:
            shown += f" ({times[0]:.2f} to {times[-1]:.2f})"
        self.rows.append((what, shown, bar))

    def speed(self) -> None:
        """What this machine is like: the other figures of two runs compare by the ratio of these."""
        self.row("a loop of Python, 10 million times", timed(lambda: sum(number for number in range(10**7)), 3), "")

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
        if bed.machine.accelerator == "kvm":
            kept, bed = bed, dataclasses.replace(bed, machine=dataclasses.replace(bed.machine, accelerator="tcg"))
            first_command()
            self.row("the same without KVM", timed(first_command, 11), "")
            bed = kept
        self.row("guest booted, first command answered, ended", timed(boot), "")

    def memory(self, scratch: Path) -> None:
        """Peak memory of the Python process."""
        peak = run([*PATCHGEN, "patch"], scratch)
        self.row("peak memory of patchgen patch", [peak / 1024], "at most 200 MB", "MB")

    def diagnosis(self) -> None:
        """Which known mistakes explain what fails, for 200 kernels with two or three of them."""
        known, draw = signatures.load(self.project.assignment), random.Random(940)
        pools = [draw.sample(known, size) for size in (2, 3) for _ in range(100)]
        observed = [
            diagnosis.Observed(
                frozenset().union(*(one.scenarios for one in pool)),
                frozenset(),
                frozenset().union(*(one.violated for one in pool)),
            )
            for pool in pools
        ]
        explain = functools.partial(diagnosis.explain, known=known)
        self.row("the diagnosis of 200 submissions", timed(lambda: list(map(explain, observed)), 3), "at most 1 s")

    def scenarios(self, scratch: Path) -> None:
        """All scenarios, with the kernel built."""
        command = [*PATCHGEN, "test", "--json"]
        run(command, scratch)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.row("the scenarios, kernel built", timed(lambda: run(command, scratch), 3), "at most 12 s")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.row("their processor time", [used / 3], "")
        whole = timed(lambda: run(["make", "test-qemu"], Path.cwd()), 3)
        self.row("make test-qemu, kernel built", whole, "at most 9 s")

    def grading(self, scratch: Path) -> None:
        """A verdict of an unknown submission; a batch of them, two at a time; others through Dask."""
        most: dict[str, dict[int, float]] = {"python": {}, "qemu": {}}
        self._verdict("pf_stat", "", scratch)
        kvs = self._verdict("kvs", "at most 32 s", scratch)
        with most_memory(most):
            self._batch("two at a time", kvs, ["--jobs", "2"], scratch)
        for workers, count in ((2, SUBMISSIONS), (1, 4)):
            options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
            with LocalCluster(host="127.0.0.1", **options) as cluster:  # type: ignore[no-untyped-call]
                through = ["--scheduler", cluster.scheduler_address]
                self._batch(f"workers of Dask: {workers}", kvs, through, scratch, count)
        python, guests = (sorted(most[kind].values()) or [0.0] for kind in ("python", "qemu"))
        self.row("most memory of a process of Python in a batch", python[-1:], "at most 200 MB", "MB")
        self.row("memory of a guest in a batch", guests, "at most 100 MB", "MB")  # some scenarios use up what it has

    def _verdict(self, name: str, bar: str, scratch: Path) -> list[str]:
        """Add the row of one verdict, and return the command that makes it."""
        words = [*PATCHGEN, "verify", "--assignment", name, "--stages", "1-5"]
        first, second = (self.submission(name, number, scratch) for number in range(2))
        grade(words, scratch, first)  # for which the base's objects are made
        self.row(f"a verdict of {name}, stages 1 to 5", timed(lambda: grade(words, scratch, second), 1), bar)
        return words

    def _batch(self, how: str, words: list[str], options: list[str], scratch: Path, count: int = SUBMISSIONS) -> None:
        names = [self.submission("kvs", time.time_ns(), scratch) for _ in range(count)]
        out = f"verdicts-{time.time_ns()}"
        begin, idle = time.monotonic(), psutil.cpu_times().idle
        grade(words, scratch, "--output", out, *options, *names)
        seconds = time.monotonic() - begin
        busy = 100 * (1 - (psutil.cpu_times().idle - idle) / seconds / (os.cpu_count() or 1))
        self.row(f"each of {count} verdicts of kvs, {how}", [seconds / count], "at most 36 s")
        self.row(f"how busy the processors were, {how}", [busy], "at least 95 %", "%")

    def watch(self, scratch: Path) -> None:
        """From saving a change of one line to the first outcome that `patchgen watch` tells."""
        own = shutil.copytree(resources.TEMPLATES / "pf_stat", scratch / "watched")
        code = next(own.glob("files/**/*.c.j2"))
        text, times = code.read_text(), []
        watching = pexpect.spawn(PATCHGEN[0], [*PATCHGEN[1:], "watch", "--assignment", str(own)], timeout=600)
        with contextlib.closing(watching):
            for _ in range(3):
                watching.expect(rb"\d+ passed, \d+ failed")
                begin = time.monotonic()
                code.write_text(
                    text.replace("refcount_inc(&run->refs);", f"refcount_inc(&run->refs); /* {begin} */", 1)
                )
                watching.expect_exact(b"changed: ")
                watching.expect(rb"\n(pass|fail|blocked) ")
                times.append(time.monotonic() - begin)
        self.row("watch: from saving a line to the first outcome", sorted(times), "at most 10 s")

    def whole_test(self) -> None:
        """`make test` with what the cache has."""
        self.row("make test, cached", timed(lambda: run(["make", "test"], Path.cwd()), 1), "at most 150 s")

    @staticmethod
    def submission(name: str, number: int, scratch: Path) -> str:
        """Make a submission that no cache knows: the reference series with a comment of its own."""
        own = shutil.copytree(resources.TEMPLATES / name, scratch / f"{name}-{number}" / name)
        code = next(own.glob("files/**/*.c.j2"))
        code.write_text(f"{code.read_text()}\n/* {time.time_ns()} */\n")
        made = own.parent / "made"
        run([*PATCHGEN, "patch", "--assignment", str(own), "--output", str(made)], scratch)
        return str((made / "patch.tar.gz").rename(scratch / f"{name}-{number}.tar.gz"))

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
    parser.add_argument("--grade", action="store_true", help="also measure scenarios and verdicts (minutes)")
    parser.add_argument("--test", action="store_true", help="also measure make test (minutes)")
    parser.add_argument("--build", action="store_true", help="also measure kernel builds (minutes)")
    arguments = parser.parse_args()
    bench = Bench()
    progress.set_quiet(False)
    with tempfile.TemporaryDirectory(dir=bench.project.cache.directory("scratch")) as name:
        scratch = Path(name)
        bench.speed()
        bench.memory(scratch)  # first: it is the largest of all children so far
        bench.patch(scratch)
        bench.imports(scratch)
        bench.guest()
        bench.diagnosis()
        if arguments.grade:
            bench.scenarios(scratch)
            bench.watch(scratch)
            bench.grading(scratch)
        if arguments.test:
            bench.whole_test()
        if arguments.build:
            bench.builds(scratch)
    released: dict[str, Any] = (
        json.loads(RELEASED.read_text()) if RELEASED.is_file() else {"version": "none", "figures": {}}
    )
    table = Table("what", "median (range)", f"release {released['version']}", "ratio", "bar")
    table.title = f"{os.cpu_count()} CPUs, {toolchain.compiler()}, guests on {kvm.accelerator(bench.project.cache)}"
    for what, shown, bar in bench.rows:
        before = released["figures"].get(what)
        table.add_row(
            what, shown, *(("", "") if not before else (f"{before:.2f}", f"{bench.figures[what] / before:.2f}")), bar
        )
    Console(width=130).print(table)
    KEPT.mkdir(parents=True, exist_ok=True)
    when = time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())
    kept = {"version": __version__, "when": when, "cpus": os.cpu_count(), "figures": bench.figures}
    (KEPT / f"{when}.json").write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
