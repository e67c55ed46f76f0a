"""The picture of the comparison: patients for each second of CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from benchmarks.report import HEADS, SIDES, Row

COLOURS = {"ours": "#1f6f54", "reference": "#c4692a", "floor": "#b9bec4"}
INK, PAPER = "#24292f", "#ffffff"
BAR, GROUP = 0.26, 1.0


@attrs.frozen
class Bar:
    """One bar: whose it is, how long, and what is written at its end."""

    side: str
    patients_per_second: float
    label: str


def bars(row: Row) -> list[Bar]:
    """Return the bars of a row, of those clients that have been measured."""
    found: list[Bar] = []
    for side in SIDES:
        measure = getattr(row, side)
        if measure is not None:
            speed = 1000 / measure.median
            ratio = row.ratio if side == "ours" else None
            compared = f"   {ratio:.1f} times the reference" if ratio else ""
            found.append(Bar(side, speed, f"{speed:,.0f}{compared}"))
    return found


def limits(shown: Sequence[Bar]) -> tuple[float, float]:
    """Return where the axis begins and ends: with room for the shortest bar and for labels."""
    speeds = [bar.patients_per_second for bar in shown]
    return min(100.0, min(speeds) / 2), max(speeds) * 2


def draw(rows: Sequence[Row], folder: Path) -> None:
    """Write the picture of the rows that are about patients as SVG and PNG."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    shown = [row for row in rows if row.unit == "ms" and row.patients and row.ours is not None]
    # The same numbers make the same file.
    with mpl.rc_context({"svg.hashsalt": "icure", "font.size": 11, "text.color": INK}):
        # On paper of its own, since a README may be light or dark.
        figure = Figure(figsize=(9, 0.9 + 1.05 * len(shown)), facecolor=PAPER, layout="constrained")
        axes = figure.subplots()
        for place, row in enumerate(shown):
            for line, bar in enumerate(bars(row)):
                height = place * GROUP + (line - 1) * BAR
                drawn = axes.barh(
                    height, bar.patients_per_second, BAR * 0.9, color=COLOURS[bar.side]
                )
                axes.bar_label(drawn, [bar.label], padding=4, color=INK, fontsize=10)
        axes.set_yticks([place * GROUP for place in range(len(shown))], [row.name for row in shown])
        axes.invert_yaxis()
        axes.set_xscale("log")
        axes.set_xlim(*limits([bar for row in shown for bar in bars(row)]))
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.tick_params(axis="x", which="minor", bottom=False)
        axes.set_xlabel("patients for each second of CPU time of the client (logarithmic)")
        axes.tick_params(axis="y", length=0)
        axes.tick_params(colors=INK)
        axes.xaxis.label.set_color(INK)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(INK)
        axes.legend(
            handles=[Patch(color=COLOURS[side], label=HEADS[side]) for side in SIDES],
            ncols=len(SIDES),
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            frameon=False,
        )
        figure.savefig(folder / "speed.svg", metadata={"Date": None})
        figure.savefig(folder / "speed.png", dpi=160)
