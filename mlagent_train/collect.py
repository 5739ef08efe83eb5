"""Collect expert trajectories: ``python -m mlagent_train.collect``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.console import Console

from mlagent_train.cli import (
    ConfigOption,
    DryRunOption,
    RunOption,
    SetOption,
    command,
    guarded,
    settle,
)
from mlagent_train.errors import StageError, UsageError
from mlagent_train.files import read_json, write_json, write_jsonl
from mlagent_train.jobs.episodes import Episode, EpisodePlan
from mlagent_train.jobs.launch import run_job
from mlagent_train.plan import make_job
from mlagent_train.progress import counting
from mlagent_train.run import Run, open_run, require_packages
from mlagent_train.trajectories import read_trajectories, start_states

__all__ = ["collect", "run_episodes"]

_EPISODES_JOB = "mlagent_train.jobs.episodes"
_ROUNDS = 3


def collect(run: Run, console: Console) -> None:
    """Run the scripted expert on the held-in tasks and pool the states it passed through.

    Does nothing when the pool is there; runs only the trajectories that are missing.

    Raises
    ------
    UsageError
        There is no held-in task.
    StageError
        Trajectories are missing in the end.
    """
    summary = run.folder / "collect" / "summary.json"
    if summary.exists():
        counts = read_json(summary)
        console.print(
            f"  already there: {counts['trajectories']} trajectories, {counts['states']} states"
        )
        return
    if not run.held_in:
        raise UsageError("There is no held-in task to collect on; set tasks.held_in.")
    config = run.config
    episodes = tuple(
        Episode(
            f"{task}-{i:05d}",
            task,
            run.env_id(task),
            env_seed=config.seed,
            seed=config.seed * 1_000_000 + i,
        )
        for i in range(config.collect.trajectories_per_task)
        for task in run.held_in
    )
    plan = EpisodePlan(
        folder=str(run.trajectories),
        episodes=episodes,
        max_steps=config.env.max_steps,
        at_once=run.slots,
        expert_ideas=config.collect.ideas,
        ideas_from=config.collect.ideas_from,
    )
    run_episodes(run, plan, "collect", console)
    trajectories = list(read_trajectories(run.trajectories))
    states = start_states(trajectories)
    write_jsonl(run.states, states)
    steps = [row for trajectory in trajectories for row in trajectory]
    outcomes = Counter(row["info"]["outcome"] for row in steps)
    write_json(
        summary,
        {
            "trajectories": len(trajectories),
            "steps": len(steps),
            "states": len(states),
            "states_per_task": Counter(state["task"] for state in states),
            "outcomes": outcomes,
        },
    )
    shares = ", ".join(f"{count} {name}" for name, count in outcomes.most_common())
    console.print(f"  {len(states)} states in the pool, by what came next: {shares}")


def run_episodes(run: Run, plan: EpisodePlan, name: str, console: Console) -> None:
    """Run the episodes of a plan that have no file yet, with a progress bar.

    Raises
    ------
    StageError
        Some are missing after several rounds, because of machine faults.
    """
    folder = Path(plan.folder)
    folder.mkdir(parents=True, exist_ok=True)
    plan_file = folder.with_name(f"{folder.name}.plan.json")
    plan.save(plan_file)
    wanted = {f"{episode.name}.jsonl" for episode in plan.episodes}

    def missing() -> int:
        return len(wanted - {path.name for path in folder.iterdir()})

    with counting(
        console, f"{name} episodes", len(wanted), lambda: (len(wanted) - missing(), "")
    ) as watch:
        for _ in range(_ROUNDS):
            if missing():
                job = make_job(run, _EPISODES_JOB, [str(plan_file)])
                run_job(job, folder.parent, folder.name, watch)
    if left := missing():
        raise StageError(
            f"{left} of {len(wanted)} episodes were lost to machine faults in {_ROUNDS} rounds; "
            f"{folder.parent / folder.name}.log says which. Run the same command again to go on."
        )


def _main(
    config: ConfigOption = None,
    overrides: SetOption = None,
    folder: RunOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Collect trajectories of the scripted expert on the held-in tasks.

    The expert draws one to three ideas of a task's idea bank, tries their edits one after
    another, takes back what did not help, and gives its final answer. Every state it passes
    through goes to the state pool that `python -m mlagent_train.ppo` trains on. Killed at
    any moment, the same command goes on where it was.
    """
    console = Console()

    def work() -> None:
        require_packages()
        settings = settle(config, overrides)
        if dry_run:
            run = Run(settings, (folder or Path("runs") / settings.name).resolve())
            total = settings.collect.trajectories_per_task * len(run.held_in)
            console.print(f"{total} trajectories of {', '.join(run.held_in)} on {run.slots} slots")
            return
        collect(open_run(settings, folder), console)

    guarded(console, work)


if __name__ == "__main__":
    command(_main)()
