"""Judges mutants: makes each a submission, builds it, boots it, and says whether what must catch it has done so.

A mutant is judged by the cheapest stage that must catch it. If its kernel boots, it is also given to every scenario.
What came of one is kept in the cache by all that it depends on, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from mutant_catalogue import BOOTED, Mutant, compose_mutant

from patchgen import pipeline, progress, resources, scenarios
from patchgen.cache import digest, file_digest, write_text
from patchgen.checks import cost, cost_bars, shape, stress
from patchgen.errors import BuildError, GuestError
from patchgen.grading.runtime_stages import Course
from patchgen.guest.testbed import Testbed
from patchgen.kernel import configs, questions
from patchgen.kernel.build import BuildRequest, Kernel, build
from patchgen.kernel.warnings import tree_path
from patchgen.pipeline import Project
from patchgen.scenarios import SCENARIOS
from patchgen.series import compose
from patchgen.submission import apply, archive
from patchgen.submission.archive import Submission
from patchgen.testing import runner
from patchgen.testing.runner import Outcome

SLOT = "mutant"
# Much of the kernel includes these, or what is made of them, and the next mutant would have it compiled anew. So
# mutants of them, and patches that lack them, are built in another workspace.
WIDE_SLOT = "mutant-wide"
_WIDE = ("edits/include/linux/", "edits/arch/x86/Kconfig", "edits/arch/x86/entry/", "series.toml")
PLAN = stress.Plan(seed=940, seconds=18, calls=3000)
_AHEAD = 2  # kernels that are built before their guests have their turn
_PACE = 2.0  # Time limits in guests: a machine that builds meanwhile must not kill a mutant.
_EVIDENCE = 1500
# The guest's programs that do not matter to a kernel's stage.
_UNUSED = {
    "test": {"torture.c", "fuzz.c", "stress.h", "cost.c"},
    "torture": {"cost.c"},
    "cost": {"torture.c", "fuzz.c"},
}
# Half of the time of all scenarios is that of these: a mutant meets them only if it breaks one of their requirements.
_SLOW = ("no-call-leaks", "the-program-cannot-keep-its-reader-away")
_RECIPE = 3  # Part of every key: a change of how mutants are judged here judges them again.


@dataclass(frozen=True)
class Found:
    """What a stage has to say.

    Attributes:
        names: what it names, see mutant_catalogue.STAGES.
        by: which scenario, part or message.
        evidence: what shows it.
    """

    names: tuple[str, ...]
    by: str
    evidence: str = ""


@dataclass(frozen=True)
class Judged:
    """What came of a mutant.

    Attributes:
        caught: findings name all that they must.
        by: what found it: scenarios, a part of torture, the compiler's words.
        named: of the mutant's `names`, those that findings name.
        evidence: what the first finding shows.
        kills: the scenarios that fail on it against a requirement of their own, sorted.
    """

    caught: bool
    by: str
    named: tuple[str, ...]
    evidence: str
    kills: tuple[str, ...] = ()


@dataclass
class Made:
    """A mutant that is built, or was judged before.

    Attributes:
        mutant: which.
        handed_in: what was handed in of it.
        kept: the file that its judgement is kept in.
        judged: that judgement, if it is there.
        found: what the patches and the compiler gave reason to say.
        kernels: those to boot, by their configuration; none if it is not to be booted, or does not build.
        seconds: how long that took.
    """

    mutant: Mutant
    handed_in: Submission
    kept: Path
    judged: Judged | None = None
    found: list[Found] = field(default_factory=list)
    kernels: dict[str, Kernel] = field(default_factory=dict)
    seconds: float = 0.0


def weigh(mutant: Mutant, found: Sequence[Found], kills: Sequence[str] = ()) -> Judged:
    """Return whether findings name all that they must, and say of the right thing what they must."""
    right = [one for one in found if set(one.names) & set(mutant.names)]
    right = [one for one in right if not mutant.shows or re.search(mutant.shows, f"{one.by}\n{one.evidence}")]
    named = tuple(name for name in mutant.names if any(name in one.names for one in right))
    shown = right[0].evidence if right else "\n".join(f"{one.by}: {one.evidence}" for one in found)
    by = right[0].by if right else ""
    return Judged(set(named) == set(mutant.names), by, named, shown[:_EVIDENCE], tuple(sorted(kills)))


class Judge:
    """Judges mutants.

    Args:
        project: our series; its numbers and prefix are what the guest's programs are made for.
        slot: the workspace that mutants are built in.
    """

    def __init__(self, project: Project, slot: str = SLOT) -> None:
        self._project, self._cache, self._slot = project, project.cache, slot
        self._origin = project.source()
        # What guests are made of does not depend on the kernel.
        self._bed = dataclasses.replace(pipeline.testbed_of(project, Path()), pace=_PACE)
        self._prefix = str(project.series.parameters["log_prefix"])
        self._ours = pipeline.commit(project, self._origin).tree

    def judge(self, mutant: Mutant) -> Judged:
        """Return what comes of a mutant, or came of it before.

        Raises:
            PatchgenError: the catalogue is wrong, or the machine failed.
        """
        return self.finish(self.prepare(mutant))

    def judge_all(self, mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, Judged]]:
        """Yield what comes of each mutant, in order; the next ones are built meanwhile.

        Raises:
            PatchgenError: as `judge`.
        """
        pool = ThreadPoolExecutor(1)
        try:
            waiting: deque[Future[Made]] = deque(pool.submit(self.prepare, one) for one in mutants[:_AHEAD])
            for number, mutant in enumerate(mutants):
                made = waiting.popleft().result()
                waiting.extend(pool.submit(self.prepare, one) for one in mutants[number + _AHEAD :][:1])
                yield mutant, self.finish(made)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def prepare(self, mutant: Mutant) -> Made:
        """Make a mutant's patches, look at them, and build its kernels, unless it was judged before.

        Raises:
            PatchgenError: the catalogue is wrong, or the machine failed.
        """
        begin = time.monotonic()
        with self._cache.scratch("mutant") as scratch:
            composed = compose_mutant(mutant, self._project, self._origin, scratch)
            (scratch / "patch").mkdir()
            compose.format_patch(composed, scratch / "patch")
            (scratch / "patch" / "report.txt").write_text("How it works.\n")
            handed_in = archive.load(scratch / "patch", self._cache, None)
        made = Made(mutant, handed_in, self._cache.directory("mutants") / f"{self._key(mutant, handed_in)}.json")
        if made.kept.is_file():
            data = json.loads(made.kept.read_text())
            made.judged = Judged(**{**data, "named": tuple(data["named"]), "kills": tuple(data["kills"])})
            return made
        try:
            made.found += _BUILDING[mutant.stage](self, made)
        except BuildError as error:  # of a mutant that is meant to do so, its stage makes a finding
            made.found.append(Found(("build",), error.message, error.evidence))
        made.seconds = time.monotonic() - begin
        return made

    def finish(self, made: Made) -> Judged:
        """Boot a mutant's kernels, judge it, and keep the judgement.

        Raises:
            PatchgenError: the machine failed.
        """
        if made.judged:
            return made.judged
        begin = time.monotonic()
        kills: list[str] = []
        if made.kernels:
            try:
                if running := _RUNNING.get(made.mutant.stage):
                    made.found += running(self, made.kernels)
                outcomes = self._failed(made.mutant, made.kernels["small"])
            finally:
                self._forget(made.kernels)
            kills = [one.scenario.name for one in outcomes if set(one.against) & set(one.scenario.demands)]
            made.found += [Found(one.against, one.scenario.name, f"{one.message}\n{one.evidence}") for one in outcomes]
        judged = weigh(made.mutant, made.found, kills)
        write_text(made.kept, json.dumps(dataclasses.asdict(judged), indent=1))
        progress.note(f"{made.mutant.name}: {made.seconds:.0f} s to build, {time.monotonic() - begin:.0f} s in guests")
        return judged

    def _key(self, mutant: Mutant, handed_in: Submission) -> str:
        """Return the hash of all that a judgement depends on."""
        stands = [mutant.names, mutant.stage, mutant.shows, [file_digest_of(one.data) for one in handed_in.patches]]
        # The key of the base's kernel stands for the compiler and the way that kernels are built.
        depends: list[object] = [self._request("small", self._origin.tree).key()]
        files: set[Path] = set()
        if mutant.stage in BOOTED:
            unused = _UNUSED[mutant.stage]
            files |= {path for path in (resources.QEMU / "guest").iterdir() if path.name not in unused}
            files |= set(Path(scenarios.__file__).parent.glob("*.py"))
            depends.append(self._bed.machine.digest())
        if mutant.stage == "torture":
            files.add(Path(stress.__file__))
            debug = self._request(stress.CONFIG, self._origin.tree).key()
            depends += [debug, dataclasses.asdict(PLAN)]
        if mutant.stage == "cost":
            files |= {Path(cost.__file__), Path(cost_bars.__file__)}
        depends += [file_digest(path) for path in sorted(files)]
        return digest("mutant", _RECIPE, stands, depends)

    def _slot_of(self, mutant: Mutant) -> str:
        wide = mutant.stage == "patches" or any(change.file.startswith(_WIDE) for change in mutant.change)
        return WIDE_SLOT if wide else self._slot

    def _build(self, tree: str, slot: str, config: str = "small") -> Kernel:
        return build(self._request(config, tree, slot))

    def _request(self, config: str, tree: str, slot: str = "") -> BuildRequest:
        jobs = self._project.settings.jobs
        return BuildRequest(configs.load(config), tree, self._origin, self._cache, slot, jobs)

    def _forget(self, kernels: Mapping[str, Kernel]) -> None:
        """Remove a mutant's kernels: nobody will ask for them again, and the cache keeps few."""
        for built in kernels.values():
            if built.tree not in (self._origin.tree, self._ours):
                shutil.rmtree(built.image.parent, ignore_errors=True)

    def _on(self, built: Kernel) -> Testbed:
        return dataclasses.replace(self._bed, kernel=built.image)

    def _tree(self, made: Made) -> str:
        return apply.apply(self._origin, made.handed_in.patches, self._cache).trees[-1]

    def _failed(self, mutant: Mutant, built: Kernel) -> list[Outcome]:
        """Run the scenarios, and return those that failed; one that a hanging kernel leaves no time for has not."""
        chosen = [one for one in SCENARIOS if one.name not in _SLOW or set(one.demands) & set(mutant.names)]
        workers = runner.at_once(self._project.settings.jobs)
        outcomes = runner.run_all(chosen, self._on(built), self._prefix, workers, run=Course(_PACE))
        return [one for one in outcomes if one.result == "FAILED" and one.seconds]

    def _check(self, made: Made) -> Iterator[Found]:
        verdict, _ = shape.check(made.handed_in, self._origin, self._cache, None)
        for finding in verdict.findings:
            yield Found(("build" if finding.check == "apply" else "style",), finding.check, finding.evidence)

    def _compile(self, made: Made, config: str = "small") -> Iterator[Found]:
        known = self._build(self._origin.tree, "vanilla", config).warnings
        tree, slot = self._tree(made), self._slot_of(made.mutant)
        try:
            built = self._build(tree, slot, config)
        except BuildError as error:
            yield Found(("build",), _first_error(error), error.evidence)
            return
        for warning in sorted(set(built.warnings) - set(known)):
            yield Found(("build",), f"new warning: {warning}")
        if said := questions.asked(tree, self._origin, self._cache, slot=slot):
            yield Found(("build",), f"make asks for {', '.join(questions.options(said))}", said)
        self._forget({config: built})

    def _compile_x86_64(self, made: Made) -> Iterator[Found]:
        yield from self._compile(made, "x86_64")

    def _compile_each(self, made: Made) -> Iterator[Found]:
        trees = apply.apply(self._origin, made.handed_in.patches, self._cache).trees
        slot = self._slot_of(made.mutant)
        self._build(trees[-1], slot)  # Of all together nothing must be wrong, or it were another mistake.
        for number, tree in enumerate(trees[:-1], 1):
            try:
                self._build(tree, slot)
            except BuildError as error:
                yield Found(("build",), f"patch {number}: {_first_error(error)}", error.evidence)
                return

    def _to_boot(self, made: Made) -> Iterator[Found]:
        tree, slot = self._tree(made), self._slot_of(made.mutant)
        made.kernels["small"] = self._build(tree, slot)
        if made.mutant.stage == "torture":
            made.kernels[stress.CONFIG] = self._build(tree, slot, stress.CONFIG)
        yield from ()

    def _torture(self, kernels: Mapping[str, Kernel]) -> Iterator[Found]:
        for finding in stress.run(self._on(kernels[stress.CONFIG]), self._prefix, PLAN).findings:
            yield Found(("robustness",), f"{finding.where}: {finding.message}", finding.evidence)

    def _cost(self, kernels: Mapping[str, Kernel]) -> Iterator[Found]:
        plain = self._on(self._build(self._origin.tree, "vanilla"))
        try:
            for bar in cost_bars.judge(cost.measure(plain, self._on(kernels["small"]))):
                if not bar.met:
                    yield Found(("cost",), f"{bar.what}: +{bar.measured} instructions, at most +{bar.limit}")
        except GuestError as error:
            yield Found(("robustness",), error.message, error.evidence)


_BUILDING: dict[str, Callable[[Judge, Made], Iterator[Found]]] = {
    "check": Judge._check,
    "build": Judge._compile,
    "patches": Judge._compile_each,
    "x86_64": Judge._compile_x86_64,
    **dict.fromkeys(BOOTED, Judge._to_boot),
}
# What is done with the kernels of a stage, beside the scenarios.
_RUNNING: dict[str, Callable[[Judge, Mapping[str, Kernel]], Iterator[Found]]] = {
    "torture": Judge._torture,
    "cost": Judge._cost,
}


def file_digest_of(data: bytes) -> str:
    """Return a hash of a patch without its commit id, which is made of the same."""
    return digest(data.partition(b"\n")[2].decode(errors="surrogateescape"))


def _first_error(error: BuildError) -> str:
    lines = [line for line in error.evidence.splitlines() if "error:" in line or "undefined reference" in line]
    return tree_path(lines[0]) if lines else error.message
