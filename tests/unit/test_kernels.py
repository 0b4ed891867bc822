"""Which kernels a run of the tests is on, without a network: what can be had is told by a fake."""

from __future__ import annotations

from pathlib import Path

import kernels
import pytest
from fetching import having
from kernels import Kernels

from patchgen.base.bases import DEFAULT
from patchgen.errors import BaseError, DownloadError, MachineError, ToolMissingError
from patchgen.settings import Settings

OTHER = "debian-6.12"


def decide(*there: str, settings: Settings | None = None) -> Kernels:
    return kernels.decide(settings or Settings(), having(*there)[0])


def test_both() -> None:
    found = decide(DEFAULT, OTHER)
    assert found == Kernels(DEFAULT, OTHER, {})
    assert not found.substitute
    assert not found.alone
    assert found.sentence() == "kernel tests: on Linux 4.15; the conformance suite on Debian's Linux 6.12 too"


def test_only_the_release() -> None:
    found = decide(DEFAULT)
    assert (found.main, found.second, found.substitute) == (DEFAULT, "", False)
    assert not found.alone, "a second one should have been there"
    assert "on Linux 4.15 (Debian's Linux 6.12 cannot be had: no network for debian-6.12)" in found.sentence()


def test_only_debian() -> None:
    found = decide(OTHER)
    assert (found.main, found.second, found.substitute) == (OTHER, "", True)
    assert found.alone
    assert found.sentence() == (
        "kernel tests: on Debian's Linux 6.12, because Linux 4.15 cannot be had: no network for linux-4.15"
    )


def test_neither() -> None:
    found = decide()
    assert (found.main, found.second) == ("", "")
    assert found.sentence().startswith("kernel tests: NONE")
    assert all(name in found.sentence() for name in ("Linux 4.15", "Debian's Linux 6.12"))


def test_a_source_that_the_caller_names_must_be_right() -> None:
    with pytest.raises(BaseError):
        kernels.decide(Settings(linux_src=Path("/x")), having(OTHER, error=BaseError("not Linux"))[0])


def test_a_broken_machine_is_no_reason_for_another_kernel() -> None:
    with pytest.raises(MachineError, match="disk"):
        kernels.decide(Settings(), having(OTHER, error=MachineError("no room on the disk"))[0])


def test_no_apt_is_told() -> None:
    obtain, _ = having(DEFAULT, error=ToolMissingError("no apt-get to fetch one"))
    assert kernels.decide(Settings(), obtain).lacking == {OTHER: "no apt-get to fetch one"}


@pytest.mark.parametrize("name", [DEFAULT, OTHER])
def test_what_the_caller_asks_for_is_the_only_one(name: str) -> None:
    obtain, asked = having(DEFAULT, OTHER)
    assert kernels.decide(Settings(base=name), obtain) == Kernels(name, "", {})
    assert asked == [name]
    with pytest.raises(DownloadError):
        decide(settings=Settings(base=name))


def test_the_decision_is_handed_on_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    found = decide(OTHER)
    monkeypatch.setattr(kernels, "_DECIDED", kernels.as_text(found))
    assert kernels.decided() == found
    assert kernels.of_this_run() == found
