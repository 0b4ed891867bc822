"""A tree of a git repository, copied into the cache.

The copy reuses the deltas that the objects are stored as. A partial clone's tree is copied as far as it is there.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Collection
from pathlib import Path

from patchgen import progress
from patchgen.base import store
from patchgen.base.git import Repository, disk_is_full, failed, scratch_repository
from patchgen.base.store import Stored
from patchgen.base.views import listing, present
from patchgen.cache import Cache
from patchgen.errors import BaseError

_WRITTEN = re.compile(rb"Writing objects:\s+\d+% \((\d+)/\d+\)[^\r\n]*[\r\n]*")


def copy(cache: Cache, view: Repository, tree: str, origin: str, required: Collection[str]) -> Stored:
    """Copy a tree from a repository given by `views.borrowed` into the cache. The caller holds the lock.

    Args:
        cache: where to.
        view: where from.
        tree: id of the tree.
        origin: where it comes from, for people.
        required: paths whose content must be there.

    Raises:
        BaseError: a directory of the tree cannot be read, or the content of a required path is missing.
        MachineError: git or the disk failed.
    """
    with store.draft(cache, origin, borrow=Path(view.git_dir) / "objects") as draft:
        entries = listing(view, tree, "-r", "-t")
        ids = {tree, *(object_id for kind, object_id in entries.values() if kind != "commit")}
        known = scratch_repository(draft.known.with_name("cached.git"), draft.known)
        # Not asked of nothing: git looks through the directory of packs again for each object it does not find.
        wanted = ids - present(known, ids) if draft.packs else ids
        found = present(view, wanted)
        lost = wanted - found
        missing = {
            path: object_id for path, (kind, object_id) in entries.items() if kind == "blob" and object_id in lost
        }
        require(origin, missing, required)
        if found:
            _pack(draft.repository, found, origin)
        return draft.keep(tree, missing)


def require(origin: str, missing: Collection[str], required: Collection[str]) -> None:
    """See that no file that is needed is without content.

    Raises:
        BaseError: there is one, as in a partial clone.
    """
    if absent := sorted(set(missing) & set(required)):
        raise BaseError(
            f"{origin}: the content of {absent[0]} is missing, and the series needs it",
            hint="this looks like a partial clone: 'git checkout' of the base in it fetches the files",
        )


def _pack(repo: Repository, ids: Collection[str], origin: str) -> None:
    """Make one pack of objects in the scratch repository that sees them, reusing the deltas they are stored as.

    Raises:
        BaseError: git cannot read one of them.
        MachineError: git failed in another way.
    """
    prefix = Path(repo.git_dir) / "objects" / "pack" / "pack"
    # No search for new deltas: it would take minutes and save little.
    process = repo.git.pack_objects(
        "--window=0", "--progress", "--all-progress", str(prefix), istream=subprocess.PIPE, as_process=True
    )
    said = b""
    try:
        with progress.step(f"copying {origin}", total=len(ids), counted=True) as step:
            with contextlib.suppress(BrokenPipeError):  # git says why below
                process.stdin.write("".join(f"{i}\n" for i in sorted(ids)).encode())
                process.stdin.close()
            while chunk := process.stderr.read1(4096):
                said = (said + chunk)[-8192:]
                if done := _WRITTEN.findall(said):
                    step.update(int(done[-1]))
        process.stdout.read()
    except BaseException:
        process.proc.kill()
        process.proc.wait()
        raise
    status = process.proc.wait()
    if status == 0:
        return
    failure = failed(f"git pack-objects ended with status {status}", said.decode(errors="replace"))
    if status < 0 or disk_is_full(failure.evidence):
        raise failure
    raise BaseError(f"{origin}: git cannot read all of it", evidence=failure.evidence)
