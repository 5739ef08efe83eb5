"""The main job, ``python -m mlagent_train.ppo``: collect, warm-start, train, evaluate."""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.console import Console

from mlagent_train.checkpoints import exports, prune_exports, repair_checkpoints
from mlagent_train.cli import (
    ConfigOption,
    DryRunOption,
    RunOption,
    SetOption,
    command,
    guarded,
    settle,
)
from mlagent_train.collapse import collapse_reason
from mlagent_train.collect import collect
from mlagent_train.dry_run import show_plan
from mlagent_train.errors import CollapseError
from mlagent_train.evaluate import evaluate, evaluation_table
from mlagent_train.files import read_json, read_jsonl, write_json, write_jsonl
from mlagent_train.gpu_log import GpuLog
from mlagent_train.jobs.launch import run_job
from mlagent_train.metrics import read_evaluations, read_updates, updates_table
from mlagent_train.plan import make_job
from mlagent_train.ppo_command import partial_model, ppo_argv
from mlagent_train.ppo_rows import evaluation_rows, train_rows
from mlagent_train.preflight import require_trainer
from mlagent_train.progress import counting
from mlagent_train.rlhf.options import PPO_COMMAND
from mlagent_train.run import Run, open_run, require_packages
from mlagent_train.scalars import ScalarLog, latest
from mlagent_train.sft import sft
from mlagent_train.summary import write_summary

__all__ = ["ppo", "train"]


def train(run: Run, console: Console) -> None:
    """Do all stages that are not done yet and print what came of them.

    Raises
    ------
    CollapseError
        The policy fell apart in PPO; everything is kept and the summary is written.
    MLAgentError
        A stage failed; what was finished is kept.
    """
    enabled = run.config.evaluate.enabled
    console.rule(f"[bold]{run.config.name}[/] in {run.folder}")
    console.print("[bold]1/5 collect[/]: the scripted expert tries ideas on the held-in tasks")
    collect(run, console)
    write_summary(run.folder)
    console.print("[bold]2/5 sft[/]: supervised warm start on its actions, by OpenRLHF")
    sft(run, console)
    write_summary(run.folder)
    evaluations = {}
    console.print("[bold]3/5 evaluate before[/]: whole episodes of the warm-started policy")
    if enabled:
        evaluations["before"] = evaluate(run, run.start_model, "before", console)
        write_summary(run.folder)
    one = "one action, one reward" if run.config.env.mode == "step" else "an episode, its rewards"
    console.print(f"[bold]4/5 ppo[/]: one pooled state, {one}, by OpenRLHF")
    try:
        ppo(run, console)
    finally:
        write_summary(run.folder)
    console.print("[bold]5/5 evaluate after[/]: the same episodes with the trained policy")
    if enabled:
        evaluations["after"] = evaluate(run, str(run.final_model), "after", console)
    updates = list(read_jsonl(run.folder / "metrics.jsonl"))
    write_json(
        run.folder / "summary.json",
        {
            "name": run.config.name,
            "updates": len(updates),
            "rewards": [update.get("rollout/reward_mean") for update in updates],
            "evaluations": evaluations,
        },
    )
    console.print(updates_table(updates))
    if evaluations:
        console.print(evaluation_table(evaluations))
    console.print(f"The trained policy, for transformers: {run.final_model}")
    if run.best_model.exists():
        best = read_json(run.folder / "ppo" / "best.json")
        console.print(f"The best on held-in tasks, of update {best['update']}: {run.best_model}")
    console.print(f"All of it on one page: {write_summary(run.folder)}")


def ppo(run: Run, console: Console) -> None:
    """Train with OpenRLHF's PPO from the state pool.

    Does nothing when the trained policy is there; resumes from OpenRLHF's checkpoint.

    Raises
    ------
    DataError
        No pooled state's prompt is short enough.
    CollapseError
        The policy fell below a floor of the configuration's ``collapse``.
    StageError
        OpenRLHF or the environments failed.
    """
    folder, stopped = run.folder / "ppo", run.folder / "ppo" / "stopped.json"
    if stopped.exists():
        raise CollapseError(read_json(stopped)["message"])
    if run.final_model.exists() and (run.folder / "metrics.jsonl").exists():
        console.print("  already there")
        return
    _write_prompts(run, console)
    if not run.final_model.exists():
        try:
            _run_updates(run, console)
        except CollapseError as error:
            _keep_best(run, console)
            _write_metrics(run)
            kept = (
                f" The best checkpoint is in {run.best_model}." if run.best_model.exists() else ""
            )
            advice = "Start another run with a lower ppo.actor_lr or a higher ppo.kl_coef."
            message = f"{error}{kept} {advice}"
            write_json(stopped, {"message": message})
            raise CollapseError(message) from None
        partial_model(run).replace(run.final_model)
    _keep_best(run, console)
    _write_metrics(run)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _write_prompts(run: Run, console: Console) -> None:
    prompts = run.folder / "ppo" / "prompts.jsonl"
    if not prompts.exists():
        rows, dropped = train_rows(run)
        if dropped:
            console.print(f"  {dropped} pooled states dropped as longer than max_prompt_tokens")
        if run.config.evaluate.every_updates:
            write_jsonl(prompts.with_name("evaluation.jsonl"), evaluation_rows(run))
        write_jsonl(prompts, rows)


def _run_updates(run: Run, console: Console) -> None:
    """Run OpenRLHF from the newest checkpoint to the last update."""
    config, folder = run.config, run.folder / "ppo"
    critic = config.ppo.estimator == "gae"
    checkpoints = folder / "checkpoints"
    done = repair_checkpoints(checkpoints, ["_actor", *(["_critic"] if critic else [])])
    if done:
        console.print(f"  resuming after update {done}")
    log, gpus = ScalarLog(run.tensorboard / "ppo"), GpuLog(run.folder / "gpu.jsonl")

    def progress() -> tuple[int, str]:
        gpus.sample()
        scalars = log.read()
        last, reward = latest(scalars, "train/rollout/reward_mean")
        if reason := collapse_reason(scalars, config.collapse):
            raise CollapseError(f"Training was stopped after update {last}: {reason}.")
        prune_exports(checkpoints, keep=3)
        return last, f"reward {reward:.3f}" if last else ""

    with counting(console, "updates", config.ppo.updates, progress) as watch:
        job = make_job(
            run,
            PPO_COMMAND,
            ppo_argv(run),
            roles=1 + critic + (config.ppo.kl_coef > 0),
            record=str(folder / "rollouts.jsonl"),
            first_update=done + 1,
        )
        run_job(job, folder, "ppo", watch)


def _write_metrics(run: Run) -> None:
    folder = run.folder / "ppo"
    updates = read_updates(
        run.tensorboard / "ppo", folder / "rollouts.jsonl", read_evaluations(folder)
    )
    write_jsonl(run.folder / "metrics.jsonl", updates)


def _keep_best(run: Run, console: Console) -> None:
    """Move the best export out of the checkpoints: that of the highest held-in gain.

    Without evaluations there is none to choose by: of a collapsed run the oldest that is
    left is kept, from before the floors were crossed if saving was frequent enough. Where
    OpenRLHF named bests, but the record has the evaluation of none, its newest is kept.
    """
    if run.best_model.exists():  # moved before a kill
        return
    found = exports(run.folder / "ppo" / "checkpoints")
    gains = {
        update: result["splits"]["held-in"]["relative_gain"]
        for update, result in read_evaluations(run.folder / "ppo").items()
        if "held-in" in result["splits"]
    }
    bests = [export for export in found if export.best]
    judged = [export for export in bests if export.update in gains]
    if judged:
        best = max(judged, key=lambda export: gains[export.update])
    elif bests:
        best = bests[-1]
        console.print(
            "  rollouts.jsonl holds no whole evaluation of the best checkpoints: "
            f"the newest that OpenRLHF called best is kept, of update {best.update}"
        )
    elif found and not run.final_model.exists():
        best = found[0]
    else:
        return
    write_json(
        run.folder / "ppo" / "best.json",
        {"update": best.update, "held_in_relative_gain": gains.get(best.update)},
    )
    best.path.replace(run.best_model)


def _main(
    config: ConfigOption = None,
    overrides: SetOption = None,
    folder: RunOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Train a policy with step-wise PPO, running whatever stage before it is missing.

    Without arguments, on a CPU: collects expert trajectories, makes a small Llama model and
    warm-starts it, trains it with OpenRLHF's PPO against the environments and evaluates it
    before and after, in about ten minutes on two cores. Killed at any moment, the same
    command goes on where it was.

    * A longer run: `--set ppo.updates=40 --run runs/longer`
    * Whole episodes instead of single steps: `--set env.mode=episode --run runs/episodes`
    * Another estimator: `--set ppo.estimator=rloo --set ppo.samples_per_state=4`
    * Evaluate every 5 updates and keep the best: `--set evaluate.every_updates=5`
    * What a GPU node would run: `--config qwen2.5-7b-8gpu --dry-run`
    """
    console = Console()

    def work() -> None:
        settings = settle(config, overrides)
        if dry_run:
            root = (folder or Path("runs") / settings.name).resolve()
            show_plan(Run(settings, root), console)
            return
        require_packages()
        ppo_argv(Run(settings, Path()))  # refuses what OpenRLHF cannot do before anything starts
        require_trainer(Run(settings, Path()))
        train(open_run(settings, folder), console)

    guarded(console, work)


if __name__ == "__main__":
    command(_main)()
