"""The best script of an episode, and the files it was run with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlagent_gym import data, grading, notebooks
from mlagent_gym.actions import EditScript, EditScriptAI, ExecuteScript, parse
from mlagent_gym.errors import RecordError, UsageError
from mlagent_gym.records import Record, read_records
from mlagent_gym.steps import script_of
from mlagent_gym.store import Store
from mlagent_gym.tasks import MAIN_SCRIPT, load_task

__all__ = ["Best", "best_of", "episode_of", "store_of"]

_PARENTS = 5


@dataclass(frozen=True)
class Best:
    """The script that scored best."""

    script: str
    """Its path in the workspace."""
    text: str
    score: float | None
    record: Record | None
    """The step that ran it; None: no step scored, and it is the starter's."""
    others: Mapping[str, bytes]
    """The workspace's other files as they were before it ran, by path."""


def episode_of(path: Path, name: str = "") -> list[Record]:
    """Return the steps of one episode of a recording.

    Parameters
    ----------
    path
        The recording.
    name
        How the episode's name begins; empty: the episode with the best score.

    Raises
    ------
    RecordError
        The recording cannot be read, or is empty.
    UsageError
        No episode, or more than one, has such a name.
    """
    episodes: dict[str, list[Record]] = {}
    for record in read_records(path):
        episodes.setdefault(record.episode, []).append(record)
    if not episodes:
        raise RecordError(f"{path} has no whole record. Give a recording that has some.")
    chosen = [records for key, records in episodes.items() if name and key.startswith(name)]
    if name and len(chosen) != 1:
        known = ", ".join(key[:12] for key in list(episodes)[:20])
        raise UsageError(f"{path} has {len(chosen)} episodes {name!r}; known: {known}.")
    return chosen[0] if chosen else _best_episode(path, list(episodes.values()))


def best_of(records: Sequence[Record], store: Store) -> Best:
    """Return the best script of an episode.

    Raises
    ------
    StoreError
        The store does not have its files.
    """
    scored = [record for record in records if _ran(record) and _score(record) is not None]
    if not scored:
        state = records[0].state
        files = {path: store.get(digest) for path, digest in state.files.items()}
        return Best(MAIN_SCRIPT, _text(files.pop(MAIN_SCRIPT, b"")), state.score, None, files)
    record = max(scored, key=_standing)
    script = _ran(record)
    before = {path: store.get(digest) for path, digest in record.state.files.items()}
    before.pop(script, None)
    content = store.get(record.next_state.files[script])
    text = notebooks.to_text(content) if notebooks.is_notebook(script) else _text(content)
    return Best(script, text, _score(record), record, before)


def store_of(path: Path) -> Store:
    """Return the store that a recording belongs to: that of its run, or the cache's."""
    for folder in list(path.resolve().parents)[:_PARENTS]:
        if (folder / "store").is_dir():
            return Store(folder / "store")
    return Store(data.cache_root() / "store")


def _best_episode(path: Path, episodes: list[list[Record]]) -> list[Record]:
    tasks = {(records[0].state.task, records[0].state.fingerprint) for records in episodes}
    if len(tasks) > 1:
        known = ", ".join(records[0].episode[:12] for records in episodes[:20])
        raise UsageError(
            f"{path} has episodes of several tasks or data, whose scores do not compare. "
            f"Choose one with --episode; known: {known}."
        )
    return max(episodes, key=lambda records: max(map(_standing, records)))


def _standing(record: Record) -> float:
    """Return how good the step's score is, the higher the better."""
    score = _score(record)
    if score is None or not _ran(record):
        return float("-inf")
    return grading.metric_of(load_task(record.state.task)).sign * score


def _score(record: Record) -> float | None:
    """Return the score of the step's own run."""
    graded = record.submission is not None or record.info.get("outcome") == "scored"
    return record.next_state.score if graded else None


def _ran(record: Record) -> str:
    """Return the path of the script that a step ran; empty if it ran none."""
    action = parse(record.reply)
    match action:
        case EditScript() | EditScriptAI():
            ran = script_of(action.target)
        case ExecuteScript():
            ran = action.script_name
        case _:
            return ""
    return ran if ran in record.next_state.files else ""


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")
