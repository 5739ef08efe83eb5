"""What came of a benchmark, to look at: terminal, Markdown, CSV and one page of HTML."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.charts import curves, radar
from benchmarks.figures import Interval, Summary, TaskFigures
from benchmarks.results import Results
from benchmarks.runner import trajectory_path
from mlagent_gym import load_task
from mlagent_gym.records import read_records

__all__ = ["terminal_table", "write_report"]

_HERE = Path(__file__).parent
_COLUMNS = (
    "task",
    "metric",
    "starter",
    "reference",
    "average",
    "best",
    "relative gain",
    "normalised gain",
    "valid actions",
    "graded runs",
    "trajectories",
    "failed",
)


_IN_TERMINAL = (
    "task",
    "average",
    "best",
    "relative gain",
    "normalised gain",
    "valid actions",
    "graded runs",
    "failed",
)


def terminal_table(results: Results, summary: Summary) -> Table:
    """Return the figures as a table for the terminal."""
    protocol = results.protocol
    table = Table(title=f"{protocol.policy}, {protocol.variant} data", title_justify="left")
    for name in _IN_TERMINAL:
        table.add_column(name, justify="left" if name == "task" else "right", overflow="fold")
    for row in _rows(summary):
        cells = dict(zip(_COLUMNS, row, strict=True))
        table.add_row(*(cells[name] for name in _IN_TERMINAL))
    return table


def write_report(results: Results, summary: Summary) -> None:
    """Write ``summary.json`` and the reports into the benchmark's folder."""
    folder = results.folder
    (folder / "summary.json").write_text(summary_json(results, summary), encoding="utf-8")
    (folder / "report.md").write_text(markdown(results, summary), encoding="utf-8")
    (folder / "report.csv").write_text(as_csv(summary), encoding="utf-8")
    (folder / "report.html").write_text(html(results, summary), encoding="utf-8")


def summary_json(results: Results, summary: Summary) -> str:
    """Return every figure, and what it was measured with, as JSON."""
    values = {
        "protocol": asdict(results.protocol),
        "surroundings": results.surroundings(),
        **asdict(summary),
    }
    return json.dumps(_without_nan(values), indent=1) + "\n"


def markdown(results: Results, summary: Summary) -> str:
    """Return the report as Markdown."""
    protocol = results.protocol
    head = f"# {protocol.policy} on {protocol.variant} data\n\n{_described(results)}\n\n"
    parts = [head, _markdown_table(_COLUMNS, _rows(summary)), "\n\n## Beside the paper\n\n"]
    columns, rows, note = _paper_table(results, summary)
    parts += [note, "\n\n", _markdown_table(columns, rows), "\n"]
    if summary.failures:
        parts.append("\n## Failed trajectories\n\n")
        parts += [f"- {name}: {reason}\n" for name, reason in summary.failures.items()]
    return "".join(parts)


def as_csv(summary: Summary) -> str:
    """Return the figures of each task as CSV, unrounded."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    flat = [(name, _flat(figures)) for name, figures in summary.tasks.items()]
    writer.writerow(["task", *(flat[0][1] if flat else ())])
    writer.writerows([name, *values.values()] for name, values in flat)
    return text.getvalue()


def html(results: Results, summary: Summary) -> str:
    """Return the report as one page that needs nothing from elsewhere."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    trajectories = list(results.trajectories())
    by_task = {task: [row for row in trajectories if row.task == task] for task in summary.tasks}
    columns, rows, note = _paper_table(results, summary)
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True)
    return environment.get_template("report.html.j2").render(
        protocol=results.protocol,
        described=_described(results),
        surroundings=results.surroundings(),
        columns=_COLUMNS,
        rows=_rows(summary),
        radar=Markup(radar(summary.tasks)) if summary.tasks else "",
        paper={"columns": columns, "rows": rows, "note": note},
        tasks=[
            {
                "id": task,
                "title": load_task(task).title,
                "curves": Markup(curves(task, rows)),
                "failures": Counter(reason for row in rows for reason in row.failures),
                "trajectories": [_episode(results, row.task, row.number) for row in rows],
            }
            for task, rows in by_task.items()
        ],
        failures=summary.failures,
    )


def _episode(results: Results, task: str, number: int) -> dict[str, Any]:
    records = list(read_records(trajectory_path(results.folder, task, number)))
    return {"number": number, "records": records, "reward": sum(r.reward for r in records)}


def _described(results: Results) -> str:
    protocol = results.protocol
    return (
        f"{protocol.trajectories} trajectories a task, {protocol.max_steps} steps or "
        f"{protocol.max_seconds / 60:g} minutes each, scaffold {protocol.scaffold}, prompt "
        f"{protocol.prompt}, seeds from {protocol.seed}. Average and best are over the best "
        "scores of the trajectories; gains are means with 95 % bootstrap intervals."
    )


def _rows(summary: Summary) -> list[list[str]]:
    tasks = [_row(name, load_task(name).metric, figures) for name, figures in summary.tasks.items()]
    return tasks + [_row(f"mean of {name}", "", f) for name, f in summary.splits.items()]


def _row(name: str, metric: str, figures: TaskFigures) -> list[str]:
    return [
        name,
        metric,
        *(_score(figures.initial), _score(figures.reference)),
        *(_score(figures.average), _score(figures.best)),
        _percent_interval(figures.relative_gain),
        _interval(figures.normalised_gain),
        f"{100 * figures.valid_share:.0f} %",
        "-" if math.isnan(figures.success_share) else f"{100 * figures.success_share:.0f} %",
        str(figures.trajectories),
        str(figures.failed),
    ]


def _paper_table(
    results: Results, summary: Summary
) -> tuple[tuple[str, ...], list[list[str]], str]:
    """Return columns, rows and a note: the paper's Table 1, with our column beside it."""
    paper = json.loads((_HERE / "paper.json").read_text(encoding="utf-8"))
    real = results.protocol.variant == "real"
    ours = f"{results.protocol.policy} (ours{'' if real else ', SYNTHETIC DATA'})"
    rows = []
    for row in paper["rows"]:
        figures = summary.tasks.get(row["task"])
        scale = 100.0 if "%" in row["metric"] else 1.0
        cells = [_pair(row["avg"][m], row["best"][m]) for m in paper["methods"]]
        mine = (
            _pair(scale * figures.average, scale * figures.best)
            if figures and figures.average is not None and figures.best is not None
            else "-"
        )
        rows.append([row["task"], row["metric"], *cells, mine])
    note = f"{paper['source']}. Cells: average / best."
    if not real:
        note += (
            " Our column is on synthetic data: it shows that the row runs and must not be "
            "compared with the paper's columns."
        )
    return ("task", "metric", *paper["methods"], ours), rows, note


def _pair(average: float, best: float) -> str:
    return f"{average:.5g} / {best:.5g}"


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


def _interval(value: Interval) -> str:
    return f"{value.mean:.2f} [{value.low:.2f}, {value.high:.2f}]"


def _percent_interval(value: Interval) -> str:
    return f"{100 * value.mean:.1f} % [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def _flat(figures: TaskFigures) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in asdict(figures).items():
        if isinstance(value, dict):
            flat |= {f"{key}_{part}": number for part, number in value.items()}
        else:
            flat[key] = value
    return flat


def _markdown_table(columns: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
