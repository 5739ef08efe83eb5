"""Evaluate a policy on whole episodes: ``python -m mlagent_train.evaluate``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mlagent_train.agents import Sampling
from mlagent_train.cli import ConfigOption, RunOption, SetOption, command, guarded, settle
from mlagent_train.collect import run_episodes
from mlagent_train.errors import UsageError
from mlagent_train.files import read_json, write_json
from mlagent_train.jobs.plan_file import Episode, EpisodePlan
from mlagent_train.run import Run, open_run, require_packages
from mlagent_train.summary import write_summary
from mlagent_train.trajectories import episode_stats, read_trajectories

__all__ = ["evaluate", "evaluation_table"]

Result = dict[str, Any]
SPLITS = ("held-in", "held-out")


def evaluate(
    run: Run, model: str, name: str, console: Console, splits: Sequence[str] = SPLITS
) -> Result:
    """Run full episodes from the starter on held-in and held-out tasks.

    Parameters
    ----------
    run
        Its ``evaluate`` section says how many and how long.
    model
        Folder or hub name of the policy.
    name
        What the evaluation is called in the run folder.
    console
        Shows the progress.
    splits
        ``held-in``, ``held-out`` or both.

    Returns
    -------
    dict
        ``model``, and under ``tasks`` and ``splits`` the `EpisodeStats` by name.
    """
    kept = run.folder / "evaluate" / f"{name}.json"
    if kept.exists():
        console.print("  already there")
        result: Result = read_json(kept)
        return result
    config = run.config
    tasks_of = {"held-in": run.held_in, "held-out": run.held_out}
    chosen = {split: tasks_of[split] for split in splits}
    episodes = tuple(
        Episode(f"{task}-{i:05d}", task, run.env_id(task), env_seed=config.seed, seed=i)
        for i in range(config.evaluate.episodes_per_task)
        for tasks in chosen.values()
        for task in tasks
    )
    plan = EpisodePlan(
        folder=str(run.folder / "evaluate" / name),
        episodes=episodes,
        max_steps=min(config.evaluate.max_steps, config.env.max_steps),
        at_once=max(16, 2 * run.slots),
        policy=f"hf:{model}",
        sampling=Sampling(
            temperature=config.evaluate.temperature,
            top_p=config.rollout.top_p,
            max_prompt_tokens=config.rollout.max_prompt_tokens,
            max_new_tokens=config.rollout.max_new_tokens,
            seed=config.seed,
            engine_memory_share=config.hardware.engine_memory_share,
            tensor_parallel=config.hardware.tensor_parallel,
        ),
    )
    run_episodes(run, plan, name, console)
    by_task: dict[str, list[Any]] = {}
    for trajectory in read_trajectories(Path(plan.folder)):
        by_task.setdefault(trajectory[0]["task"], []).append(trajectory)
    result = {
        "model": model,
        "tasks": {task: asdict(episode_stats(rows)) for task, rows in by_task.items()},
        "splits": {
            split: asdict(episode_stats([row for task in tasks for row in by_task[task]]))
            for split, tasks in chosen.items()
            if tasks
        },
    }
    write_json(kept, result)
    return result


def evaluation_table(results: dict[str, Result]) -> Table:
    """Return evaluations side by side, a row a task: valid and improving steps, relative gain."""
    table = Table(
        title="Whole episodes: valid steps, steps that score better, relative gain; percent",
        title_justify="left",
    )
    table.add_column("task", overflow="fold")
    for what in ("valid", "better", "gain"):
        for name in results:
            table.add_column(f"{what}\n{name}", justify="right", no_wrap=True)
    rows = [(split, "splits") for split in next(iter(results.values()))["splits"]]
    rows += [(task, "tasks") for task in next(iter(results.values()))["tasks"]]
    for row, kind in rows:
        cells = [
            f"{100 * result[kind][row][key]:.1f}"
            for key in ("valid", "improved", "relative_gain")
            for result in results.values()
        ]
        table.add_row(f"all {row}" if kind == "splits" else row, *cells)
    return table


def _main(
    model: Annotated[
        str | None,
        typer.Option(
            help="Folder or hub name of the policy. Default: the run's trained checkpoint, "
            "or its warm start if there is none yet."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="What the evaluation is called in the run folder's evaluate/."),
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    folder: RunOption = None,
) -> None:
    """Evaluate a policy: valid actions, improving steps and relative gain, by task.

    Episodes start from the tasks' starters. The paper's measure, the relative gain, is
    sign * (best score - starter's score) / starter's score, averaged over episodes.
    """
    console = Console()

    def work() -> None:
        require_packages()
        run = open_run(settle(config, overrides), folder)
        policy = model or next(
            (str(path) for path in (run.final_model, run.sft_model) if path.exists()), None
        )
        if policy is None:
            raise UsageError(f"{run.folder} holds no policy yet; name one with --model.")
        label = name or f"model-{hashlib.sha256(policy.encode()).hexdigest()[:8]}"
        console.print(evaluation_table({label: evaluate(run, policy, label, console)}))
        write_summary(run.folder)

    guarded(console, work)


if __name__ == "__main__":
    command(_main)()
