"""The table of kept results: ``python -m benchmarks.leaderboard``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.results import open_results

RESULTS = Path(__file__).parent / "results"
COLUMNS = (
    "policy",
    "scaffold",
    "data",
    "tasks",
    "held-in gain",
    "held-out gain",
    "valid",
    "graded",
    "failed",
    "revision",
)

app = typer.Typer(add_completion=False)


def kept_results(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Return the kept summaries, best gain on held-out tasks first, real data before synthetic."""
    summaries = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    return sorted(
        summaries,
        key=lambda s: (s["protocol"]["variant"], -_gain(s, "held-out", default=float("-inf"))),
    )


def leaderboard_rows(summaries: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return one row of cells for each summary, in the order of `COLUMNS`."""
    rows = []
    for summary in summaries:
        protocol, tasks = summary["protocol"], summary["tasks"].values()
        rows.append(
            [
                protocol["policy"],
                protocol["scaffold"],
                protocol["variant"],
                str(len(summary["tasks"])),
                _shown_gain(summary, "held-in"),
                _shown_gain(summary, "held-out"),
                _mean_percent([task["valid_share"] for task in tasks]),
                _mean_percent([task["success_share"] for task in tasks]),
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
        bool, typer.Option("--markdown", help="Print the table as Markdown.")
    ] = False,
) -> None:
    """Show the kept results of all policies; gains are relative gains in percent."""
    if keep is not None:
        protocol = open_results(keep).protocol
        name = f"{protocol.policy}-{protocol.scaffold}-{protocol.variant}"
        name = "".join(c if c.isalnum() or c in "-." else "_" for c in name)
        RESULTS.mkdir(exist_ok=True)
        shutil.copyfile(keep / "summary.json", RESULTS / f"{name}.json")
    rows = leaderboard_rows(kept_results())
    if markdown:
        print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
        for row in rows:
            print("| " + " | ".join(row) + " |")
        return
    table = Table(*COLUMNS, title="Kept results", title_justify="left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def _gain(summary: Mapping[str, Any], split: str, default: float) -> float:
    figures = summary["splits"].get(split)
    return default if figures is None else float(figures["relative_gain"]["mean"])


def _shown_gain(summary: Mapping[str, Any], split: str) -> str:
    figures = summary["splits"].get(split)
    if figures is None:
        return ""
    gain = figures["relative_gain"]
    return f"{100 * gain['mean']:.1f} [{100 * gain['low']:.1f}, {100 * gain['high']:.1f}]"


def _mean_percent(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{100 * sum(known) / len(known):.0f} %" if known else "-"


if __name__ == "__main__":
    app()
