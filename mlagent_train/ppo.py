"""The main job, ``python -m mlagent_train.ppo``: collect, warm-start, train, evaluate."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from rich.console import Console

from mlagent_train.chat import prompt_text
from mlagent_train.checkpoints import repair_checkpoints
from mlagent_train.cli import (
    ConfigOption,
    DryRunOption,
    RunOption,
    SetOption,
    command,
    guarded,
    settle,
    shell_command,
)
from mlagent_train.collect import collect
from mlagent_train.errors import DataError
from mlagent_train.evaluate import evaluate, evaluation_table
from mlagent_train.files import read_jsonl, write_json, write_jsonl
from mlagent_train.jobs.launch import run_job
from mlagent_train.metrics import read_updates, updates_table
from mlagent_train.plan import make_job, resource_plan
from mlagent_train.progress import counting
from mlagent_train.rlhf.flags import PpoFiles, ppo_flags
from mlagent_train.rlhf.options import PPO_COMMAND, SFT_COMMAND, to_argv
from mlagent_train.run import Run, open_run, require_packages
from mlagent_train.scalars import latest, read_scalars
from mlagent_train.sft import sft, sft_argv
from mlagent_train.trajectories import draw_states

__all__ = ["ppo", "ppo_argv", "train"]

_AGENT = Path(__file__).parent / "rlhf" / "agent.py"


def train(run: Run, console: Console) -> None:
    """Do all stages that are not done yet and print what came of them.

    Raises
    ------
    MLAgentError
        A stage failed; what was finished is kept.
    """
    enabled = run.config.evaluate.enabled
    console.rule(f"[bold]{run.config.name}[/] in {run.folder}")
    console.print("[bold]1/5 collect[/]: the scripted expert tries ideas on the held-in tasks")
    collect(run, console)
    console.print("[bold]2/5 sft[/]: supervised warm start on its actions, by OpenRLHF")
    sft(run, console)
    evaluations = {}
    console.print("[bold]3/5 evaluate before[/]: whole episodes of the warm-started policy")
    if enabled:
        evaluations["before"] = evaluate(run, run.start_model, "before", console)
    console.print("[bold]4/5 ppo[/]: one pooled state, one action, one reward, by OpenRLHF")
    ppo(run, console)
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


def ppo(run: Run, console: Console) -> None:
    """Train with OpenRLHF's PPO from the state pool.

    Does nothing when the trained policy is there; resumes from OpenRLHF's checkpoint.

    Raises
    ------
    DataError
        No pooled state's prompt is short enough.
    StageError
        OpenRLHF or the environments failed.
    """
    config, folder = run.config, run.folder / "ppo"
    record, metrics = folder / "rollouts.jsonl", run.folder / "metrics.jsonl"
    if run.final_model.exists() and metrics.exists():
        console.print("  already there")
        return
    if not (folder / "prompts.jsonl").exists():
        rows, dropped = _prompts(run)
        write_jsonl(folder / "prompts.jsonl", rows)
        if dropped:
            console.print(f"  {dropped} pooled states dropped as longer than max_prompt_tokens")
    events = run.tensorboard / "ppo"
    if not run.final_model.exists():
        roles = ["_actor", *(["_critic"] if config.ppo.estimator == "gae" else [])]
        done = repair_checkpoints(folder / "checkpoints", roles)
        if done:
            console.print(f"  resuming after update {done}")

        def progress() -> tuple[int, str]:
            last, reward = latest(read_scalars(events), "train/rollout/reward_mean")
            return last, f"reward {reward:.3f}" if last else ""

        with counting(console, "updates", config.ppo.updates, progress) as watch:
            models = 1 + (config.ppo.estimator == "gae") + (config.ppo.kl_coef > 0)
            job = make_job(
                run,
                PPO_COMMAND,
                ppo_argv(run),
                roles=models,
                record=str(record),
                first_update=done + 1,
            )
            run_job(job, folder, "ppo", watch)
        _partial(run).replace(run.final_model)
    write_jsonl(metrics, read_updates(events, record))
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def ppo_argv(run: Run) -> list[str]:
    """Return the arguments of OpenRLHF's PPO command for this run."""
    files = PpoFiles(
        model=run.start_model,
        prompts=run.folder / "ppo" / "prompts.jsonl",
        agent=_AGENT,
        checkpoints=run.folder / "ppo" / "checkpoints",
        output=_partial(run),
        tensorboard=run.tensorboard,
    )
    return to_argv(ppo_flags(run.config, files))


def _partial(run: Run) -> Path:
    return run.folder / "ppo" / "model.partial"


def _prompts(run: Run) -> tuple[list[dict[str, Any]], int]:
    """Return the rows of all updates and how many pooled states were too long."""
    from transformers import AutoTokenizer

    config = run.config
    tokenizer: Any = AutoTokenizer.from_pretrained(run.start_model)
    fitting, dropped = [], 0
    for state in read_jsonl(run.states):
        state["input"] = prompt_text(tokenizer, state["messages"])
        length = len(tokenizer(text=state["input"], add_special_tokens=False)["input_ids"])
        if length <= config.rollout.max_prompt_tokens:
            fitting.append(state)
        else:
            dropped += 1
    if not fitting:
        raise DataError(
            f"None of the {dropped} pooled states fits rollout.max_prompt_tokens = "
            f"{config.rollout.max_prompt_tokens}."
        )
    count = config.ppo.updates * config.ppo.states_per_update
    rows = []
    for number, state in enumerate(draw_states(fitting, count, seed=config.seed)):
        tags = {"purpose": "train", "task": state["task"], "row": number}
        label = {key: state[key] for key in ("env_id", "state", "seed")}
        rows.append(
            {
                "input": state["input"],
                "label": json.dumps({**label, "tags": tags}),
                "datasource": state["task"],
            }
        )
    return rows, dropped


def _main(
    config: ConfigOption = None,
    overrides: SetOption = None,
    folder: RunOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Train a policy with step-wise PPO, running whatever stage before it is missing.

    Without arguments, on a CPU: collects expert trajectories, makes a small Qwen2 model and
    warm-starts it, trains it with OpenRLHF's PPO against the environments and evaluates it
    before and after, in about a quarter of an hour on two cores. Killed at any moment, the
    same command goes on where it was.

    * A longer run: `--set ppo.updates=40 --run runs/longer`
    * What a GPU node would run: `--config qwen2.5-7b-8gpu --dry-run`
    """
    console = Console()

    def work() -> None:
        settings = settle(config, overrides)
        if dry_run:
            _show(Run(settings, (folder or Path("runs") / settings.name).resolve()), console)
            return
        require_packages()
        ppo_argv(Run(settings, Path()))  # refuses what OpenRLHF cannot do before anything starts
        train(open_run(settings, folder), console)

    guarded(console, work)


def _show(run: Run, console: Console) -> None:
    if run.config.sft.enabled:
        console.print(shell_command(SFT_COMMAND, sft_argv(run)), highlight=False, soft_wrap=True)
        console.print()
    console.print(shell_command(PPO_COMMAND, ppo_argv(run)), highlight=False, soft_wrap=True)
    console.print()
    for what, how_much in resource_plan(run):
        console.print(f"{what:>16}: {how_much}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    command(_main)()
