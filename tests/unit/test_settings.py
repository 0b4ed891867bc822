"""patchgen.toml and the environment: what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from patchgen import settings
from patchgen.errors import UsageError


def load(directory: Path, text: str) -> settings.Settings:
    (directory / "patchgen.toml").write_text(text)
    return settings.load(directory)


def test_defaults(tmp_path: Path) -> None:
    assert settings.load(tmp_path).submission.authors == [settings.PLACEHOLDER]


def test_file(tmp_path: Path) -> None:
    found = load(tmp_path, '[submission]\nauthors = ["Ada L <ada@b.org>"]\nhours = 12.5\n')
    assert found.submission.hours == 12.5
    assert settings.split_identity(found.submission.authors[0]) == ("Ada L", "ada@b.org")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "not valid TOML"),
        ("nope = 1", "nope"),
        ("[submission]\nhours = -1", r"submission\.hours"),
        ('[submission]\nauthors = ["Ada"]', r"submission\.authors\.0: must look like"),
        ("[submission]\nauthors = []", r"submission\.authors"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load(tmp_path, text)


def test_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LINUX_SRC", "linux")
    monkeypatch.setenv("PATCHGEN_JOBS", "3")
    found = settings.load(tmp_path)
    assert found.linux_src == tmp_path / "linux"
    assert found.jobs == 3


def test_wrong_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATCHGEN_JOBS", "none")
    with pytest.raises(UsageError, match="PATCHGEN_JOBS: jobs"):
        settings.load(tmp_path)


def test_a_date_without_a_zone_is_utc(tmp_path: Path) -> None:
    assert load(tmp_path, "[submission]\ndate = 2023-04-01T12:00:00\n").submission.date.timestamp() == 1680350400


def test_paths_of_the_file_start_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PATCHGEN_CACHE")
    found = load(tmp_path, 'cache = "here"\ntest_program = "t.c"\n')
    assert (found.cache, found.test_program) == (tmp_path / "here", tmp_path / "t.c")
