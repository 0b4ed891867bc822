#!/usr/bin/python3 -IS
"""Objects that need not be compiled anew, since what the compiler is given has not changed.

A submission that adds a system call declares it in a header that a hundred objects include. make compiles them all, and
all but a few come out as they were. So the preprocessed text of an object is kept as a hash beside it. If the text is
the same, apart from declarations of new names that it does not use, then so is the object, and it stays.

In a sandbox this file stands in the place of ccache, so it needs the standard library only. `COMPILE` starts it, and
only for an object whose text is noted: to start Python for each object takes a tenth of the time of a whole build. What
is decided there is about the submission's own kernel and nobody else's.

What counts is the text without line markers (gcc's -P; they matter to debug information only, which these kernels have
not; __LINE__ is a number in the text) and the command with all its options.
"""

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence

# What the program is called with to note the texts of the base's objects, and to forget those that need no look.
RECORD, FORGET = "--record", "--forget"
# In the environment: names that may be declared and not used; headers whose changes are of another kind.
NAMES, HEADERS = "UNCHANGED_NAMES", "UNCHANGED_HEADERS"
# What is called ccache in a sandbox. UNCHANGED is the command that runs this file.
COMPILE = """#!/bin/sh
before= target=
for word; do
	[ "$before" != -o ] || target=$word
	before=$word
done
case $target in
*/*) text=${target%/*}/.${target##*/}.text ;;
*) text=.$target.text ;;
esac
[ ! -e "$text" ] || exec $UNCHANGED "$@"
exec "$@"
"""
# Beyond these somebody else's header is not looked into: the expressions below take their time.
_LONGEST, _NAMES_MAX = 4000, 16
_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_TYPE = r"(?:extern\s+)?(?:asmlinkage\s+|__attribute__\(\(regparm\(0\)\)\)\s+)?(?:[a-z_]\w*\s+)*?[a-z_]\w*[\s*]+"
_FUNCTION = re.compile(rf"{_TYPE}([a-z_]\w*)\s*\([\w\s*,\[\]]*\);")
_STRUCT = re.compile(r"struct\s+([a-z_]\w*)\s*;")
_MACRO = re.compile(r"#\s*define[^\n]*|#\s*(?:if|ifdef|ifndef|else|elif|endif)\b[^\n]*")


def kept(target: str) -> str:
    """Return the file that has the hash of an object's text."""
    directory, name = os.path.split(target)
    return os.path.join(directory, f".{name}.text")


def declared(added: str) -> set[str] | None:
    """Return the names that lines added to a header declare.

    Args:
        added: the lines. Macros do no harm: where one is used, the text shows it.

    Returns:
        Names of functions and structures; None if the lines are something else as well, or more than one expects.
    """
    if len(added) > _LONGEST:
        return None
    text, names = _MACRO.sub("", _COMMENT.sub("", added)), set[str]()
    for pattern in (_FUNCTION, _STRUCT):
        names.update(pattern.findall(text))
        text = pattern.sub("", text)
    return None if text.strip() or len(names) > _NAMES_MAX else names


def normal(text: bytes, names: Collection[str]) -> bytes:
    """Return preprocessed text without declarations of names that it does not use."""
    # Functions first: they are what may use a structure.
    for pattern in (_FUNCTION, _STRUCT):
        for name in names:
            if _times(text, name) == 1:
                text = _without(text, name, pattern)
    return text


def _times(text: bytes, name: str) -> int:
    """Return how often a name stands in a text. The expression takes 20 times as long as the first look."""
    found = text.count(name.encode())
    return len(re.findall(rb"\b%s\b" % name.encode(), text)) if found > 1 else found


def _without(text: bytes, name: str, pattern: re.Pattern[str]) -> bytes:
    """Return text without the one statement that has a name in it, if that is a declaration and nothing else."""
    at = text.index(name.encode())
    begin = max(text.rfind(mark, 0, at) for mark in (b";", b"}", b"\n#")) + 1
    end = text.find(b";", at) + 1
    statement = text[begin:end].decode("latin-1").strip()
    match = pattern.fullmatch(statement)
    return text[:begin] + text[end:] if match and match[1] == name else text


def text_of(command: Sequence[str], names: Collection[str]) -> str:
    """Return the hash of what the compiler is given; "" if it cannot be preprocessed.

    Args:
        command: that compiles an object, `-c -o TARGET SOURCE`.
        names: see `normal`.
    """
    at = command.index("-c")
    words = [*command[:at], "-E", "-P", *command[at + 1 :]]
    where = words.index("-o")
    del words[where : where + 2]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if done.returncode:
        return ""
    made = hashlib.blake2b(json.dumps(list(command)).encode(), digest_size=20)
    made.update(normal(done.stdout, names))
    return made.hexdigest()


def record(headers: Collection[str]) -> None:
    """Note the text of all objects below the current directory, where the base was built, that include a header."""
    from concurrent.futures import ThreadPoolExecutor  # not needed, and slow to load, where this is a compiler

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda command: _note(command, ""), _including(headers)))


def forget(headers: Collection[str]) -> None:
    """Remove the noted texts of objects that include a header: they will change, so there is no need to look."""
    for directory, _, files in os.walk("."):
        for name in files:
            if name.startswith(".") and name.endswith(".o.text"):
                noted = os.path.join(directory, name)
                try:
                    with open(f"{noted.removesuffix('text')}cmd") as file:
                        text = file.read()
                except OSError:
                    continue
                if any(f"/{header}" in text for header in headers):
                    os.unlink(noted)


def _including(headers: Collection[str]) -> Iterator[Sequence[str]]:
    """Yield the commands that have compiled objects which include one of the headers."""
    for directory, _, files in os.walk("."):
        for name in files:
            if name.startswith(".") and name.endswith(".o.cmd"):
                with open(os.path.join(directory, name)) as file:
                    command, _, includes = file.read().partition("\n")
                words = shlex.split(command.partition(":=")[2])
                if words and words[-1].endswith(".c") and any(f"{one} " in includes for one in headers):
                    yield words[words[0] == "ccache" :]


def _note(command: Sequence[str], text: str) -> None:
    with open(kept(command[command.index("-o") + 1]), "w") as file:
        file.write(text or text_of(command, ()))


def main() -> int:
    """Compile, or leave the object as it is."""
    # Python sets it where there is no locale (PEP 538), and gcc would quote otherwise than in the base's build.
    os.environ.pop("LC_CTYPE", None)
    command = sys.argv[1:]
    if command[:1] == [RECORD]:
        record(command[1:])
        return 0
    if command == [FORGET]:
        forget(os.environ.get(HEADERS, "").split())
        return 0
    target = command[command.index("-o") + 1]
    now = text_of(command, os.environ.get(NAMES, "").split())
    with open(kept(target)) as file:
        known = file.read()
    if now and now == known and os.path.exists(target):
        os.utime(target)
        return 0
    status = subprocess.call(command)
    if not status:
        _note(command, now)
    return status


if __name__ == "__main__":
    sys.exit(main())
