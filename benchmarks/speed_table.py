"""Rows of measured figures as a table: in the terminal, and between two marks of a page."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

__all__ = ["MARKS", "Row", "describe", "machine", "replaced", "to_rich"]

MARKS = ("<!-- measured: begin -->", "<!-- measured: end -->")
_COLUMNS = ("what", "median", "unit", "floor", "x floor", "bar", "held")


@dataclass(frozen=True)
class Row:
    """One figure of the table."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    """What cannot be beaten, in the same unit."""
    bar: float | None = None
    """What it must not exceed (or, for a speed-up, fall below)."""
    more_is_better: bool = False

    @property
    def ratio(self) -> float | None:
        """How many times the floor it is."""
        return self.value / self.floor if self.floor else None

    @property
    def held(self) -> bool | None:
        """Whether the bar is held; None if there is none."""
        if self.bar is None:
            return None
        return self.value >= self.bar if self.more_is_better else self.value <= self.bar


def machine() -> dict[str, object]:
    """Return what the figures depend on, the load of the machine included."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "load": round(os.getloadavg()[0], 2),
    }


def describe(facts: Mapping[str, object]) -> str:
    """Return a sentence about `machine`."""
    priority = (
        f"; at {facts['priority']} priority, but for runs in parallel"
        if "priority" in facts
        else ""
    )
    return (
        f"Measured on {facts['date']} with {facts['cores']} cores ({facts['processor']}), Linux "
        f"{facts['kernel']}, Python {facts['python']}; load average at the start: "
        f"{facts['load']}{priority}."
    )


def to_rich(rows: Sequence[Row]) -> Table:
    """Return the table for a terminal."""
    table = Table(*_COLUMNS)
    for row in rows:
        table.add_row(*_cells(row))
    return table


def replaced(page: str, rows: Sequence[Row], facts: Mapping[str, object]) -> str:
    """Return a page with the table between its marks, in the place of what was there."""
    before, _, rest = page.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    lines = [_COLUMNS, ["---"] * len(_COLUMNS), *map(_cells, rows)]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    return f"{before}{MARKS[0]}\n\n{table}\n\n{describe(facts)}\n\n{MARKS[1]}{after}"


def _cells(row: Row) -> list[str]:
    held = {None: "", True: "yes", False: "NO"}[row.held]
    bar = "" if row.bar is None else f"{'>=' if row.more_is_better else '<='} {row.bar:g}"
    return [row.name, f"{row.value:.2f}", row.unit, _text(row.floor), _text(row.ratio), bar, held]


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            names = [
                line.split(":", 1)[1].strip() for line in file if line.startswith("model name")
            ]
    except OSError:
        names = []
    return names[0] if names else platform.machine()
