"""Guests of a real vanilla kernel that are saved once and restored each time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from patchgen.cache import Cache
from patchgen.guest import machine, saved
from patchgen.guest.initramfs import Image

MACHINE = machine.load()
VERSION = "Linux version "  # the first line of a whole console


def state_file(cache: Cache) -> Path:
    (file,) = cache.root.glob("guest/saved/*/state")
    return file


def test_a_saved_guest_is_used_again_and_starts_afresh(own_cache: Cache, vanilla_kernel: Path, image: Image) -> None:
    with saved.ready_guest(own_cache, vanilla_kernel, image, MACHINE) as first:
        first.run("touch /tmp/trace")
    before = state_file(own_cache).stat()
    booted = state_file(own_cache).with_name("console").read_text()
    assert VERSION in booted
    for _ in range(2):
        with saved.ready_guest(own_cache, vanilla_kernel, image, MACHINE) as again:
            assert again.run("ls /tmp").text == ""
            assert again.console.startswith(booted), "the times of its lines say that it did not boot again"
    after = state_file(own_cache).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_no_event_loop_stays_open(
    own_cache: Cache, vanilla_kernel: Path, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python closes what stays open when it likes, and prints a traceback if the loop's socket went first."""
    made = list[asyncio.SelectorEventLoop]()
    create = asyncio.SelectorEventLoop.__init__

    def noted(loop: asyncio.SelectorEventLoop) -> None:
        made.append(loop)
        create(loop)

    monkeypatch.setattr(asyncio.SelectorEventLoop, "__init__", noted)
    for _ in range(2):
        with saved.ready_guest(own_cache, vanilla_kernel, image, MACHINE):
            pass
    assert made
    assert all(loop.is_closed() for loop in made)


def test_a_damaged_saved_guest_is_made_anew(own_cache: Cache, vanilla_kernel: Path, image: Image) -> None:
    with saved.ready_guest(own_cache, vanilla_kernel, image, MACHINE):
        pass
    state = state_file(own_cache)
    whole = state.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"garbage" * 1000, None):
        state.unlink()
        if damaged is not None:
            state.write_bytes(damaged)
        with saved.ready_guest(own_cache, vanilla_kernel, image, MACHINE) as again:
            assert again.run("echo back").text == "back\n"
        assert state_file(own_cache).stat().st_size > len(whole) * 3 // 4


def test_another_machine_is_another_saved_guest(own_cache: Cache, vanilla_kernel: Path, image: Image) -> None:
    keys = {
        saved.key(own_cache, vanilla_kernel, image, which)
        for which in (MACHINE, replace(MACHINE, memory=128), replace(MACHINE, cmdline=("console=ttyS0",)))
    }
    assert len(keys) == 3


def test_two_guests_at_once(user_cache: Cache, vanilla_kernel: Path, image: Image) -> None:
    def ready() -> object:
        return saved.ready_guest(user_cache, vanilla_kernel, image, MACHINE)

    with ready() as one, ready() as two:  # type: ignore[attr-defined]
        one.run("echo 1 >/tmp/who")
        two.run("echo 2 >/tmp/who")
        assert (one.run("cat /tmp/who").text, two.run("cat /tmp/who").text) == ("1\n", "2\n")
