"""The state pool: states that steps of many trajectories started from, to start new ones from.

A pool is a JSONL file, one state a line, with an index beside it. Drawing reads the line
that was drawn and nothing else, however large the pool is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from mlagent_gym.errors import ConfigError, StateMismatchError
from mlagent_gym.pool_index import Index, Stratum, open_index, state_of
from mlagent_gym.records import Record, read_lines, read_records
from mlagent_gym.rewards import Outcome
from mlagent_gym.state import State
from mlagent_gym.tasks import load_task

__all__ = ["Balance", "StatePool", "Stratum", "build_pool"]

Balance: TypeAlias = Literal["states", "tasks", "steps"]


@dataclass(frozen=True)
class StatePool:
    """A pool on the disk. Holds nothing of it, so it can be shared, forked and pickled."""

    path: str | os.PathLike[str]
    """The JSONL file that `build_pool` wrote."""
    balance: Balance = "states"
    """What is drawn evenly: ``states``; ``tasks``; or ``steps``, that is every pair of a
    task and a number of steps."""

    def __post_init__(self) -> None:
        if self.balance not in ("states", "tasks", "steps"):
            raise ConfigError(
                f"A pool has no balance {self.balance!r}; known: states, tasks, steps."
            )

    def __len__(self) -> int:
        return sum(stratum.size for stratum in self.strata)

    @property
    def strata(self) -> tuple[Stratum, ...]:
        """The parts of the pool, sorted; raises `ConfigError` if there is no such file."""
        return self._index.strata

    def states(self) -> Iterator[State]:
        """Yield all states in the order of the file, one at a time."""
        return (state_of(line, self.path) for line in read_lines(self.path))

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield all that the file holds of each state, one at a time.

        The keys are ``state``, ``prompt``, ``episode``, ``outcome`` and ``reward``, and
        ``messages`` if they were kept.
        """
        return (json.loads(line) for line in read_lines(self.path))

    def draw(self, rng: np.random.Generator, **where: str) -> State:
        """Draw a state.

        Parameters
        ----------
        rng
            Decides which.
        **where
            Values of ``task``, ``variant`` or ``fingerprint`` it must have.

        Raises
        ------
        StateMismatchError
            The pool has none of these.
        StateCorruptError
            The line that was drawn is damaged.
        """
        index = self._index
        fitting = [
            (first, stratum)
            for first, stratum in zip(index.firsts, index.strata, strict=True)
            if all(getattr(stratum, name) == value for name, value in where.items())
        ]
        if not fitting:
            wanted = ", ".join(f"{name} {value}" for name, value in where.items())
            there = sorted({f"{s.task} ({s.variant}, {s.fingerprint[:8]})" for s in index.strata})
            raise StateMismatchError(
                f"The pool {self.path} has no state of {wanted}. It has: "
                f"{', '.join(there) or 'nothing'}. Build it from trajectories on these data."
            )
        first, stratum = fitting[_choose(rng, _weights([s for _, s in fitting], self.balance))]
        return state_of(index.line(first + int(rng.integers(stratum.size))), self.path)

    def statistics(self) -> dict[str, Any]:
        """Return how many states there are, in all and by task, variant and step."""
        tasks: dict[str, dict[str, Any]] = {}
        for stratum in self.strata:
            row = tasks.setdefault(
                stratum.task, {"states": 0, "variants": Counter(), "steps": Counter()}
            )
            row["states"] += stratum.size
            row["variants"][stratum.variant] += stratum.size
            row["steps"][stratum.step] += stratum.size
        return {"states": len(self), "tasks": tasks}

    def to_dataset(self) -> Any:
        """Return the pool as a `datasets.Dataset` whose column ``state`` is JSON text.

        Needs the package ``datasets``.
        """
        from datasets import Dataset

        return Dataset.from_generator(
            _rows, gen_kwargs={"path": os.fspath(self.path), "version": self._index.source}
        )

    @property
    def _index(self) -> Index:
        return open_index(Path(self.path))


def build_pool(
    trajectories: Iterable[str | os.PathLike[str]],
    target: str | os.PathLike[str],
    *,
    tasks: Collection[str] | None = None,
    steps: tuple[int, int] | None = None,
    rewards: tuple[float, float] | None = None,
    valid_only: bool = False,
    keep_messages: bool = False,
    repeats: bool = False,
    held_out: Collection[str] = (),
) -> StatePool:
    """Collect the states that the steps of trajectories started from.

    States on the same data with the same prompt are one, unless `repeats` are kept.

    Parameters
    ----------
    trajectories
        Files of records.
    target
        The pool's file; appears when it is complete.
    tasks
        Take states of these tasks only.
    steps
        Fewest and most steps taken before.
    rewards
        Least and largest reward of the step that was taken from the state.
    valid_only
        Take a state only if the action taken from it was valid.
    keep_messages
        Keep the prompts too, where the records have them.
    repeats
        Keep a state as often as it was met, so that it is drawn as often.
    held_out
        Names of held-out tasks that may be taken. A pool is for training, so held-out
        tasks are refused unless they are named here.

    Raises
    ------
    ConfigError
        A state of a held-out task that is not named, or no state at all.
    RecordError
        A line of a trajectory is not a record.
    """
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    seen: set[bytes] = set()
    try:
        with temporary.open("w", encoding="utf-8") as file:
            for record in (record for one in trajectories for record in read_records(one)):
                state = record.state
                if not (
                    (tasks is None or state.task in tasks)
                    and (steps is None or steps[0] <= state.step <= steps[1])
                    and (rewards is None or rewards[0] <= record.reward <= rewards[1])
                    and not (valid_only and record.info.get("outcome") == Outcome.INVALID)
                ):
                    continue
                _refuse_held_out(state.task, held_out)
                shown = f"{state.fingerprint}/{record.prompt}".encode()
                key = hashlib.sha256(shown).digest()[:16]
                if repeats or key not in seen:
                    seen.add(key)
                    file.write(_entry(record, keep_messages))
            file.flush()
            os.fsync(file.fileno())
        if not seen:
            raise ConfigError(
                "No state of these trajectories passes the filters."
                " Give more trajectories, or leave out a filter."
            )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    open_index(path)
    return StatePool(path)


def _refuse_held_out(task: str, named: Collection[str]) -> None:
    if task not in named and load_task(task).split == "held-out":
        raise ConfigError(
            f"{task} is held out: its states must not be trained on, or results on it mean "
            f"nothing. Leave its trajectories out, or name it: held_out=[{task!r}]."
        )


def _entry(record: Record, keep_messages: bool) -> str:
    values: dict[str, Any] = {
        "state": json.loads(record.state.to_json()),
        "prompt": record.prompt,
        "episode": record.episode,
        "outcome": record.info.get("outcome", ""),
        "reward": record.reward,
    }
    if keep_messages and record.messages is not None:
        values["messages"] = list(record.messages)
    return json.dumps(values, default=dict) + "\n"


def _rows(path: str, version: object) -> Iterator[dict[str, Any]]:
    for line in read_lines(path):
        values, state = json.loads(line), state_of(line, path)
        yield {
            "task": state.task,
            "variant": state.variant,
            "step": state.step,
            "score": state.score,
            "prompt": values.get("prompt"),
            "outcome": values.get("outcome"),
            "reward": values.get("reward"),
            "state": state.to_json(),
        }


def _weights(strata: list[Stratum], balance: Balance) -> list[float]:
    if balance == "steps":
        return [1.0] * len(strata)
    if balance == "states":
        return [float(stratum.size) for stratum in strata]
    totals = Counter[str]()
    for stratum in strata:
        totals[stratum.task] += stratum.size
    return [stratum.size / totals[stratum.task] for stratum in strata]


def _choose(rng: np.random.Generator, weights: list[float]) -> int:
    bounds = np.cumsum(weights)
    return int(np.searchsorted(bounds, rng.random() * bounds[-1], side="right"))
