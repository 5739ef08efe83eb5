"""What came of a benchmark, to look at: terminal, Markdown, CSV and one page of HTML."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import rich.box
import rich.table

from benchmarks.cells import Cells, described, failure_cells, figure_cells, label, paper_cells
from benchmarks.figures import Summary, TaskFigures
from benchmarks.page import html, write_trajectory_pages
from benchmarks.results import Results
from mlagent_train.files import write_text

__all__ = ["summary_json", "terminal_table", "without_nan", "write_report"]

_IN_TERMINAL = {
    "average": "average",
    "best": "best",
    "relative gain": "gain %",
    "normalised gain": "norm.",
    "valid actions": "valid %",
    "failed": "failed",
}
"""Columns of the main table that fit a terminal, and what they are called there."""


def terminal_table(results: Results, summary: Summary) -> rich.table.Table:
    """Return the most important figures as a table for the terminal."""
    title = f"{results.protocol.policy}, {label(results)}"
    shown = rich.table.Table(
        title=title, title_justify="left", box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    shown.add_column("task", no_wrap=True, overflow="ellipsis", max_width=25)
    for name in _IN_TERMINAL.values():
        shown.add_column(name, justify="right", no_wrap=True, min_width=max(len(name), 7))
    table = figure_cells(results, summary)
    for row in table.rows:
        cells = dict(zip(table.columns, (cell.text for cell in row), strict=True))
        numbers = (re.sub(r" %| \[.*", "", cells[name]) for name in _IN_TERMINAL)  # no intervals
        shown.add_row(cells["task"], *numbers)
    return shown


def write_report(results: Results, summary: Summary) -> None:
    """Write ``summary.json`` and the reports into the benchmark's folder."""
    folder = results.folder
    pages = write_trajectory_pages(results)
    write_text(folder / "summary.json", summary_json(results, summary))
    write_text(folder / "report.md", markdown(results, summary))
    write_text(folder / "report.csv", as_csv(results, summary))
    write_text(folder / "report.html", html(results, summary, pages))


def summary_json(results: Results, summary: Summary) -> str:
    """Return every figure, and what it was measured with, as JSON."""
    values = {
        "protocol": asdict(results.protocol),
        "surroundings": results.surroundings(),
        "fingerprints": results.fingerprints(),
        **asdict(summary),
    }
    if regraded := results.regraded():
        values["regraded"] = {name: regraded[name] for name in ("graded", "changed", "by")}
    return json.dumps(without_nan(values), indent=1) + "\n"


def markdown(results: Results, summary: Summary) -> str:
    """Return the report as Markdown."""
    parts = [f"# {results.protocol.policy}, {label(results)}\n\n{described(results)}\n"]
    parts += _markdown("Figures", figure_cells(results, summary))
    if failures := failure_cells(summary):
        parts += _markdown("Steps that failed", failures)
    parts += _markdown("Beside the paper", paper_cells(results, summary))
    if summary.failures:
        parts.append("\n## Failed trajectories\n\nThey are in no figure.\n\n")
        parts += [f"- {name}: {reason}\n" for name, reason in summary.failures.items()]
    if summary.flags:
        parts.append("\n## Scores to look at twice\n\n")
        parts += [f"- {name}: {flag}\n" for name, flag in summary.flags.items()]
    parts.append("\n## Made with\n\n")
    parts += [f"- {key}: {value}\n" for key, value in results.surroundings().items()]
    return "".join(parts)


def as_csv(results: Results, summary: Summary) -> str:
    """Return the figures of each task as CSV, unrounded."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    flat = [(name, _flat(figures)) for name, figures in summary.tasks.items()]
    columns = list(dict.fromkeys(key for _, values in flat for key in values))
    variant = results.protocol.variant
    writer.writerow(["policy", "variant", "task", *columns])
    writer.writerows(
        [results.protocol.policy, variant, name, *(values.get(key, "") for key in columns)]
        for name, values in flat
    )
    return text.getvalue()


def _markdown(title: str, table: Cells) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"

    head = f"\n## {title}\n\n" + (f"{table.note}\n\n" if table.note else "")
    rule = "|" + "---|" * len(table.columns) + "\n"
    rows = [line([cell.text for cell in row]) for row in table.rows]
    return [head, line(table.columns), rule, *rows]


def _flat(figures: TaskFigures) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in asdict(figures).items():
        if isinstance(value, dict):
            flat |= {f"{key}_{part}".replace(" ", "_"): number for part, number in value.items()}
        else:
            flat[key] = value
    return flat


def without_nan(value: Any) -> Any:
    """Return a value as JSON can have it: None for NaN."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
