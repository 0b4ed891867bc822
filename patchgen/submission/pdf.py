"""Counting the pages of an untrusted PDF: in a process of its own, in a sandbox where there is one.

pypdf is Python and runs nothing that is in the file, but a file can keep it busy for ever or take all memory.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pypdf

from patchgen import process, sandbox
from patchgen.cache import Cache
from patchgen.errors import CommandError, OverLimitError, SubmissionError, TimeoutExpiredError

MAX_BYTES = 16 * sandbox.MIB
_SECONDS = 10.0
_PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from pypdf import PdfReader
reader = PdfReader(sys.argv[2])
if reader.is_encrypted:
    sys.exit("it is encrypted")
print(len(reader.pages))
"""


def pages(data: bytes, cache: Cache) -> int:
    """Return how many pages a PDF has.

    Raises:
        SubmissionError: it is encrypted, broken or too large, or takes more than its share of time and memory to read.
    """
    if len(data) > MAX_BYTES:
        raise SubmissionError(f"it has {len(data)} bytes; {MAX_BYTES} are allowed")
    with cache.scratch("pdf") as scratch:
        scratch.chmod(0o755)
        file, library = scratch / "report.pdf", Path(pypdf.__file__).parents[1]
        file.write_bytes(data)
        python = os.path.realpath(sys.executable)
        words = [python, "-I", "-c", _PROGRAM, str(library), str(file)]
        try:
            if sandbox.why_not():
                result = process.run([*sandbox.limiting(sandbox.READER), *words], cwd=scratch, timeout=_SECONDS)
            else:
                box = sandbox.with_files(sandbox.Sandbox(), sandbox.READER, *_runtime(library), file)
                result = process.run(words, cwd=Path("/"), timeout=_SECONDS, sandbox=box)
            return int(result.stdout.split()[-1])
        except CommandError as error:
            why = error.output.strip().rpartition("\n")[2] or f"status {error.status}"
            raise SubmissionError(f"it cannot be read: {why}") from error
        except (TimeoutExpiredError, OverLimitError) as error:
            raise SubmissionError("it cannot be read in the time and memory that a report may take") from error
        except (ValueError, IndexError) as error:
            raise SubmissionError("it cannot be read") from error


def _runtime(library: Path) -> list[Path]:
    """Return what Python and pypdf need that is not below /usr."""
    needed = [Path(sys.base_prefix), library / "pypdf"]
    return [path for path in needed if not path.is_relative_to("/usr")]
