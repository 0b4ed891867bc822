"""Draws how the cost of a fault depends on how many names, VMAs, processes and faults there are."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import TYPE_CHECKING

from patchgen.cache import write_text
from patchgen.checks import cost
from patchgen.errors import ToolMissingError, UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Dark enough for white paper, and told apart without colour by marker and line.
_COLORS = {"idle": ("#1f77b4", "o"), "tracked": ("#d62728", "^")}
_PANELS = ("tracked names", "VMAs", "processes", "faults so far")
_LINES = {"reuse": "-", "first": ":"}


def check() -> None:
    """Find out before anything is measured whether a plot can be drawn.

    Raises:
        ToolMissingError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise ToolMissingError("a plot needs matplotlib", hint="pip install 'patchgen[plot]', or leave --plot out")


def draw(costs: cost.Costs, path: Path) -> None:
    """Write an SVG file; the same costs give the same bytes with the same matplotlib.

    Raises:
        UsageError: the file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "patchgen", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(9, 6), layout="constrained")
        axes = figure.subplots(2, 2, sharey=True).flat
        for axis, what in zip(axes, _PANELS, strict=True):
            _panel(axis, costs, what)
        handles, labels = axes[1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
        figure.suptitle("Instructions that a page fault takes more than on the vanilla kernel")
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    try:
        write_text(path, text.getvalue())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def _panel(axis: Axes, costs: cost.Costs, what: str) -> None:
    kinds = {kind.name: kind.title for kind in cost.KINDS}
    for state, (color, marker) in _COLORS.items():
        for kind, line in _LINES.items():
            added = costs.curve(state, what, kind)
            label = f"{cost.title(state)}: {kinds[kind]}"
            axis.plot(list(added), list(added.values()), line, label=label, color=color, marker=marker)
    axis.set_xscale("log")
    axis.set_xticks(cost.SIZES, [f"{size:,}" for size in cost.SIZES])
    axis.set_ylim(bottom=0)  # flat must look flat
    axis.set_xlabel(what)
    axis.grid(alpha=0.3)
    axis.minorticks_off()
