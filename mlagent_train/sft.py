"""Warm-start the policy on expert trajectories: ``python -m mlagent_train.sft``."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from mlagent_train.chat import prompt_text, reply_end, token_count
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
from mlagent_train.files import read_json, read_jsonl, write_json, write_jsonl
from mlagent_train.jobs.launch import run_job
from mlagent_train.plan import make_job
from mlagent_train.progress import counting
from mlagent_train.rlhf.flags import SftFiles, sft_flags
from mlagent_train.rlhf.limits import sft_ranks
from mlagent_train.rlhf.options import SFT_COMMAND, to_argv
from mlagent_train.run import Run, open_run, require_packages
from mlagent_train.scalars import latest, read_scalars
from mlagent_train.trajectories import read_trajectories

__all__ = ["sft", "sft_argv", "sft_command"]

_LOSS = "train/loss_mean"


def sft(run: Run, console: Console) -> None:
    """Make the initial model if it has no path, and fine-tune it with OpenRLHF.

    Does nothing when the fine-tuned model is there; resumes from OpenRLHF's checkpoint.

    Raises
    ------
    DataError
        No example is short enough to train on.
    StageError
        OpenRLHF failed.
    """
    config = run.config
    if not config.model.path:
        _make_initial_model(run, console)
    summary = run.folder / "sft" / "summary.json"
    if not config.sft.enabled or summary.exists():
        loss = read_json(summary)["loss"] if summary.exists() else None
        console.print("  switched off" if loss is None else f"  already there: loss {loss:.3f}")
        return
    examples, dropped = _examples(run)
    if not examples:
        raise DataError(
            f"None of the {dropped} expert steps fits sft.max_tokens = {config.sft.max_tokens}."
            " Set it higher, or choose a shorter prompt."
        )
    write_jsonl(run.folder / "sft" / "examples.jsonl", examples)
    console.print(f"  {len(examples)} examples, {dropped} dropped as longer than sft.max_tokens")
    updates = len(examples) * config.sft.epochs // config.sft.batch_size
    events = run.tensorboard / "sft"

    def progress() -> tuple[int, str]:
        last, loss = latest(read_scalars(events), _LOSS)
        return last, f"loss {loss:.3f}" if last else ""

    checkpoints = run.folder / "sft" / "checkpoints"
    if done := repair_checkpoints(checkpoints):
        console.print(f"  resuming after update {done}")
    with counting(console, "updates", updates, progress) as watch:
        job = make_job(run, SFT_COMMAND, sft_argv(run), with_pool=False)
        job = replace(job, processes=sft_ranks(run.config))
        run_job(job, run.folder / "sft", "sft", watch)
    shutil.rmtree(run.sft_model, ignore_errors=True)
    _partial(run).replace(run.sft_model)
    last, loss = latest(read_scalars(events), _LOSS)
    write_json(
        summary,
        {
            "examples": len(examples),
            "dropped": dropped,
            "updates": last,
            "loss": loss,
        },
    )
    shutil.rmtree(checkpoints, ignore_errors=True)  # last: without the summary they are needed


def sft_argv(run: Run) -> list[str]:
    """Return the arguments of OpenRLHF's SFT command for this run."""
    files = SftFiles(
        model=run.config.model.path or str(run.initial_model),
        examples=run.folder / "sft" / "examples.jsonl",
        checkpoints=run.folder / "sft" / "checkpoints",
        output=_partial(run),
        tensorboard=run.tensorboard,
    )
    return to_argv(sft_flags(run.config, files))


def sft_command(run: Run) -> str:
    """Return the same for a shell; on several GPUs it is a process for each."""
    ranks = sft_ranks(run.config)
    torchrun = f"torch.distributed.run --standalone --nproc-per-node={ranks} -m "
    return shell_command(f"{torchrun if ranks > 1 else ''}{SFT_COMMAND}", sft_argv(run))


def _partial(run: Run) -> Path:
    return run.sft_model.with_name("model.partial")


def _make_initial_model(run: Run, console: Console) -> None:
    if run.initial_model.exists():
        return
    texts = [
        text
        for trajectory in read_trajectories(run.trajectories)
        for row in trajectory
        for text in (*(message["content"] for message in row["messages"]), row["reply"])
    ]
    corpus = run.folder / "sft" / "corpus.jsonl"
    write_jsonl(corpus, texts)
    shape = json.dumps(asdict(run.config.model.tiny))
    argv = [str(run.initial_model), str(corpus), shape, str(run.config.seed)]
    job = make_job(run, "mlagent_train.model", argv, with_pool=False)
    run_job(job, run.folder / "sft", "initial")
    corpus.unlink()
    size = (run.initial_model / "model.safetensors").stat().st_size
    console.print(f"  made a Llama model ({size / 1e6:.1f} MB of weights) and its tokenizer")


def _examples(run: Run) -> tuple[list[dict[str, Any]], int]:
    """Return the expert's chats as prompt and reply, and how many were too long.

    OpenRLHF's loss is on ``output`` only: the last reply, not those in the prompt.
    """
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(run.config.model.path or run.initial_model)
    examples, dropped = [], 0
    for row in read_jsonl(run.sft_data):
        *prompt, reply = row["messages"]
        if token_count(tokenizer, prompt, reply["content"]) <= run.config.sft.max_tokens:
            output = reply_end(tokenizer, reply["content"])
            examples.append({"input": prompt_text(tokenizer, prompt), "output": output})
        else:
            dropped += 1
    return examples, dropped


def _main(
    config: ConfigOption = None,
    overrides: SetOption = None,
    folder: RunOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Fine-tune the policy on the expert's trajectories with OpenRLHF (collects them if needed).

    Without `model.path` a small Llama model with its own tokenizer is made first; nothing is
    downloaded. Killed at any moment, the same command resumes from the last checkpoint.
    """
    console = Console()

    def work() -> None:
        require_packages()
        settings = settle(config, overrides)
        if dry_run:
            run = Run(settings, (folder or Path("runs") / settings.name).resolve())
            console.print(sft_command(run), soft_wrap=True)
            return
        run = open_run(settings, folder)
        collect(run, console)
        sft(run, console)

    guarded(console, work)


if __name__ == "__main__":
    command(_main)()
