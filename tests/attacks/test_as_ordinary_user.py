"""The attacks on builds once more where the grader is not root: in the sandbox, the program then is the grader's user.

Files that were handed in belong to it, and so do keys. Only a mount, a namespace or a filter holds it back.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from attacks import ordinary

HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(bool(ordinary.why_not()), reason=ordinary.why_not())


# Limits are the same for whoever asks.
_LIMITS = "memory or disk or fills or forks or ends or told or without or never"


@pytest.mark.parametrize("module", ["test_attacks_on_builds.py", "test_system_calls.py", "test_inside.py"])
def test_attacks_come_to_nothing_as_an_ordinary_user(module: str) -> None:
    done = ordinary.pytest(str(HERE / module), "-k", f"not ({_LIMITS})")
    if "no sandbox here" in done.stdout:
        pytest.skip(f"an ordinary user has no sandbox here: {done.stdout.strip().splitlines()[-2]}")
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
