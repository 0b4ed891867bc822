"""A base that comes in a Debian package: a real package of the toy tree, from an apt-get that can be told to fail.

The stand-in for apt-get only hands the package over; dpkg-deb and the import are real.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import toytree
from toytree import File

from patchgen import process
from patchgen.base import resolve
from patchgen.base.bases import Base, Package
from patchgen.cache import NO_ROOM, Cache
from patchgen.cli import doctor
from patchgen.errors import BaseError, DownloadError, MachineError, PatchgenError, ToolMissingError
from patchgen.settings import Settings

MEMBER = "usr/src/linux-source-toy.tar.xz"
APT = """\
#!/bin/sh
echo "$*" >>{place}/asked
for word; do
	case $word in
	update) exit 100 ;; # a broken index is no reason to give up
	download) {download} ;;
	esac
done
"""
GIVEN = "cp {place}/linux-source-toy_4.15.9%7erc1-1_all.deb ."
GONE = "echo 'E: Unable to locate package linux-source-toy' >&2; exit 100"
ANOTHER = "cp {place}/linux-source-toy_4.15.9%7erc1-1_all.deb linux-source-toy2_1_all.deb"
OFFLINE = "echo 'E: Failed to fetch http://mirror.invalid/x.deb  Could not resolve' >&2; exit 100"
FULL = 'echo "E: You don\'t have enough free space in /x." >&2; exit 100'
ONCE_CUT_OFF = f"[ -e {{place}}/again ] || {{{{ touch {{place}}/again; echo cut off >&2; exit 100; }}}}; {GIVEN}"
# Every tool that is needed but apt-get.
TOOLS = ("git", "dpkg-deb", "tar", "sh", "cp", "touch", "env")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory of the mirror and of all tools."""
    place = tmp_path / "place"
    place.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found, name
        (place / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(place))
    return place


def mirror(place: Path, download: str = GIVEN, files: dict[str, File] | None = None, member: str = MEMBER) -> None:
    """Make the package and the apt-get that is to fetch it."""
    root = place / "root"
    (root / "DEBIAN").mkdir(parents=True, exist_ok=True)
    (root / "DEBIAN/control").write_text(
        "Package: linux-source-toy\nVersion: 4.15.9~rc1-1\nArchitecture: all\nMaintainer: A <a@b>\nDescription: toy\n"
    )
    content = toytree.members(files or toytree.RELEASE, top="linux-source-toy")
    (root / member).parent.mkdir(parents=True, exist_ok=True)
    toytree.tarball(root / member, content)
    package = place / "linux-source-toy_4.15.9%7erc1-1_all.deb"
    process.run(["dpkg-deb", "-b", "--root-owner-group", root, package], cwd=place, timeout=60)
    apt = place / "apt-get"
    apt.write_text(APT.format(place=place, download=download.format(place=place)))
    apt.chmod(0o755)


def base(**different: object) -> Base:
    fields = {
        "name": "debian-toy",
        "title": "Debian's Toy",
        "submission": False,
        "makefile": {"VERSION": "4", "PATCHLEVEL": "15", "EXTRAVERSION": ""},
        "origin": Package(kind="package", package="linux-source-toy", member=MEMBER, megabytes=1),
        **different,
    }
    return Base.model_validate(fields)


def obtain(cache: Cache, wanted: Base | None = None, path: Path | None = None) -> resolve.Source:
    settings = Settings(base_src=path, cache=cache.root)
    return resolve.obtain(wanted or base(), settings, cache, toytree.TOUCHED)


def leftovers(cache: Cache) -> list[Path]:
    """Return what a failed attempt has left behind."""
    kept = [cache.root / name for name in ("v1", ".")]
    return [path for root in kept for name in ("scratch", "downloads") for path in (root / name).glob("*")]


def test_it_is_fetched_once(place: Path, cache: Cache) -> None:
    mirror(place)
    found = obtain(cache)
    assert found.tree == toytree.tree_id(toytree.RELEASE)
    assert found.origin == "Debian's package linux-source-toy, 4.15.9~rc1-1"
    assert found.warnings == ()
    assert leftovers(cache) == []
    (place / "apt-get").unlink()
    assert obtain(cache) == found
    # What else the base's data says may change.
    assert obtain(cache, base(title="Toy", tags=("v1",))).tree == found.tree


def test_a_subrelease_more_will_do(place: Path, cache: Cache) -> None:
    """Debian updates the package: the same base has another tree then."""
    files = {**toytree.RELEASE, "Makefile": File(toytree.MAKEFILE.replace(b"SUBLEVEL = 0", b"SUBLEVEL = 77"))}
    mirror(place, files=files)
    assert obtain(cache).tree == toytree.tree_id(files)


def test_another_version_is_refused(place: Path, cache: Cache) -> None:
    mirror(place)
    with pytest.raises(BaseError, match=r"this is Linux 4.15.0, wanted 6.1"):
        obtain(cache, base(makefile={"VERSION": "6", "PATCHLEVEL": "1", "EXTRAVERSION": ""}))
    assert leftovers(cache) == []


@pytest.mark.parametrize(
    ("download", "kind", "said", "hint"),
    [
        (GONE, DownloadError, "the mirrors do not have it", "BASE_SRC="),
        (ANOTHER, DownloadError, "the mirrors do not have it", "BASE_SRC="),
        (OFFLINE, DownloadError, "no mirror answers, or the download broke", "BASE_SRC="),
        (FULL, MachineError, "no room to fetch linux-source-toy", NO_ROOM),
    ],
)
def test_a_mirror_that_fails(
    place: Path, cache: Cache, download: str, kind: type[PatchgenError], said: str, hint: str
) -> None:
    mirror(place, download)
    with pytest.raises(kind, match=said) as caught:
        obtain(cache)
    assert hint in caught.value.hint
    assert caught.value.evidence
    assert leftovers(cache) == []
    mirror(place)
    assert obtain(cache).tree == toytree.tree_id(toytree.RELEASE)


def test_an_interrupted_download_is_tried_again(place: Path, cache: Cache) -> None:
    mirror(place, ONCE_CUT_OFF)
    assert obtain(cache).tree == toytree.tree_id(toytree.RELEASE)
    asked = (place / "asked").read_text().splitlines()
    assert len([line for line in asked if line.endswith(" download linux-source-toy")]) == 2


def test_a_package_that_is_cut_off(place: Path, cache: Cache) -> None:
    mirror(place, "head -c 300 {place}/*.deb >linux-source-toy_1_all.deb")
    (place / "head").symlink_to(shutil.which("head", path="/usr/bin:/bin") or "")
    with pytest.raises(MachineError, match="cannot unpack linux-source-toy_1_all"):
        obtain(cache)
    assert leftovers(cache) == []


def test_a_package_without_the_tarball(place: Path, cache: Cache) -> None:
    mirror(place, member="usr/src/other.tar.xz")
    with pytest.raises(MachineError, match=f"has no {MEMBER} in it"):
        obtain(cache)


def test_no_apt(place: Path, cache: Cache) -> None:
    with pytest.raises(ToolMissingError, match="Debian's Toy is not here, and no apt-get to fetch one") as caught:
        obtain(cache)
    assert "BASE_SRC=" in caught.value.hint


def test_no_room(place: Path, cache: Cache) -> None:
    """Found out before anything is fetched."""
    mirror(place)
    huge = Package(kind="package", package="linux-source-toy", member=MEMBER, megabytes=1 << 40)
    with pytest.raises(MachineError, match="no room to fetch and import Debian's Toy: it takes") as caught:
        obtain(cache, base(origin=huge))
    assert caught.value.hint == NO_ROOM
    assert not (place / "asked").exists()


def test_a_place_of_the_users_own(place: Path, cache: Cache, tmp_path: Path) -> None:
    tree = toytree.tree_id(toytree.RELEASE)
    directory = toytree.write(tmp_path / "linux", toytree.RELEASE)
    assert obtain(cache, path=directory).tree == tree
    toytree.commit(directory)
    assert obtain(cache, path=directory).tree == tree
    assert obtain(cache, path=directory).tree == tree
    assert obtain(cache, path=toytree.tarball(tmp_path / "linux.tar.xz")).tree
    with pytest.raises(BaseError, match="BASE_SRC: "):
        obtain(cache, path=tmp_path / "nowhere")
    local = base(origin={"kind": "path", "path": directory})
    assert resolve.place(local, Settings()) == directory
    assert obtain(cache, local).tree == tree


def test_linux_src_is_not_for_another_base(place: Path, cache: Cache, tmp_path: Path) -> None:
    mirror(place)
    settings = Settings(linux_src=tmp_path / "nowhere", linux_base="nothing", cache=cache.root)
    assert resolve.obtain(base(), settings, cache, ()).warnings == ()


def test_doctor_says_where_it_comes_from(place: Path, cache: Cache, tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path / "cache")
    item = doctor._source_item(base(), settings)
    assert (item.ok, item.optional) == (False, True)
    assert "there is no apt-get to fetch Debian's package linux-source-toy" in item.detail
    assert item.fix == "BASE_SRC=DIR BASE=debian-toy make patch"
    assert not cache.root.exists()
    mirror(place)
    assert "it will come from Debian's package linux-source-toy" in doctor._source_item(base(), settings).detail
    obtain(cache)
    item = doctor._source_item(base(), settings)
    assert (item.ok, item.detail) == (True, "in the cache, from Debian's package linux-source-toy, 4.15.9~rc1-1")
    named = doctor._source_item(base(), Settings(base="debian-toy", base_src=place / "no"))
    assert (named.ok, named.optional, named.fix) == (False, False, "correct BASE_SRC")
