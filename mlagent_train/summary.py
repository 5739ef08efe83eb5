"""A run on one page: ``python -m mlagent_train.summary RUN``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer
from rich.console import Console

from mlagent_train.charts import line_chart
from mlagent_train.cli import command, guarded
from mlagent_train.errors import UsageError
from mlagent_train.files import read_json, read_jsonl, write_text
from mlagent_train.metrics import read_evaluations, read_updates

__all__ = ["write_summary"]

Update = Mapping[str, Any]
Lines = dict[str, list[tuple[float, float]]]


def write_summary(folder: Path) -> Path:
    """Write ``summary.html`` of a run folder, from whatever it holds so far.

    Returns
    -------
    Path
        The page; it needs no other file and no network.

    Raises
    ------
    UsageError
        The folder is no run folder.
    """
    import jinja2

    if not (folder / "config.json").exists():
        raise UsageError(f"{folder} holds no run: there is no config.json. Name a run folder.")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    updates = _updates(folder)
    lines = {**_update_lines(updates), **_evaluation_lines(folder), **_gpu_lines(folder)}
    stopped = folder / "ppo" / "stopped.json"
    page = environment.get_template("summary.html.j2").render(
        config=read_json(folder / "config.json"),
        versions=_read(folder / "versions.json"),
        stages=_stages(folder, updates),
        stopped=read_json(stopped)["message"] if stopped.exists() else "",
        evaluations=_evaluation_table(folder),
        charts=[line_chart(title, drawn) for title, drawn in lines.items() if drawn],
        tasks=_group_table(updates, "tasks"),
        actions=_group_table(updates, "actions"),
    )
    path = folder / "summary.html"
    write_text(path, page)
    return path


def _updates(folder: Path) -> list[dict[str, Any]]:
    kept = folder / "metrics.jsonl"
    if kept.exists():
        return list(read_jsonl(kept))
    events, record = folder / "tensorboard" / "ppo", folder / "ppo" / "rollouts.jsonl"
    return read_updates(events, record, read_evaluations(folder / "ppo")) if events.is_dir() else []


def _read(path: Path) -> dict[str, Any]:
    return dict(read_json(path)) if path.exists() else {}


def _stages(folder: Path, updates: Sequence[Update]) -> list[tuple[str, str]]:
    """Return (stage, what came of it) for the stages that are done or under way."""
    stages = []
    for name in ("collect", "sft"):
        counts = _read(folder / name / "summary.json")
        words = [f"{key} {_short(value)}" for key, value in counts.items() if _plain(value)]
        if words:
            stages.append((name, ", ".join(words)))
    if updates:
        planned = read_json(folder / "config.json")["ppo"]["updates"]
        lost = sum(update["steps"]["lost"] for update in updates)
        stages.append(
            ("ppo", f"{len(updates)} of {planned} updates, {lost} steps lost to machine faults")
        )
    if best := _read(folder / "ppo" / "best.json"):
        stages.append(("best checkpoint", f"of update {best['update']}, in best/"))
    return stages


def _plain(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _run_success(steps: Mapping[str, Any]) -> float | None:
    """Share of the scripts that ran to their end, of those that were started."""
    shares = steps["run_statuses"]
    started = sum(share for name, share in shares.items() if name != "no_run")
    return shares.get("ok", 0.0) / started if started else None


_OVER_UPDATES: Mapping[str, Mapping[str, Callable[[Update], Any]]] = {
    "Reward": {"reward": lambda update: update["steps"]["reward"]},
    "Valid and improving actions, share of steps": {
        "valid": lambda update: update["steps"]["valid"],
        "improving": lambda update: update["steps"]["improved"],
    },
    "Run success, share of started scripts": {
        "run success": lambda update: _run_success(update["steps"])
    },
    "KL to the reference policy, per token": {"KL": lambda update: update.get("kl")},
    "Entropy, nats per token": {"entropy": lambda update: update.get("entropy_loss")},
    "Tokens of a reply": {"tokens": lambda update: update.get("rollout/response_length_mean")},
    "Critic: loss": {"loss": lambda update: update.get("critic_loss")},
    "Critic: explained variance of returns": {
        "explained": lambda update: update.get("critic/explained_variance")
    },
    "Environment, seconds per step": {
        "on a worker": lambda update: update["steps"]["env_s"],
        "waiting for one": lambda update: update["steps"]["queue_s"],
    },
    "Steps answered from memory or lost, share": {
        "from memory": lambda update: update["steps"]["cached"],
        "lost": lambda update: update["steps"]["lost"] / max(update["steps"]["samples"], 1),
    },
    "Seconds of an update": {
        "generation and environments": lambda update: update.get("timing/generation"),
        "experience": lambda update: update.get("timing/make_experience"),
        "training": lambda update: update.get("timing/ppo_train"),
        "weight sync": lambda update: update.get("timing/broadcast"),
    },
}


def _update_lines(updates: Sequence[Update]) -> dict[str, Lines]:
    lines = {title: _lines(updates, values) for title, values in _OVER_UPDATES.items() if updates}
    tasks = sorted({task for update in updates for task in update["tasks"]})
    for title, key in (("Reward by task", "reward"), ("Gain of scored edits by task", "gain")):
        values = {task: _of_task(task, key) for task in tasks}
        lines[title] = _lines(updates, values)
    return lines


def _of_task(task: str, key: str) -> Callable[[Update], Any]:
    return lambda update: update["tasks"].get(task, {}).get(key)


def _lines(updates: Sequence[Update], values: Mapping[str, Callable[[Update], Any]]) -> Lines:
    found = {
        name: [
            (float(update["update"]), float(y))
            for update in updates
            if (y := value(update)) is not None
        ]
        for name, value in values.items()
    }
    return {name: points for name, points in found.items() if points}


def _evaluation_lines(folder: Path) -> dict[str, Lines]:
    during = read_evaluations(folder / "ppo")
    before = _read(folder / "evaluate" / "before.json")
    results = {**({0: before} if before else {}), **during}
    if len(results) < 2:
        return {}
    splits = sorted({split for result in results.values() for split in result["splits"]})
    return {
        "Relative gain of whole episodes, by split": {
            split: [
                (float(update), result["splits"][split]["relative_gain"])
                for update, result in sorted(results.items())
                if split in result["splits"]
            ]
            for split in splits
        }
    }


def _gpu_lines(folder: Path) -> dict[str, Lines]:
    path = folder / "gpu.jsonl"
    if not path.exists():
        return {}
    rows = list(read_jsonl(path))
    busy: Lines = {}
    for row in rows:
        minutes = (row["time"] - rows[0]["time"]) / 60
        busy.setdefault(f"GPU {row['gpu']}", []).append((minutes, float(row["busy_percent"])))
    idle = fmean(row["busy_percent"] == 0 for row in rows) if rows else 0.0
    return {f"GPU busy, percent, over minutes; idle {idle:.0%} of samples": busy}


def _evaluation_table(folder: Path) -> list[list[str]]:
    """Return a header and a row for each split and task; empty without evaluations."""
    paths = sorted((folder / "evaluate").glob("*.json"), key=lambda path: path.stat().st_mtime)
    results = {
        path.stem: result for path in paths if "splits" in (result := read_json(path))
    }  # their jobs and plans lie beside them
    if not results:
        return []
    rows = [["whole episodes"]]
    keys = (("valid", "valid"), ("improving", "improved"), ("relative gain", "relative_gain"))
    rows[0] += [f"{what}, {name}" for what, _ in keys for name in results]
    for kind, prefix in (("splits", "all "), ("tasks", "")):
        names = {name: None for result in results.values() for name in result[kind]}
        for name in names:
            found = [result[kind].get(name) for result in results.values()]
            cells = [_percent(stats and stats[key]) for _, key in keys for stats in found]
            rows.append([prefix + name, *cells])
    return rows


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _group_table(updates: Sequence[Update], kind: str) -> list[list[str]]:
    """Return a header and a row for each task or action, over the last quarter of the updates."""
    last = updates[-max(1, len(updates) // 4) :]
    rows = [
        ["samples", "lost", "reward", "10 … 90 % of rewards", "valid", "improving", "gain", "env s"]
    ]
    rows[0].insert(0, kind.rstrip("s"))
    for name in sorted({name for update in last for name in update[kind]}):
        found = [update[kind][name] for update in last if name in update[kind]]
        total = sum(figures["samples"] for figures in found)

        def mean(key: str, found: list[Any] = found) -> float | None:
            pairs = [(f[key], f["samples"]) for f in found if f[key] is not None]
            weight = sum(samples for _, samples in pairs)
            return sum(v * samples for v, samples in pairs) / weight if weight else None

        gain = mean("gain")
        low = min(figures["reward_quantiles"][0] for figures in found)
        high = max(figures["reward_quantiles"][-1] for figures in found)
        rows.append(
            [
                name,
                str(total),
                str(sum(figures["lost"] for figures in found)),
                f"{mean('reward'):.3f}",
                f"{low:.2f} … {high:.2f}",
                _percent(mean("valid")),
                _percent(mean("improved")),
                "-" if gain is None else f"{gain:+.3f}",
                f"{mean('env_s'):.2f}",
            ]
        )
    return rows if len(rows) > 1 else []


def _main(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run.")],
) -> None:
    """Write a run's one-page summary, at any time: while it runs, after it, or long after."""
    console = Console()
    guarded(console, lambda: console.print(str(write_summary(folder.resolve())), soft_wrap=True))


if __name__ == "__main__":
    command(_main)()
