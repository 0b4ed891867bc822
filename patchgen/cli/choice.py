"""Which base to work on where nobody names one: linux-4.15, or the newest other one that can be had."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass

from patchgen import pipeline
from patchgen.base import bases
from patchgen.base.bases import DEFAULT
from patchgen.errors import BaseError, DownloadError, PatchgenError
from patchgen.settings import Settings

Obtain = Callable[[Settings], None]


@dataclass(frozen=True)
class Choice:
    """The base to work on.

    Attributes:
        name: its name.
        why: why it is not linux-4.15; "" if it is, or if the user named it.
    """

    name: str
    why: str = ""

    def sentence(self) -> str:
        """Say what comes of a base that stands in for linux-4.15, why, and how to get a submission; "" if none does."""
        if not self.why:
            return ""
        return (
            f"this is a port to {bases.load(self.name).title}, to look at and to test, because"
            f" {bases.load(DEFAULT).title} cannot be had: {self.why}. For a submission run 'LINUX_SRC=DIR make patch',"
            f" where DIR is a checkout, directory or tarball of {DEFAULT}"
        )


def fetch(settings: Settings) -> None:
    """Get the base that the settings name into the cache.

    Raises:
        PatchgenError: it cannot be had.
    """
    pipeline.open_project(settings, {}).source()


def is_named(settings: Settings) -> bool:
    """Return whether the user names a base (BASE, --base, patchgen.toml): then no other one will do."""
    return "base" in settings.model_fields_set


def choose(settings: Settings, obtain: Obtain = fetch) -> Choice:
    """Find out which base to work on, and get it into the cache.

    Args:
        settings: the user's. With `base` or `linux_src` in them there is nothing to choose.
        obtain: gets a base into the cache, or raises.

    Raises:
        PatchgenError: what the user names cannot be had, no base can, or the machine fails in a way that hits each.
    """
    if is_named(settings):
        return Choice(settings.base)
    try:
        obtain(settings.model_copy(update={"base": DEFAULT}))
    except (BaseError, DownloadError) as error:
        if settings.linux_src:
            raise
        lacking: dict[str, str] = {}
        if other := newest_other(settings, obtain, lacking):
            return Choice(other, error.message)
        evidence = "\n".join(f"{bases.load(name).title} cannot be had either: {why}" for name, why in lacking.items())
        raise DownloadError(error.message, hint=error.hint, evidence=evidence) from error
    return Choice(DEFAULT)


def newest_other(settings: Settings, obtain: Obtain, lacking: MutableMapping[str, str]) -> str:
    """Get the newest base other than linux-4.15 that can be had.

    Args:
        settings: the user's.
        obtain: gets a base into the cache, or raises.
        lacking: gets the reason for each base that cannot be had, by its name.

    Returns:
        Its name; "" if none can be had.
    """
    for name in bases.names():
        if name == DEFAULT:
            continue
        try:
            obtain(settings.model_copy(update={"base": name}))
        except PatchgenError as error:
            lacking[name] = error.message
        else:
            return name
    return ""
