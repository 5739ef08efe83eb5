"""The table of kept results: ``python -m benchmarks.leaderboard``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import rich.box
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.report import summary_json
from benchmarks.results import open_results
from mlagent_gym import ConfigError, MLAgentError

RESULTS = Path(__file__).parent / "results"
COLUMNS = (
    "policy",
    "scaffold",
    "protocol",
    "tasks",
    "held-in gain %",
    "held-out gain %",
    "normalised",
    "valid %",
    "graded %",
    "tokens",
    "dollars",
    "failed",
    "revision",
)
_IN_TERMINAL = ("policy", "scaffold", "protocol", "held-in gain %", "held-out gain %", "valid %")

app = typer.Typer(add_completion=False)


def kept_results(folder: Path = RESULTS) -> dict[str, list[dict[str, Any]]]:
    """Return the kept summaries by their data, best gain on held-out tasks first.

    Only results on the same tasks with the same data stand in one table.
    """
    by_data: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.json")):
        summary = json.loads(path.read_text(encoding="utf-8"))
        data = [summary["protocol"]["variant"], sorted(summary["fingerprints"].items())]
        by_data.setdefault(json.dumps(data), []).append(summary)
    tables: dict[str, list[dict[str, Any]]] = {}
    for summaries in by_data.values():
        summaries.sort(key=lambda s: -_gain(s, "held-out", default=float("-inf")))
        title = _title(summaries[0])
        while title in tables:
            title += ", other data"
        tables[title] = summaries
    return dict(sorted(tables.items()))


def _title(summary: Mapping[str, Any]) -> str:
    protocol, count = summary["protocol"], len(summary["tasks"])
    seed = f" of seed {protocol['data_seed']}" if protocol["variant"] == "synthetic" else ""
    return f"{protocol['variant']} data{seed}, {count} task{'s' * (count > 1)}"


def keep_result(folder: Path, results: Path = RESULTS) -> Path:
    """Copy the figures of a finished benchmark, computed anew, to the kept ones.

    Raises
    ------
    ConfigError
        There is no benchmark, some of its trajectories failed or are not finished, or another
        benchmark of the same policy is kept already.
    """
    found = open_results(folder)
    summary = found.summary()
    if summary.failures:
        raise ConfigError(
            f"{len(summary.failures)} trajectories of {folder} have no result, so it is not kept. "
            "Run the same command again to finish them."
        )
    protocol = found.protocol
    name = f"{protocol.policy}-{protocol.scaffold}-{protocol.variant}"
    name = "".join(c if c.isalnum() or c in "-." else "_" for c in name)
    results.mkdir(exist_ok=True)
    path = results / f"{name}.json"
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))["protocol"]
        ours = json.loads(json.dumps(asdict(protocol)))
        changed = [key for key, value in ours.items() if kept.get(key, value) != value]
        if changed:
            raise ConfigError(
                f"{path} is of another protocol ({', '.join(changed)}). Remove it first if this "
                "one is to replace it."
            )
    path.write_text(summary_json(found, summary), encoding="utf-8")
    return path


def leaderboard_rows(summaries: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return one row of cells for each summary, in the order of `COLUMNS`."""
    rows = []
    for summary in summaries:
        protocol, tasks = summary["protocol"], summary["tasks"].values()
        rows.append(
            [
                protocol["policy"],
                protocol["scaffold"],
                f"{protocol['trajectories']} x {protocol['max_steps']} steps",
                str(len(summary["tasks"])),
                _shown_gain(summary, "held-in"),
                _shown_gain(summary, "held-out"),
                _normalised(summary),
                _mean_percent([task["valid_share"] for task in tasks]),
                _mean_percent([task["success_share"] for task in tasks]),
                f"{sum(task['tokens'] for task in tasks):,}",
                f"{sum(task['cost'] for task in tasks):.4g}",
                str(sum(task["failed"] for task in tasks)),
                summary["surroundings"]["revision"],
            ]
        )
    return rows


@app.command()
def leaderboard(
    keep: Annotated[
        Path | None, typer.Option(help="Folder of a finished benchmark to add to the table.")
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the tables as Markdown.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show the kept results of all policies, a table for each set of data.

    Gains are relative gains over the starter, means over the tasks with 95 % intervals.
    Results on other tasks or other data have tables of their own.
    """
    if keep is not None:
        try:
            path = keep_result(keep)
        except MLAgentError as error:
            Console().print(f"[red]{type(error).__name__}[/]: {error}", highlight=False)
            raise typer.Exit(1) from None
        Console().print(f"Kept as {path}.", highlight=False)
    kept = kept_results()
    if as_json:
        print(json.dumps(kept))
        return
    for title, summaries in kept.items():
        rows = leaderboard_rows(summaries)
        if markdown:
            print(f"### {title}\n")
            print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
            for row in rows:
                print("| " + " | ".join(row) + " |")
            print()
            continue
        Console().print(_for_terminal(title, rows))


def _for_terminal(title: str, rows: Sequence[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left", box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in _IN_TERMINAL:
        table.add_column(name, justify="left" if name in COLUMNS[:3] else "right")
    for row in rows:
        cells = dict(zip(COLUMNS, row, strict=True))
        table.add_row(*(cells[name].partition(" [")[0] for name in _IN_TERMINAL))
    return table


def _gain(summary: Mapping[str, Any], split: str, default: float) -> float:
    figures = summary["splits"].get(split)
    return default if figures is None else float(figures["relative_gain"]["mean"])


def _shown_gain(summary: Mapping[str, Any], split: str) -> str:
    figures = summary["splits"].get(split)
    if figures is None:
        return ""
    gain = figures["relative_gain"]
    if gain["low"] is None:  # a task has one trajectory alone
        return f"{100 * gain['mean']:.1f}"
    return f"{100 * gain['mean']:.1f} [{100 * gain['low']:.1f}, {100 * gain['high']:.1f}]"


def _normalised(summary: Mapping[str, Any]) -> str:
    gains = [task["normalised_gain"]["mean"] for task in summary["tasks"].values()]
    return f"{sum(gains) / len(gains):.2f}"


def _mean_percent(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{100 * sum(known) / len(known):.0f}" if known else "-"


if __name__ == "__main__":
    app()
