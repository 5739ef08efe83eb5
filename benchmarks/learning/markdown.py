"""How figures are written on the page."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["NOTHING", "between", "percent", "sure", "table"]

NOTHING = "No run is finished yet."


def percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def between(change: tuple[float, float, float], digits: int = 1) -> str:
    """Write a mean and its interval in hundredths."""
    mean, low, high = (f"{100 * value:+.{digits}f}" for value in change)
    return mean if change[1] == float("-inf") else f"{mean} [{low}, {high}]"


def sure(change: tuple[float, float, float]) -> str:
    """Say where an interval lies."""
    _, low, high = change
    if low == float("-inf"):
        return "one seed gives no interval"
    if low > 0:
        return "the interval is above zero"
    return "the interval is below zero" if high < 0 else "the interval holds zero"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return NOTHING
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
