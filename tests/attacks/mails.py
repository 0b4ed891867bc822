"""Patches in mail format for the tests, made without git."""

from __future__ import annotations

import difflib

_HEAD = (
    "From 1111111111111111111111111111111111111111 Mon Sep 17 00:00:00 2001\nFrom: A <a@b>\n"
    "Date: Sat, 1 Apr 2023 12:00:00 +0000\nSubject: [PATCH] x\n\n---\n"
)


def addition(path: str, before: str, after: str) -> bytes:
    """Return the patch that makes a file with the text `before` ("": there is none) one with `after`."""
    names = (f"a/{path}" if before else "/dev/null", f"b/{path}")
    lines = difflib.unified_diff(before.splitlines(keepends=True), after.splitlines(keepends=True), *names)
    mode = "" if before else "new file mode 100644\n"
    return f"{_HEAD}diff --git a/{path} b/{path}\n{mode}{''.join(lines)}".encode()
