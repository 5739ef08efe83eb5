"""The tables of the page, from `report.gather`'s figures."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any

from benchmarks.learning import modes
from benchmarks.learning.figures import SPLITS, Figures, interval, pairs, per_arm, shared
from benchmarks.learning.markdown import NOTHING, between, percent, sure, table
from benchmarks.learning.plan import ARMS
from benchmarks.learning.probe import edits_of
from mlagent_gym import parse

__all__ = ["TABLES"]

_SHOWN_EDITS = 12
_OF_STEPS = {"valid": "valid", "improved": "score better", "reward": "mean reward"}
_COMPARED = {
    ("step", "episode"): "2. Step-wise minus episode-wise",
    ("diverse", "single"): "3. Diverse ideas minus a single one",
    ("diverse", "none"): "3. Diverse ideas minus no warm start",
}
"""Arms by the claim that one gains more than the other."""


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
                    percent(fmean(befores)),
                    percent(fmean(afters)),
                    between(change),
                ]
            )
    return table(["split", "training", "seeds", "before", "after", "change"], rows)


def _steps_table(results: Figures, arm: str) -> str:
    """Return what PPO changes of single steps in the evaluation; they are not as rare as gains."""
    seeds = [arms[arm] for arms in results["seeds"].values() if arm in arms]
    if not seeds:
        return NOTHING
    rows = []
    for split in SPLITS:
        for key, name in _OF_STEPS.items():
            both = [[seed[when][split][key] for when in ("before", "after")] for seed in seeds]
            befores, afters = zip(*both, strict=True)
            change = interval([after - before for before, after in both])
            cells = [percent(fmean(befores)), percent(fmean(afters)), between(change)]
            rows.append([split, name, *cells])
    return table(["split", "of the steps", "before", "after", "change"], rows)


def _verdict(results: Figures) -> str:
    lines = []
    for split, arms in pairs(results).items():
        for name, what in (("diverse", "1. PPO"), ("shuffled", "Control: PPO on shuffled rewards")):
            if name in arms:
                change = interval([after - before for before, after in arms[name]])
                lines.append(f"- {what}, {split}, after minus before: {_said(change)}")
    for (more, less), claim in _COMPARED.items():
        lines += [
            f"- {claim}, {split}, after PPO: {_said(interval(differences))}"
            for split in SPLITS
            if (differences := _differences(results, more, less, split))
        ]
    lines += [
        f"- {claim}, {split}, what PPO adds: {_said(interval(differences))}"
        for (more, less), claim in _COMPARED.items()
        for split in SPLITS
        if ARMS[more].start != less and (differences := _added(results, more, less, split))
    ]
    lines += modes.lines(results)
    claim_by_claim = sorted(lines, key=lambda line: line[:4])  # "- 1." to "- 3.", then controls
    return "\n".join(claim_by_claim) or NOTHING


def _differences(results: Figures, more: str, less: str, split: str) -> list[float]:
    """Return by how much more one arm gains after PPO than another, for each shared seed."""
    return [
        one["after"][split]["relative_gain"] - other["after"][split]["relative_gain"]
        for one, other in shared(results, more, less).values()
    ]


def _added(results: Figures, more: str, less: str, split: str) -> list[float]:
    """Return by how much more PPO adds to the gain of one arm than to that of another."""

    def added(arm: Figures) -> float:
        before, after = (arm[when][split]["relative_gain"] for when in ("before", "after"))
        return float(after - before)

    return [added(one) - added(other) for one, other in shared(results, more, less).values()]


def _said(change: tuple[float, float, float]) -> str:
    return f"{between(change)} percentage points; {sure(change)}."


def _task_table(results: Figures) -> str:
    seeds = [arms["diverse"] for arms in results["seeds"].values() if "diverse" in arms]
    if not seeds:
        return NOTHING
    rows = []
    for task in sorted(set(seeds[0]["before"]) - set(SPLITS)):
        cells = [
            percent(fmean(arm[when][task][key] for arm in seeds))
            for key in ("relative_gain", "valid", "improved")
            for when in ("before", "after")
        ]
        rows.append([task, *cells])
    head = ["task", "gain before", "after", "valid before", "after", "better before", "after"]
    return table(head, rows)


def _changes_table(results: Figures) -> str:
    """Return which kinds of changes the policy makes, and how many of them score better."""
    both = [per_arm(results, f"changes_{when}")["diverse"] for when in ("before", "after")]
    rows = []
    for split in SPLITS:
        kinds = sorted({kind for runs in both for run in runs for kind in run[split]})
        for kind in kinds:
            cells = [_share(runs, split, kind) for runs in both]
            rows.append(
                [split, kind, *(cell for pair in zip(*cells, strict=True) for cell in pair)]
            )
    head = ["split", "what the step does to a knob", "of the steps before", "after"]
    return table([*head, "better before", "after"], rows)


def _share(runs: Sequence[Figures], split: str, kind: str) -> tuple[str, str]:
    """Return the share of a kind in all steps, and of the better ones in it."""
    steps = sum(values["steps"] for run in runs for values in run[split].values())
    found = [run[split][kind] for run in runs if kind in run[split]]
    count = sum(values["steps"] for values in found)
    better = sum(values["better"] for values in found)
    return percent(count / steps), percent(better / count) if count else "-"


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
    return table([*head, "explained variance"], rows)


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
    return table([*head, "below 0.5, last", "0.5, last", "above, last"], rows)


def _reading_table(results: Figures) -> str:
    rows = []
    for name in ARMS:
        for when in ("before", "after"):
            probes = per_arm(results, f"probe_{when}")[name]
            if not probes or (when == "before" and ARMS[name].start):
                continue
            for split in SPLITS:
                keys = ("edits", "fits", "fits_other_task")
                cells = [
                    percent(fmean(probe[split].get(key, 0.0) for probe in probes)) for key in keys
                ]
                rows.append([name, when, split, *cells])
    head = ["arm", "PPO", "split", "replies that edit", "fit their state", "fit another task's"]
    return table(head, rows)


def _best_of_n_table(results: Figures) -> str:
    rows = []
    for seed, arms in results["seeds"].items():
        if best := arms.get("diverse", {}).get("best_of_n"):
            gain = arms["diverse"]["after"]["held-in"]["relative_gain"]
            rows += [[seed, best["n"], percent(best["held-in"]), percent(gain)]]
    return table(["seed", "n", "best of n of the start", "one episode after PPO"], rows)


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
    listed = table(["where", "task", "edit that scored better", "times"], rows)
    more = len(found) - len(rows)
    return f"{listed}\n\nAnd {more} more, in the figures." if more > 0 else listed


def _examples(results: Figures) -> str:
    for arms in results["seeds"].values():
        probes = [arms.get("diverse", {}).get(f"probe_{when}") for when in ("before", "after")]
        if None in probes:
            continue
        lines = []
        for split in SPLITS:
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
    return NOTHING


def _brief(reply: str) -> str:
    action: Any = parse(reply, editor=False)
    if edits := edits_of(reply):
        return "; ".join(f"{search} -> {replace}" for search, replace in edits)
    return f"{action.name}: {action.reason}" if action.name == "Invalid" else str(action.name)


TABLES: Mapping[str, Callable[[Figures], str]] = {
    "gains": _gains_table,
    "by_task": _task_table,
    "of_steps": partial(_steps_table, arm="diverse"),
    "of_shuffled_steps": partial(_steps_table, arm="shuffled"),
    "changes": _changes_table,
    "verdict": _verdict,
    "modes": modes.costs_table,
    "learned": modes.learned_table,
    "ends": modes.ends_table,
    "valid_by_turn": modes.valid_by_turn,
    "training": _training_table,
    "rewards": _rewards_table,
    "reading": _reading_table,
    "best_of_n": _best_of_n_table,
    "suspicious": _suspicious_table,
    "replies": _examples,
}
"""What the page's template calls them."""
