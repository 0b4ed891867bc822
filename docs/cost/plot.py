# /// script
# requires-python = ">=3.11"
# dependencies = ["matplotlib>=3.8"]
# ///
"""Draw docs/cost/faults.svg: how the cost of a fault depends on how many names, VMAs, processes and faults there are.

Usage, with matplotlib installed: patchgen bench --json | python docs/cost/plot.py docs/cost/faults.svg
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Dark enough for white paper, and told apart without colour by marker and line.
STATES = {"idle": ("nothing tracked", "#1f77b4", "o"), "tracked": ("tracked", "#d62728", "^")}
KINDS = {"reuse": ("write, page no longer shared", "-"), "first": ("first write, anonymous", ":")}
PANELS = ("tracked names", "VMAs", "processes", "faults so far")


def added(costs: Mapping[str, Any], state: str, number_of: str, kind: str) -> dict[int, int]:
    """Return how many instructions more than on the vanilla kernel a fault takes, by the number of something.

    Args:
        costs: what `patchgen bench --json` prints.
        state: of the kernel under test.
        number_of: what there is more and more of.
        kind: the fault's.
    """
    curves = {
        (one["state"], one["number_of"], one["kind"]): {int(size): n for size, n in one["instructions"].items()}
        for one in costs["scaling"]
    }
    curve = curves[state, number_of, kind]
    # The vanilla kernel has no tracked names: there its fault costs the same for all of them.
    plain = dict.fromkeys(curve, costs["instructions"]["vanilla"][kind]["typical"])
    vanilla = curves.get(("vanilla", number_of, kind), plain)
    return {size: instructions - vanilla[size] for size, instructions in curve.items()}


def draw(costs: Mapping[str, Any], path: str) -> None:
    """Write an SVG file; the same costs give the same bytes with the same matplotlib."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "patchgen", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(9, 6), layout="constrained")
        axes = figure.subplots(2, 2, sharey=True).flat
        for axis, number_of in zip(axes, PANELS, strict=True):
            _panel(axis, costs, number_of)
        handles, labels = axes[1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
        figure.suptitle("Instructions that a page fault takes more than on the vanilla kernel")
        figure.savefig(path, format="svg", metadata={"Date": None})


def _panel(axis: Axes, costs: Mapping[str, Any], number_of: str) -> None:
    sizes: list[int] = []
    for state, (state_title, color, marker) in STATES.items():
        for kind, (kind_title, line) in KINDS.items():
            curve = added(costs, state, number_of, kind)
            sizes = list(curve)
            label = f"{state_title}: {kind_title}"
            axis.plot(sizes, list(curve.values()), line, label=label, color=color, marker=marker)
    axis.set_xscale("log")
    axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axis.set_ylim(bottom=0)  # flat must look flat
    axis.set_xlabel(number_of)
    axis.grid(alpha=0.3)
    axis.minorticks_off()


if __name__ == "__main__":
    draw(json.load(sys.stdin), sys.argv[1])
