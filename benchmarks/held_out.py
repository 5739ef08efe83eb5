"""Run a policy on the tasks: ``python -m benchmarks.held_out --policy scripted:greedy``."""

from __future__ import annotations

import asyncio
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.protocol import Protocol, choose_tasks, editor_model, trained_with
from benchmarks.regrade import regrade_results
from benchmarks.report import terminal_table, write_report
from benchmarks.results import Results, open_results
from benchmarks.runner import Done, Runner
from benchmarks.workers import Capacity, env_workers
from mlagent_gym import MLAgentError
from mlagent_train.agents import Agent, Sampling, make_agent

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def held_out(
    policy: Annotated[
        str | None,
        typer.Option(
            help="scripted:{no-op,random,expert,greedy,propose}, openai:MODEL, hf:PATH, "
            "vllm:PATH, run:FOLDER, or MODULE:FUNCTION of your own."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the results. Default: runs/held-out/POLICY.")
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(help="Task ids, held-in, held-out or all; may be given several times."),
    ] = None,
    variant: Annotated[
        str,
        typer.Option(help="Which data the tasks run on: synthetic, real, or a variant of real."),
    ] = "synthetic",
    data_seed: Annotated[int, typer.Option(help="Seed of synthetic data.")] = 0,
    trajectories: Annotated[int, typer.Option(min=1, help="Episodes for each task.")] = 8,
    max_steps: Annotated[int, typer.Option(min=1, help="Steps of an episode.")] = 15,
    max_minutes: Annotated[float, typer.Option(min=0, help="Minutes of an episode.")] = 30.0,
    seed: Annotated[int, typer.Option(help="Trajectory k has seed SEED + k.")] = 0,
    prompt: Annotated[
        str | None,
        typer.Option(help="Prompt preset or template. Default: mlab, or the one of a run."),
    ] = None,
    scaffold: Annotated[
        Literal["mlab", "tree"],
        typer.Option(help="mlab: the episode as it runs; tree: search over states."),
    ] = "mlab",
    executor: Annotated[str, typer.Option(help="What runs the scripts.")] = "auto",
    slots: Annotated[
        int | None,
        typer.Option(min=1, help="Scripts at the same time. Default: cores, or the cluster's."),
    ] = None,
    memory_gb: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="Sum of the memory limits of scripts at the same time. Default: 90 % of the "
            "machine's.",
        ),
    ] = None,
    gpus_per_script: Annotated[
        float, typer.Option(min=0, help="GPUs, or a share of one, that each script needs.")
    ] = 0.0,
    at_once: Annotated[
        int | None, typer.Option(min=1, help="Trajectories at the same time. Default: 4 x slots.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Of sampling. Default: 0.6, or a run's own.")
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(help="Of one reply. Default: 2048, or a run's own.")
    ] = None,
    max_prompt_tokens: Annotated[
        int | None,
        typer.Option(
            help="Longer prompts lose their beginning. Default: the model's, or a run's own."
        ),
    ] = None,
    endpoint_at_once: Annotated[
        int, typer.Option(min=1, help="Questions to an endpoint at the same time.")
    ] = 8,
    ray: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Ray cluster to join, for several nodes.")
    ] = "",
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Compute all figures anew from what is written.")
    ] = False,
) -> None:
    """Run a policy on the tasks of the paper and report what it gains.

    Killed at any moment, the same command goes on after the last step. Trajectories that
    the machine or an endpoint failed are reported as failed and tried again next time.

    * The floor: `--policy scripted:no-op`
    * A model behind an endpoint: `--policy openai:gpt-4o-mini` with OPENAI_API_KEY set
    * What you trained: `--policy run:runs/cpu-tiny`, with the prompt it was trained on
    * A quick look: `--tasks house-price --trajectories 2 --max-steps 5`
    """
    console = Console()
    try:
        if report_only:
            if out is None:
                raise typer.BadParameter("--report-only needs the folder: --out FOLDER")
            results = open_results(out)
        else:
            if policy is None:
                raise typer.BadParameter("say what acts: --policy scripted:greedy, say")
            if max_prompt_tokens and policy.startswith(("openai:", "vllm:http")):
                raise typer.BadParameter(
                    "--max-prompt-tokens is for checkpoints: an endpoint counts its own tokens"
                )
            model = {
                "prompt": prompt,
                "temperature": temperature,
                "max_new_tokens": max_new_tokens,
                "max_prompt_tokens": max_prompt_tokens,
            }
            given = {name: value for name, value in model.items() if value is not None}
            protocol = Protocol(
                policy=policy,
                tasks=choose_tasks(tasks or ["held-out"], variant),
                variant=variant,
                data_seed=data_seed,
                trajectories=trajectories,
                max_steps=max_steps,
                max_seconds=60 * max_minutes,
                seed=seed,
                scaffold=scaffold,
                executor=executor,
                editor=editor_model(),
                **(trained_with(policy) | given),
            )
            folder = out or Path("runs/held-out") / policy.replace("/", "_").replace(":", "-")
            results = open_results(folder.resolve(), protocol, _typed())
            sampling = Sampling(
                temperature=protocol.temperature,
                max_new_tokens=protocol.max_new_tokens,
                max_prompt_tokens=protocol.max_prompt_tokens,
            )
            agent = make_agent(policy, sampling, at_once=endpoint_at_once)
            capacity = Capacity(slots, memory_gb, gpus_per_script, ray)
            with results.alone():
                _run(results, agent, capacity, at_once, console)
            if results.regraded():
                regrade_results(results)
        summary = results.summary()
        write_report(results, summary)
    except MLAgentError as error:
        console.print(f"[red]{type(error).__name__}[/]: {error}", highlight=False)
        raise typer.Exit(1) from None
    console.print(terminal_table(results, summary))
    for name, reason in summary.failures.items():
        console.print(f"[yellow]failed[/] {name}: {reason}", highlight=False)
    console.print(f"Report: {results.folder / 'report.html'}", highlight=False)
    if summary.failures:
        raise typer.Exit(1)


def _run(
    results: Results, agent: Agent, capacity: Capacity, at_once: int | None, console: Console
) -> None:
    protocol, failures = results.protocol, dict[str, str]()
    columns = (
        TextColumn("{task.description:30.30}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("trajectories, {task.fields[steps]} steps"),
        TimeElapsedColumn(),
    )
    with (
        env_workers(protocol, results.folder / "store", capacity) as workers,
        Progress(*columns, console=console) as progress,
    ):
        bars = {}
        for task in protocol.tasks:
            written = [len(results.records(task, k)) for k in range(protocol.trajectories)]
            bars[task] = progress.add_task(task, total=protocol.trajectories, steps=sum(written))

        def on_step(task: str) -> None:
            steps = progress.tasks[bars[task]].fields["steps"]
            progress.update(bars[task], steps=steps + 1)

        def on_done(done: Done) -> None:
            progress.advance(bars[done.task])
            if done.failure:
                failures[f"{done.task}/{done.number:02d}"] = done.failure

        runner = Runner(
            protocol,
            results.folder,
            agent,
            workers,
            at_once=at_once or 4 * workers.slots,
            on_step=on_step,
            on_done=on_done,
        )
        asyncio.run(runner.run())
    results.keep_failures(failures)


def _typed() -> str:
    """Return the command that was typed, without where its results go."""
    words = iter(sys.argv[1:])
    kept = []
    for word in words:
        if word == "--out":
            next(words, None)
        elif not word.startswith("--out="):
            kept.append(word)
    return shlex.join(["python", "-m", "benchmarks.held_out", *kept])


if __name__ == "__main__":
    app()
