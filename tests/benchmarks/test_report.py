from __future__ import annotations

import json

import pytest

from benchmarks.picture import bars, limits
from benchmarks.report import Measure, Row, as_json, markdown

FACTS = {"Python": "3.12.1", "cores": "2"}
READS = Row(
    "Single reads",
    "ms",
    ours=Measure([0.5, 0.25, 0.4], [1.5, 1.25, 1.0], requests=1.0),
    reference=Measure([2.0, 1.0, 1.2], [3.0, 3.5, 4.0], requests=2.0),
    floor=Measure([0.03125, 0.02, 0.04]),
)
LEFT_OUT = Row("Batch creation", "ms", None, note="There is no such method.")
MEMORY = Row("Peak memory", "MB", Measure([81.26]), Measure([188.4]), note="In pages.")


def lines_of(*rows: Row) -> list[str]:
    return markdown(rows, FACTS).splitlines()


def test_a_line_has_the_medians_the_wall_times_and_the_requests() -> None:
    assert "| Single reads | 0.4 (1.25) ms | 1.2 (3.5) ms | 0.0312 ms | 4.0 | 1, 2 |" in lines_of(
        READS
    )


def test_the_ratio_is_the_median_of_those_of_the_rounds() -> None:
    drifting = Row("Reads", "ms", Measure([1, 10, 100]), Measure([2, 40, 300]))
    assert drifting.ratio == 3


def test_rounds_that_do_not_belong_together_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="argument 2 is longer"):
        _ = Row("Reads", "ms", Measure([1, 10]), Measure([2])).ratio


def test_what_was_not_measured_is_a_dash_and_its_note_says_why() -> None:
    lines = lines_of(READS, LEFT_OUT, MEMORY)
    assert "| Batch creation (1) | - | - | - | - | - |" in lines
    assert "| Peak memory (2) | 81.3 MB | 188 MB | - | 2.3 | - |" in lines
    assert "1. There is no such method." in lines
    assert "2. In pages." in lines


def test_a_note_that_rows_share_is_written_once() -> None:
    lines = lines_of(MEMORY, MEMORY)
    assert lines.count("1. In pages.") == 1
    assert not any(line.startswith("2. ") for line in lines)


def test_every_line_of_the_table_has_as_many_cells_as_its_head() -> None:
    table = [line for line in lines_of(READS, LEFT_OUT, MEMORY) if line.startswith("|")]
    assert len(table) == 5
    assert {line.count("|") for line in table} == {7}


def test_the_table_says_what_it_was_measured_with() -> None:
    assert lines_of(READS)[-1] == "Measured with Python 3.12.1, cores 2."


def test_the_json_has_every_round() -> None:
    content = json.loads(json.dumps(as_json([READS, LEFT_OUT], FACTS)))
    reads, left_out = content["rows"]
    assert content["measured_with"] == FACTS
    assert reads["ours"] == {
        "values": [0.5, 0.25, 0.4],
        "wall": [1.5, 1.25, 1.0],
        "requests": 1.0,
    }
    assert reads["reference_by_ours"] == 4
    assert (left_out["ours"], left_out["reference_by_ours"]) == (None, None)


def test_bars_are_patients_for_each_second_and_ours_says_how_much_faster() -> None:
    assert [(bar.side, bar.label) for bar in bars(READS)] == [
        ("ours", "2,500   4.0 times the reference"),
        ("reference", "833"),
        ("floor", "32,000"),
    ]
    assert bars(READS)[0].patients_per_second == 2500


def test_the_axis_has_room_for_the_shortest_and_the_longest_bar() -> None:
    slow = Row("Creations", "ms", Measure([1.0]), Measure([12.5]))
    assert limits(bars(READS)) == (100, 64_000)
    assert limits(bars(slow)) == (40, 2000)
