"""The episodes of a file or a folder: what a page can hold of them, and what is left out."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlagent_gym.errors import RecordError
from mlagent_gym.records import read_lines
from mlagent_gym.viewing.steps import Step, is_step, read_step

__all__ = ["Collection", "Episode", "collect", "find_recordings"]

_PRUNED = {"store", "checkpoints", "tensorboard", "model", "initial"}
"""Folders of a run that hold no recordings, and may hold very many files."""


@dataclass(frozen=True)
class Episode:
    """Steps that belong together, in their order."""

    name: str
    group: str
    """Folder it is from, relative to what was asked for."""
    path: str
    steps: tuple[Step, ...]
    sequence: bool = True
    """Whether each step goes on from the one before; rollouts of PPO do not."""


@dataclass
class Collection:
    """What a page shows."""

    source: Path
    episodes: list[Episode] = field(default_factory=list)
    left_out: list[Path] = field(default_factory=list)
    """Files that the page has no room for."""
    problems: list[str] = field(default_factory=list)
    """Lines that are no steps."""


def collect(source: Path, *, max_steps: int) -> Collection:
    """Read the recordings of a file or a folder until there are enough steps.

    Of a folder with several groups of recordings, each gets its share of the page.

    Raises
    ------
    RecordError
        There is nothing to show.
    """
    found = Collection(source)
    files = [source] if source.is_file() else find_recordings(source)
    if not files:
        raise RecordError(
            f"{source} has no recordings. Give a recording (.jsonl), or the folder of a run or a "
            "benchmark that has some."
        )
    room = max_steps
    for path in _fairly(files):
        if room <= 0:
            found.left_out.append(path)
            continue
        episodes = _read(path, source, room, found.problems)
        room -= sum(len(episode.steps) for episode in episodes)
        found.episodes += episodes
    found.episodes.sort(key=lambda episode: (episode.group, episode.path))
    if not found.episodes:
        why = f" ({found.problems[0]})" if found.problems else ""
        raise RecordError(f"{source} has no steps{why}. Give a recording that RecordEpisode made.")
    return found


def find_recordings(folder: Path) -> list[Path]:
    """Return the files below a folder whose first line is a step, sorted."""
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if name not in _PRUNED and not name.startswith(".")
        )
        found += [Path(root, name) for name in sorted(names) if name.endswith(".jsonl")]
    return [path for path in found if _is_recording(path)]


def _is_recording(path: Path) -> bool:
    try:
        first = next(iter(read_lines(path)), b"")
    except RecordError:
        return False
    return is_step(_decoded(first))


def _fairly(files: Sequence[Path]) -> Iterator[Path]:
    """Yield the files in turns of their folders."""
    groups: dict[Path, list[Path]] = {}
    for path in files:
        groups.setdefault(path.parent, []).append(path)
    for turn in itertools.zip_longest(*groups.values()):
        yield from (path for path in turn if path is not None)


def _read(path: Path, source: Path, room: int, problems: list[str]) -> list[Episode]:
    relative = path.name if path == source else path.relative_to(source).as_posix()
    group = "" if path == source else str(Path(relative).parent)
    steps: dict[tuple[str, bool], list[Step]] = {}
    for number, line in enumerate(read_lines(path), start=1):
        if number > room:
            problems.append(f"{relative}: only its first {room} lines are shown")
            break
        row = _decoded(line)
        if not is_step(row):
            problems.append(f"{relative}, line {number}: not a step")
            continue
        steps.setdefault(_episode_of(row), []).append(read_step(row))
    stem = Path(relative).stem
    return [
        Episode(
            _name(stem, name, number, len(steps)), group, relative, tuple(rows), sequence=sequence
        )
        for number, ((name, sequence), rows) in enumerate(steps.items(), start=1)
    ]


def _episode_of(row: dict[str, Any]) -> tuple[str, bool]:
    """Return the name of the episode a step is of; rollouts go by the update they are for."""
    if "update" in row:
        return f"{row.get('purpose', '')} update {row['update']}".strip(), False
    return str(row.get("episode", "")), True


def _name(stem: str, name: str, number: int, count: int) -> str:
    if name.startswith(stem) or " update " in f" {name}":
        return name
    return stem if count == 1 else f"{stem} #{number}"


def _decoded(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
