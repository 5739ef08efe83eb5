"""What single steps and whole episodes cost and bring, from one start: the second claim."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from benchmarks.learning.figures import SPLITS, Figures, interval, per_arm, shared
from benchmarks.learning.markdown import NOTHING, between, percent, sure, table

__all__ = ["MODES", "costs_table", "ends_table", "learned_table", "lines", "valid_by_turn"]

MODES = ("step", "episode")
"""The arms that are compared."""
_TIMES = {"wall_s": "wall-clock", "env_s": "the environments' time"}


def costs_table(results: Figures) -> str:
    """Return what an update takes."""
    rows = [
        [
            mode,
            f"{cost['samples']:.0f}",
            f"{cost['steps']:.0f}",
            f"{cost['wall_s']:.1f}",
            f"{cost['env_s']:.1f}",
            f"{cost['wall_s'] / cost['samples']:.2f}",
            f"{cost['env_s'] / cost['samples']:.2f}",
        ]
        for mode, cost in _costs(results).items()
    ]
    head = ["mode", "samples an update", "steps", "seconds", "env seconds"]
    return table([*head, "seconds a sample", "env seconds a sample"], rows)


def learned_table(results: Figures) -> str:
    """Return how much more evaluated steps are worth after PPO, and what that took."""
    rows = []
    for mode, runs in _runs(results).items():
        minutes = {key: fmean(run["training"][key] for run in runs) / 60 for key in _TIMES}
        for split in SPLITS:
            learned = [_learned(run, split) for run in runs]
            rates = [between(interval(_rates(runs, split, key)), 2) for key in _TIMES]
            took = [f"{minutes[key]:.1f}" for key in _TIMES]
            rows.append([mode, split, between(interval(learned)), *took, *rates])
    head = ["mode", "split", "what PPO adds to a step", "minutes", "env minutes"]
    return table([*head, "a minute", "an env minute"], rows)


def ends_table(results: Figures) -> str:
    """Return where both modes begin and end, by seed."""
    rows = [
        [split, name, seed, *(percent(end[split][key]) for end in ends)]
        for split in SPLITS
        for key, name in (("valid", "valid"), ("reward", "mean reward"))
        for seed, (step, episode) in shared(results, *MODES).items()
        for ends in [(step["before"], step["after"], episode["after"])]
    ]
    head = ["split", "of the steps", "seed", "start", "after single steps", "after whole episodes"]
    return table(head, rows)


def valid_by_turn(results: Figures) -> str:
    """Return the shares of valid actions of whole episodes, turn by turn, in training."""
    runs = [run["valid_by_turn"] for run in per_arm(results, "training")["episode"]]
    if not runs:
        return NOTHING
    turns = sorted(set.intersection(*map(set, runs)))
    return ", ".join(percent(fmean(run[turn] for run in runs)) for turn in turns)


def lines(results: Figures) -> list[str]:
    """Say by how much a sample costs more in whole episodes, and what a minute brings."""
    runs, costs = _runs(results), _costs(results)
    if not runs:
        return []
    wall, env = (
        (costs["episode"][key] / costs["episode"]["samples"])
        / (costs["step"][key] / costs["step"]["samples"])
        for key in _TIMES
    )
    said = [
        f"- 2. A whole episode costs {wall:.1f} times the wall-clock and {env:.1f} times the "
        "environment seconds of a single step."
    ]
    for split in SPLITS:
        more = interval(
            _differences([_learned(run, split) for run in runs[mode]] for mode in MODES)
        )
        said.append(
            "- 2. Step-wise minus episode-wise, what PPO adds to the reward of a step, "
            f"{split}: {between(more)} hundredths; {sure(more)}."
        )
        for key, time in _TIMES.items():
            rates = [_rates(runs[mode], split, key) for mode in MODES]
            step, episode = map(fmean, rates)
            more = interval(_differences(rates))
            times = f", {step / episode:.1f} times as much" if min(step, episode) > 0 else ""
            said.append(
                f"- 2. A minute of {time} adds {100 * step:+.2f} hundredths to the reward of a "
                f"{split} step with single steps and {100 * episode:+.2f} with whole episodes"
                f"{times}: {between(more, 2)} more; {sure(more)}."
            )
    return said


def _runs(results: Figures) -> Mapping[str, Sequence[Figures]]:
    """Return the figures of both modes, over the seeds that both have."""
    both = shared(results, *MODES).values()
    return dict(zip(MODES, zip(*both, strict=True), strict=True)) if both else {}


def _costs(results: Figures) -> dict[str, Figures]:
    """Return what an update of each mode takes."""
    costs = {}
    for mode, runs in _runs(results).items():
        trainings = [run["training"] for run in runs]
        steps = fmean(training["steps"] / training["updates"] for training in trainings)
        begun = fmean(fmean(point["first_steps"] for point in run["curve"]) for run in runs)
        costs[mode] = {
            "samples": steps if mode == "step" else begun,
            "steps": steps,
            **{key: fmean(one[key] / one["updates"] for one in trainings) for key in _TIMES},
        }
    return costs


def _learned(run: Figures, split: str) -> float:
    """Return what PPO adds to the mean reward of an evaluated step."""
    return float(run["after"][split]["reward"] - run["before"][split]["reward"])


def _rates(runs: Sequence[Figures], split: str, key: str) -> list[float]:
    """Return what a minute of a kind of time adds, with each seed."""
    return [_learned(run, split) / (run["training"][key] / 60) for run in runs]


def _differences(step_and_episode: Iterable[Sequence[float]]) -> list[float]:
    return [step - episode for step, episode in zip(*step_and_episode, strict=True)]
