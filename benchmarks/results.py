"""A benchmark's folder: what was run, what was written, and the figures of it.

::

    <folder>/
        protocol.json        what is run
        surroundings.json    command, versions and machine
        trajectories/<task>/<number>.jsonl
        failures.json        trajectories that the machine failed, with the reason
        regraded.json        scores of the same submissions today, if they were graded again
        store/               contents that states name, and the submissions
        summary.json  report.md  report.csv  report.html
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.figures import Summary, Trajectory, summarise
from benchmarks.protocol import Protocol, surroundings
from benchmarks.scaffolds import next_node
from mlagent_gym import ConfigError, Record, load_task, read_records
from mlagent_gym.boards import Standing, standing
from mlagent_gym.grading import metric_of
from mlagent_train.files import write_json

__all__ = ["REGRADED", "Results", "open_results", "trajectory_path"]

REGRADED = "regraded.json"
_UNSCALED = (
    "graded again, but its starter and reference have their old scores: gains are not to be "
    "trusted until `mlagent measure` was run on these data and the results graded again"
)


@dataclass(frozen=True)
class Results:
    """The folder of one benchmark."""

    folder: Path
    protocol: Protocol

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep others from running the same benchmark at the same time.

        Raises
        ------
        ConfigError
            Another process does.
        """
        from filelock import FileLock, Timeout

        try:
            with FileLock(self.folder / ".lock", timeout=0):
                yield
        except Timeout:
            raise ConfigError(
                f"Another process is running the benchmark in {self.folder}. Wait for it, or "
                "give another --out."
            ) from None

    def surroundings(self) -> dict[str, Any]:
        """Return the command, versions and machine it was begun with; ``later``: gone on with."""
        values: dict[str, Any] = json.loads((self.folder / "surroundings.json").read_text())
        return values

    def keep_failures(self, failures: Mapping[str, str]) -> None:
        """Write down which trajectories failed, and why."""
        write_json(self.folder / "failures.json", failures)

    def failures(self) -> dict[str, str]:
        """Return by trajectory why it is in no figure: it failed, or it is not finished."""
        path = self.folder / "failures.json"
        failed: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        return {
            name: failed.get(name) or "it is not finished: the same command goes on with it"
            for task, number in self._expected()
            if not self._finished(name := f"{task}/{number:02d}", self.records(task, number))
        }

    def records(self, task: str, number: int) -> Sequence[Record]:
        """Return the written steps of a trajectory."""
        path = trajectory_path(self.folder, task, number)
        return _read(path, path.stat().st_size) if path.exists() else ()

    def fingerprints(self) -> dict[str, str]:
        """Return the fingerprint of each task's data.

        Raises
        ------
        ConfigError
            The steps of one task are of different data.
        """
        found: dict[str, str] = {}
        for task, number in self._expected():
            for record in self.records(task, number):
                fingerprint = record.state.fingerprint
                if found.setdefault(task, fingerprint) != fingerprint:
                    raise ConfigError(
                        f"{self.folder} holds steps of {task} on different data "
                        f"({found[task]} and {fingerprint}), whose scores do not compare."
                    )
        return found

    def trajectories(self) -> Iterator[Trajectory]:
        """Yield what each finished trajectory came to, read from its steps."""
        regraded = self.regraded()
        for task, number in self._expected():
            records, name = self.records(task, number), f"{task}/{number:02d}"
            if self._finished(name, records):
                steps = regraded.get("steps", {}).get(name, {})
                ends = regraded.get("ends", {}).get(task)
                flag = _UNSCALED if task in regraded.get("unscaled", ()) else ""
                yield _trajectory(task, number, records, steps, ends, flag)

    def regraded(self) -> dict[str, Any]:
        """Return what grading again came to; empty if that was not done."""
        path = self.folder / REGRADED
        values: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return values

    def summary(self) -> Summary:
        """Return all figures, computed from the written steps."""
        self.fingerprints()
        return summarise(list(self.trajectories()), self.failures(), _splits(self.protocol.tasks))

    def _expected(self) -> Iterator[tuple[str, int]]:
        for task in self.protocol.tasks:
            for number in range(self.protocol.trajectories):
                yield task, number

    def _finished(self, name: str, records: Sequence[Record]) -> bool:
        if not records:
            return False
        higher_is_better = metric_of(load_task(name.partition("/")[0])).higher_is_better
        return next_node(self.protocol, name, records, higher_is_better) is None


def open_results(folder: Path, protocol: Protocol | None = None, command: str = "") -> Results:
    """Open a benchmark's folder, making it for a new protocol.

    Parameters
    ----------
    folder
        The folder.
    protocol
        What is to be run; None: whatever is there.
    command
        What was typed, to be kept.

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
        if protocol is not None:
            _note_return(folder / "surroundings.json")
        return Results(folder, kept)
    if protocol is None:
        raise ConfigError(f"{folder} holds no benchmark.")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "surroundings.json", {"command": command, **surroundings()})
    protocol.save(path)
    return Results(folder, protocol)


def _note_return(path: Path) -> None:
    """Write down that a benchmark goes on in other surroundings than it was begun in."""
    begun, now = json.loads(path.read_text(encoding="utf-8")), surroundings()
    later = begun.get("later", [])
    if now not in later and any(begun.get(key) != value for key, value in now.items()):
        write_json(path, {**begun, "later": [*later, now]})


def trajectory_path(folder: Path, task: str, number: int) -> Path:
    """Return the file of a trajectory."""
    return folder / "trajectories" / task / f"{number:02d}.jsonl"


@functools.lru_cache(maxsize=512)
def _read(path: Path, size: int) -> tuple[Record, ...]:
    """Read a file that is only ever appended to: with the same size it is the same."""
    return tuple(replace(record, messages=None) for record in read_records(path))  # they are long


def _splits(tasks: Sequence[str]) -> dict[str, list[str]]:
    splits: dict[str, list[str]] = {}
    for task in tasks:
        splits.setdefault(load_task(task).split, []).append(task)
    return splits if len(splits) == 1 else {**splits, "held-in and held-out": list(tasks)}


def _trajectory(
    task_id: str,
    number: int,
    records: Sequence[Record],
    regraded: Mapping[str, Mapping[str, Any]],
    ends: Sequence[float] | None,
    flag: str,
) -> Trajectory:
    task, infos = load_task(task_id), [record.info for record in records]
    higher_is_better = metric_of(task).higher_is_better
    initial, reference = ends or (infos[0]["initial_score"], infos[0]["reference_score"])
    steps = [
        regraded.get(str(i), record.info if record.submission else {"score": None})
        for i, record in enumerate(records)
    ]
    scores = tuple(step["score"] for step in steps)
    pick = max if higher_is_better else min
    best = pick([initial, *(score for score in scores if score is not None)])
    stands = _standing(task_id, infos[0], best)
    return Trajectory(
        task=task_id,
        number=number,
        higher_is_better=higher_is_better,
        initial=initial,
        reference=reference,
        scores=scores,
        best=best,
        outcomes=tuple(str(info["outcome"]) for info in infos),
        failures=tuple(
            kind for info, score in zip(infos, scores, strict=True) if (kind := _kind(info, score))
        ),
        runs=sum(bool(info["run_status"]) for info in infos),
        reward=sum(record.reward for record in records),
        seconds=_total(records, "total_s", "policy_s"),
        tokens=int(_total(records, "prompt_tokens", "completion_tokens", "editor_tokens")),
        cost=_total(records, "cost", "editor_cost"),
        medal=stands.medal if stands else None,
        percentile=stands.percentile if stands else None,
        also=next((step.get("also", {}) for step in steps if step["score"] == best), {}),
        flag=next((str(info["flag"]) for info in infos if info.get("flag")), flag),
    )


def _standing(task_id: str, info: Mapping[str, Any], best: float) -> Standing | None:
    """Return where the best score stands; only whole real data compare with a board."""
    if info["variant"] != "real":
        return None
    task = load_task(task_id)
    return standing(task, best, metric_of(task))


def _kind(info: Mapping[str, Any], score: float | None) -> str:
    """Return how a step failed; empty if it did not."""
    if info["outcome"] == "invalid":
        return "invalid action"
    if not info["run_status"]:
        return "no editor" if info["outcome"] == "corner_case" else ""
    if score is not None:
        return ""
    status = str(info["run_status"])
    return "invalid submission" if status == "ok" else status.replace("_", " ")


def _total(records: Sequence[Record], *names: str) -> float:
    return sum(float(record.resources.get(name, 0.0)) for record in records for name in names)
