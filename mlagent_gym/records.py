"""One record a step, as lines of JSON: the form of every trajectory.

A file is only ever appended to, each line in one write. What a crash leaves of a last
line is dropped by the next reader or writer; any other damage is an error.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

from mlagent_gym.errors import RecordError
from mlagent_gym.state import State

__all__ = ["SCHEMA", "Record", "append_record", "read_lines", "read_records"]

SCHEMA = 1
"""Version of the format; records of newer versions are refused."""

_BLOCK = 2**16


@dataclass(frozen=True)
class Record:
    """A step with everything needed to train on it, to repeat it or to go on after it."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    episode: str
    """Name of the episode, the same in all its records."""
    env: Mapping[str, Any]
    """``id`` and ``kwargs`` that ``gymnasium.make`` makes the environment from."""
    state: State
    """State before the step."""
    prompt: str
    """Digest of the prompt the policy was shown."""
    reply: str
    """What the policy wrote."""
    action: Mapping[str, Any]
    """The action it was understood as: its ``name``, and its input."""
    reward: float
    terminated: bool
    truncated: bool
    info: Mapping[str, Any]
    """The plain values of the environment's info: variant, feedback, outcome, score, also, ..."""
    next_state: State
    """State after the step."""
    next_prompt: str
    """Digest of the prompt after the step."""
    diff: str = ""
    """What the step changed in the text files of the workspace, as a unified diff."""
    submission: str | None = None
    """Digest of the submission that was graded, if it was kept."""
    resources: Mapping[str, float] = field(default_factory=dict)
    """Seconds, megabytes and tokens of the step."""
    messages: Sequence[Mapping[str, str]] | None = None
    """The prompt as chat messages, if the environment gives them."""
    versions: Mapping[str, str] = field(default_factory=dict)
    time: str = ""
    """When the step ended, in ISO 8601."""
    schema: int = SCHEMA

    def to_json(self) -> str:
        """Return the record as one line of JSON."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        for key in ("state", "next_state"):
            values[key] = json.loads(values[key].to_json())
        return json.dumps(values, default=dict)

    @classmethod
    def from_json(cls, line: str | bytes) -> Record:
        """Read what `to_json` wrote.

        Raises
        ------
        RecordError
            The line is no record, or was written by a newer version of the project.
        StateError
            A state in it cannot be used.
        """
        from pydantic import ValidationError

        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RecordError(
                f"This is not a record: it is not JSON ({error})."
                " Remove the line, or use the recording it was copied from."
            ) from error
        if not isinstance(values, dict):
            raise RecordError(
                "This is not a record: it is not a JSON object."
                " Remove the line, or use the recording it was copied from."
            )
        schema = values.get("schema")
        if isinstance(schema, int) and schema > SCHEMA:
            raise RecordError(
                f"This record has format {schema}, newer than {SCHEMA}, the newest this version "
                "reads. Upgrade mlagent-gym."
            )
        states = {key: State.from_dict(values.get(key)) for key in ("state", "next_state")}
        try:
            record: Record = _adapter().validate_python({**values, **states})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise RecordError(
                f"This is not a record: {where}: {first['msg'].lower()}."
                " Remove the line, or use the recording it was copied from."
            ) from error
        return record


def append_record(path: str | os.PathLike[str], record: Record) -> None:
    """Add a record to a file, on the disk when this returns.

    Several processes may append to one file. A torn last line is removed first.

    Raises
    ------
    RecordError
        The file cannot be written to, as when the disk is full.
    """
    content = (record.to_json() + "\n").encode()
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _drop_torn_line(descriptor)
            while content:
                content = content[os.write(descriptor, content) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise RecordError(
            f"{path} cannot be written: {error.strerror}. Free some room, or choose another file."
        ) from error


def read_records(path: str | os.PathLike[str]) -> Iterator[Record]:
    """Yield the records of a file, one at a time; a torn last line is left out.

    Raises
    ------
    RecordError
        The file cannot be read, or a line of it is not a record; the message says which.
    """
    for number, line in enumerate(read_lines(path), start=1):
        try:
            yield Record.from_json(line)
        except RecordError as error:
            raise RecordError(f"{path}, line {number}: {error}") from error


def read_lines(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """Yield the whole lines of a file; what follows the last line break is left out.

    Raises
    ------
    RecordError
        The file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line
    except OSError as error:
        raise RecordError(
            f"{path} cannot be read: {error.strerror}. Give a file that is there and readable."
        ) from error


@functools.cache
def _adapter() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Record)


def _drop_torn_line(descriptor: int) -> None:
    end = size = os.fstat(descriptor).st_size
    while end > 0:
        start = max(end - _BLOCK, 0)
        block = os.pread(descriptor, end - start, start)
        if (at := block.rfind(b"\n")) >= 0:
            end = start + at + 1
            break
        end = start
    if end != size:
        os.ftruncate(descriptor, end)
