"""What environment steps cost the trainer: ``python -m benchmarks.training``.

On a model and an environment that cost next to nothing: what the project's agent adds to an
agent of OpenRLHF's own kind, whether slow steps hold up generation, samples an hour with steps
of 0, 5 and 60 s, and whole PPO runs in which a fifth of the steps fail. Other work on the
machine inflates all times but the processor's.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.agent_cost import LARGER
from benchmarks.instant_env import fault_of, reward_of
from benchmarks.ppo_runs import PpoRun, make_tiny_model, prompt_rows, run_module, train
from benchmarks.rollouts import SLOW_SHARE
from mlagent_gym import RewardConfig
from mlagent_train.errors import StageError

BAR = 0.05
SAMPLES = 32
SLOTS = 8
FREE_SLOTS = 4
FAULT_EVERY = 5
NEUTRAL = RewardConfig("v1").neutral
KINDS = {"raise": "raised", "die": "died", "hang": "timeout", "garbage": "garbage"}
SMALL = {
    "ppo.estimator": "reinforce",
    "ppo.kl_coef": 0,
    "ppo.micro_batch_size": SLOTS,
    "rollout.micro_batch_size": SLOTS,
    "rollout.max_new_tokens": 64,
    "workers.slots": SLOTS,
}


def main(
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Where to write the figures as JSON.")
    ] = None,
    pairs: Annotated[int, typer.Option(help="Batches of each agent for the overhead.")] = 20,
    only: Annotated[
        str, typer.Option(help="Measure one part: overhead, slow, throughput or faults.")
    ] = "",
) -> None:
    """Measure, print the tables, and exit with 1 if a bar is not held."""
    parts = {"overhead": overhead, "slow": slow, "throughput": throughput, "faults": faults}
    if only and only not in parts:
        raise typer.BadParameter(f"{only!r} is none of {', '.join(parts)}", param_hint="--only")
    figures: dict[str, Any] = {"cores": os.cpu_count()}
    with tempfile.TemporaryDirectory(prefix="training-") as top:
        model = make_tiny_model(Path(top))
        for name, part in parts.items():
            if only in ("", name):
                figures[name] = part(Path(top) / name, model, pairs)
                figures["load"] = os.getloadavg()[0]
                if json_path is not None:  # after each part: the next one may fail
                    json_path.write_text(json.dumps(figures, indent=1) + "\n")
    show(figures, Console(width=110))
    if not held(figures):
        raise typer.Exit(1)


def overhead(folder: Path, model: Path, pairs: int) -> dict[str, Any]:
    """Measure the project's agent and OpenRLHF's own on rollout engines, with two models."""
    models = {"tiny": (model, pairs), "larger": (None, max(2, pairs // 4))}
    figures = {}
    for name, (path, count) in models.items():
        part = folder / name
        part.mkdir(parents=True)
        order = {"new_tokens": 64, "samples": SAMPLES, "pairs": count}
        # a slot for each core, as is the default
        settings = {"workers.slots": os.cpu_count()}
        figures[name] = _on_engines(part, path or make_tiny_model(part, **LARGER), order, settings)
    return figures


def slow(folder: Path, model: Path, pairs: int) -> list[dict[str, Any]]:
    """Measure the other samples of batches in which a quarter has slow steps."""
    del pairs
    folder.mkdir()
    turns = 3
    order = {
        "new_tokens": 64,
        "samples": SAMPLES,
        "turns": turns,
        "repeats": 3,
        "step_s": [0.0, 5.0, 60.0],
    }
    # more slots than slow samples: the others never wait for one
    settings = {
        "workers.slots": SAMPLES // SLOW_SHARE + FREE_SLOTS,
        "env.mode": "episode",
        "env.max_steps": turns,
    }
    rows: list[dict[str, Any]] = _on_engines(folder, model, order, settings)
    return rows


def _on_engines(folder: Path, model: Path, order: dict[str, Any], settings: dict[str, Any]) -> Any:
    order |= {"model": str(model), "result": str(folder / "result.json")}
    run_module(folder, model, "benchmarks.rollouts", order, {**SMALL, **settings})
    return json.loads((folder / "result.json").read_text())


def throughput(folder: Path, model: Path, pairs: int) -> list[dict[str, float]]:
    """Measure updates of a whole PPO run whose steps take 0, 5 and 60 s."""
    del pairs
    rows = []
    for seconds, updates in ((0.0, 4), (5.0, 3), (60.0, 2)):
        settings = {
            **SMALL,
            "ppo.updates": updates,
            "ppo.states_per_update": SLOTS,
            "ppo.batch_size": SLOTS,
            "workers.slots": SLOTS + FREE_SLOTS,
        }
        prompts = prompt_rows(model, SLOTS * updates, seconds)
        run = train(folder / f"{seconds:g}", model, prompts, settings)
        total = statistics.median(u["timing/step_total"] for u in run.updates[1:])
        rollout = statistics.median(u["timing/generation"] for u in run.updates[1:])
        rows.append(
            {
                "step_s": seconds,
                "rollout_s": rollout,
                "rest_s": total - rollout,
                "samples_per_hour": 3600 * SLOTS / total,
                "queue_s": statistics.fmean(row["queue_s"] for row in run.steps),
            }
        )
    return rows


def faults(folder: Path, model: Path, pairs: int) -> dict[str, Any]:
    """Train while a fifth of the steps fail, and check every count; then with less patience."""
    del pairs
    updates, samples = 3, 2 * SLOTS
    settings = {
        **SMALL,
        "ppo.updates": updates,
        "ppo.states_per_update": samples,
        "ppo.batch_size": samples,
        "workers.retries": 0,
        "workers.step_timeout_s": 10,
        "workers.max_fault_share": 0.5,
        "env.kwargs": f"{{fault_every = {FAULT_EVERY}}}",
    }
    prompts = prompt_rows(model, updates * samples)
    run = train(folder / "patient", model, prompts, settings)
    strict = {**settings, "workers.max_fault_share": 0.02}
    try:
        train(folder / "strict", model, prompts, strict)
        stopped = ""
    except StageError as error:
        stopped = str(error)
    return {
        "share": 1 / FAULT_EVERY,
        "steps": len(run.steps),
        "lost": dict(Counter(row["fault"] for row in run.steps if row["fault"])),
        "wrong": wrong_counts(run, updates, samples),
        "stops_above_share": "TooManyFaultsError" in stopped,
    }


def wrong_counts(run: PpoRun, updates: int, samples: int) -> list[str]:
    """Return what differs from what the samples and replies in the record must have led to."""
    wrong = []
    if len(run.steps) != updates * samples or len(run.updates) != updates:
        wrong.append(f"{len(run.steps)} steps in {len(run.updates)} updates")
    for row in run.steps:
        must = KINDS.get(fault_of(row["row"], FAULT_EVERY), "")
        if row["fault"] != must:
            wrong.append(f"{row['fault'] or 'no fault'} where it must be {must or 'none'}")
        elif not must and row["reward"] != reward_of(row["reply"]):
            wrong.append(f"reward {row['reward']} is not the environment's")
    for number, update in enumerate(run.updates, 1):
        rows = [row for row in run.steps if row["update"] == number]
        rewards = [NEUTRAL if row["reward"] is None else row["reward"] for row in rows]
        for name, must_be in (
            ("rollout/reward_mean", statistics.fmean(rewards)),
            ("fault", statistics.fmean(bool(row["fault"]) for row in rows)),
        ):
            if abs(update[name] - must_be) > 1e-4:
                wrong.append(f"update {number}: {name} is {update[name]}, must be {must_be}")
    return wrong


def held(figures: dict[str, Any]) -> bool:
    """Return whether every bar that was measured is held."""
    failing = figures.get("faults", {"wrong": [], "stops_above_share": True})
    added = [measured["overhead"] for measured in figures.get("overhead", {}).values()]
    return max(added, default=0.0) <= BAR and not failing["wrong"] and failing["stops_above_share"]


def show(figures: dict[str, Any], console: Console) -> None:
    """Print what was measured."""
    if "overhead" in figures:
        table = Table("model", "bare", "agent adds", "of it engine, pool, workers", "more", "wall")
        for name, over in figures["overhead"].items():
            cpu, low_high = over["cpu_ms_per_sample"], over["overhead_quartiles"]
            parts = (cpu["engine"] - cpu["bare"], cpu["pool"], cpu["workers"])
            table.add_row(
                f"{name}, {over['bare_cpu_ms_per_token']:.2f} ms a token",
                f"{cpu['bare']:.1f} ms",
                f"{over['added_cpu_ms_per_sample']:.2f} ms",
                ", ".join(f"{part:.2f}" for part in parts),
                f"{over['overhead']:+.1%} ({', '.join(f'{q:+.1%}' for q in low_high)})",
                f"{over['overhead_wall']:+.1%}",
            )
        console.print(table)
        console.print(f"processor time of a sample; in brackets quartiles of pairs; bar {BAR:.0%}")
    if "slow" in figures:
        table = Table("slow steps", "other samples had all replies after", "batch")
        for row in figures["slow"]:
            cells = (row["fast_replied_s"], row["batch_s"])
            table.add_row(f"{row['step_s']:g} s", *(f"{cell:.1f} s" for cell in cells))
        console.print(table)
    if "throughput" in figures:
        table = Table(
            "every step", "rollout", "rest of the update", "samples an hour", "waited for a slot"
        )
        for row in figures["throughput"]:
            table.add_row(
                f"{row['step_s']:g} s",
                f"{row['rollout_s']:.1f} s",
                f"{row['rest_s']:.1f} s",
                f"{row['samples_per_hour']:.0f}",
                f"{row['queue_s']:.2f} s",
            )
        console.print(table)
    if "faults" in figures:
        seen = figures["faults"]
        console.print(
            f"{seen['share']:.0%} of steps fail: {seen['steps']} steps, lost {seen['lost']}; "
            f"wrong: {seen['wrong'] or 'nothing'}; "
            f"stops above the set share: {'yes' if seen['stops_above_share'] else 'NO'}"
        )


if __name__ == "__main__":
    typer.run(main)
