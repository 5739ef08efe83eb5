"""The tables of the page, from `report.gather`'s figures."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks.learning.measures import Figures, interval
from benchmarks.learning.plan import ARMS
from benchmarks.learning.probe import edits_of
from mlagent_gym import parse

__all__ = ["TABLES", "pairs", "per_arm"]

_SPLITS = ("held-in", "held-out")
_NOTHING = "No run is finished yet."
_SHOWN_EDITS = 12
_OF_STEPS = {"valid": "valid", "improved": "score better", "reward": "mean reward"}
_STARTS = {
    "single": "3. Diverse ideas minus a single one",
    "none": "3. Diverse ideas minus no warm start",
}


def pairs(results: Figures) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Return (before, after) of each seed by split and arm."""
    pairs: dict[str, dict[str, list[tuple[float, float]]]] = {split: {} for split in _SPLITS}
    for split in _SPLITS:
        for name in ARMS:
            rows = [arms[name] for arms in results["seeds"].values() if name in arms]
            if rows:
                pairs[split][name] = [
                    (row["before"][split]["relative_gain"], row["after"][split]["relative_gain"])
                    for row in rows
                ]
    return pairs


def per_arm(results: Figures, key: str, names: Sequence[str] = tuple(ARMS)) -> dict[str, list[Any]]:
    seeds = results["seeds"].values()
    return {
        name: [arms[name][key] for arms in seeds if key in arms.get(name, {})] for name in names
    }


def _gains_table(results: Figures) -> str:
    rows = []
    for split, arms in pairs(results).items():
        for name, both in arms.items():
            befores, afters = zip(*both, strict=True)
            change = interval([after - before for before, after in both])
            rows.append(
                [
                    split,
                    ARMS[name].says,
                    len(both),
                    _percent(fmean(befores)),
                    _percent(fmean(afters)),
                    _between(change),
                ]
            )
    return _table(["split", "training", "seeds", "before", "after", "change"], rows)


def _steps_table(results: Figures) -> str:
    """Return what PPO changes of single steps in the evaluation; they are not as rare as gains."""
    seeds = [arms["diverse"] for arms in results["seeds"].values() if "diverse" in arms]
    if not seeds:
        return _NOTHING
    rows = []
    for split in _SPLITS:
        for key, name in _OF_STEPS.items():
            both = [[arm[when][split][key] for when in ("before", "after")] for arm in seeds]
            befores, afters = zip(*both, strict=True)
            change = interval([after - before for before, after in both])
            cells = [_percent(fmean(befores)), _percent(fmean(afters)), _between(change)]
            rows.append([split, name, *cells])
    return _table(["split", "of the steps", "before", "after", "change"], rows)


def _verdict(results: Figures) -> str:
    lines = []
    for split, arms in pairs(results).items():
        for name, what in (("diverse", "1. PPO"), ("shuffled", "Control: PPO on shuffled rewards")):
            if name in arms:
                change = interval([after - before for before, after in arms[name]])
                lines.append(f"- {what}, {split}, after minus before: {_said(change)}")
    for name, claim in (("episode", "2. Step-wise minus episode-wise"), *_STARTS.items()):
        lines += [
            f"- {claim}, {split}, after PPO: {_said(interval(differences))}"
            for split in _SPLITS
            if (differences := _differences(results, name, split))
        ]
    lines += [
        f"- {claim}, {split}, what PPO adds: {_said(interval(differences))}"
        for name, claim in _STARTS.items()
        for split in _SPLITS
        if (differences := _differences(results, name, split, added=True))
    ]
    lines += _mode_ratios(results)
    claim_by_claim = sorted(lines, key=lambda line: line[:4])  # "- 1." to "- 3.", then controls
    return "\n".join(claim_by_claim) or _NOTHING


def _differences(results: Figures, name: str, split: str, *, added: bool = False) -> list[float]:
    """Return by how much more `diverse` gains than another arm, for each seed that both have.

    After PPO; with `added`, from before PPO to after.
    """

    def gain(arm: Figures) -> float:
        after: float = arm["after"][split]["relative_gain"]
        return after - arm["before"][split]["relative_gain"] if added else after

    return [
        gain(arms["diverse"]) - gain(arms[name])
        for arms in results["seeds"].values()
        if {"diverse", name} <= set(arms)
    ]


def _said(change: tuple[float, float, float]) -> str:
    return f"{_between(change)} percentage points; {_sure(change)}."


def _sure(change: tuple[float, float, float]) -> str:
    _, low, high = change
    if low == float("-inf"):
        return "one seed gives no interval"
    if low > 0:
        return "the interval is above zero"
    return "the interval is below zero" if high < 0 else "the interval holds zero"


def _task_table(results: Figures) -> str:
    seeds = [arms["diverse"] for arms in results["seeds"].values() if "diverse" in arms]
    if not seeds:
        return _NOTHING
    rows = []
    for task in sorted(set(seeds[0]["before"]) - set(_SPLITS)):
        cells = [
            _percent(fmean(arm[when][task][key] for arm in seeds))
            for key in ("relative_gain", "valid", "improved")
            for when in ("before", "after")
        ]
        rows.append([task, *cells])
    head = ["task", "gain before", "after", "valid before", "after", "better before", "after"]
    return _table(head, rows)


def _changes_table(results: Figures) -> str:
    """Return which kinds of changes the policy makes, and how many of them score better."""
    both = [per_arm(results, f"changes_{when}")["diverse"] for when in ("before", "after")]
    rows = []
    for split in _SPLITS:
        kinds = sorted({kind for runs in both for run in runs for kind in run[split]})
        for kind in kinds:
            cells = [_share(runs, split, kind) for runs in both]
            rows.append(
                [split, kind, *(cell for pair in zip(*cells, strict=True) for cell in pair)]
            )
    head = ["split", "what the step does to a knob", "of the steps before", "after"]
    return _table([*head, "better before", "after"], rows)


def _share(runs: Sequence[Figures], split: str, kind: str) -> tuple[str, str]:
    """Return the share of a kind in all steps, and of the better ones in it."""
    steps = sum(values["steps"] for run in runs for values in run[split].values())
    found = [run[split][kind] for run in runs if kind in run[split]]
    count = sum(values["steps"] for values in found)
    better = sum(values["better"] for values in found)
    return _percent(count / steps), _percent(better / count) if count else "-"


def _modes_table(results: Figures) -> str:
    rows = [
        [
            ARMS[name].mode,
            f"{mode['samples']:.0f}",
            f"{mode['steps']:.0f}",
            f"{mode['wall_s']:.1f}",
            f"{mode['env_s']:.1f}",
            f"{mode['wall_s'] / mode['samples']:.2f}",
            f"{mode['env_s'] / mode['samples']:.2f}",
        ]
        for name, mode in _modes(results).items()
    ]
    head = ["mode", "samples an update", "steps", "seconds", "env seconds"]
    return _table([*head, "seconds a sample", "env seconds a sample"], rows)


def _learned_table(results: Figures) -> str:
    """Return how much evaluated steps are worth more after PPO, and what that took."""
    rows = []
    for name, mode in _modes(results).items():
        for split in _SPLITS:
            learned = mode["learned"][split]
            rows.append(
                [
                    ARMS[name].mode,
                    split,
                    _between(interval(learned)),
                    f"{mode['minutes']:.1f}",
                    f"{mode['env_minutes']:.1f}",
                    f"{100 * fmean(learned) / mode['minutes']:+.2f}",
                    f"{100 * fmean(learned) / mode['env_minutes']:+.2f}",
                ]
            )
    head = ["mode", "split", "what PPO adds to a step", "minutes", "env minutes"]
    return _table([*head, "a minute", "an env minute"], rows)


def _starts_table(results: Figures) -> str:
    """Return where both modes begin and end, by seed."""
    rows = []
    for seed, arms in results["seeds"].items():
        for name in ("diverse", "episode") if {"diverse", "episode"} <= set(arms) else ():
            cells = [
                _percent(arms[name][when][split][key])
                for key in ("valid", "reward")
                for split in _SPLITS
                for when in ("before", "after")
            ]
            rows.append([seed, ARMS[name].mode, *cells])
    what = [f"{key} {split}" for key in ("valid", "reward") for split in _SPLITS]
    return _table(
        ["seed", "mode", *(f"{one}, {when}" for one in what for when in ("before", "after"))], rows
    )


def _valid_by_turn(results: Figures) -> str:
    """Return the shares of valid actions of whole episodes, turn by turn, in training."""
    runs = [run["valid_by_turn"] for run in per_arm(results, "training")["episode"]]
    if not runs:
        return _NOTHING
    turns = sorted(set.intersection(*map(set, runs)))
    return ", ".join(_percent(fmean(run[turn] for run in runs)) for turn in turns)


def _modes(results: Figures) -> dict[str, Figures]:
    """Return what an update costs and PPO brings in both modes, over the seeds that both have."""
    shared = [arms for arms in results["seeds"].values() if {"diverse", "episode"} <= set(arms)]
    modes: dict[str, Figures] = {}
    for name in ("diverse", "episode") if shared else ():
        runs = [arms[name]["training"] for arms in shared]
        curves = [arms[name]["curve"] for arms in shared]
        steps = fmean(run["steps"] / run["updates"] for run in runs)
        begun = fmean(sum(p["first_steps"] for p in points) / len(points) for points in curves)
        modes[name] = {
            "samples": steps if ARMS[name].mode == "step" else begun,
            "steps": steps,
            "wall_s": fmean(run["wall_s"] / run["updates"] for run in runs),
            "env_s": fmean(run["env_s"] / run["updates"] for run in runs),
            "minutes": fmean(run["wall_s"] for run in runs) / 60,
            "env_minutes": fmean(run["env_s"] for run in runs) / 60,
            "learned": {
                split: [
                    arms[name]["after"][split]["reward"] - arms[name]["before"][split]["reward"]
                    for arms in shared
                ]
                for split in _SPLITS
            },
        }
    return modes


def _mode_ratios(results: Figures) -> list[str]:
    """Say by how much a sample costs more in whole episodes, and what a minute brings."""
    modes = _modes(results)
    if not modes:
        return []
    step, episode = modes["diverse"], modes["episode"]
    wall, env = (
        (episode[key] / episode["samples"]) / (step[key] / step["samples"])
        for key in ("wall_s", "env_s")
    )
    lines = [
        f"- 2. A whole episode costs {wall:.1f} times the wall-clock and {env:.1f} times the "
        "environment seconds of a single step."
    ]
    for split in _SPLITS:
        pairs = zip(step["learned"][split], episode["learned"][split], strict=True)
        more = interval([by_step - by_episode for by_step, by_episode in pairs])
        lines.append(
            "- 2. Step-wise minus episode-wise, what PPO adds to the reward of a step, "
            f"{split}: {_between(more)} hundredths; {_sure(more)}."
        )
        by_step, by_episode = (100 * fmean(mode["learned"][split]) for mode in (step, episode))
        a_minute, an_episode_minute = by_step / step["minutes"], by_episode / episode["minutes"]
        times = f", {a_minute / an_episode_minute:.1f} times as much" if by_episode > 0 else ""
        lines.append(
            f"- 2. A minute of PPO adds {a_minute:+.2f} hundredths to the reward of a {split} "
            f"step with single steps, {an_episode_minute:+.2f} with whole episodes{times}."
        )
    return lines


def _training_table(results: Figures) -> str:
    rows = []
    for name, runs in per_arm(results, "training").items():
        if runs:

            def pair(key: str, layout: str, runs: list[Figures] = runs) -> str:
                ends = zip(*(run[key] for run in runs if None not in run[key]), strict=True)
                return " → ".join(layout.format(fmean(values)) for values in ends) or "-"

            def one(key: str, layout: str, runs: list[Figures] = runs) -> str:
                values = [run[key] for run in runs if run[key] is not None]
                return layout.format(fmean(values)) if values else "-"

            rows.append(
                [
                    name,
                    pair("reward", "{:.3f}"),
                    pair("valid", "{:.0%}"),
                    pair("distinct_edits", "{:.0%}"),
                    pair("entropy", "{:.3f}"),
                    one("kl", "{:.4f}"),
                    one("value_loss", "{:.4f}"),
                    one("explained_variance", "{:.2f}"),
                ]
            )
    head = ["arm", "reward", "valid", "distinct edits", "entropy", "KL", "value loss"]
    return _table([*head, "explained variance"], rows)


def _rewards_table(results: Figures) -> str:
    runs = per_arm(results, "training")["diverse"]
    rows = []
    for task in sorted({task for run in runs for task in run["rewards_by_task"]}):
        cells = []
        for when in (0, 1):
            parts = [run["rewards_by_task"][task][when] for run in runs]
            total = max(1, sum(part["steps"] for part in parts))
            cells += [
                f"{sum(part[key] for part in parts) / total:.0%}"
                for key in ("below_half", "half", "above_half")
            ]
        rows.append([task, *cells])
    head = ["task", "below 0.5, first", "0.5, first", "above, first"]
    return _table([*head, "below 0.5, last", "0.5, last", "above, last"], rows)


def _reading_table(results: Figures) -> str:
    rows = []
    for name in ("diverse", "single", "episode"):
        for when in ("before", "after"):
            probes = per_arm(results, f"probe_{when}")[name]
            if not probes or (when == "before" and ARMS[name].shares_start):
                continue
            for split in _SPLITS:
                keys = ("edits", "fits", "fits_other_task")
                cells = [
                    _percent(fmean(probe[split].get(key, 0.0) for probe in probes)) for key in keys
                ]
                rows.append([name, when, split, *cells])
    head = ["arm", "PPO", "split", "replies that edit", "fit their state", "fit another task's"]
    return _table(head, rows)


def _best_of_n_table(results: Figures) -> str:
    rows = []
    for seed, arms in results["seeds"].items():
        if best := arms.get("diverse", {}).get("best_of_n"):
            gain = arms["diverse"]["after"]["held-in"]["relative_gain"]
            rows += [[seed, best["n"], _percent(best["held-in"]), _percent(gain)]]
    return _table(["seed", "n", "best of n of the start", "one episode after PPO"], rows)


def _suspicious_table(results: Figures) -> str:
    found: Counter[tuple[str, str, str]] = Counter()
    for runs in per_arm(results, "suspicious_edits").values():
        for row in itertools.chain.from_iterable(runs):
            found[row["where"], row["task"], row["edit"]] += row["times"]
    if not found:
        return "None was found."
    rows = [
        [where, task, f"`{edit[:90]}`", times]
        for (where, task, edit), times in found.most_common(_SHOWN_EDITS)
    ]
    table = _table(["where", "task", "edit that scored better", "times"], rows)
    more = len(found) - len(rows)
    return f"{table}\n\nAnd {more} more, in the figures." if more > 0 else table


def _examples(results: Figures) -> str:
    for arms in results["seeds"].values():
        probes = [arms.get("diverse", {}).get(f"probe_{when}") for when in ("before", "after")]
        if None in probes:
            continue
        lines = []
        for split in _SPLITS:
            seen = set()
            pairs = zip(*(probe[split]["examples"] for probe in probes if probe), strict=True)
            for before, after in pairs:
                if before["task"] not in seen and len(seen) < 3:
                    seen.add(before["task"])
                    lines += [f"{before['task']} ({split}):", "", "```text"]
                    lines += [
                        f"before  {_brief(before['reply'])}",
                        f"after   {_brief(after['reply'])}",
                    ]
                    lines += ["```", ""]
        return "\n".join(lines)
    return _NOTHING


def _brief(reply: str) -> str:
    action: Any = parse(reply, editor=False)
    if edits := edits_of(reply):
        return "; ".join(f"{search} -> {replace}" for search, replace in edits)
    return f"{action.name}: {action.reason}" if action.name == "Invalid" else str(action.name)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _between(change: tuple[float, float, float]) -> str:
    mean, low, high = (100 * value for value in change)
    return f"{mean:+.1f}" if low == float("-inf") else f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return _NOTHING
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


TABLES: Mapping[str, Callable[[Figures], str]] = {
    "gains": _gains_table,
    "by_task": _task_table,
    "of_steps": _steps_table,
    "changes": _changes_table,
    "verdict": _verdict,
    "modes": _modes_table,
    "learned": _learned_table,
    "starts": _starts_table,
    "valid_by_turn": _valid_by_turn,
    "training": _training_table,
    "rewards": _rewards_table,
    "reading": _reading_table,
    "best_of_n": _best_of_n_table,
    "suspicious": _suspicious_table,
    "replies": _examples,
}
"""What the page's template calls them."""
