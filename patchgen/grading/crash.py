"""Crashes, read: what the kernel died of, in which function of the submission, and at which line of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from patchgen import progress
from patchgen.errors import PatchgenError
from patchgen.findings import Finding
from patchgen.grading.context import GradingContext
from patchgen.grading.places import Sources, at, sources
from patchgen.guest import oops
from patchgen.guest.oops import Frame, Oops

_LINES = 3  # places whose lines are looked up: each takes the compiler some seconds
_FRAMES = 12


@dataclass
class CrashReader:
    """Reads the crashes of one kernel.

    Attributes:
        context: the submission's.
        config: the configuration of the kernel.
        known: the lines that were looked up already.
    """

    context: GradingContext
    config: str
    known: dict[Frame, str] = field(default_factory=dict)

    def read(self, findings: Sequence[Finding]) -> Iterator[Finding]:
        """Yield the findings: those that show a crash say in a line what it was and where."""
        text = sources(self.context.applied)
        for finding in findings:
            shown = finding.check in ("crash", "complaint", "boot") or finding.check.startswith("stress-")
            said = oops.read(finding.evidence) if shown else None
            yield self._told(finding, said, text) if said else finding

    def _told(self, finding: Finding, said: Oops, text: Sources) -> Finding:
        ours = next((frame for frame in said.frames if text.of_function(frame.name)), None)
        place = said.place if text.text(said.place) else self._line(ours, text) if ours else ""
        verb = {"complaint": "complains", "boot": "does not boot: it dies"}.get(finding.check, "dies")
        inner = f" in {said.frames[0].name}" if said.frames else ""
        caller = f", called from {ours.name}" if ours and ours != said.frames[0] else ""
        leak = finding.check == "stress-leaks"
        shown = [said.what, f"{place}: {text.text(place)}" if place else ""]
        shown += [f"  {frame.function}+{frame.offset:#x}" for frame in said.frames[:_FRAMES]]
        made = replace(
            finding,
            message=finding.message if leak else f"The kernel {verb}{inner}{caller}: {said.reason}",
            evidence="\n".join(line for line in shown if line),
            details="\n".join(one for one in (finding.message, finding.evidence) if one),
        )
        return at(made, place)

    def _line(self, frame: Frame, text: Sources) -> str:
        """Return the line of a place in one of the submission's functions; if need be, that of the function."""
        defined = text.of_function(frame.name)
        path = defined.rpartition(":")[0]
        if frame not in self.known and len(self.known) < _LINES and path.endswith(".c"):
            applied = self.context.applied
            assert applied is not None, "its kernel has crashed"
            number = 0
            try:
                number = self.context.builder.line(self.config, applied.trees[-1], path, frame)
            except PatchgenError as error:
                progress.note(f"the line of {frame.name} cannot be told: {error.message}")
            self.known[frame] = f"{path}:{number}" if number else defined
        return self.known.get(frame, defined)
