"""What the command line says to bad input, without a kernel: one clear message, the right exit status."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import toytree
from command import POWERLESS, offline, patchgen
from toytree import File

from patchgen import __version__

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_help(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = patchgen(*words, cwd=tmp_path)
    for command in ("doctor", "source", "patch", "check", "build", "boot", "run", "test", "bundle", "bases"):
        assert command in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nonsense",), "nonsense"),
        (("patch", "--nonsense"), "nonsense"),
        (("patch", "--set", "x"), "NAME=VALUE"),
        (("patch", "--set", "nope=1"), "no parameter nope"),
        (("patch", "--set", "set_param_nr=x"), "must be a number"),
        (("patch", "--assignment", "nope"), "no assignment nope"),
        (("test", "--only", "nope"), "no scenario"),
        (("mutants", "-k", "nope", "--stage", "build"), "no mutant whose name has 'nope', of the stage 'build'"),
        (("test", "-r", "2.2-5", "-r", "2.2-50"), "no scenario stands for '2.2-50'"),
        (("test", "-r", "2.2-5", "-k", "appendix"), "no scenario's name has 'appendix' and stands for 2.2-5"),
        (("boot",), "needs a terminal"),
        (("patch", "--base", "nope"), "no base called nope"),
        (("bundle", "--base", "debian-6.12"), "no base of a submission"),
        (("check", "nope.tar.gz"), "nope.tar.gz does not exist"),
    ],
)
def test_usage(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = offline(*words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr


@pytest.mark.parametrize(
    ("words", "now"),
    [
        (("verify", "--points", "1-7", "patch.tar.gz"), "--stages"),
        (("verify", "--out", "verdicts", "patch.tar.gz"), "--output"),
        (("test", "--workers", "2"), "--jobs"),
        (("patch", "--series", "x"), "--assignment"),
        (("test", "--sentence", "2.2"), "--requirement"),
        (("coverage", "-n", "2"), "-j"),
        (("boot", "--submission", "patch.tar.gz"), "patchgen boot PATH"),
        (("run", "--submission", "patch.tar.gz", "--", "true"), "patchgen run PATH -- 'COMMAND' …"),
    ],
)
def test_an_old_name_of_an_option_is_refused_with_the_new_one(tmp_path: Path, words: tuple[str, ...], now: str) -> None:
    done = patchgen(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    said = done.stderr.splitlines()
    assert said[-2].startswith(f"Error: No such option: {words[1]}")
    assert said[-1].startswith("hint: that option is now ")
    assert now in said[-1]


def test_version(tmp_path: Path) -> None:
    done = patchgen("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"patchgen {__version__}\n")
    assert importlib.metadata.version("patchgen") == __version__


@pytest.mark.parametrize(
    ("words", "offered"), [(("patchgen", "ver"), ["verify"]), (("patchgen", "verify", "--sta"), ["--stages"])]
)
def test_completion_in_bash(tmp_path: Path, words: tuple[str, ...], offered: list[str]) -> None:
    """As a shell does it: the script that patchgen prints, sourced, asked for the last word."""
    command = tmp_path / "patchgen"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m patchgen "$@"\n')
    command.chmod(0o755)
    script = (
        f'eval "$(_PATCHGEN_COMPLETE=source_bash patchgen)"; COMP_WORDS=({shlex.join(words)}); '
        f"COMP_CWORD={len(words) - 1}; "
        r"""complete=$(complete -p patchgen); [[ $complete =~ -F\ ([a-z_]+) ]]; "${BASH_REMATCH[1]}" patchgen; """
        """printf '%s\n' "${COMPREPLY[@]}\""""
    )
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == offered, done.stderr


def test_wrong_settings(tmp_path: Path) -> None:
    (tmp_path / "patchgen.toml").write_text("[submission]\nnope = 1\n")
    done = patchgen("patch", cwd=tmp_path)
    assert done.returncode == 2
    assert "patchgen.toml: submission.nope" in done.stderr


NOT_LINUX = {"README": File(b"hello\n")}
ANOTHER = {**toytree.RELEASE, "Makefile": File(toytree.MAKEFILE.replace(b"VERSION = 4", b"VERSION = 5", 1))}


def cut_off(path: Path) -> Path:
    whole = toytree.tarball(path.with_suffix(".tar.xz"))
    whole.write_bytes(whole.read_bytes()[:-1000])
    return whole


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: toytree.write(path, NOT_LINUX), "not Linux"),
        (lambda path: toytree.write(path, ANOTHER), "5.15"),
        (toytree.write, "is not as released"),
        (lambda path: path, "does not exist"),
        (cut_off, "given.tar.xz"),
    ],
    ids=["not Linux", "another version", "tampered", "nothing there", "cut off"],
)
def test_a_source_that_is_none(tmp_path: Path, make: Callable[[Path], Path], said: str) -> None:
    given = make(tmp_path / "given")
    done = patchgen("source", cwd=tmp_path, LINUX_SRC=str(given))
    assert done.returncode == 2
    assert said in done.stderr
    assert given.name in done.stderr


def test_no_network(tmp_path: Path) -> None:
    done = offline("source", cwd=tmp_path)
    assert done.returncode == 3
    assert "LINUX_SRC" in done.stderr
    done = offline("source", "--json", cwd=tmp_path)
    assert done.returncode == 3
    error = json.loads(done.stdout)["error"]
    assert error["kind"] == "DownloadError"
    assert "LINUX_SRC" in error["hint"]


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    done = offline("source", cwd=tmp_path, PATCHGEN_CACHE="/proc/patchgen")
    assert done.returncode == 3
    assert "PATCHGEN_CACHE" in done.stderr


def test_a_read_only_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    monkeypatch.delenv("PATCHGEN_CACHE")
    done = offline("source", cwd=tmp_path, prefix=POWERLESS, HOME=str(home))
    assert done.returncode == 3
    assert "Permission denied" in done.stderr
    assert "PATCHGEN_CACHE" in done.stderr


def test_list_of_sentences(tmp_path: Path) -> None:
    rows = json.loads(patchgen("test", "--list", "--json", cwd=tmp_path).stdout)["requirements"]
    assert {"id", "text", "check", "result", "scenarios"} == set(rows[0])
    assert {"scenario": "appendix-a", "result": "not run"} in rows[0]["scenarios"]
    shown = patchgen("test", "--list", cwd=tmp_path).stdout
    assert "2.1-2   not run  Several processes" in shown


def test_doctor(tmp_path: Path) -> None:
    done = patchgen("doctor", "--json", cwd=tmp_path, PATH=str(tmp_path))
    assert done.returncode == 3
    answer = json.loads(done.stdout)
    assert not answer["ok"]
    assert "qemu-system-x86" in answer["install"]
    assert answer["install"].startswith("apt-get install")


def test_bases(tmp_path: Path) -> None:
    listed = json.loads(patchgen("bases", "--json", cwd=tmp_path).stdout)["bases"]
    assert [(one["name"], one["submission"]) for one in listed] == [("linux-4.15", True), ("debian-6.12", False)]
    done = patchgen("bases", cwd=tmp_path)
    assert "debian-6.12  Debian's Linux 6.12, from Debian's package linux-source-6.12\n" in done.stdout


def test_the_environment_chooses_a_base(tmp_path: Path) -> None:
    done = offline("patch", cwd=tmp_path, BASE="debian-6.12", PATH=str(tmp_path))
    assert done.returncode == 3
    assert "Debian's Linux 6.12 is not here, and no apt-get to fetch one" in done.stderr
    assert not (tmp_path / "dist").exists()
    assert offline("patch", cwd=tmp_path, BASE="nope").returncode == 2


def test_a_port_where_no_base_can_be_had(tmp_path: Path) -> None:
    done = offline("patch", "--or-port", cwd=tmp_path, PATH=str(tmp_path))
    assert done.returncode == 3
    assert "cannot download linux-4.15.tar.xz: none of 2 mirrors gives it" in done.stderr
    assert "cannot be had either: " in done.stderr
    assert "no apt-get to fetch one" in done.stderr
    assert not (tmp_path / "dist").exists()


def test_no_port_where_linux_4_15_is_asked_for(tmp_path: Path) -> None:
    named = offline("patch", "--or-port", cwd=tmp_path, BASE="linux-4.15")
    assert named.returncode == 3
    placed = offline("patch", "--or-port", cwd=tmp_path, LINUX_SRC="nowhere")
    assert placed.returncode == 2
    assert not [done for done in (named, placed) if "either" in done.stderr]


def test_a_closed_standard_error_changes_no_status(tmp_path: Path) -> None:
    done = patchgen("test", "--list", "--only", "no-such", cwd=tmp_path, prefix=("sh", "-c", 'exec "$@" 2>&-', "sh"))
    assert (done.returncode, done.stderr) == (2, "")
