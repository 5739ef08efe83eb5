"""The speed table stands between its marks, and only there."""

from __future__ import annotations

import pytest

from benchmarks.speed_table import MARKS, Row, describe, machine, replaced

ROWS = [
    Row("start", 12.0, "ms", floor=6.0, bar=15),
    Row("speed-up", 1.5, "x", bar=1.9, more_is_better=True),
    Row("memory", 3.0, "MB"),
]


def test_a_table_takes_the_place_of_the_last_one() -> None:
    page = f"# Page\n\n{MARKS[0]}\nold\n{MARKS[1]}\n\nafter\n"
    once = replaced(page, ROWS, machine())
    assert once.startswith("# Page\n\n")
    assert once.endswith(f"{MARKS[1]}\n\nafter\n")
    assert "old" not in once
    assert "| start | 12.00 | ms | 6.00 | 2.00 | <= 15 | yes |" in once
    assert "| speed-up | 1.50 | x |  |  | >= 1.9 | NO |" in once
    assert replaced(once, ROWS, machine()) == once


@pytest.mark.parametrize(("row", "held"), list(zip(ROWS, [True, False, None], strict=True)))
def test_a_bar_is_held_or_not(row: Row, held: bool | None) -> None:
    assert row.held is held


def test_the_machine_is_described() -> None:
    text = describe({**machine(), "cores": 2, "load": 0.5})
    assert "2 cores" in text
    assert text.endswith("load average at the start: 0.5.")
