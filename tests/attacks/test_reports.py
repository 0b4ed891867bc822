"""Reports that are an attack on who counts their pages."""

from __future__ import annotations

import io
import resource
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from attacks.catalogue import Attack, named
from pypdf import PdfReader, PdfWriter

from patchgen.cache import Cache
from patchgen.errors import SubmissionError
from patchgen.submission import pdf


def document(pages: int, password: str = "") -> bytes:
    writer = PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(200, 200)
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def written(*objects: bytes) -> bytes:
    """Return a PDF of these objects, numbered from 1; the first is the catalogue."""
    out, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    table += b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + table + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(out))


def bomb() -> bytes:
    """A PDF whose table of objects is compressed, and 2 GB long when it is not."""
    # A block that refers to nothing before it can be repeated; compressing it all takes seconds.
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    block = packer.compress(b"\0" * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    sums = (2048 << 20) % 65521 << 16 | 1
    data = b"\x78\xda" + block * 2048 + packer.flush() + sums.to_bytes(4, "big")
    head = b"%PDF-1.5\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
    stream = (
        b"3 0 obj\n<< /Type /XRef /Size 4 /W [1 2 1] /Root 1 0 R /Filter /FlateDecode /Length %d >>\nstream\n"
        % len(data)
    )
    return head + stream + data + b"\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % len(head)


CATALOGUE = b"<< /Type /Catalog /Pages 2 0 R >>"
LIMIT = "a process of its own in the sandbox, with 5 s and 512 MiB"
ATTACKS: tuple[Attack, ...] = (
    Attack("an encrypted PDF", LIMIT, lambda: document(1, "secret"), "it is encrypted"),
    Attack("a broken PDF", LIMIT, lambda: document(1)[:200], "it cannot be read"),
    Attack("a file that only says it is a PDF", LIMIT, lambda: b"%PDF-1.7\n" + b"\xff\x00" * 5000, "it cannot be read"),
    Attack(
        "a PDF whose tree of pages is a circle",
        LIMIT,
        lambda: written(CATALOGUE, b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>"),
        "it cannot be read",
    ),
    Attack(
        "a PDF whose tree of pages is 2^40 pages: each node has the next one twice",
        LIMIT,
        lambda: written(
            CATALOGUE,
            *(b"<< /Type /Pages /Kids [%d 0 R %d 0 R] /Count 2 >>" % (n, n) for n in range(3, 43)),
            b"<< /Type /Page >>",
        ),
        "it cannot be read",
    ),
    Attack("a PDF of 2 MB that unpacks to 2 GB", LIMIT, bomb, "it cannot be read"),
    Attack(
        "a PDF of 20 MB", "limit on its size", lambda: document(1) + b"%" * (20 << 20), "bytes; 16777216 are allowed"
    ),
)
THOUSAND = Attack("a PDF of a thousand pages", "it is counted", lambda: document(1000))
FALSE_COUNT = Attack(
    "a PDF of 40 pages that says it has 2",
    "pages are counted, not believed",
    lambda: document(40).replace(b"/Count 40", b"/Count 2 "),
)
OTHERS = (THOUSAND, FALSE_COUNT)


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_a_hostile_report_is_refused(attack: Attack, tmp_path: Path) -> None:
    make: Callable[[], bytes] = attack.means
    data = make()
    begin, memory = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SubmissionError) as caught:
        pdf.pages(data, Cache(tmp_path))
    assert attack.said in caught.value.message
    assert time.monotonic() - begin < 25
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 200 * 1024, "KiB"


@pytest.mark.parametrize(("attack", "pages"), [(THOUSAND, 1000), (FALSE_COUNT, 40)], ids=["thousand", "false"])
def test_pages_are_counted(attack: Attack, pages: int, tmp_path: Path) -> None:
    assert pdf.pages(attack.means(), Cache(tmp_path)) == pages


def test_the_attacks_are_documents_where_they_claim_to_be() -> None:
    assert (
        len(
            PdfReader(
                io.BytesIO(
                    written(CATALOGUE, b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", b"<< /Type /Page /Parent 2 0 R >>")
                )
            ).pages
        )
        == 1
    )


def test_without_a_sandbox_limits_still_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("patchgen.sandbox.why_not", lambda: "a test")
    assert pdf.pages(document(3), Cache(tmp_path)) == 3
    attack = next(one for one in ATTACKS if "2 GB" in one.what)
    with pytest.raises(SubmissionError, match="it cannot be read"):
        pdf.pages(attack.means(), Cache(tmp_path))
