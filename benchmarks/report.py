"""The table of the comparison: rows as Markdown and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

NONE = "-"
EXPLANATION = (
    "Milliseconds of CPU time of the client's process for one patient, and by the clock on the "
    "wall in brackets: medians of alternating rounds in one run on one sandbox, which runs in a "
    "process of its own."
)
SIDES = ("ours", "reference", "floor")
HEADS = {
    "ours": "icure_async",
    "reference": "@icure/api on Node",
    "floor": "JSON + AES alone",
}


@attrs.frozen
class Measure:
    """The results of one client, round by round.

    Attributes:
        values: what is compared: milliseconds of CPU for one patient, or megabytes.
        wall: milliseconds by the clock on the wall next to them, where these are times.
        requests: for one operation, where they were counted.
    """

    values: Sequence[float]
    wall: Sequence[float] = ()
    requests: float | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)


@attrs.frozen
class Row:
    """One line of the table.

    Attributes:
        name: what was done.
        unit: "ms" for each patient or import, or "MB".
        ours: icure_async; None where it has no such method.
        reference: the published SDK.
        floor: the least that any client costs.
        note: what a reader has to know about this row.
        patients: whether the times are those for one patient.
    """

    name: str
    unit: str
    ours: Measure | None
    reference: Measure | None = None
    floor: Measure | None = None
    note: str = ""
    patients: bool = True

    @property
    def ratio(self) -> float | None:
        """The reference's cost in multiples of ours: the median of all rounds."""
        if self.ours is None or self.reference is None:
            return None
        pairs = zip(self.reference.values, self.ours.values, strict=True)
        return statistics.median(theirs / ours for theirs, ours in pairs)


def markdown(rows: Sequence[Row], facts: Mapping[str, str]) -> str:
    """Return the table with what was measured, and where."""
    notes = list(dict.fromkeys(row.note for row in rows if row.note))
    lines = [
        "# Speed and size",
        "",
        EXPLANATION,
        "",
        f"| | {' | '.join(HEADS.values())} | reference ÷ ours | requests: ours, reference |",
        "|---|--:|--:|--:|--:|--:|",
        *(_line(row, notes) for row in rows),
        "",
        *(f"{index}. {note}" for index, note in enumerate(notes, 1)),
        *([""] if notes else []),
        f"Measured with {', '.join(f'{name} {value}' for name, value in facts.items())}.",
    ]
    return "\n".join(lines) + "\n"


def as_json(rows: Sequence[Row], facts: Mapping[str, str]) -> dict[str, Any]:
    """Return all there is to know about the run, as JSON."""
    return {
        "measured_with": dict(facts),
        "rows": [attrs.asdict(row) | {"reference_by_ours": row.ratio} for row in rows],
    }


def _line(row: Row, notes: Sequence[str]) -> str:
    mark = f" ({notes.index(row.note) + 1})" if row.note else ""
    cells = [
        row.name + mark,
        *(_cell(getattr(row, side), row.unit) for side in SIDES),
        NONE if row.ratio is None else f"{row.ratio:.1f}",
        _requests(row),
    ]
    return f"| {' | '.join(cells)} |"


def _cell(measure: Measure | None, unit: str) -> str:
    if measure is None:
        return NONE
    wall = f" ({_number(statistics.median(measure.wall))})" if measure.wall else ""
    return f"{_number(measure.median)}{wall} {unit}"


def _requests(row: Row) -> str:
    counts = [side.requests for side in (row.ours, row.reference) if side is not None]
    if not any(count is not None for count in counts):
        return NONE
    return ", ".join(NONE if count is None else f"{count:g}" for count in counts)


def _number(value: float) -> str:
    """Return a number with three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
