"""Everything needed to continue an episode elsewhere, as about a kilobyte of JSON.

File contents and past exchanges are named by their digests; the contents are in a
:class:`~mlagent_gym.store.Store`.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeAlias

from annotated_types import Ge

from mlagent_gym.errors import StateCorruptError, StateVersionError

__all__ = ["SCHEMA", "Exchange", "State", "Version", "as_state"]

SCHEMA = 1
"""Version of the format; states of newer versions are refused."""


@dataclass(frozen=True)
class Exchange:
    """One step of the history, as the prompt shows it."""

    reply: str
    """What the policy wrote."""
    feedback: str
    """What the environment answered."""
    summary: str
    """The step in one line: what was changed and what came of it."""
    score: float | None = None
    """What its run scored, if it was graded."""

    def to_json(self) -> bytes:
        """Return the exchange as JSON."""
        return json.dumps(dataclasses.asdict(self)).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Exchange:
        """Read what `to_json` wrote; raises `StateCorruptError` if it is something else."""
        try:
            return cls(**json.loads(content))
        except (ValueError, TypeError) as error:
            raise StateCorruptError(
                f"A step of the state's history is none: {error}."
                " Save the state again with State.save."
            ) from error


Version: TypeAlias = tuple[str | None, float | None]
"""A script before an edit: its digest (None: it did not exist) and the score it had."""


@dataclass(frozen=True)
class State:
    """The state of an episode after a step."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    task: str
    variant: str
    """Which data the scores are of: ``synthetic``, ``real``, ``real-partial``, ..."""
    fingerprint: str
    """Digest of the data the scores are of."""
    seed: int
    """Seed of the episode; scripts are seeded with it."""
    files: Mapping[str, str]
    """Digest of every file of the workspace, by path."""
    history: tuple[str, ...] = ()
    """Digests of the exchanges so far, oldest first."""
    undo: Mapping[str, tuple[Version, ...]] = field(default_factory=dict)
    """Earlier versions of edited scripts, by path, oldest first."""
    undo_order: tuple[tuple[str, bool], ...] = ()
    """The edits after these versions, oldest first, as the script's path and whether its run
    was graded; empty if all are of one script."""
    score: float | None = None
    """Score of the last graded submission, in the metric's unit."""
    best_score: float | None = None
    step: Annotated[int, Ge(0)] = 0
    elapsed_s: Annotated[float, Ge(0.0)] = 0.0
    """Seconds the episode has taken so far."""
    final: bool = False
    """Whether the agent has given its final answer."""
    schema: int = SCHEMA

    @functools.cached_property
    def id(self) -> str:
        """Digest of the state, the time it took left out: the same steps, the same id."""
        timeless = dataclasses.replace(self, elapsed_s=0.0)
        return hashlib.sha256(timeless.to_json().encode()).hexdigest()

    @property
    def blobs(self) -> frozenset[str]:
        """Digests of everything the state needs from its store."""
        older = (digest for versions in self.undo.values() for digest, _ in versions if digest)
        return frozenset((*self.files.values(), *self.history, *older))

    def to_json(self) -> str:
        """Return the state as JSON, the same text for equal states."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        if not self.undo_order:  # as before there was one: the same states keep their ids
            del values["undo_order"]
        return json.dumps(values, sort_keys=True, separators=(",", ":"), default=dict)

    @classmethod
    def from_json(cls, text: str | bytes) -> State:
        """Read what `to_json` wrote.

        Raises
        ------
        StateVersionError
            The text was written by a newer version of the project.
        StateCorruptError
            The text is not a state; the message says where.
        """
        try:
            return cls.from_dict(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise StateCorruptError(
                f"This is not a state: it is not JSON ({error}). Save it again with State.save."
            ) from error

    @classmethod
    def from_dict(cls, values: object) -> State:
        """Build a state from decoded JSON; raises what `from_json` raises."""
        from pydantic import ValidationError

        if not isinstance(values, Mapping):
            raise StateCorruptError(
                "This is not a state: it is not a JSON object. Save it again with State.save."
            )
        schema = values.get("schema")
        if isinstance(schema, int) and schema > SCHEMA:
            raise StateVersionError(
                f"This state has format {schema}, newer than {SCHEMA}, the newest this version "
                "reads. Upgrade mlagent-gym."
            )
        try:
            state: State = _adapter().validate_python(dict(values))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise StateCorruptError(
                f"This is not a state: {where}: {first['msg'].lower()}."
                " Save it again with State.save."
            ) from error
        return state

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to a file, whole or not at all."""
        target = Path(path)
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        temporary.write_text(self.to_json(), encoding="utf-8")
        temporary.replace(target)


def as_state(value: State | Mapping[str, Any] | str | os.PathLike[str]) -> State:
    """Return `value` as a state: one already, decoded JSON, or the path of a saved one.

    Raises
    ------
    StateCorruptError
        It is none of these, or the file cannot be read.
    """
    if isinstance(value, State):
        return value
    if isinstance(value, Mapping):
        return State.from_dict(value)
    try:
        return State.from_json(Path(value).read_bytes())
    except (OSError, TypeError) as error:
        raise StateCorruptError(
            f"No state can be read from {value!r}: {error}."
            " Give a State, its JSON or the path of one."
        ) from error


@functools.cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(State)
