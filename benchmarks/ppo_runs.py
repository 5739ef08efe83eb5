"""Whole PPO runs on given prompts, without the stages before: what the benchmarks measure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.instant_env import ENV_ID, InstantState
from mlagent_train.chat import prompt_text
from mlagent_train.config import load_config
from mlagent_train.files import read_jsonl, write_jsonl
from mlagent_train.jobs.launch import run_job
from mlagent_train.plan import make_job
from mlagent_train.ppo_command import ppo_argv
from mlagent_train.rlhf.options import PPO_COMMAND
from mlagent_train.run import Run
from mlagent_train.scalars import read_scalars

__all__ = [
    "PpoRun",
    "importable",
    "make_tiny_model",
    "prompt_row",
    "prompt_rows",
    "run_module",
    "train",
]

_WORDS = "Task: improve the score. Step 1. Next? Thought: try. Action: Edit Script LR = 0.01 "
_ALWAYS = {
    "sft.enabled": False,
    "evaluate.every_updates": 0,
    "collapse.updates": 0,
    "hardware.device": "cpu",
    "ppo.epochs": 1,
    "ppo.save_every_updates": 1000,
    "workers.cache": False,
    "workers.cpus_per_slot": 0.1,  # these steps only wait
}


@dataclass(frozen=True)
class PpoRun:
    """What a run left behind."""

    updates: list[dict[str, float]]
    """What OpenRLHF logged for each update."""
    steps: list[dict[str, Any]]
    """The pool's record."""
    log: str


def make_tiny_model(folder: Path, **larger: int) -> Path:
    """Make the model of the preset ``cpu-tiny`` and its tokenizer; return where it is.

    Parameters
    ----------
    folder
        It is there.
    **larger
        Fields of the shape that are to be different.
    """
    model, corpus = folder / "model", folder / "corpus.jsonl"
    write_jsonl(corpus, [_WORDS * 8] * 200)
    shape = load_config("cpu-tiny").model.tiny
    command = [sys.executable, "-m", "mlagent_train.model", str(model), str(corpus)]
    subprocess.run(
        [*command, json.dumps({**vars(shape), **larger}), "0"],
        check=True,
        capture_output=True,
        env=_environment(),
    )
    return model


def prompt_row(tokenizer: Any, number: int, env_id: str, state: Any, text: str) -> dict[str, Any]:
    """Return a row of OpenRLHF's prompt file.

    Parameters
    ----------
    tokenizer
        The model's.
    number
        Of the row.
    env_id, state
        Where the sample starts; the state as decoded JSON.
    text
        What the user says.
    """
    tags = {"purpose": "train", "task": "benchmark", "row": number}
    return {
        "input": prompt_text(tokenizer, [{"role": "user", "content": text}]),
        "label": json.dumps({"env_id": env_id, "state": state, "seed": 0, "tags": tags}),
        "datasource": "benchmark",
    }


def prompt_rows(model: Path, count: int, seconds: float = 0.0) -> list[dict[str, Any]]:
    """Return rows of samples that start in the instant environment.

    Parameters
    ----------
    model
        Folder of the model whose chat template renders them.
    count
        How many.
    seconds
        How long a step of theirs takes.
    """
    from transformers import AutoTokenizer

    load: Any = AutoTokenizer.from_pretrained
    tokenizer = load(model)
    rows = []
    for number in range(count):
        state = json.loads(InstantState(number, seconds).to_json())
        text = f"Task {number}: improve the score. Next?"
        rows.append(prompt_row(tokenizer, number, ENV_ID, state, text))
    return rows


def train(
    folder: Path,
    model: Path,
    rows: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
) -> PpoRun:
    """Run OpenRLHF's PPO as the main job does.

    Parameters
    ----------
    folder
        New folder of the run.
    model
        Folder of the policy.
    rows
        The prompts of all updates.
    settings
        Configuration on top of the preset ``cpu-tiny``.

    Raises
    ------
    StageError
        The run failed.
    """
    run = _run(folder, model, settings)
    ppo, record = folder / "ppo", folder / "ppo" / "rollouts.jsonl"
    ppo.mkdir(parents=True)
    write_jsonl(ppo / "prompts.jsonl", rows)
    roles = 1 + (run.config.ppo.estimator == "gae") + (run.config.ppo.kl_coef > 0)
    job = make_job(run, PPO_COMMAND, ppo_argv(run), roles=roles, record=str(record))
    with importable():
        run_job(job, ppo, "ppo")
    scalars = read_scalars(run.tensorboard / "ppo")
    return PpoRun(
        updates=[
            {name.removeprefix("train/"): value for name, value in values.items()}
            for _, values in sorted(scalars.items())
        ],
        steps=list(read_jsonl(record)) if record.exists() else [],
        log=(ppo / "ppo.log").read_text(encoding="utf-8", errors="replace"),
    )


def run_module(
    folder: Path, model: Path, module: str, order: Mapping[str, Any], settings: Mapping[str, Any]
) -> None:
    """Run a module where OpenRLHF's command would run, beside Ray and the pool.

    Parameters
    ----------
    folder, model, settings
        As of `train`; the folder is there.
    module
        Gets the path of a file with the `order`, as JSON.
    order
        What it is to do.
    """
    path = folder / "order.json"
    path.write_text(json.dumps(order), encoding="utf-8")
    # up to two engines, each a ticket of Ray's
    job = make_job(_run(folder, model, settings), module, [str(path)], roles=1)
    with importable():
        run_job(job, folder, "job")


def _run(folder: Path, model: Path, settings: Mapping[str, Any]) -> Run:
    changes = {**_ALWAYS, "model.path": json.dumps(str(model)), **settings}
    texts = [f"{key}={_toml(value)}" for key, value in changes.items()]
    return Run(load_config("cpu-tiny", texts), folder)


def _environment() -> dict[str, str]:
    """Return the environment of processes that find the benchmarks' modules."""
    known = os.environ.get("PYTHONPATH", "")
    project = str(Path(__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [project, known]))}


@contextmanager
def importable() -> Iterator[None]:
    """Let this process's children find the benchmarks' modules."""
    before = dict(os.environ)
    os.environ.update(_environment())
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _toml(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)
