"""Options: the same name for the same thing in all commands, and one group for the kernel under test."""

from __future__ import annotations

import contextlib
import shlex
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from patchgen.cli import app
from patchgen.cli.under_test import UnderTest
from patchgen.errors import UsageError

COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
# Commands that work on a kernel, and what of the group makes no sense for them.
KERNEL = {
    "build": {"kernel"},
    "boot": set(),
    "run": set(),
    "test": set(),
    "torture": set(),
    "coverage": {"kernel", "vanilla"},
    "static": {"kernel", "vanilla"},
    "bench": {"kernel", "vanilla"},
}


def options() -> Iterator[tuple[str, Any]]:
    """Give each command's name with each of its options."""
    for name, command in COMMANDS.items():
        for one in command.params:
            if one.param_type_name == "option" and one.name != "help":
                yield name, one


def test_a_short_option_means_the_same_everywhere() -> None:
    long_names, short_names = defaultdict(set), defaultdict(set)
    for _, option in options():
        short, long = ([one for one in option.opts if one.startswith("--") == is_long] for is_long in (False, True))
        assert len(long) == 1, option.opts
        short_names[long[0]].add(tuple(short))
        for one in short:
            long_names[one].add(long[0])
    assert {short: sorted(long) for short, long in long_names.items()} == {
        "-o": ["--output"],
        "-j": ["--jobs"],
        "-k": ["--only"],
        "-r": ["--requirement"],
        "-v": ["--verbose"],
    }
    assert all(len(short) == 1 for short in short_names.values()), short_names


def test_every_option_and_argument_says_what_it_is_for() -> None:
    for name, command in COMMANDS.items():
        for one in command.params:
            assert one.help, f"{name} {one.opts}"
            assert one.help.endswith("."), f"{name} {one.opts}"


def test_the_list_of_commands_shows_whole_sentences() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80"}).stdout
    assert "verify    Grade submissions by a rubric.\n" in shown
    assert "..." not in shown.partition("Commands:")[2]


@pytest.mark.parametrize("name", KERNEL)
def test_the_kernel_under_test_is_named_in_one_way(name: str) -> None:
    params = {one.name: one for one in COMMANDS[name].params}
    wanted = {one.name for one in fields(UnderTest)} - KERNEL[name]
    assert wanted <= params.keys()
    assert not KERNEL[name] & params.keys()
    for one in wanted:
        same = next(other for other in COMMANDS["test"].params if other.name == one)
        assert (params[one].opts, params[one].help) == (same.opts, same.help)
    assert params["submission"].param_type_name == "argument"


def test_no_other_command_has_options_of_the_group() -> None:
    for name, option in options():
        if option.name in ("kernel", "vanilla"):
            assert name in KERNEL


@pytest.mark.parametrize(
    "given",
    [
        {"submission": Path("a"), "vanilla": True},
        {"submission": Path("a"), "kernel": Path("b")},
        {"kernel": Path("b"), "vanilla": True},
    ],
)
def test_two_kernels_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="name two kernels"):
        UnderTest(**given)


@dataclass
class Bed:
    """A testbed that runs nothing and remembers what was to be run."""

    ran: list[str] = field(default_factory=list)
    kernel: str = "bzImage"

    def run(self, command: str, timeout: float) -> SimpleNamespace:
        self.ran.append(command)
        return SimpleNamespace(command=command, status=0, signal=0, text=str(timeout), log=[], timed_out=False)

    @contextlib.contextmanager
    def ready(self) -> Iterator[Bed]:
        yield self


@pytest.fixture
def bed(monkeypatch: pytest.MonkeyPatch) -> Bed:
    """Return what `run` runs its commands in; it names the kernel under test first."""
    made = Bed()

    def testbed(target: UnderTest, _: object) -> Bed:
        made.ran.append(repr(target))
        return made

    monkeypatch.setattr(UnderTest, "testbed", testbed)
    monkeypatch.setattr(UnderTest, "project", lambda _: None)
    return made


@pytest.mark.parametrize(
    ("words", "target", "commands"),
    [
        (["--", "a b", "-c"], UnderTest(), ["a b", "-c"]),
        (["x.tar.gz", "--", "a", "--", "b"], UnderTest(submission=Path("x.tar.gz")), ["a", "--", "b"]),
        (["--timeout", "3", "--vanilla", "--", "a"], UnderTest(vanilla=True), ["a"]),
    ],
)
def test_commands_of_run_stand_after_two_dashes(
    bed: Bed, words: list[str], target: UnderTest, commands: list[str]
) -> None:
    done = CliRunner().invoke(app, ["run", *words])
    assert done.exit_code == 0, done.output
    assert bed.ran == [repr(target), *commands]


@pytest.mark.parametrize("words", [[], ["--"], ["true"]])
def test_run_without_a_command(bed: Bed, words: list[str]) -> None:
    error = CliRunner().invoke(app, ["run", *words]).exception
    assert isinstance(error, UsageError)
    assert error.hint == "patchgen run [PATH] -- 'COMMAND' …"
    assert bed.ran == []


@pytest.mark.parametrize(
    "target",
    [
        UnderTest(),
        UnderTest(submission=Path("a b/patch.tar.gz"), trust=True),
        UnderTest(kernel=Path("out/bzImage")),
        UnderTest(vanilla=True, base="debian-6.1"),
        UnderTest(set_=["hash_bits=4", "log_prefix=[A] B"]),
    ],
)
def test_the_command_that_does_it_again_names_the_same_kernel(bed: Bed, target: UnderTest) -> None:
    line = shlex.split(target.reproduce("run", ["--timeout", "3"], target.base or "linux-4.15"))
    assert line[0] == "patchgen"
    done = CliRunner().invoke(app, [*line[1:], "--", "true"])
    assert done.exit_code == 0, done.output
    assert bed.ran == [repr(target), "true"]
