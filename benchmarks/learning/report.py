"""The page, its pictures and results.json, from whatever runs are finished."""

from __future__ import annotations

import platform
import string
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.learning import measures
from benchmarks.learning.measures import Figures
from benchmarks.learning.plan import ARMS
from benchmarks.learning.plots import draw_gains, draw_modes, draw_training
from benchmarks.learning.stages import Bench
from benchmarks.learning.tables import TABLES, pairs, per_arm
from mlagent_train.files import read_json, read_jsonl, write_json, write_text
from mlagent_train.hardware import cpu_count
from mlagent_train.step_figures import read_steps

__all__ = ["gather", "write_report"]

_TEMPLATE = Path(__file__).parent / "page.md"


def write_report(bench: Bench, page: Path | None = None) -> Path:
    """Write results.json and learning.md with its pictures; also to `page` if one is named."""
    results = gather(bench)
    write_json(bench.folder / "results.json", results)
    for path in filter(None, (bench.folder / "learning.md", page)):
        images = path.parent / "images"
        write_text(path, _page(bench, results))
        draw_gains(images / "learning-gains.svg", pairs(results))
        draw_modes(images / "learning-modes.svg", per_arm(results, "curve", ("diverse", "episode")))
        draw_training(images / "learning-training.svg", _updates(results))
    return bench.folder / "learning.md"


def gather(bench: Bench) -> Figures:
    """Return the figures of every finished run: ``seeds[seed][arm]``."""
    seeds: dict[str, dict[str, Figures]] = {}
    for seed in bench.seeds:
        arms = {name: _gather_arm(bench, name, seed) for name in ARMS}
        if found := {name: figures for name, figures in arms.items() if figures}:
            seeds[str(seed)] = found
    return {
        "machine": f"{platform.processor() or platform.machine()}, {cpu_count()} cores",
        "size": vars(bench.size),
        "seeds": seeds,
        "suspicious_edits": measures.suspicious_edits(_steps(bench)),
    }


def _gather_arm(bench: Bench, name: str, seed: int) -> Figures:
    arm = ARMS[name]
    run, judged = bench.run(arm, seed), bench.judged(arm, seed)
    start = bench.judged(ARMS["diverse"], seed) if arm.shares_start else judged
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
            figures[f"probe_{when}"] = read_json(path)
    return figures if "after" in figures else {}


def _steps(bench: Bench) -> Iterator[tuple[str, Iterable[Figures]]]:
    """Yield all steps by where they were made, but those whose rewards were drawn."""
    for seed in bench.seeds:
        for name, arm in ARMS.items():
            folder = bench.run(arm, seed).folder
            if not arm.shuffled:
                for rows in read_steps(folder / "ppo" / "rollouts.jsonl", "train").values():
                    yield f"{name}, training", rows
            for path in sorted((folder / "evaluate").glob("*/*.jsonl")):
                yield f"{name}, evaluation", read_jsonl(path)


def _updates(results: Figures) -> dict[str, list[Any]]:
    return {
        name: [training["by_update"] for training in runs]
        for name, runs in per_arm(results, "training").items()
    }


def _page(bench: Bench, results: Figures) -> str:
    template = string.Template(_TEMPLATE.read_text(encoding="utf-8"))
    facts = {
        **{name: str(value) for name, value in vars(bench.size).items()},
        **{name: table(results) for name, table in TABLES.items()},
        "machine": results["machine"],
        "seeds": _finished(results["seeds"]) or "none yet",
    }
    return template.substitute(facts)


def _finished(seeds: Figures) -> str:
    """Say which seeds of which arm are finished."""
    lists = {name: ", ".join(seed for seed in seeds if name in seeds[seed]) for name in ARMS}
    return "; ".join(f"`{name}` {numbers or 'none'}" for name, numbers in lists.items() if seeds)
