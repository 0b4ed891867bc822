"""The door to git: GitPython, with nothing of the user's git configuration behind it.

The series must come out the same on every machine, so git gets an environment of its own: no user or system
configuration, no global attributes or hooks, no `GIT_*` variable of the caller. Objects are written to a bare
repository in the cache only; a user's checkout is read, never written.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

# Where git is missing, GitPython would not even be imported; it is said when git is needed (_CleanGit.execute).
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

from git import Git, Repo
from git.exc import GitCommandError, GitCommandNotFound

from patchgen import process
from patchgen.cache import NO_ROOM, machine_faults
from patchgen.errors import MachineError, ToolMissingError

_TIMEOUT = 600.0
_DISK_FULL = ("No space left on device", "Disk quota exceeded", "Out of diskspace", "unable to write file")
_PROGRESS = re.compile(r"(?:remote: )?[A-Z][a-z]+ (?:objects|files|deltas): +\d+% ")
_SCRUBBED = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    # Not the user's: ~/.config/git/attributes and ~/.gitconfig are found through these two.
    "HOME": "/nonexistent",
    "XDG_CONFIG_HOME": "/nonexistent",
}
# A checkout that belongs to somebody else (a grader reading a student's) is safe to read: nothing in it is run.
_CONFIG = {
    "safe.directory": "*",
    "core.quotePath": "false",
    "core.autocrlf": "false",
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "core.compression": "1",
    # Hunk headers name the function, never a label; git's own C pattern changes between versions.
    "diff.kernel.xfuncname": "^[[:alpha:]_].*[^:]$",
}


def variables() -> dict[str, str]:
    """Return the variables that keep git to our configuration, without the rest of the environment."""
    config = {"GIT_CONFIG_COUNT": str(len(_CONFIG))}
    for index, (name, value) in enumerate(_CONFIG.items()):
        config[f"GIT_CONFIG_KEY_{index}"] = name
        config[f"GIT_CONFIG_VALUE_{index}"] = value
    return {**_SCRUBBED, **config}


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the whole environment that git gets."""
    return process.environment({**variables(), **(extra or {})})


class _CleanGit(Git):
    """GitPython's runner, made to start git from our environment only.

    GitPython always begins with a copy of os.environ, from which a variable cannot be taken away; so the
    command is put behind env(1) with an empty environment.
    """

    def execute(self, command: str | Sequence[Any], *args: Any, **kwargs: Any) -> Any:
        """Run `command` as GitPython would, from a clean environment."""
        words = [command] if isinstance(command, str) else list(command)
        process.find(str(words[0]))  # env(1) would only say 127
        extra = {**self.environment(), **(kwargs.pop("env", None) or {})}
        assignments = [f"{name}={value}" for name, value in environment(extra).items()]
        if not kwargs.get("as_process"):
            kwargs.setdefault("kill_after_timeout", _TIMEOUT)
        return super().execute(["env", "-i", *assignments, *words], *args, **kwargs)


class Repository(Repo):
    """A git repository seen through the clean door."""

    GitCommandWrapperType = _CleanGit


def disk_is_full(said: str) -> bool:
    """Whether git's words say so; it has several ways (csum-file.c, entry.c and strerror of its sources)."""
    return any(words in said for words in _DISK_FULL)


def failed(doing: str, said: str) -> MachineError:
    """Return the error for a git command that failed: what was being done, git's own words as the evidence.

    What it drew of its progress is left out.
    """
    lines = [line for line in re.split(r"[\r\n]+", said) if line and not _PROGRESS.match(line)]
    if disk_is_full(said):
        return MachineError(f"{doing}: the disk is full", hint=NO_ROOM, evidence=process.tail("\n".join(lines)))
    return MachineError(doing, evidence="\n".join(lines))


@contextlib.contextmanager
def git_errors(doing: str) -> Iterator[None]:
    """Turn GitPython's errors inside the block into ours, with git's own words as the evidence."""
    try:
        yield
    except GitCommandNotFound as error:
        raise ToolMissingError("git is not installed", hint="run 'patchgen doctor'") from error
    except GitCommandError as error:
        said = str(error.stderr).strip().removeprefix("stderr: ").strip("'\n ")
        raise failed(f"{doing}: git failed with status {error.status}", said) from error


def bare_repository(path: Path) -> Repository:
    """Return the bare repository at `path`, made if it is not there.

    Raises:
        MachineError: it cannot be made.
    """
    attributes = path / "info" / "attributes"
    if not ((path / "HEAD").is_file() and attributes.is_file()):  # the latter is written last
        with git_errors(f"cannot make {path}"):
            Repository.init(path, bare=True, mkdir=True).close()
        attributes.parent.mkdir(exist_ok=True)
        attributes.write_text("*.[chS] diff=kernel\n")
    return Repository(path)


def scratch_repository(place: Path, borrow: Path, settings: str = "") -> Repository:
    """Make a bare repository without running git.

    Args:
        place: directory to make.
        borrow: an objects directory whose objects it sees.
        settings: lines of configuration.

    Raises:
        MachineError: the disk is full.
    """
    with machine_faults("cannot use the cache"):
        for name in ("objects/info", "objects/pack", "refs"):
            (place / name).mkdir(parents=True, exist_ok=True)
        # Through a link of a plain name: the alternates file has its own rules for quotes and line ends.
        (place / "borrowed").symlink_to(borrow)
        (place / "objects" / "info" / "alternates").write_text("../borrowed\n")
        (place / "HEAD").write_text("ref: refs/heads/none\n")
        # Few objects too go into one pack (git would make loose ones of less than a hundred).
        (place / "config").write_text(f"[core]\n\tbare = true\n[fastimport]\n\tunpackLimit = 0\n{settings}")
    return Repository(place)


@contextlib.contextmanager
def feeding(repo: Repository, command: str, *args: str, env: Mapping[str, str] | None = None) -> Iterator[IO[bytes]]:
    """Run a git command that reads its standard input; the block writes it.

    Args:
        repo: where.
        command: git's subcommand, as GitPython spells it (underscores).
        args: its arguments.
        env: variables on top of the clean environment.

    Raises:
        MachineError: git failed, with its words as evidence.
    """
    process = getattr(repo.git, command)(*args, istream=subprocess.PIPE, as_process=True, env=env)
    try:
        with contextlib.suppress(BrokenPipeError):  # git says why below
            yield process.stdin
            process.stdin.close()
    except BaseException:
        process.proc.kill()
        process.proc.wait()
        raise
    process.proc.stdout.read()
    err = process.proc.stderr.read()
    if process.proc.wait():
        raise failed(f"git {command.replace('_', '-')} failed", err.decode(errors="replace"))


def answer(repo: Repository, command: str, *args: str, data: bytes, env: Mapping[str, str] | None = None) -> bytes:
    """Run a git command with `data` as its standard input and return what it prints.

    Raises:
        MachineError: git failed, with its words as evidence.
    """
    process = getattr(repo.git, command)(*args, istream=subprocess.PIPE, as_process=True, env=env)
    out, err = process.proc.communicate(data, timeout=_TIMEOUT)
    if process.proc.returncode:
        raise failed(f"git {command.replace('_', '-')} failed", err.decode(errors="replace"))
    return bytes(out)


def objects(out: bytes) -> Iterator[tuple[str, bytes | None]]:
    """Yield what `git cat-file --batch` has printed: each object's id and content; None if it is no blob or missing.

    Raises:
        ValueError: that is not what git prints.
    """
    at = 0
    while at < len(out):
        end = out.index(b"\n", at)
        head, at = out[at:end].decode(errors="surrogateescape"), end + 1
        if head.endswith(" missing"):
            yield head.removesuffix(" missing"), None
            continue
        name, kind, size = head.split()
        if not size.isdecimal():
            raise ValueError(f"an object of {size} bytes")
        yield name, out[at : at + int(size)] if kind == "blob" else None
        at += int(size) + 1


def contents(repo: Repository, tree: str, paths: Sequence[str]) -> dict[str, tuple[str, bytes]]:
    """Return mode and content of those of some paths that are files of a tree.

    Raises:
        MachineError: git failed.
    """
    if not paths:
        return {}
    out = answer(repo, "cat_file", "--batch", data="".join(f"{tree}:{path}\n" for path in paths).encode())
    with git_errors("cannot list a tree"):
        listed = str(repo.git.ls_tree(tree, "--", *paths)).splitlines()
    modes = {line.partition("\t")[2]: line.split(maxsplit=1)[0] for line in listed}
    found = zip(paths, objects(out), strict=True)
    return {path: (modes[path], data) for path, (_, data) in found if data is not None}
