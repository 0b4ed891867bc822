"""The results that platforms read on which students hand in.

- Gradescope, results.json: https://gradescope-autograders.readthedocs.io/en/latest/specs/#output-format
- INGInious, what its feedback commands write, /.__output/__feedback.json:
  https://docs.inginious.org/en/latest/teacher_doc/run_file.html#feedback-commands
"""

from __future__ import annotations

import json
from urllib.parse import quote

from patchgen.findings import Result
from patchgen.grading import text
from patchgen.grading.model import ItemMark, Verdict
from patchgen.grading.rubric import Rubric

_VISIBILITY = {"now": "visible", "after-deadline": "after_due_date"}


def gradescope(verdict: Verdict, rubric: Rubric) -> str:
    """Return Gradescope's results: a test for each item of the rubric that has points.

    Without a final mark there is nothing: Gradescope has no word for it, and where results are missing it says that the
    autograder has failed, and gives no score.
    """
    if verdict.marks.mark is None:
        return ""
    shown = {item.id: item.shown for item in rubric.items}
    graded = [item for item in verdict.marks.items if item.earned is not None and (item.points or item.why)]
    tests = [
        {
            "name": item.title,
            "number": str(number),
            "score": item.earned,
            "max_score": item.points,
            "status": "passed" if item.status is Result.PASS else "failed",
            "output": item.why,
            "output_format": "text",
            "visibility": _VISIBILITY[shown[item.id]],
        }
        for number, item in enumerate(graded, 1)
    ]
    hidden = any(test["visibility"] != "visible" for test in tests)
    said = "" if hidden else "\n".join(text.summary(verdict))
    # The score stands whatever the tests add up to: it has the penalty, and what is mandatory.
    return _json({"score": verdict.marks.mark, "output": said, "output_format": "text", "tests": tests})


def inginious(verdict: Verdict, rubric: Rubric) -> str:
    """Return INGInious' feedback: a grade of 100, and what a terminal shows as a literal block.

    Without a final mark the result is "crash", and there is no grade.
    """
    marks = verdict.marks
    result = {Result.PASS: "success", Result.FAIL: "failed", Result.ERROR: "crash"}[verdict.status]
    hidden = any(item.shown == "after-deadline" for item in rubric.items)
    lines = [_line(item) for item in marks.items if item.points] if not hidden else []
    lines = [*([] if hidden else text.summary(verdict)), "", *lines]
    feedback: dict[str, object] = {"result": result if marks.mark is not None else "crash"}
    whole = sum(item.points for item in marks.items) if marks.zero else marks.points
    if marks.mark is not None and feedback["result"] != "crash":
        feedback["grade"] = round(100 * marks.mark / whole, 2) if whole else 0.0
    feedback |= {"text": "::\n\n" + "\n".join(f"   {line}" for line in lines), "problems": {}}
    return _json(feedback)


def _line(item: ItemMark) -> str:
    earned = "-" if item.earned is None else f"{item.earned:g}"
    return f"{earned:>5} of {item.points:<5g} {item.title}"


def _json(data: object) -> str:
    return json.dumps(data, indent=1) + "\n"


def uri(path: str) -> str:
    """Return a relative path as a URI reference."""
    return quote(path)
