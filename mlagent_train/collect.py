"""Collect expert trajectories: ``python -m mlagent_train.collect``."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from mlagent_gym import build_pool
from mlagent_train.agents import Sampling
from mlagent_train.agents.endpoint import prices
from mlagent_train.chat import token_count
from mlagent_train.cli import (
    ConfigOption,
    DryRunOption,
    RunOption,
    SetOption,
    command,
    guarded,
    settle,
)
from mlagent_train.errors import BudgetError, ConfigError, StageError, UsageError
from mlagent_train.files import read_json, write_json, write_jsonl
from mlagent_train.filters import filter_trajectories
from mlagent_train.idea_files import IdeaSource
from mlagent_train.ideas import make_ideas
from mlagent_train.jobs.budget import SpendingLimits, spent_in
from mlagent_train.jobs.launch import run_job
from mlagent_train.jobs.plan_file import Episode, EpisodePlan
from mlagent_train.plan import make_job
from mlagent_train.progress import counting
from mlagent_train.run import Run, open_run, require_packages
from mlagent_train.trajectories import Row, read_trajectories

__all__ = ["collect", "run_episodes"]

_EPISODES_JOB = "mlagent_train.jobs.episodes"
_ROUNDS = 3
_AT_ONCE_PER_SLOT = 4
"""Episodes of a model: most of their time they wait for its replies."""


def collect(run: Run, console: Console) -> None:
    """Run the expert on the held-in tasks; write its examples and the states it passed through.

    Does nothing when they are there; goes on with trajectories that are missing or unfinished.

    Raises
    ------
    UsageError
        There is no held-in task, or the expert cannot be had.
    BudgetError
        A limit of the configuration is reached.
    StageError
        Trajectories are missing in the end, or none is of use.
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
    if run.config.ideas.enabled:
        make_ideas(run, console)
    run_episodes(run, _plan(run), "collect", console)
    result = _write_outputs(run)
    write_json(summary, result)
    _show(result, console)


def run_episodes(run: Run, plan: EpisodePlan, name: str, console: Console) -> None:
    """Run the episodes of a plan that have no file yet, with a progress bar.

    Raises
    ------
    BudgetError
        The plan's limits are reached.
    StageError
        Some are missing after several rounds, because of machine faults or the endpoint.
    """
    folder = Path(plan.folder)
    folder.mkdir(parents=True, exist_ok=True)
    plan_file = folder.with_name(f"{folder.name}.plan.json")
    plan.save(plan_file)
    plan.stopped.unlink(missing_ok=True)
    wanted = {f"{episode.name}.jsonl" for episode in plan.episodes}

    def missing() -> int:
        return len(wanted - {path.name for path in folder.iterdir()})

    with counting(
        console, f"{name} episodes", len(wanted), lambda: (len(wanted) - missing(), "")
    ) as watch:
        for _ in range(_ROUNDS):
            if missing() and not plan.stopped.exists():
                plan.unanswered.unlink(missing_ok=True)  # only the last round's counts
                job = make_job(run, _EPISODES_JOB, [str(plan_file)])
                if not plan.cache:
                    job = dataclasses.replace(job, pool={**(job.pool or {}), "cache": False})
                run_job(job, folder.parent, folder.name, watch)
    left = missing()
    if left and plan.stopped.exists():
        raise BudgetError(
            f"{read_json(plan.stopped)['reason']}, {len(wanted) - left} of {len(wanted)} episodes "
            "are finished. What there is, is kept: run the same command with a higher limit."
        )
    log = f"{folder.parent / folder.name}.log"
    if left and plan.unanswered.exists():
        raise StageError(
            f"{left} of {len(wanted)} episodes are missing after {_ROUNDS} rounds ({log} has all "
            f"reasons): {read_json(plan.unanswered)['reason']}"
        )
    plan.unanswered.unlink(missing_ok=True)
    if left:
        raise StageError(
            f"{left} of {len(wanted)} episodes were lost to machine faults in {_ROUNDS} rounds; "
            f"{log} says which. Run the same command again to go on."
        )


def _plan(run: Run) -> EpisodePlan:
    config, how = run.config, run.config.collect
    scripted = how.expert.startswith("scripted:")
    if how.max_dollars and how.expert.startswith("openai:") and not any(prices()):
        raise ConfigError(
            "collect.max_dollars needs to know what tokens cost: set MLAGENT_PRICES to the "
            "dollars for a million prompt and completion tokens, as in 0.15,0.6."
        )
    ideas = IdeaSource(
        folder="" if how.ideas_from else str(run.ideas),
        function=how.ideas_from,
        per_task=how.ideas_per_task,
    )

    def episode(task: str, number: int) -> Episode:
        seed = config.seed * 1_000_000 + number
        return Episode(
            f"{task}-{number:05d}",
            task,
            run.env_id(task),
            env_seed=config.seed,
            seed=seed,
            hints=() if scripted else ideas.draw(task, how.ideas, seed),
        )

    return EpisodePlan(
        folder=str(run.trajectories),
        episodes=tuple(
            episode(task, number)
            for number in range(how.trajectories_per_task)
            for task in run.held_in
        ),
        max_steps=config.env.max_steps,
        at_once=how.at_once or run.slots * (1 if scripted else _AT_ONCE_PER_SLOT),
        policy=how.expert,
        sampling=Sampling(
            temperature=how.temperature,
            top_p=config.rollout.top_p,
            max_new_tokens=config.rollout.max_new_tokens,
            seed=config.seed,
            engine_memory_share=config.hardware.engine_memory_share,
            tensor_parallel=config.hardware.tensor_parallel,
        ),
        ideas=ideas,
        ideas_per_trajectory=how.ideas,
        limits=SpendingLimits(how.max_dollars, how.max_tokens, how.requests_per_minute),
        cache=scripted,
    )


def _write_outputs(run: Run) -> dict[str, Any]:
    """Write the state pool and the examples out of all trajectories; return what there is."""
    trajectories = list(read_trajectories(run.trajectories))
    steps = [row for trajectory in trajectories for row in trajectory]
    filtered = filter_trajectories(
        trajectories, max_similarity=run.config.collect.max_similarity, fits=_fits(run)
    )
    examples = [example for trajectory in filtered.kept for example in _examples(trajectory)]
    if not examples:
        reasons = ", ".join(f"{count} for {why}" for why, count in filtered.dropped.items())
        raise StageError(
            f"None of {len(trajectories)} trajectories is worth learning from; dropped: "
            f"{reasons}. Look at {run.trajectories}, then choose another collect.expert."
        )
    write_jsonl(run.sft_data, examples)
    pool = build_pool(
        sorted(run.trajectories.glob("*.jsonl")),
        run.states,
        keep_messages=True,
        repeats=True,  # states are drawn as often as the expert met them
        held_out=run.held_in,  # named by the configuration, whatever their folders say
    )
    statistics = pool.statistics()
    dollars, tokens = spent_in(steps)
    return {
        "expert": run.config.collect.expert,
        "trajectories": len(trajectories),
        "steps": len(steps),
        "outcomes": Counter(row["info"]["outcome"] for row in steps),
        "kept": len(filtered.kept),
        "dropped": filtered.dropped,
        "examples": len(examples),
        "states": statistics["states"],
        "states_per_task": {name: of["states"] for name, of in statistics["tasks"].items()},
        "tokens": tokens,
        "dollars": dollars,
    }


def _examples(trajectory: list[Row]) -> Iterator[dict[str, Any]]:
    """Yield a chat for each step whose action was valid; the loss is on its last message."""
    for row in trajectory:
        if row["info"]["valid"]:
            reply = {"role": "assistant", "content": row["reply"]}
            yield {
                "messages": [*row["messages"], reply],
                "task": row["task"],
                "episode": row["episode"],
                "step": row["state"]["step"],
            }


def _fits(run: Run) -> Callable[[list[Row]], bool]:
    """Return whether all steps of a trajectory are within ``sft.max_tokens``.

    The tokenizer of a model made on the spot is trained on these trajectories; there, SFT
    drops the steps that are too long.
    """
    config = run.config
    if not config.model.path or not config.sft.enabled:
        return lambda trajectory: True
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(config.model.path)
    return lambda trajectory: all(
        token_count(tokenizer, row["messages"], row["reply"]) <= config.sft.max_tokens
        for row in trajectory
    )


def _show(result: dict[str, Any], console: Console) -> None:
    shares = ", ".join(f"{count} {name}" for name, count in result["outcomes"].most_common())
    console.print(f"  {result['states']} states in the pool, by what came next: {shares}")
    dropped = ", ".join(f"{count} {why}" for why, count in result["dropped"].items()) or "none"
    console.print(
        f"  {result['examples']} examples of {result['kept']} trajectories; dropped: {dropped}"
    )
    if result["tokens"]:
        console.print(f"  {result['tokens']} tokens, {result['dollars']:.4g} $")


def _main(
    config: ConfigOption = None,
    overrides: SetOption = None,
    folder: RunOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Collect trajectories of an expert on the held-in tasks.

    The scripted expert draws one to three ideas of a task, tries their edits one after
    another, takes back what did not help, and gives its final answer. Any other policy can
    be the expert instead: it is given the ideas in its first prompt. Every state it passes
    through goes to the state pool that `python -m mlagent_train.ppo` trains on; trajectories
    that pass the filters become examples for SFT. Killed at any moment, the same command
    goes on after the last step.

    * A model as the expert: `--set collect.expert=openai:MODEL` with OPENAI_API_KEY set
    * For no more than five dollars: `--set collect.max_dollars=5` with MLAGENT_PRICES=0.15,0.6
    * Ideas from a wider choice: `python -m mlagent_train.ideas` before
    """
    console = Console()

    def work() -> None:
        require_packages()
        settings = settle(config, overrides)
        if dry_run:
            run = Run(settings, (folder or Path("runs") / settings.name).resolve())
            plan = _plan(run)
            console.print(
                f"{len(plan.episodes)} trajectories of {', '.join(run.held_in)} by {plan.policy}, "
                f"{plan.at_once} at once on {run.slots} slots"
            )
            return
        collect(open_run(settings, folder), console)

    guarded(console, work)


if __name__ == "__main__":
    command(_main)()
