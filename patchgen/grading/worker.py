"""Grading one submission in a process of its own: what a batch hands out, here or on another machine.

A `Task` holds everything that is needed, the submission's files too, so that it can go to a machine that does not have
them.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import json
import os
import re
import shlex
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from patchgen import entry, process, settings
from patchgen.errors import MachineError, UsageError
from patchgen.submission import archive
from patchgen.text import visible

Tell = Callable[[str, str], None]
_STAGE = re.compile(r"^[1-9] [a-z]+$")  # what the grader says when a stage begins
_SECONDS = 4 * 3600.0  # a verdict takes minutes; nothing waits for ever


@dataclass(frozen=True)
class How:
    """How submissions are graded.

    Attributes:
        rubric: text of the rubric's file.
        stages: as --stages has it.
        assignment: its name or directory; "" for the default one.
        trust: the user vouches for them.
        allow_build_changes: the user has looked at what they change of the build.
        exam: the seed of random programs, None for none.
        programs: how many of these.
    """

    rubric: str
    stages: str
    assignment: str = ""
    trust: bool = False
    allow_build_changes: bool = False
    exam: int | None = None
    programs: int = 0


@dataclass(frozen=True)
class Task:
    """A submission to be graded.

    Attributes:
        name: as it was given.
        kind: "archive", "patch" or "directory".
        file: the name of its file or directory.
        files: its content: of one file, or of each file in the directory by name, base64.
        how: what is asked.
        links: names of what is in the directory and no plain file. What it leads to does not go along; a submission has
            none of it.
    """

    name: str
    kind: str
    file: str
    files: dict[str, str]
    how: How
    links: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Task:
        """Return what `to_json` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "how": How(**fields["how"]), "links": tuple(fields["links"])})


@dataclass(frozen=True)
class Answer:
    """What a task came to.

    Attributes:
        status: the exit status of its process.
        verdict: JSON of the verdict, "" if there is none.
        why: what the process said at its end, if there is no verdict.
    """

    status: int
    verdict: str
    why: str = ""


def pack(path: Path, kind: str, how: How) -> Task:
    """Return the task of grading what lies at a path.

    Raises:
        SubmissionError: it is too large, or no plain file.
        MachineError: it cannot be read.
    """
    links: list[str] = []
    if kind == "directory":
        contents, links = archive.contents(path)
    else:
        contents = {path.name: archive.read_plain(path)}
    files = {_packed(name): base64.b64encode(data).decode() for name, data in contents.items()}
    own = _packed(path.absolute().name or "given")
    return Task(str(path), kind, own, files, how, tuple(map(_packed, links)))


def _packed(name: str) -> str:
    """Return a file's name, any bytes, in a form that JSON has room for."""
    return os.fsencode(name).hex()


def _unpacked(name: str) -> str:
    return os.fsdecode(bytes.fromhex(name))


def work(text: str, tell: Tell | None = None) -> dict[str, object]:
    """Grade a task (as JSON) in a process of its own and return the answer as a dictionary.

    Whatever becomes of that process, this one goes on.

    Args:
        text: the task.
        tell: is told which stage begins, by the submission's name and the stage's.
    """
    task = Task.from_json(text)
    return dataclasses.asdict(_work(task, functools.partial(tell, task.name) if tell else lambda _: None))


def _work(task: Task, tell: Callable[[str], None]) -> Answer:
    with tempfile.TemporaryDirectory(prefix="patchgen-verify-") as name:
        place = Path(name)
        given = place / "given" / _unpacked(task.file)
        top = given if task.kind == "directory" else given.parent
        top.mkdir(parents=True)
        for key, data in task.files.items():
            (top / _unpacked(key)).write_bytes(base64.b64decode(data))
        for link in task.links:
            (top / _unpacked(link)).symlink_to("nowhere")
        (place / "rubric.toml").write_text(task.how.rubric, encoding="utf-8")
        how = task.how
        words = ["verify", "--json", "--stages", how.stages, "--rubric", str(place / "rubric.toml")]
        words += ["--assignment", how.assignment] if how.assignment else []
        words += ["--exam", str(how.exam), "--programs", str(how.programs)] if how.exam is not None else []
        words += [*["--trust"] * how.trust, *["--allow-build-changes"] * how.allow_build_changes, "--", str(given)]
        try:
            # Not where the grader works: what a submission has put there is none of its business.
            env = {settings.HANDED_ON: settings.load(Path.cwd()).absolute().model_dump_json()}
            with process.started(entry.command(*words), cwd=place, env=env) as child:
                done = _followed(child, tell)
        except (MachineError, UsageError) as error:
            return Answer(3, "", error.message)
    return _answer(child.returncode, *done, str(given), task.name)


def _followed(child: subprocess.Popen[bytes], tell: Callable[[str], None]) -> tuple[str, str]:
    """Wait for the process, and return its standard output and error."""
    assert child.stderr is not None, "it was started with a pipe"
    stream, lines = child.stderr, list[str]()

    def read() -> None:
        for raw in stream:
            lines.append(raw.decode(errors="replace"))
            if _STAGE.match(lines[-1]):
                tell(lines[-1].strip())

    reader = threading.Thread(target=read, daemon=True)
    timer = threading.Timer(_SECONDS, process.end_group, [child])
    reader.start()
    timer.start()
    try:
        assert child.stdout is not None, "it was started with a pipe"
        out = child.stdout.read().decode(errors="replace")
        child.wait()
        reader.join()
    finally:
        timer.cancel()
    return out, "".join(lines)


def _answer(status: int, stdout: str, stderr: str, given: str, name: str) -> Answer:
    """Return the verdict, with the name that the user knows in the place of that in the temporary directory."""
    try:
        data = json.loads(stdout)
    except ValueError:
        data = {}
    if "schema_version" in data:
        names = {given: name, visible(given): visible(name)}
        return Answer(status, json.dumps(_renamed(data, names)))
    if "error" in data:
        return Answer(status, "", str(data["error"].get("message", "")).replace(given, name))
    how = f"ended by signal {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    last = stderr.strip().splitlines()[-1:] or [""]
    return Answer(3, "", f"its process {how}: {last[0]}".rstrip(": "))


def _renamed(value: object, names: dict[str, str]) -> object:
    if isinstance(value, str):
        for given, name in names.items():
            value = value.replace(given, name)
        return value
    if isinstance(value, dict):
        # A command is for a shell: in it a name is quoted, whether the one in the temporary directory had to be or not.
        quoted = {shlex.quote(given): shlex.quote(name) for given, name in names.items()}
        return {key: _renamed(inner, quoted if key == "reproduce" else names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner, names) for inner in value]
    return value
