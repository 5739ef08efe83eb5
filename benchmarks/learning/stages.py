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
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks.learning.corpus import write_exercises, write_warm_start
from benchmarks.learning.plan import ARMS, Arm, Size, arm_config, base_config, expert_config
from benchmarks.learning.probe import probe
from mlagent_gym import UsageError, build_pool
from mlagent_train.collect import collect
from mlagent_train.config import Config
from mlagent_train.evaluate import evaluate
from mlagent_train.ppo import ppo
from mlagent_train.run import Run, open_run
from mlagent_train.sft import sft
from mlagent_train.trajectories import pooled_states, read_trajectories

__all__ = ["SHARED", "STAGES", "Bench", "Work", "carry_out", "works"]

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
    needs: tuple[Path, ...]
    """What earlier pieces leave for it."""
    do: Callable[[Console], None]


def works(bench: Bench) -> Iterator[Work]:
    """Yield all pieces, in an order that has one seed of everything first."""
    yield Work("collect", "", 0, (), partial(_collect, bench))
    yield Work("base", "", 0, (_collected(bench),), partial(_pretrain, bench))
    for seed in bench.seeds:
        for arm in ARMS.values():
            yield from _works_of(bench, arm, seed)
        if seed == bench.seeds[0]:
            start = bench.judged(ARMS["diverse"], seed)
            model = Path(start.start_model)
            yield Work("best-of-n", "diverse", seed, (model,), partial(_best_of_n, bench, start))


def carry_out(work: Work, console: Console) -> None:
    """Do a piece of work.

    Raises
    ------
    UsageError
        Something that it builds on is not there.
    """
    if missing := [path for path in work.needs if not path.exists()]:
        raise UsageError(
            f"This builds on {missing[0]}, which is not there yet. Carry out the pieces before "
            "it first: without --stage, --arm and --seed all are carried out, in their order."
        )
    work.do(console)


def _works_of(bench: Bench, arm: Arm, seed: int) -> Iterator[Work]:
    run, judged = bench.run(arm, seed), bench.judged(arm, seed)
    first = bench.run(ARMS["diverse"], seed)
    start, end = Path(run.start_model), run.final_model
    origins = (_collected(bench), _origin(bench, arm, seed).sft_model)
    rewards = (first.final_model,) if arm.shuffled else ()
    asked = first.folder / "evaluate" / "before.json"  # the probe's held-out states

    def work(stage: str, needs: tuple[Path, ...], do: Callable[[Console], None]) -> Work:
        return Work(stage, arm.name, seed, needs, do)

    yield work("sft", origins, partial(_warm_start, bench, arm, seed))
    if not arm.start:
        yield work("before", (start,), partial(evaluate, judged, str(start), "before"))
        yield work("probe", (start, asked), partial(_probe, bench, run, start, "before", seed))
    yield work("ppo", (start, *rewards), lambda c: ppo(open_run(run.config, run.folder), c))
    yield work("after", (end,), partial(evaluate, judged, str(end), "after"))
    yield work("probe", (end, asked), partial(_probe, bench, run, end, "after", seed))


def _collected(bench: Bench) -> Path:
    return bench.folder / "expert" / "collect" / "summary.json"


def _replaying(config: Config, folder: Path) -> Config:
    """Return a configuration whose environments keep runs in a folder and replay equal ones."""
    kwargs = {**config.env.kwargs, "run_cache": str(folder.resolve() / "known-runs")}
    return replace(config, env=replace(config.env, kwargs=kwargs))


def _collect(bench: Bench, console: Console) -> None:
    if _collected(bench).exists():
        console.print("  already there")
        return
    collect(open_run(expert_config(bench.size), bench.folder / "expert"), console)


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
    _copy(_collected(bench), run.folder / "collect" / "summary.json")
    if not run.states.exists():
        build_pool(
            sorted(_trajectories(bench).glob("*.jsonl")),
            run.states,
            steps=(0, 0) if arm.mode == "episode" else None,  # an episode begins at the starter
            keep_messages=True,
            repeats=True,
            held_out=run.held_in,
        )
    origin = _origin(bench, arm, seed)
    if arm.start:
        _copy(origin.sft_model, run.sft_model)
        _copy(origin.folder / "sft" / "summary.json", run.folder / "sft" / "summary.json")
        return
    _copy(origin.sft_model, run.initial_model)
    if arm.mode == "episode":
        write_warm_start(run, _trajectories(bench), bench.size.chats, turns=bench.size.turns)
        sft(run, console)
    elif arm.ideas is not None:
        write_warm_start(run, _trajectories(bench), bench.size.examples, ideas=arm.ideas)
        sft(run, console)


def _origin(bench: Bench, arm: Arm, seed: int) -> Run:
    """Return the run whose fine-tuned model the start of an arm is, or is made from."""
    if arm.start or arm.mode == "episode":
        return bench.run(ARMS[arm.start or "diverse"], seed)
    return _base(bench)


def _trajectories(bench: Bench) -> Path:
    return bench.folder / "expert" / "collect" / "trajectories"


def _probe(bench: Bench, run: Run, model: Path, name: str, seed: int, console: Console) -> None:
    path = run.folder / f"probe-{name}.json"
    if path.exists():
        console.print("  already there")
        return
    first = bench.run(ARMS["diverse"], seed)
    before = read_trajectories(first.folder / "evaluate" / "before")
    unseen = [row for one in before for row in one if row["task"] in run.held_out]
    seen = list(pooled_states(first.states, run.env_id))
    probe(path, str(model), {"held-in": seen, "held-out": unseen}, bench.size.probes, seed)


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
