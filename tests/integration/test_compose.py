"""Templates to commits to patches and back, on a toy tree with real git."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import toyseries
import toytree
from toytree import File

from patchgen.base import resolve, worktree
from patchgen.base.git import bare_repository
from patchgen.base.resolve import Source
from patchgen.cache import Cache
from patchgen.errors import ApplyError, SeriesError, SubmissionError
from patchgen.series import compose
from patchgen.series import model as series
from patchgen.series.model import Series
from patchgen.settings import Settings, Submission
from patchgen.submission import apply, patches
from patchgen.submission.patches import PatchFile

SUBMISSION = Submission(authors=["Ada Lovelace <ada@example.org>", "Åsa Öst <asa@example.org>"])


@pytest.fixture
def origin(tmp_path: Path, cache: Cache) -> Source:
    return toytree.obtain(tmp_path / "linux", cache, ["fs/exec.c"])


@pytest.fixture
def toy(tmp_path: Path) -> Series:
    return series.load(toyseries.write(tmp_path / "toy"))


def make(toy: Series, origin: Source, directory: Path) -> list[Path]:
    directory.mkdir(exist_ok=True)
    cache = Cache(directory.parent / "cache")
    composed = compose.commit(origin, compose.render_series(toy, origin, SUBMISSION), SUBMISSION, cache)
    return compose.format_patch(composed, directory)


def parsed(toy: Series, origin: Source, directory: Path, cache: Cache) -> list[PatchFile]:
    return patches.read_all(make(toy, origin, directory), cache)


def test_a_toy_series_becomes_patches(toy: Series, origin: Source, tmp_path: Path, cache: Cache) -> None:
    first, second = parsed(toy, origin, tmp_path / "out", cache)
    assert (first.name, second.name) == ("0001-toy-Add-hello.patch", "0002-toy-Add-one-more.patch")
    assert first.subject == "toy: Add hello"
    assert first.author == "Ada Lovelace <ada@example.org>"
    assert "@@ -1,2 +3,4 @@" in first.message
    assert first.message.rstrip().endswith("Signed-off-by: Åsa Öst <asa@example.org>")
    assert (first.added, first.removed) == (5, 0)
    assert "+\ttoy(42 + 1); /* hello */" in second.diff
    assert second.paths == ["fs/exec.c", "lib/toy.c"]
    text = first.data.decode()
    assert "\n-- \n" not in text
    assert f"index {toytree.blob_id(toytree.RELEASE['fs/exec.c'].data)}.." in text


def test_the_patches_apply_with_git_am(toy: Series, origin: Source, tmp_path: Path, cache: Cache) -> None:
    composed = compose.commit(origin, compose.render_series(toy, origin, SUBMISSION), SUBMISSION, cache)
    (tmp_path / "out").mkdir()
    made = patches.read_all(compose.format_patch(composed, tmp_path / "out"), cache)
    applied = apply.apply(origin, made, cache)
    assert applied.trees[-1] == composed.tree
    assert len(applied.trees) == 2
    assert applied.complaints == {}
    # A user's own git, on a whole checkout, says the same.
    checkout = toytree.write(tmp_path / "own", toytree.RELEASE)
    toytree.commit(checkout)
    toytree.git(checkout, "am", *(str(path) for path in sorted((tmp_path / "out").iterdir())))
    assert toytree.git(checkout, "rev-parse", "HEAD^{tree}") == composed.tree


def test_the_second_patch_does_not_apply(toy: Series, origin: Source, tmp_path: Path, cache: Cache) -> None:
    first, second = parsed(toy, origin, tmp_path / "out", cache)
    broken = patches.read(second.name, second.data.replace(b"-\ttoy(42);", b"-\ttoy(43);"), cache)
    with pytest.raises(ApplyError, match=r"0002-toy-Add-one-more\.patch does not apply") as caught:
        apply.apply(origin, [first, broken], cache)
    assert "fs/exec.c" in caught.value.evidence
    with pytest.raises(ApplyError, match=r"0002-.* does not apply"):
        apply.apply(origin, [second], cache)


def test_white_space_is_reported(toy: Series, origin: Source, tmp_path: Path, cache: Cache) -> None:
    first, _ = parsed(toy, origin, tmp_path / "out", cache)
    spoiled = patches.read(first.name, first.data.replace(b"+\ttoy(42);\n", b"+\ttoy(42); \n"), cache)
    assert list(apply.apply(origin, [spoiled], cache).complaints) == [first.name]


def test_a_file_that_is_there_already(toy: Series, origin: Source, tmp_path: Path, cache: Cache) -> None:
    first, _ = parsed(toy, origin, tmp_path / "out", cache)
    clash = patches.read(first.name, first.data.replace(b"lib/toy.c", b"kernel/fork.c"), cache)
    with pytest.raises(ApplyError, match=r"already exists|does not apply"):
        apply.apply(origin, [clash], cache)
    below = patches.read(first.name, first.data.replace(b"lib/toy.c", b"MAINTAINERS/toy.c"), cache)
    with pytest.raises(ApplyError):
        apply.apply(origin, [below], cache)


@pytest.mark.parametrize("data", [b"", b"hello\n", b"\xff\xfe\0", b"From x\nSubject: y\n\nno diff\n"])
def test_what_is_no_patch(cache: Cache, data: bytes) -> None:
    with pytest.raises(SubmissionError):
        patches.read("0001-x.patch", data, cache)


def test_an_anchor_that_is_not_there(tmp_path: Path, origin: Source) -> None:
    wrong = toyseries.EXEC.replace("setup_new_exec", "setup_old_exec")
    loaded = series.load(toyseries.write(tmp_path / "toy", exec=wrong))
    with pytest.raises(SeriesError, match=r"exec.c.toml.*matches nowhere in fs/exec.c") as caught:
        compose.render_series(loaded, origin, SUBMISSION)
    assert "setup_new_exec" in caught.value.hint


def test_an_undefined_name_in_an_edit(tmp_path: Path, origin: Source) -> None:
    wrong = toyseries.EXEC.replace("@{ answer } + 1", "@{ question }")
    line = wrong[: wrong.index("question")].count("\n") + 1
    loaded = series.load(toyseries.write(tmp_path / "toy", exec=wrong))
    with pytest.raises(SeriesError, match=rf"exec.c.toml:{line}: 'question' is undefined"):
        compose.render_series(loaded, origin, SUBMISSION)


def test_a_patch_that_changes_nothing(tmp_path: Path, origin: Source) -> None:
    loaded = series.load(toyseries.write(tmp_path / "toy", toy="int toy;\n"))
    with pytest.raises(SeriesError, match=r"patch second .* does not change lib/toy.c"):
        compose.render_series(loaded, origin, SUBMISSION)


HOSTILE_CONFIG = """\
[user]
    name = Somebody Else
    email = else@example.org
    signingkey = nothing
[commit]
    gpgsign = true
[core]
    autocrlf = true
    abbrev = 5
    attributesFile = {home}/attributes
    hooksPath = {home}/hooks
[diff]
    noprefix = true
    mnemonicPrefix = true
    algorithm = histogram
    context = 9
    external = false
    renames = copies
[format]
    signature = me
    attach = true
    numbered = false
    suffix = .txt
    subjectPrefix = XXX
    coverLetter = true
    from = true
    useAutoBase = true
"""


def test_same_bytes_whatever_the_user_has(toy: Series, origin: Source, tmp_path: Path) -> None:
    """Configuration, attributes, GIT_* variables, umask, locale and time zone must not show."""
    home = tmp_path / "hostile"
    (home / "hooks").mkdir(parents=True)
    (home / ".gitconfig").write_text(HOSTILE_CONFIG.format(home=home))
    (home / "attributes").write_text("*.c -diff\n")
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "GIT_DIFF_OPTS": "--unified=0",
        "GIT_AUTHOR_NAME": "Nobody",
        "GIT_COMMITTER_DATE": "1 +0000",
        "GIT_DIR": str(home),
        "GIT_INDEX_FILE": str(home / "index"),
        "GIT_EXTERNAL_DIFF": "false",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "diff.noprefix",
        "GIT_CONFIG_VALUE_0": "true",
        "TZ": "Asia/Kathmandu",
        "LC_ALL": "tr_TR.UTF-8",
        "PYTHONHASHSEED": "7",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    wanted = digest(make(toy, origin, tmp_path / "here"))
    script = f"""
import os, sys
from pathlib import Path
os.umask(0o077)
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_compose import *
origin = resolve.Source(toytree.base(), {origin.tree!r}, Path({str(origin.repository)!r}), "", frozenset(), ())
print(digest(make(series.load(Path({str(toy.directory)!r})), origin, Path({str(tmp_path / "there")!r}))))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == wanted


def digest(paths: list[Path]) -> str:
    return hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in paths)).hexdigest()


def test_modes_and_odd_bytes_survive(tmp_path: Path) -> None:
    """An edit of an executable file leaves it executable, and bytes that are not UTF-8 as they are."""
    script, latin = File(b"#!/bin/sh\necho one\n", "100755"), File(b"/* \xe9 */\nint a;\n")
    files = {**toytree.RELEASE, "scripts/run.sh": script, "fs/latin.c": latin}
    blobs = {path: toytree.blob_id(file.data) for path, file in files.items()}
    base = toytree.base().model_copy(update={"tree": toytree.tree_id(files), "blobs": blobs})
    cache = Cache(tmp_path / "cache")
    settings = Settings(linux_src=toytree.write(tmp_path / "linux", files), cache=cache.root)
    origin = resolve.obtain(base, settings, cache, [])
    directory = tmp_path / "modes"
    for path, anchor in (("scripts/run.sh", "echo one"), ("fs/latin.c", "int a;")):
        edits = directory / "edits" / f"{path}.toml"
        edits.parent.mkdir(parents=True, exist_ok=True)
        edits.write_text(f'[[edit]]\npatch = "one"\nanchor = "{anchor}"\nwhere = "after"\ntext = "new\\n"\n')
    (directory / "messages").mkdir()
    (directory / "messages/one.txt.j2").write_text("x: Add new\n\nWhy.\n")
    (directory / "series.toml").write_text(
        'name = "modes"\ntitle = "t"\n[[patch]]\nid = "one"\npaths = ["fs/latin.c", "scripts/run.sh"]\n'
    )
    (patch,) = parsed(series.load(directory), origin, tmp_path / "out", cache)
    assert b"old mode" not in patch.data
    assert b"\xe9" in patch.data
    assert patch.paths == ["fs/latin.c", "scripts/run.sh"]
    space = worktree.workspace(origin, "one", cache)
    applied = apply.apply(origin, [patch], cache)
    worktree.switch(space, origin, applied.trees[-1])
    assert (space.files / "scripts/run.sh").stat().st_mode & 0o111
    assert (space.files / "fs/latin.c").read_bytes() == b"/* \xe9 */\nint a;\nnew\n"


def test_two_at_once(toy: Series, origin: Source, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda n: digest(make(toy, origin, tmp_path / f"out{n}")), range(4)))
    assert len(set(made)) == 1


def test_a_workspace_changes_only_what_differs(toy: Series, origin: Source, cache: Cache) -> None:
    composed = compose.commit(origin, compose.render_series(toy, origin, SUBMISSION), SUBMISSION, cache)
    pristine = worktree.pristine(origin, cache)
    space = worktree.workspace(origin, "one", cache)
    exec_c, fork_c = space.files / "fs/exec.c", space.files / "kernel/fork.c"
    before = fork_c.stat().st_mtime_ns
    assert worktree.switch(space, origin, composed.tree) == ["fs/exec.c", "lib/toy.c"]
    assert "toy(42 + 1)" in exec_c.read_text()
    assert exec_c.stat().st_mtime_ns > before
    assert fork_c.stat().st_mtime_ns == before
    assert (pristine / "fs/exec.c").read_bytes() == toytree.RELEASE["fs/exec.c"].data, "a hard link was written to"
    assert worktree.switch(space, origin, composed.tree) == []
    repo = bare_repository(origin.repository)
    first = str(repo.git.rev_parse(f"{composed.commits[0]}^{{tree}}"))
    assert worktree.switch(space, origin, first) == ["fs/exec.c", "lib/toy.c"]
    assert worktree.switch(space, origin, origin.tree) == ["fs/exec.c", "lib/toy.c"]
    assert not (space.files / "lib/toy.c").exists()
    assert exec_c.read_bytes() == toytree.RELEASE["fs/exec.c"].data
    assert (space.files / "scripts/run.sh").stat().st_mode & 0o111
    assert (space.files / "Documentation/link").is_symlink()


def test_a_workspace_recovers_from_an_interrupted_switch(toy: Series, origin: Source, cache: Cache) -> None:
    composed = compose.commit(origin, compose.render_series(toy, origin, SUBMISSION), SUBMISSION, cache)
    space = worktree.workspace(origin, "one", cache)
    worktree.switch(space, origin, composed.tree)
    # As if a switch back to the base had been ended after its first file.
    (space.files / "lib/toy.c").unlink()
    assert worktree.switch(space, origin, composed.tree) == ["lib/toy.c"]
