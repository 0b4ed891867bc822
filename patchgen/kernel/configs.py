"""The ways to configure a kernel, as data: `qemu/kernel/kernels.toml` and its fragments."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import Field

from patchgen import data, resources
from patchgen.base.bases import DEFAULT
from patchgen.data import Model
from patchgen.errors import UsageError

RECIPE = 8  # Part of every key: a change of how kernels are made here starts them afresh.
KERNELS = resources.QEMU / "kernel"
_SETTING = re.compile(r"^(?:(CONFIG_\w+)=(.*)|# (CONFIG_\w+) is not set)$")


class Config(Model):
    """A way to configure a kernel, from `qemu/kernel/kernels.toml`.

    Attributes:
        name: its name there.
        title: for people.
        arch: make's ARCH=.
        start: the make target that the configuration starts from.
        fragments: files of settings put on top, in order.
        cflags: added to every compilation (make's KCFLAGS).
        patches: directory beside kernels.toml with a series that goes on top of the tree; "" for none.
        profile: objects that are compiled with gcov's counters, where the tree has them.
        symbols: vmlinux is kept too, for a debugger.
        steps: about how many steps a first build has.
    """

    name: str
    title: str
    arch: str
    start: str
    fragments: tuple[str, ...]
    cflags: tuple[str, ...] = ()
    patches: str = ""
    profile: tuple[str, ...] = ()
    symbols: bool = False
    steps: int = Field(gt=0)

    def identity(self) -> dict[str, object]:
        """Return what decides about the kernel that comes out; the title and the number of steps do not."""
        return self.model_dump(exclude={"title", "steps"}, exclude_unset=True)

    def notes(self) -> list[str]:
        """Return the files that gcc writes for gcov about the objects that are compiled with its counters."""
        return [str(Path(name).with_suffix(".gcno")) for name in self.profile]

    def settings(self) -> dict[str, str]:
        """Return what the fragments ask for: option to value, "n" where it must be off."""
        wanted: dict[str, str] = {}
        for fragment in self.fragments:
            wanted.update(parse((KERNELS / fragment).read_text()))
        return wanted


def load(name: str, base: str = DEFAULT) -> Config:
    """Return the configuration of that name.

    Args:
        name: its name.
        base: name of the base it is for. What its directory here has goes on top: keys of a kernels.toml replace
            those of the table of the same name, and a fragment follows the fragment of the same name.

    Raises:
        UsageError: there is none, or the file is wrong.
    """
    path, own = KERNELS / "kernels.toml", KERNELS / base
    known = _tables(path)
    if name not in known:
        raise UsageError(f"there is no kernel configuration {name}", hint=f"known: {', '.join(known)}")
    fields = {**known[name], **_tables(own / path.name).get(name, {})}
    wanted = [name for one in fields.get("fragments", ()) for name in (one, f"{base}/{one}")]
    fields["fragments"] = [one for one in wanted if "/" not in one or (KERNELS / one).is_file()]
    return data.validate(path, {"name": name, **fields}, Config, UsageError)


def _tables(path: Path) -> dict[str, Any]:
    return data.read(path, UsageError) if path.is_file() else {}


def parse(text: str) -> dict[str, str]:
    """Return the settings of a .config or fragment: option to value, "n" for `# CONFIG_X is not set`."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _SETTING.match(line)
        if match:
            found[match[1] or match[3]] = match[2] if match[1] else "n"
    return found


def depends_on(files: Path, option: str) -> str:
    """Return what Kconfig says an option depends on, for a message; "" if it says nothing."""
    symbol = option.removeprefix("CONFIG_")
    head = re.compile(rf"^\s*(?:menu)?config {symbol}$")
    for path in sorted(files.rglob("Kconfig*")):
        lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
        for number, line in enumerate(lines):
            if head.match(line):
                entry = []
                for following in lines[number + 1 :]:
                    if re.match(r"^\s*(?:menu)?config |^(?:choice|endmenu|menu|if|endif|source)\b", following):
                        break
                    if following.strip().startswith("depends on"):
                        entry.append(following.strip())
                if entry:
                    return f" ({'; '.join(entry)}: {path.relative_to(files)})"
    return ""
