"""A fake of getting bases: which of them can be had is a matter of what a test says."""

from __future__ import annotations

from collections.abc import Callable

from patchgen.errors import DownloadError, PatchgenError
from patchgen.settings import Settings


def having(*there: str, **failing: PatchgenError) -> tuple[Callable[[Settings], None], list[str]]:
    """Return a fetch that has some bases, and the list of what it is asked for."""
    asked: list[str] = []

    def obtain(settings: Settings) -> None:
        asked.append(settings.base)
        if settings.base not in there:
            raise failing.get("error", DownloadError(f"no network for {settings.base}"))

    return obtain, asked
