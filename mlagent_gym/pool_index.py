"""The index of a state pool: where its lines start, sorted by what they are drawn by."""

from __future__ import annotations

import functools
import json
import os
import struct
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlagent_gym.errors import ConfigError, StateCorruptError
from mlagent_gym.records import read_lines
from mlagent_gym.state import State

__all__ = ["Index", "Stratum", "open_index", "state_of"]

_SCHEMA = 1
_OFFSET = struct.Struct("<Q")


class Stratum(NamedTuple):
    """The states of one task, on the same data, after the same number of steps."""

    task: str
    variant: str
    fingerprint: str
    step: int
    size: int
    """How many states there are."""


@dataclass(frozen=True)
class Index:
    """Where the lines of a pool start, sorted by stratum: a header, then 8 bytes a line."""

    pool: Path
    path: Path
    source: tuple[int, int]
    """Size and time of the pool's file that the index was made from."""
    header_bytes: int
    strata: tuple[Stratum, ...]
    firsts: tuple[int, ...]
    """Place of each stratum's first line in the index."""

    def line(self, place: int) -> bytes:
        """Return the line of the pool that the index has at a place."""
        with self.path.open("rb") as index:
            index.seek(self.header_bytes + place * _OFFSET.size)
            (offset,) = _OFFSET.unpack(index.read(_OFFSET.size))
        with self.pool.open("rb") as pool:
            pool.seek(offset)
            return pool.readline()


def open_index(pool: Path) -> Index:
    """Return the index of a pool, made anew if the pool has changed since, or the index is lost."""
    path = pool.with_name(f"{pool.name}.index")
    if (source := _stamp(pool)) is None:
        raise ConfigError(f"There is no state pool {pool}. Make one with mlagent_gym.build_pool.")
    return _load_index(pool, source, path, _stamp(path))


def state_of(line: bytes, path: object) -> State:
    """Return the state in a line of a pool; raises `StateError` if there is none."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, Mapping) or "state" not in values:
        raise StateCorruptError(
            f"{path} is not a state pool: {line[:60]!r} is no line of one."
            " Make one with mlagent_gym.build_pool."
        )
    return State.from_dict(values["state"])


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return size and time of a file, None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


@functools.lru_cache(maxsize=32)
def _load_index(
    pool: Path, source: tuple[int, int], path: Path, stamp: tuple[int, int] | None
) -> Index:
    return _read_index(pool, path, source) or _write_index(pool, path, source)


def _read_index(pool: Path, path: Path, source: tuple[int, int]) -> Index | None:
    try:
        with path.open("rb") as file:
            line = file.readline()
        header = json.loads(line)
        strata = tuple(Stratum(*row) for row in header["strata"])
        firsts = np.cumsum([0, *(stratum.size for stratum in strata)]).tolist()
        whole = path.stat().st_size == len(line) + firsts[-1] * _OFFSET.size
        known = header["schema"] == _SCHEMA and tuple(header["source"]) == source
    except (OSError, ValueError, KeyError, TypeError):
        return None  # there is none, or it is damaged: it is made anew
    if not (known and whole):
        return None
    return Index(pool, path, source, len(line), strata, tuple(firsts[:-1]))


def _write_index(pool: Path, path: Path, source: tuple[int, int]) -> Index:
    offsets: dict[tuple[str, str, str, int], array[int]] = {}
    offset = 0
    for line in read_lines(pool):
        state = state_of(line, pool)
        key = (state.task, state.variant, state.fingerprint, state.step)
        offsets.setdefault(key, array("Q")).append(offset)
        offset += len(line)
    strata = tuple(Stratum(*key, len(offsets[key])) for key in sorted(offsets))
    header = {"schema": _SCHEMA, "source": source, "strata": strata}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            header_bytes = file.write(json.dumps(header).encode() + b"\n")
            for key in sorted(offsets):
                file.write(np.asarray(offsets[key], dtype="<u8").tobytes())
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(
            f"The index of the pool cannot be written to {path}: {error.strerror}. "
            "Copy the pool to a folder that can be written to."
        ) from error
    firsts = np.cumsum([0, *(stratum.size for stratum in strata)]).tolist()
    return Index(pool, path, source, header_bytes, strata, tuple(firsts[:-1]))
