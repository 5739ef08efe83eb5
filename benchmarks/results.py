"""A benchmark's folder: what was run, what was written, and the figures of it.

::

    <folder>/
        protocol.json        what is run
        surroundings.json    versions and machine
        trajectories/<task>/<number>.jsonl
        failures.json        trajectories that the machine failed, with the reason
        store/               contents that states name
        summary.json  report.md  report.csv  report.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Summary, Trajectory, summarise
from benchmarks.protocol import Protocol, surroundings
from benchmarks.runner import Done, trajectory_path
from mlagent_gym import ConfigError, load_task
from mlagent_gym.grading import metric_of
from mlagent_gym.records import Record, read_records

__all__ = ["Results", "open_results"]

_RUN_OUTCOMES = ("scored", "failed", "corner_case")


@dataclass(frozen=True)
class Results:
    """The folder of one benchmark."""

    folder: Path
    protocol: Protocol

    def surroundings(self) -> dict[str, Any]:
        """Return the versions and machine the benchmark was begun with."""
        values: dict[str, Any] = json.loads((self.folder / "surroundings.json").read_text())
        return values

    def keep_failures(self, done: Sequence[Done]) -> None:
        """Write down which trajectories failed, and why."""
        failures = {f"{d.task}/{d.number:02d}": d.failure for d in done if d.failure}
        (self.folder / "failures.json").write_text(json.dumps(failures, indent=1) + "\n")

    def failures(self) -> dict[str, str]:
        """Return the reasons by trajectory."""
        path = self.folder / "failures.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def fingerprints(self) -> dict[str, str]:
        """Return the fingerprint of each task's data, from the first written step."""
        found: dict[str, str] = {}
        for path in sorted(self.folder.glob("trajectories/*/*.jsonl")):
            if path.parent.name not in found and (first := next(read_records(path), None)):
                found[path.parent.name] = first.state.fingerprint
        return found

    def trajectories(self) -> Iterator[Trajectory]:
        """Yield what each finished trajectory came to, read from its steps."""
        failed = self.failures()
        for task in self.protocol.tasks:
            for number in range(self.protocol.trajectories):
                path = trajectory_path(self.folder, task, number)
                if path.exists() and f"{task}/{number:02d}" not in failed:
                    records = list(read_records(path))
                    if records:
                        yield _trajectory(task, number, records)

    def summary(self) -> Summary:
        """Return all figures, computed from the written steps."""
        return summarise(list(self.trajectories()), self.failures(), _splits(self.protocol.tasks))


def open_results(folder: Path, protocol: Protocol | None = None) -> Results:
    """Open a benchmark's folder, making it for a new protocol.

    Raises
    ------
    ConfigError
        The folder holds a benchmark of another protocol, or none and none was given.
    """
    path = folder / "protocol.json"
    if path.exists():
        kept = Protocol.load(path)
        if protocol is not None and protocol != kept:
            ours, theirs = asdict(protocol), asdict(kept)
            changed = [f"{k}: {theirs[k]!r} -> {ours[k]!r}" for k in ours if ours[k] != theirs[k]]
            raise ConfigError(
                f"{folder} holds a benchmark of another protocol ({'; '.join(changed)}). "
                "Give the same options to go on with it, or another --out."
            )
        return Results(folder, kept)
    if protocol is None:
        raise ConfigError(f"{folder} holds no benchmark.")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "surroundings.json").write_text(json.dumps(surroundings(), indent=1) + "\n")
    protocol.save(path)
    return Results(folder, protocol)


def _splits(tasks: Sequence[str]) -> dict[str, list[str]]:
    splits: dict[str, list[str]] = {}
    for task in tasks:
        splits.setdefault(load_task(task).split, []).append(task)
    return splits if len(splits) == 1 else {**splits, "held-in and held-out": list(tasks)}


def _trajectory(task: str, number: int, records: Sequence[Record]) -> Trajectory:
    infos = [record.info for record in records]
    ran = [info for info in infos if info["outcome"] in _RUN_OUTCOMES]
    higher_is_better = metric_of(load_task(task)).higher_is_better
    initial = float(infos[0]["initial_score"])
    pick = max if higher_is_better else min
    bests = [float(info["best_score"]) for info in infos if info["best_score"] is not None]
    return Trajectory(
        task=task,
        number=number,
        higher_is_better=higher_is_better,
        initial=initial,
        reference=float(infos[0]["reference_score"]),
        scores=tuple(info["score"] if info["outcome"] == "scored" else None for info in infos),
        best=pick([initial, *bests]),
        outcomes=tuple(str(info["outcome"]) for info in infos),
        failures=tuple(
            str(info["run_reason"] or info["run_status"])
            for info in ran
            if info["outcome"] != "scored"
        ),
        seconds=sum(float(record.resources.get("total_s", 0.0)) for record in records),
        tokens=int(
            sum(
                record.resources.get(kind, 0)
                for record in records
                for kind in ("prompt_tokens", "completion_tokens")
            )
        ),
        cost=sum(float(record.resources.get("cost", 0.0)) for record in records),
    )
