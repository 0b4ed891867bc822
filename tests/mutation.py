"""Proof that the suite can be trusted: mistakes that people really make, put into our own series one at a time.

make mutants                       judge each mutant of tests/mutants.toml, and write docs/mutants.md
make mutants MUTANTS='-k cleanup'  only those whose name has that text; the table stays as it is

A mutant is data: replacements in the templates of pf_stat. It becomes a submission like anybody's and is judged by the
cheapest stage that must catch it; it is caught if a finding names the sentence of the assignment that it breaks. What
came of one is kept in the cache by all that it depends on, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import shutil
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console

from patchgen import (
    apply,
    check,
    compose,
    cost,
    cost_bars,
    kernel,
    pipeline,
    progress,
    resources,
    runner,
    scenarios,
    series,
    submission,
    torture,
)
from patchgen.cache import digest, file_digest, write_text
from patchgen.errors import BuildError, GuestError, PatchgenError, SeriesError
from patchgen.guest import saved
from patchgen.kernel import Kernel
from patchgen.pipeline import Project
from patchgen.scenarios import SCENARIOS, Scenario
from patchgen.scenarios.demands import demands
from patchgen.settings import load
from patchgen.source import Source
from patchgen.submission import Submission
from patchgen.testbed import Testbed

HERE = Path(__file__).parent
CATALOGUE = HERE / "mutants.toml"
TABLE = HERE.parent / "docs" / "mutants.md"
SERIES = "pf_stat"
SLOT = "mutant"
# Most of the kernel includes these, and the next mutant would have it all compiled anew. So mutants of them, and
# patches that lack them, are built in another workspace.
WIDE_SLOT, _WIDE = "mutant-wide", ("files/include/linux/", "edits/include/linux/mm_types.h", "edits/arch/x86/Kconfig")
PLAN = torture.Plan(seed=940, seconds=18, calls=3000)
_EVIDENCE = 1500
_WORKSPACE = re.compile(r"/\S*/work/[^/\s]+/[^/\s]+/src/")
# The guest's programs that do not matter to what a stage finds.
_PROGRAMS = {
    "test": {"torture.c", "fuzz.c", "stress.h", "cost.c"},
    "torture": {"play.c", "libc.c", "fork.c", "test.c", "cost.c"},
    "cost": {"torture.c", "fuzz.c", "stress.h", "play.c", "libc.c", "fork.c", "test.c"},
}
_RECIPE = 1  # Part of every key: a change of how mutants are judged here judges them again.

Stage = Literal["check", "build", "patches", "x86_64", "test", "torture", "cost"]
# What the findings of a stage can name; those of scenarios name sentences.
STAGES: dict[str, tuple[str, ...]] = {
    "check": ("style", "build"),
    "build": ("build",),
    "patches": ("build",),
    "x86_64": ("build",),
    "test": tuple(demands()),
    "torture": ("robustness",),
    "cost": ("cost",),
}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Change(_Model):
    """A replacement in one template; `old` must be there exactly once.

    Attributes:
        file: its path below templates/pf_stat.
        old: text of ours.
        new: what a mistaken author has there.
    """

    file: str
    old: str = Field(min_length=1)
    new: str


class Mutant(_Model):
    """A mistake, as data.

    Attributes:
        name: short, unique.
        mistake: what it is, in a sentence.
        names: what findings must name, of what the stage's can (STAGES).
        stage: the cheapest that must catch it.
        shows: what a finding must say, a regular expression; for stages that find more than one kind of thing.
        change: the replacements.
    """

    name: str = Field(pattern="^[a-z0-9][a-z0-9-]*$")
    mistake: str = Field(pattern=r"\.$")
    names: tuple[str, ...] = Field(min_length=1)
    stage: Stage
    shows: str = ""
    change: tuple[Change, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Found:
    """What a stage has to say.

    Attributes:
        names: what it names, see STAGES.
        by: which scenario, part or message.
        evidence: what shows it.
    """

    names: tuple[str, ...]
    by: str
    evidence: str = ""


@dataclass(frozen=True)
class _Task:
    """A mutant, and what was handed in of it."""

    mutant: Mutant
    handed_in: Submission


@dataclass(frozen=True)
class Judged:
    """What came of a mutant.

    Attributes:
        caught: findings name all that they must.
        by: what found it: scenarios, a part of torture, the compiler's words.
        named: of the mutant's `names`, those that findings name.
        evidence: what the first finding shows.
        seconds: wall time, builds included.
    """

    caught: bool
    by: str
    named: tuple[str, ...]
    evidence: str
    seconds: float


def catalogue() -> tuple[Mutant, ...]:
    """Return all mutants.

    Raises:
        ValueError: the file is wrong.
    """
    data = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))
    return tuple(Mutant.model_validate(one) for one in data["mutant"])


def make(mutant: Mutant, target: Path) -> None:
    """Write the mutant's templates: ours, with its replacements.

    Raises:
        SeriesError: one does not match exactly once.
    """
    shutil.copytree(resources.TEMPLATES / SERIES, target)
    for change in mutant.change:
        path = target / change.file
        text = path.read_text(encoding="utf-8")
        if text.count(change.old) != 1:
            message = f"mutant {mutant.name}: {change.file} has {text.count(change.old)} times what it replaces"
            raise SeriesError(message, evidence=change.old)
        path.write_text(text.replace(change.old, change.new), encoding="utf-8")


def compose_mutant(mutant: Mutant, project: Project, origin: Source, scratch: Path) -> compose.Composed:
    """Return the mutant's commits on the base.

    Raises:
        SeriesError: a template or an anchor of it is wrong.
    """
    make(mutant, scratch / SERIES)
    ours = project.settings.submission
    return compose.commit(
        origin, compose.render_series(series.load(scratch / SERIES), origin, ours), ours, project.cache
    )


def weigh(mutant: Mutant, found: Sequence[Found], seconds: float) -> Judged:
    """Return whether findings name all that they must, and say of the right thing what they must."""
    right = [one for one in found if set(one.names) & set(mutant.names)]
    right = [one for one in right if not mutant.shows or re.search(mutant.shows, f"{one.by}\n{one.evidence}")]
    named = tuple(name for name in mutant.names if any(name in one.names for one in right))
    shown = right[0].evidence if right else "\n".join(f"{one.by}: {one.evidence}" for one in found)
    more = f" and {len(right) - 1} more" if len(right) > 1 else ""
    by = right[0].by + more if right else ""
    return Judged(set(named) == set(mutant.names), by, named, shown[:_EVIDENCE], seconds)


class Judge:
    """Judges mutants, one after the other.

    Args:
        project: our series; its numbers and prefix are what the guest's programs are made for.
        slot: the workspace that mutants are built in.
    """

    def __init__(self, project: Project, slot: str = SLOT) -> None:
        self._project, self._cache, self._slot = project, project.cache, slot
        self._origin = project.source()
        # What guests are made of does not depend on the kernel.
        self._bed = pipeline.testbed_of(project, Path())
        self._prefix = str(project.series.parameters["log_prefix"])
        self._ours = pipeline.commit(project, self._origin).tree
        self._made: list[Kernel] = []

    def judge(self, mutant: Mutant) -> Judged:
        """Return what comes of a mutant, or came of it before.

        Raises:
            PatchgenError: the catalogue is wrong, or the machine failed.
        """
        with self._cache.scratch("mutant") as scratch:
            composed = compose_mutant(mutant, self._project, self._origin, scratch)
            (scratch / "patch").mkdir()
            compose.format_patch(composed, scratch / "patch")
            (scratch / "patch" / "report.txt").write_text("How it works.\n")
            handed_in = submission.load(scratch / "patch", self._cache)
        kept = self._cache.directory("mutants") / f"{self._key(mutant, handed_in)}.json"
        with self._cache.lock(f"mutant-{mutant.name}"):
            if kept.is_file():
                data = json.loads(kept.read_text())
                return Judged(**{**data, "named": tuple(data["named"])})
            try:
                judged = self._judge(mutant, handed_in)
            finally:
                self._forget()
            write_text(kept, json.dumps(dataclasses.asdict(judged), indent=1))
        return judged

    def _key(self, mutant: Mutant, handed_in: Submission) -> str:
        """Return the hash of all that a judgement depends on."""
        stands = [mutant.names, mutant.stage, mutant.shows, [file_digest_of(one.data) for one in handed_in.patches]]
        # The key of the base's kernel stands for the compiler and the way that kernels are built.
        depends: list[object] = [kernel.key_of(kernel.load_config("small"), self._origin.tree, self._origin)]
        files: set[Path] = set()
        if mutant.stage in _PROGRAMS:
            files |= {path for path in (resources.QEMU / "guest").iterdir() if path.name not in _PROGRAMS[mutant.stage]}
            depends.append(self._bed.machine.digest())
        if mutant.stage == "test":
            files |= set(Path(scenarios.__file__).parent.glob("*.py"))
        if mutant.stage == "torture":
            files.add(Path(torture.__file__))
            debug = kernel.key_of(kernel.load_config(torture.CONFIG), self._origin.tree, self._origin)
            depends += [debug, dataclasses.asdict(PLAN)]
        if mutant.stage == "cost":
            files.add(Path(cost.__file__))
        depends += [file_digest(path) for path in sorted(files)]
        return digest("mutant", _RECIPE, stands, depends)

    def _judge(self, mutant: Mutant, handed_in: Submission) -> Judged:
        begin = time.monotonic()
        found: list[Found] = []
        try:
            found += _STAGES[mutant.stage](self, _Task(mutant, handed_in))
        except BuildError as error:  # of a mutant that is meant to do so, its stage makes a finding
            found.append(Found(("build",), error.message, error.evidence))
        return weigh(mutant, found, time.monotonic() - begin)

    def _slot_of(self, mutant: Mutant) -> str:
        wide = mutant.stage == "patches" or any(change.file.startswith(_WIDE) for change in mutant.change)
        return WIDE_SLOT if wide else self._slot

    def _build(self, tree: str, slot: str, config: str = "small") -> Kernel:
        jobs = self._project.settings.jobs
        built = kernel.build(kernel.load_config(config), tree, self._origin, self._cache, slot=slot, jobs=jobs)
        if tree not in (self._origin.tree, self._ours):
            self._made.append(built)
        return built

    def _forget(self) -> None:
        """Remove the mutant's kernels and saved guests: nobody will ask for them again, and the cache keeps few."""
        for built in self._made:
            for machine in (self._bed.machine, torture.machine(self._bed.machine)):
                if built.image.is_file():
                    name = saved.key(self._cache, built.image, self._bed.image, machine)
                    shutil.rmtree(self._cache.directory("guest", "saved") / name, ignore_errors=True)
            shutil.rmtree(built.image.parent, ignore_errors=True)
        self._made.clear()

    def _on(self, built: Kernel) -> Testbed:
        return dataclasses.replace(self._bed, kernel=built.image)

    def _tree(self, handed_in: Submission) -> str:
        return apply.apply(self._origin, handed_in.patches, self._cache).trees[-1]

    def _stage_check(self, task: _Task) -> Iterator[Found]:
        verdict, _ = check.check(task.handed_in, self._origin, self._cache)
        for finding in verdict.findings:
            yield Found(("build" if finding.check == "apply" else "style",), finding.check, finding.evidence)

    def _stage_build(self, task: _Task, config: str = "small") -> Iterator[Found]:
        known = self._build(self._origin.tree, "vanilla", config).warnings
        try:
            built = self._build(self._tree(task.handed_in), self._slot_of(task.mutant), config)
        except BuildError as error:
            yield Found(("build",), _first_error(error), error.evidence)
            return
        for warning in sorted(set(built.warnings) - set(known)):
            yield Found(("build",), f"new warning: {warning}")

    def _stage_x86_64(self, task: _Task) -> Iterator[Found]:
        yield from self._stage_build(task, "x86_64")

    def _stage_patches(self, task: _Task) -> Iterator[Found]:
        trees = apply.apply(self._origin, task.handed_in.patches, self._cache).trees
        slot = self._slot_of(task.mutant)
        self._build(trees[-1], slot)  # Of all together nothing must be wrong, or it were another mistake.
        for number, tree in enumerate(trees[:-1], 1):
            try:
                self._build(tree, slot)
            except BuildError as error:
                yield Found(("build",), f"patch {number}: {_first_error(error)}", error.evidence)
                return

    def _stage_test(self, task: _Task) -> Iterator[Found]:
        bed = self._on(self._build(self._tree(task.handed_in), self._slot_of(task.mutant)))
        # Those of the sentence first, until they have said enough; if they have nothing to say, what do the others?
        first = [one for one in SCENARIOS if set(one.demands) & set(task.mutant.names)]
        others = [one for one in SCENARIOS if one not in first]
        jobs = self._project.settings.jobs
        found: list[Found] = []
        for number in range(0, len(first), jobs):
            found += self._failed(first[number : number + jobs], bed)
            if weigh(task.mutant, found, 0).caught:
                break
        yield from found
        if found:
            return
        yield from self._failed(others, bed)

    def _failed(self, chosen: Sequence[Scenario], bed: Testbed) -> Iterator[Found]:
        for one in runner.run_all(chosen, bed, self._prefix, self._project.settings.jobs):
            if not one.passed and not one.skipped:
                yield Found(one.scenario.demands, one.scenario.name, f"{one.message}\n{one.evidence}")

    def _stage_torture(self, task: _Task) -> Iterator[Found]:
        bed = self._on(self._build(self._tree(task.handed_in), self._slot_of(task.mutant), torture.CONFIG))
        for finding in torture.run(bed, self._prefix, PLAN).findings:
            yield Found(("robustness",), f"{finding.where}: {finding.message}", finding.evidence)

    def _stage_cost(self, task: _Task) -> Iterator[Found]:
        bed = self._on(self._build(self._tree(task.handed_in), self._slot_of(task.mutant)))
        plain = self._on(self._build(self._origin.tree, "vanilla"))
        try:
            for bar in cost_bars.judge(cost.measure(plain, bed)):
                if not bar.met:
                    yield Found(("cost",), f"{bar.what}: +{bar.measured} instructions, at most +{bar.limit}")
        except GuestError as error:
            yield Found(("robustness",), error.message, error.evidence)


_STAGES: dict[str, Callable[[Judge, _Task], Iterator[Found]]] = {
    "check": Judge._stage_check,
    "build": Judge._stage_build,
    "patches": Judge._stage_patches,
    "x86_64": Judge._stage_x86_64,
    "test": Judge._stage_test,
    "torture": Judge._stage_torture,
    "cost": Judge._stage_cost,
}


def file_digest_of(data: bytes) -> str:
    """Return a hash of a patch without its commit id, which is made of the same."""
    return digest(data.partition(b"\n")[2].decode(errors="surrogateescape"))


def _first_error(error: BuildError) -> str:
    lines = [line for line in error.evidence.splitlines() if "error:" in line or "undefined reference" in line]
    return kernel.tree_path(lines[0]) if lines else error.message


_HEAD = """# Mutants

Mistakes that people really make, each put into our own series by itself (`tests/mutants.toml`) and judged like a
stranger's submission, by the cheapest stage that must catch it. A mutant counts as caught only if a finding names the
sentence of the assignment that it breaks ([demands.toml](../patchgen/scenarios/demands.toml)), or *style*, *build*,
*robustness*, *cost*; and for some, only if the finding says the right thing of it.

`make mutants` makes this table. What it has judged it keeps, so that it goes on where it was interrupted;
`make mutants MUTANTS='-k TEXT'` judges those whose name has TEXT, and `-v` shows what was seen. Torture is
`patchgen torture --seconds {seconds} --calls {plan.calls} --seed {plan.seed}`. Seconds are wall time with the build,
of a run on two cores that others used as well.

{all} mutants, {caught} caught.

| Mutant | Mistake | Sentence | Stage | Caught by | s |
| ------ | ------- | -------- | ----- | --------- | -: |
"""


def table(judged: Sequence[tuple[Mutant, Judged]]) -> str:
    """Return docs/mutants.md."""
    missed = [mutant.name for mutant, one in judged if not one.caught]
    text = _HEAD.format(all=len(judged), caught=len(judged) - len(missed), seconds=f"{PLAN.seconds:g}", plan=PLAN)
    for mutant, one in judged:
        by = cell(one.by) if one.caught else "**not caught**"
        text += (
            f"| {mutant.name} | {cell(mutant.mistake)} | {', '.join(mutant.names)} | {mutant.stage} | {by} "
            f"| {one.seconds:.0f} |\n"
        )
    return text


def cell(text: str) -> str:
    """Return text for a cell of a Markdown table; files of the kernel have their names in its tree."""
    return (
        re.sub(r"\s+", " ", _WORKSPACE.sub("", text))
        .strip()
        .replace("|", "\\|")
        .replace("<", "&lt;")
        .replace("*", "\\*")
    )


def _say(text: str) -> None:
    Console(highlight=False, soft_wrap=True).print(text, markup=False)


def _show(mutant: Mutant, one: Judged, evidence: bool) -> None:
    word = "caught" if one.caught else "MISSED"
    _say(f"{word} {mutant.name} ({', '.join(mutant.names)}): {one.by} [{one.seconds:.0f} s]")
    if evidence or not one.caught:
        for line in one.evidence.splitlines():
            _say(f"  | {line}")


def main(argv: Sequence[str]) -> int:
    """Judge the mutants; return the exit status."""
    parser = argparse.ArgumentParser(prog="make mutants", description="judge the mutants of our series")
    parser.add_argument("-k", metavar="TEXT", action="append", default=[], help="mutants whose name has TEXT")
    parser.add_argument("-s", "--stage", choices=STAGES, help="mutants of this stage")
    parser.add_argument("--slot", default=SLOT, help="the workspace to build in, such as series (default: a new one)")
    parser.add_argument("-v", action="store_true", help="show the evidence")
    options = parser.parse_args(argv)
    chosen = [
        one
        for one in catalogue()
        if (not options.k or any(text in one.name for text in options.k)) and options.stage in (None, one.stage)
    ]
    if not chosen:
        parser.error("there is no such mutant")
    judged = []
    try:
        judge = Judge(pipeline.open_project(load(Path.cwd()), {}), options.slot)
        for mutant in chosen:
            one = judge.judge(mutant)
            judged.append((mutant, one))
            _show(mutant, one, options.v)
    except PatchgenError as error:
        progress.console.print(f"error: {error.message}\n{error.evidence}", markup=False)
        return error.exit_status
    except KeyboardInterrupt:
        progress.note(f"interrupted; what came of {len(judged)} mutants is kept")
        return 130
    missed = [mutant.name for mutant, one in judged if not one.caught]
    _say(f"{len(judged)} mutants, {len(judged) - len(missed)} caught")
    for name in missed:
        _say(f"not caught: {name}")
    if len(chosen) == len(catalogue()):
        write_text(TABLE, table(judged))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
