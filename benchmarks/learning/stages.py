"""The work: expert, base model, then warm start, PPO and evaluation of every arm; resumable.

::

    <work>/
        expert/                              run folder with trajectories and state pool
        known-runs/                          what scripts did wherever nothing is timed
        base/                                run folder of the base model's pretraining
        seed<n>/<arm>/                       run folder of `mlagent_train`, one for each arm
            evaluate/before.json after.json best-of-n.json
            probe-before.json probe-after.json
            known-runs/                      what scripts did in its training, if it is timed
        results.json  learning.md  images/   written by `report`
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from benchmarks.learning.corpus import write_exercises, write_warm_start
from benchmarks.learning.plan import ARMS, Arm, Size, arm_config, base_config, expert_config
from benchmarks.learning.probe import probe
from mlagent_gym import build_pool
from mlagent_train.collect import collect
from mlagent_train.config import Config
from mlagent_train.evaluate import evaluate
from mlagent_train.ppo import ppo
from mlagent_train.run import Run, open_run
from mlagent_train.sft import sft
from mlagent_train.trajectories import pooled_states, read_trajectories

__all__ = ["SHARED", "STAGES", "Bench", "Work", "works"]

SHARED = ("collect", "base")
"""Stages that all arms with all seeds build on."""
STAGES = (*SHARED, "sft", "before", "ppo", "after", "probe", "best-of-n")


@dataclass(frozen=True)
class Bench:
    """The experiments: where, how large, with which seeds."""

    folder: Path
    size: Size
    seeds: tuple[int, ...]

    def run(self, arm: Arm, seed: int) -> Run:
        """Return an arm's run."""
        folder = self.folder / f"seed{seed}" / arm.name
        known = folder if arm.timed else self.folder
        return Run(_replaying(self._config(arm, seed), known), folder)

    def judged(self, arm: Arm, seed: int) -> Run:
        """Return an arm's run with the environments that all arms are evaluated on.

        They share what scripts did; nothing is timed there.
        """
        run = self.run(arm, seed)
        config = _replaying(self._config(ARMS["diverse"], seed), self.folder)
        return replace(run, config=replace(config, evaluate=run.config.evaluate))

    def _config(self, arm: Arm, seed: int) -> Config:
        rewards = self.folder / f"seed{seed}" / "diverse" / "ppo" / "rollouts.jsonl"
        return arm_config(arm, seed, self.size, rewards)


@dataclass(frozen=True)
class Work:
    """One piece of it."""

    stage: str
    arm: str
    seed: int
    do: Callable[[Console], None]


def works(bench: Bench) -> Iterator[Work]:
    """Yield all pieces, in an order that has one seed of everything first."""
    yield Work("collect", "", 0, lambda console: _collect(bench, console))
    yield Work("base", "", 0, lambda console: _pretrain(bench, console))
    for seed in bench.seeds:
        for arm in ARMS.values():
            yield from _works_of(bench, arm, seed)
        if seed == bench.seeds[0]:
            start = bench.judged(ARMS["diverse"], seed)
            yield Work("best-of-n", "diverse", seed, lambda c, run=start: _best_of_n(bench, run, c))


def _works_of(bench: Bench, arm: Arm, seed: int) -> Iterator[Work]:
    run, judged = bench.run(arm, seed), bench.judged(arm, seed)

    def work(stage: str, do: Callable[[Console], None]) -> Work:
        return Work(stage, arm.name, seed, do)

    yield work("sft", lambda console: _warm_start(bench, arm, seed, console))
    if not arm.start:
        yield work("before", lambda c: _evaluate(judged, run.start_model, "before", c))
        yield work("probe", lambda c: _probe(bench, run, run.start_model, "before", seed, c))
    yield work("ppo", lambda console: ppo(open_run(run.config, run.folder), console))
    yield work("after", lambda c: _evaluate(judged, str(run.final_model), "after", c))
    yield work("probe", lambda c: _probe(bench, run, str(run.final_model), "after", seed, c))


def _replaying(config: Config, folder: Path) -> Config:
    """Return a configuration whose environments keep runs in a folder and replay equal ones."""
    kwargs = {**config.env.kwargs, "run_cache": str(folder.resolve() / "known-runs")}
    return replace(config, env=replace(config.env, kwargs=kwargs))


def _collect(bench: Bench, console: Console) -> None:
    folder = bench.folder / "expert"
    if (folder / "collect" / "summary.json").exists():
        console.print("  already there")
        return
    collect(open_run(expert_config(bench.size), folder), console)


def _base(bench: Bench) -> Run:
    return Run(base_config(), bench.folder / "base")


def _pretrain(bench: Bench, console: Console) -> None:
    """Make the base model that all arms with all seeds begin with."""
    run = _base(bench)
    open_run(run.config, run.folder)
    write_exercises(run, _trajectories(bench), bench.size.exercises)
    sft(run, console)


def _warm_start(bench: Bench, arm: Arm, seed: int, console: Console) -> None:
    """Lay out an arm's run folder and fine-tune its start model, unless it takes another's."""
    run = bench.run(arm, seed)
    expert = bench.folder / "expert"
    open_run(run.config, run.folder)
    _link(expert / "store", run.store)
    _copy(expert / "collect" / "summary.json", run.folder / "collect" / "summary.json")
    if not run.states.exists():
        build_pool(
            sorted(_trajectories(bench).glob("*.jsonl")),
            run.states,
            steps=(0, 0) if arm.mode == "episode" else None,  # an episode begins at the starter
            keep_messages=True,
            repeats=True,
            held_out=run.held_in,
        )
    if arm.start:
        started = bench.run(ARMS[arm.start], seed)
        _copy(started.sft_model, run.sft_model)
        _copy(started.folder / "sft" / "summary.json", run.folder / "sft" / "summary.json")
    elif arm.mode == "episode":
        _copy(bench.run(ARMS["diverse"], seed).sft_model, run.initial_model)
        write_warm_start(run, _trajectories(bench), bench.size.chats, turns=bench.size.turns)
        sft(run, console)
    else:
        _copy(_base(bench).sft_model, run.initial_model)
        if arm.ideas is not None:
            write_warm_start(run, _trajectories(bench), bench.size.examples, ideas=arm.ideas)
            sft(run, console)


def _trajectories(bench: Bench) -> Path:
    return bench.folder / "expert" / "collect" / "trajectories"


def _evaluate(run: Run, model: str, name: str, console: Console) -> None:
    evaluate(run, model, name, console)


def _probe(bench: Bench, run: Run, model: str, name: str, seed: int, console: Console) -> None:
    path = run.folder / f"probe-{name}.json"
    if path.exists():
        console.print("  already there")
        return
    first = bench.run(ARMS["diverse"], seed)
    before = read_trajectories(first.folder / "evaluate" / "before")
    unseen = [row for one in before for row in one if row["task"] in run.held_out]
    seen = list(pooled_states(first.states, run.env_id))
    probe(path, model, {"held-in": seen, "held-out": unseen}, bench.size.probes, seed)


def _best_of_n(bench: Bench, run: Run, console: Console) -> None:
    """Sample the start model where PPO spent its environment steps, for as many steps."""
    config = run.config
    steps = bench.size.updates * bench.size.states
    episodes = math.ceil(steps / (len(run.held_in) * config.evaluate.max_steps))
    more = replace(config, evaluate=replace(config.evaluate, episodes_per_task=episodes))
    start = replace(run, config=more)
    evaluate(start, run.start_model, "best-of-n", console, splits=("held-in",))


def _copy(source: Path, target: Path) -> None:
    """Copy a file or folder, whole or not at all, unless it is there."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".copying")
    shutil.rmtree(partial, ignore_errors=True)
    (shutil.copytree if source.is_dir() else shutil.copy)(source, partial)
    partial.replace(target)


def _link(source: Path, target: Path) -> None:
    if not target.is_symlink():
        target.symlink_to(source.resolve(), target_is_directory=True)
