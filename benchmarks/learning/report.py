"""The page, its pictures and results.json, from whatever runs are finished."""

from __future__ import annotations

import platform
import re
import string
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.learning import measures
from benchmarks.learning.figures import Figures, pairs, per_arm
from benchmarks.learning.modes import MODES
from benchmarks.learning.plan import ARMS, Arm
from benchmarks.learning.plots import draw_gains, draw_modes, draw_training
from benchmarks.learning.stages import Bench
from benchmarks.learning.tables import TABLES
from mlagent_gym import ConfigError
from mlagent_train.files import read_json, read_jsonl, write_json, write_text
from mlagent_train.hardware import cpu_count
from mlagent_train.step_figures import read_steps

__all__ = ["gather", "render_page", "together", "write_report"]

_TEMPLATE = Path(__file__).parent / "page.md"
_READINGS = re.compile(r"<!-- reading -->\n\n(.*?)<!-- end of reading -->\n\n?", re.DOTALL)
"""What people found in the project's own runs, and not a figure of any other."""
_PROJECT_PAGE = Path(__file__).parents[2] / "docs" / "learning.md"


def write_report(bench: Bench, page: Path | None = None) -> Path:
    """Write results.json and learning.md with its pictures, and the same to `page` if one is named.

    The figures of a page are beside it, with the ending ``.json``. Those of runs that are not in
    this folder stay, so that runs of several machines add up. Only the project's own page says
    what people read in its figures.

    Raises
    ------
    ConfigError
        The page has figures of another size.
    """
    results = gather(bench)
    _write(bench.folder / "learning.md", bench.folder / "results.json", results)
    if page is not None:
        figures = page.with_suffix(".json")
        if figures.exists():
            results = together(read_json(figures), results)
        _write(page, figures, results)
    return bench.folder / "learning.md"


def gather(bench: Bench) -> Figures:
    """Return the figures of every finished run: ``seeds[seed][arm]``."""
    seeds: dict[str, dict[str, Figures]] = {}
    for seed in bench.seeds:
        arms = {name: _gather_arm(bench, name, seed) for name in ARMS}
        if found := {name: figures for name, figures in arms.items() if figures}:
            seeds[str(seed)] = found
    return {"size": vars(bench.size), "seeds": seeds}


def together(kept: Figures, new: Figures) -> Figures:
    """Return the figures of both; of an arm with the same seed, the new ones.

    Raises
    ------
    ConfigError
        They are of runs of different sizes.
    """
    if kept["size"] != new["size"]:
        raise ConfigError(
            "The figures beside the page are of runs of another size: name another page, or move "
            "them away."
        )
    seeds = sorted({*kept["seeds"], *new["seeds"]}, key=int)
    merged = {seed: kept["seeds"].get(seed, {}) | new["seeds"].get(seed, {}) for seed in seeds}
    return {**new, "seeds": merged}


def render_page(results: Figures, figures: str, read: bool) -> str:
    """Return the page in Markdown.

    Parameters
    ----------
    results
        What `gather` returned.
    figures
        Name of the file beside the page that holds them.
    read
        Whether the page says what people read in the figures of the project's own runs.
    """
    text = _TEMPLATE.read_text(encoding="utf-8")
    template = string.Template(_READINGS.sub(r"\1" if read else "", text).rstrip("\n") + "\n")
    machines = {run["machine"] for arms in results["seeds"].values() for run in arms.values()}
    facts = {
        **{name: str(value) for name, value in results["size"].items()},
        **{name: table(results) for name, table in TABLES.items()},
        "figures": figures,
        "machine": "; ".join(sorted(machines)) or "none yet",
        "seeds": _finished(results["seeds"]) or "none yet",
    }
    return template.substitute(facts)


def _write(page: Path, figures: Path, results: Figures) -> None:
    images = page.parent / "images"
    write_json(figures, results)
    write_text(page, render_page(results, figures.name, read=page.resolve() == _PROJECT_PAGE))
    draw_gains(images / "learning-gains.svg", pairs(results))
    draw_modes(images / "learning-modes.svg", per_arm(results, "curve", MODES))
    draw_training(images / "learning-training.svg", _updates(results))


def _gather_arm(bench: Bench, name: str, seed: int) -> Figures:
    arm = ARMS[name]
    run, judged = bench.run(arm, seed), bench.judged(arm, seed)
    start = bench.judged(ARMS[arm.start], seed) if arm.start else judged
    figures: Figures = {}
    if (start.folder / "evaluate" / "before.json").exists():
        figures["before"] = measures.gains(start, "before")
        figures["changes_before"] = measures.changes(start, "before")
    if (run.folder / "evaluate" / "after.json").exists():
        figures["after"] = measures.gains(judged, "after")
        figures["changes_after"] = measures.changes(judged, "after")
    if (run.folder / "evaluate" / "best-of-n.json").exists():
        figures["best_of_n"] = measures.best_of_n(judged)
    if (run.folder / "metrics.jsonl").exists():
        figures["training"] = measures.training(run)
        figures["curve"] = measures.curve(run)
    for when, folder in (("before", start.folder), ("after", run.folder)):
        if (path := folder / f"probe-{when}.json").exists():
            figures[f"probe_{when}"] = _briefly(read_json(path))
    figures["suspicious_edits"] = measures.suspicious_edits(_steps(arm, run.folder))
    figures["machine"] = f"{platform.processor() or platform.machine()}, {cpu_count()} cores"
    return figures if "after" in figures else {}


def _briefly(probe: Figures) -> Figures:
    """Return a probe without its model's path, and with the first example of each task only."""
    brief: Figures = {}
    for split in ("held-in", "held-out"):
        firsts: dict[str, Figures] = {}
        for example in probe[split]["examples"]:
            firsts.setdefault(example["task"], example)
        brief[split] = {**probe[split], "examples": list(firsts.values())}
    return brief


def _steps(arm: Arm, folder: Path) -> Iterator[tuple[str, Iterable[Figures]]]:
    """Yield an arm's steps by where they were made, but those whose rewards were drawn."""
    if not arm.shuffled:
        for rows in read_steps(folder / "ppo" / "rollouts.jsonl", "train").values():
            yield f"{arm.name}, training", rows
    for path in sorted((folder / "evaluate").glob("*/*.jsonl")):
        yield f"{arm.name}, evaluation", read_jsonl(path)


def _updates(results: Figures) -> dict[str, list[Any]]:
    return {
        name: [training["by_update"] for training in runs]
        for name, runs in per_arm(results, "training").items()
    }


def _finished(seeds: Figures) -> str:
    """Say which seeds of which arm are finished."""
    lists = {name: ", ".join(seed for seed in seeds if name in seeds[seed]) for name in ARMS}
    return "; ".join(f"`{name}` {numbers or 'none'}" for name, numbers in lists.items() if seeds)
