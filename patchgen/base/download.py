"""Downloading a release: what was received is kept for the next try, and nothing unchecked is used.

pooch does the retrieving and the checking; this adds to it the going on where an earlier try was cut off.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from patchgen import progress
from patchgen.cache import machine_faults
from patchgen.errors import DownloadError

if TYPE_CHECKING:
    import requests

_ATTEMPTS = 5
_TIMEOUT = (15.0, 60.0)  # seconds until a connection stands, and between two pieces of it
_PIECE = 1 << 15  # what comes of a piece before the connection breaks is lost
_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


def fetch_from_any(urls: Sequence[str], sha256: str, target: Path, *, hint: str = "") -> str:
    """Download a file from the first of some mirrors that has it, as `fetch` does.

    Args:
        urls: its addresses, at least one, in the order in which they are tried.
        sha256: what the content must hash to.
        target: where to.
        hint: what to do if no mirror has it.

    Returns:
        The address that it came from.

    Raises:
        DownloadError: none has it; the evidence says what is wrong with each.
        MachineError: the disk is full or read-only.
    """
    failed: list[DownloadError] = []
    for url in urls:
        try:
            fetch(url, sha256, target, hint=hint)
        except DownloadError as error:
            failed.append(error)
        else:
            return url
    if len(failed) == 1:
        raise failed[0]
    evidence = "\n".join(line for error in failed for line in (error.message, *error.evidence.splitlines()))
    message = f"cannot download {target.name}: none of {len(failed)} mirrors gives it"
    raise DownloadError(message, hint=hint, evidence=evidence) from failed[0]


def fetch(url: str, sha256: str, target: Path, *, hint: str = "") -> None:
    """Download a file, unless it is there already with the right content.

    What an earlier run received (`NAME.part` beside it) is not asked for again.

    Args:
        url: where from.
        sha256: what the content must hash to.
        target: where to; it appears whole or not at all.
        hint: what to do if that fails.

    Raises:
        DownloadError: no network, an error from the server, cut off again and again, or the wrong content.
        MachineError: the disk is full or read-only.
    """
    import pooch

    pooch.get_logger().setLevel("ERROR")  # it announces every download; the progress bar does that
    part = target.with_name(f"{target.name}.part")
    resumed = part.exists()
    for last in (not resumed, True):
        try:
            with machine_faults(f"cannot download {url}"), _failures(url, hint):
                pooch.retrieve(
                    url, f"sha256:{sha256}", target.name, target.parent, downloader=_Resuming(part), progressbar=False
                )
        except ValueError as error:  # pooch: the checksum; it has removed the file
            if last:
                raise DownloadError(f"{url} has the wrong content: {error}", hint=hint) from error
            # What was continued may have been the beginning of another file.
            progress.note(f"what was there of {target.name} did not fit; downloading it again")
            continue
        return


@contextlib.contextmanager
def _failures(url: str, hint: str) -> Iterator[None]:
    """Turn what requests raises into DownloadError."""
    import requests

    try:
        yield
    except requests.HTTPError as error:
        raise DownloadError(f"cannot download {url}: the server says {error}", hint=hint) from error
    except requests.RequestException as error:
        raise DownloadError(
            f"cannot download {url}: no connection, or it broke", hint=hint, evidence=str(error)
        ) from error


class _Resuming:
    """pooch's downloader that goes on where it was cut off, in this run or an earlier one.

    Args:
        part: file that holds what was received so far.
    """

    def __init__(self, part: Path) -> None:
        self._part = part

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:  # noqa: ARG002 - pooch's interface
        """Download `url` to `output_file`.

        Raises:
            requests.RequestException: it cannot be had.
        """
        import requests

        with progress.step(f"downloading {url.rsplit('/', 1)[-1]}") as step:
            for attempt in range(1, _ATTEMPTS + 1):
                before = self._size()
                try:
                    self._receive(url, step)
                    break
                except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
                    # Without a single byte there is no use in asking again.
                    if attempt == _ATTEMPTS or self._size() <= before:
                        raise
        self._part.rename(output_file)

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _receive(self, url: str, step: progress.Step) -> None:
        """Ask for what is not there yet, and write down what comes."""
        import requests

        have = self._size()
        # Compressed on the way it would not be what the checksum is of, nor could it be continued.
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            begin, total = _begin_and_total(response)
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                if have and total == have:
                    return  # all of it was there
                if have:
                    self._part.unlink()
                    self._receive(url, step)
                    return
            response.raise_for_status()
            # A server that does not know ranges sends all of it; one that sends another range is not trusted.
            if begin not in (0, have):
                self._part.unlink()
                raise requests.ConnectionError(f"asked for bytes from {have}, got them from {begin}")
            done = begin
            with self._part.open("ab" if begin else "wb") as file:
                for piece in response.iter_content(_PIECE):
                    file.write(piece)
                    done += len(piece)
                    step.update(done, total)
        if total is not None and done != total:
            raise requests.ConnectionError(f"{done} of {total} bytes came")


def _begin_and_total(response: requests.Response) -> tuple[int, int | None]:
    """Return the offset of the first byte that comes, and the size of the whole file if it is told."""
    if match := _RANGE.match(response.headers.get("Content-Range", "")):
        begin, total = match.groups()
        return int(begin or 0), None if total == "*" else int(total)
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None
