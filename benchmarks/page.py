"""The report as one page of HTML that needs nothing from elsewhere, and a page a trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.cells import (
    described,
    failure_cells,
    figure_cells,
    label,
    paper_cells,
    trajectory_cells,
)
from benchmarks.charts import curves, radar
from benchmarks.figures import Summary, Trajectory
from benchmarks.results import Results, trajectory_path
from mlagent_gym import load_task
from mlagent_gym.viewing import write_page

__all__ = ["html", "write_trajectory_pages"]

_HERE = Path(__file__).parent


def write_trajectory_pages(results: Results) -> dict[str, str]:
    """Write the page of each trajectory that has begun: what was recorded, regraded or not.

    Returns
    -------
    dict
        Its path below the benchmark's folder, by the trajectory's name.
    """
    pages: dict[str, str] = {}
    for task in results.protocol.tasks:
        for number in range(results.protocol.trajectories):
            recording = trajectory_path(results.folder, task, number)
            if not results.records(task, number):
                continue
            page = recording.with_suffix(".html")
            write_page(recording, page, title=f"{task}, trajectory {number}")
            pages[f"{task}/{number:02d}"] = page.relative_to(results.folder).as_posix()
    return pages


def html(results: Results, summary: Summary, pages: Mapping[str, str]) -> str:
    """Return the report as one page.

    Parameters
    ----------
    results, summary
        What is reported.
    pages
        Where each trajectory can be looked at, as `write_trajectory_pages` returns it.
    """
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    trajectories = list(results.trajectories())
    by_task = {task: [row for row in trajectories if row.task == task] for task in summary.tasks}
    loader = FileSystemLoader(_HERE)
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("report.html.j2").render(
        protocol=results.protocol,
        label=label(results),
        described=described(results),
        surroundings=results.surroundings(),
        figures=figure_cells(results, summary),
        failures=failure_cells(summary),
        paper=paper_cells(results, summary),
        radar=Markup(radar(summary.tasks)) if summary.tasks else "",
        tasks=[_task(results, task, rows, pages) for task, rows in by_task.items()],
        flags={name: (flag, pages.get(name)) for name, flag in summary.flags.items()},
        failed={name: (reason, pages.get(name)) for name, reason in summary.failures.items()},
    )


def _task(
    results: Results, task: str, rows: list[Trajectory], pages: Mapping[str, str]
) -> dict[str, Any]:
    from markupsafe import Markup

    links = [pages[f"{task}/{row.number:02d}"] for row in rows]
    steps = [
        [
            {
                "number": number,
                "parent": record.info["parent"],
                "summary": record.info["summary"],
                "outcome": record.info["outcome"],
                "score": score,
                "reward": record.reward,
            }
            for number, (record, score) in enumerate(
                zip(results.records(task, row.number), row.scores, strict=True), start=1
            )
        ]
        for row in rows
    ]
    return {
        "id": task,
        "title": load_task(task).title,
        "curves": Markup(curves(task, rows)),
        "table": trajectory_cells(task, rows, links),
        "steps": steps,
    }
