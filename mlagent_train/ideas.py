"""Make ideas of what to try on each task: ``python -m mlagent_train.ideas``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from mlagent_gym import Completion, EndpointConfig, Idea, Task, load_task
from mlagent_train.agents.endpoint import prices
from mlagent_train.candidates import ask_for_ideas, combine_ideas
from mlagent_train.cli import ConfigOption, RunOption, SetOption, command, guarded, settle
from mlagent_train.config import Config
from mlagent_train.diversity import embed, embedder_of, most_diverse
from mlagent_train.errors import ConfigError
from mlagent_train.files import write_jsonl
from mlagent_train.idea_files import read_ideas, write_ideas
from mlagent_train.run import Run, open_run

__all__ = ["make_ideas"]


def make_ideas(run: Run, console: Console, tasks: Sequence[str] = ()) -> None:
    """Write the most diverse of many candidate ideas for each task; skip those that have some.

    Parameters
    ----------
    run
        Its ``ideas`` section says where they come from.
    console
        Shows the progress.
    tasks
        Empty: the held-in ones.

    Raises
    ------
    ConfigError
        The source or the embedder cannot be had.
    EndpointError
        The model did not answer; the tasks that were done are kept.
    """
    config = run.config
    wanted = tuple(tasks) or run.held_in
    missing = [task for task in wanted if not (run.ideas / f"{task}.json").exists()]
    if not missing:
        console.print(f"  already there: ideas for {len(wanted)} tasks")
        return
    source, embedder = _source(config), embedder_of(config.ideas.embedder)
    used = 0.0
    for task in track(missing, "  ideas", console=console):
        used += _make(run, load_task(task), source, embedder).cost
    cost = f", {used:.4g} $" if used else ""
    console.print(
        f"  {config.ideas.keep} of {config.ideas.candidates} candidates kept for each of "
        f"{len(missing)} tasks ({config.ideas.method}, {embedder}{cost})"
    )


def _make(run: Run, task: Task, source: EndpointConfig | None, embedder: str) -> Completion:
    config = run.config.ideas
    used = Completion("")
    if source is None:
        candidates = combine_ideas(task, config.candidates, seed=run.config.seed)
    else:
        candidates, used = ask_for_ideas(task, config.candidates, source, run.ideas / "answers")
    vectors = embed([idea.idea for idea in candidates], embedder)
    kept = [candidates[i] for i in most_diverse(vectors, config.keep, config.method)]
    write_jsonl(run.ideas / "candidates" / f"{task.id}.jsonl", (_plain(i) for i in candidates))
    about: dict[str, Any] = {
        "task": task.id,
        "source": config.source,
        "candidates": len(candidates),
        "method": config.method,
        "embedder": embedder,
        "seed": run.config.seed,
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "cost": used.cost,
    }
    write_ideas(run.ideas / f"{task.id}.json", kept, about)
    return used


def _plain(idea: Idea) -> dict[str, str]:
    return {"name": idea.name, "idea": idea.idea}


def _source(config: Config) -> EndpointConfig | None:
    """Return the endpoint that is asked; None: the banks are combined."""
    kind, _, model = config.ideas.source.partition(":")
    if kind == "bank" and not model:
        return None
    if kind != "openai" or not model:
        raise ConfigError(
            f"ideas.source is {config.ideas.source!r}; write bank, or openai:<model>."
        )
    asked, answered = prices()
    return EndpointConfig(
        base_url=os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1"),
        model=model,
        key_variable="OPENAI_API_KEY",
        max_tokens=config.ideas.max_new_tokens,
        temperature=config.ideas.temperature,
        prompt_price=asked,
        completion_price=answered,
    )


def _main(
    task: Annotated[
        list[str] | None,
        typer.Option("--task", help="Only this task; may be given several times."),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the ideas that were kept.")] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
    folder: RunOption = None,
) -> None:
    """Make ideas of what to try: many candidates for each task, of which the most diverse stay.

    Offline, the candidates are the ideas of the task's folder, other values for their
    numbers, and two or three at once. With `--set ideas.source=openai:MODEL` a model behind
    an OpenAI-compatible endpoint proposes them (OPENAI_BASE_URL, OPENAI_API_KEY).
    `python -m mlagent_train.collect` takes them from the run folder. Killed at any moment,
    the same command goes on with the tasks that are missing.

    * Look at them: `--show`
    * The selection of the paper's first version: `--set ideas.method=mean-distance`
    """
    console = Console()

    def work() -> None:
        run = open_run(settle(config, overrides), folder)
        make_ideas(run, console, task or ())
        for name in (task or run.held_in) if show else ():
            console.rule(name)
            for idea in read_ideas(run.ideas / f"{name}.json"):
                console.print(f"{idea.name}: {idea.idea}", highlight=False, markup=False)
        console.print(f"Ideas: {Path(run.ideas)}", highlight=False)

    guarded(console, work)


if __name__ == "__main__":
    command(_main)()
