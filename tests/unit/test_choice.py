"""Which base is worked on where nobody names one, without a network: what can be had is told by a fake."""

from __future__ import annotations

from pathlib import Path

import pytest
from fetching import having

from patchgen import resources
from patchgen.base import bases
from patchgen.base.bases import DEFAULT
from patchgen.cli import choice
from patchgen.cli.choice import Choice
from patchgen.errors import BaseError, DownloadError, MachineError
from patchgen.settings import Settings

OTHERS = [name for name in bases.names() if name != DEFAULT]


def test_linux_4_15_where_it_can_be_had_and_nothing_else_is_fetched() -> None:
    obtain, asked = having(*bases.names())
    assert choice.choose(Settings(), obtain) == Choice(DEFAULT)
    assert asked == [DEFAULT]


def test_else_the_newest_other_one_and_the_reason() -> None:
    obtain, asked = having(*OTHERS)
    found = choice.choose(Settings(), obtain)
    assert found == Choice(OTHERS[0], f"no network for {DEFAULT}")
    assert asked == [DEFAULT, OTHERS[0]]
    title = bases.load(OTHERS[0]).title
    assert found.sentence().startswith(f"this is a port to {title}, to look at and to test, because Linux 4.15 cannot")
    assert f"no network for {DEFAULT}" in found.sentence()
    assert "LINUX_SRC=DIR make patch" in found.sentence()


def test_there_is_nothing_to_say_of_linux_4_15_itself() -> None:
    assert Choice(DEFAULT).sentence() == ""


@pytest.mark.parametrize("name", bases.names())
def test_a_base_that_the_user_names_is_the_only_one(name: str) -> None:
    obtain, asked = having()
    assert choice.choose(Settings(base=name), obtain) == Choice(name)
    assert asked == [], "the command gets it, and says what is wrong with it"


def test_a_source_that_the_user_names_must_be_right() -> None:
    obtain, asked = having(*OTHERS, error=BaseError("not Linux"))
    with pytest.raises(BaseError, match="not Linux"):
        choice.choose(Settings(linux_src=Path("/x")), obtain)
    assert asked == [DEFAULT]


def test_a_broken_machine_is_no_reason_for_another_kernel() -> None:
    obtain, asked = having(*OTHERS, error=MachineError("no room on the disk"))
    with pytest.raises(MachineError, match="disk"):
        choice.choose(Settings(), obtain)
    assert asked == [DEFAULT]


def test_where_none_can_be_had_the_reason_for_each_is_told() -> None:
    with pytest.raises(DownloadError) as caught:
        choice.choose(Settings(), having()[0])
    assert DEFAULT in caught.value.message
    assert all(f"no network for {name}" in caught.value.evidence for name in OTHERS)


def test_the_newest_is_first(tmp_path: Path) -> None:
    for name in (DEFAULT, "debian-6.1", "debian-6.12", "debian-6.9"):
        (tmp_path / f"{name}.toml").touch()
    assert bases.names(tmp_path) == [DEFAULT, "debian-6.12", "debian-6.9", "debian-6.1"]


def test_the_users_ci_never_takes_a_port_for_a_submission() -> None:
    for name in (".github/workflows/patchgen.yml", ".gitlab-ci.yml"):
        text = (resources.QEMU.parent / name).read_text()
        assert f"BASE: {DEFAULT}\n" in text, name
