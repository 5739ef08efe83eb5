"""Recording: a wrapper that appends every step to a file, and resuming what was cut off."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import json
import os
import platform
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import gymnasium as gym

from mlagent_gym.actions import Action, parse
from mlagent_gym.edits import unified_diff
from mlagent_gym.env import MLAgentEnv
from mlagent_gym.errors import ConfigError, RecordError
from mlagent_gym.records import Record, append_record, read_lines
from mlagent_gym.state import State
from mlagent_gym.store import Store, digest_of

__all__ = ["RecordEpisode", "last_record", "make_recorded", "resume"]

_LOCAL = frozenset(
    {"executor", "run_cache", "store", "start_states", "render_mode", "prompt_count"}
)
"""Arguments that say where and with what an environment runs, not what it does."""

_MAX_DIFFED_BYTES = 2**18
_MAX_DIFFS = 20
"""Of one step; further files are only named."""


class RecordEpisode(gym.Wrapper[str, str, str, str], gym.utils.RecordConstructorArgs):
    """Append every step to a JSONL file, on the disk before ``step`` returns.

    The states, and the submissions that were graded, are brought into the environment's
    store, so that each step can be repeated, graded again or gone on from.

    Parameters
    ----------
    env
        An environment of this package, made by ``gymnasium.make``.
    path
        The file; several environments and processes may share one. None: nothing is
        written, and `record` is for the caller to keep.

    Raises
    ------
    ConfigError
        The environment cannot be recorded.
    """

    def __init__(self, env: gym.Env[str, str], path: str | os.PathLike[str] | None):
        self._path = None if path is None else os.fspath(path)
        gym.utils.RecordConstructorArgs.__init__(self, path=self._path)
        super().__init__(env)
        inner = env.unwrapped
        if not isinstance(inner, MLAgentEnv) or inner.spec is None:
            raise ConfigError(
                "Only environments made by gymnasium.make('MLAgent/...') record. Make it that way."
            )
        self._inner = inner
        self._inner.keep_submissions = True
        kwargs = _portable(inner, inner.spec.kwargs)
        self._made_from: dict[str, Any] = {"id": inner.spec.id, "kwargs": kwargs}
        if inner.spec.kwargs.get("prompt_count", len) is not len:
            self._made_from["own_prompt_count"] = True
        self._shown: tuple[State, str, Any] | None = None
        self.episode = ""
        """Name of the episode that is being recorded."""
        self.record: Record | None = None
        """Record of the last step."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start an episode; it is recorded from its first step on."""
        observation, info = super().reset(seed=seed, options=options)
        self.episode, self.record = uuid.uuid4().hex, None
        self._shown = (self._inner.state(), observation, info.get("messages"))
        return observation, info

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Carry out a step and record it.

        Raises
        ------
        RecordError, StoreError, DiskFullError
            The step was carried out but not recorded: go on after a `reset`, or with
            `resume` from the last step that was.
        """
        if self._shown is None:
            raise gym.error.ResetNeeded(
                "Call reset() before step(), and after a step that could not be recorded."
            )
        before, prompt, messages = self._shown
        observation, reward, terminated, truncated, info = super().step(action)
        self._shown = None  # until this step is recorded, no other can follow it
        after = self._inner.state()
        self.record = Record(
            episode=self.episode,
            env=self._made_from,
            state=before,
            prompt=_digest(prompt),
            messages=messages,
            reply=action.encode("utf-8", "replace").decode(),
            action=_readable(parse(action, editor=self._inner.editor is not None)),
            reward=float(reward),
            terminated=terminated,
            truncated=truncated,
            info={key: value for key, value in info.items() if _is_plain(value)},
            next_state=after,
            next_prompt=_digest(observation),
            diff=_diff(before, after, self._inner.store),
            submission=info["submission"] or None,
            resources=dataclasses.asdict(info["resources"]),
            versions=_versions(),
            time=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        )
        if self._path is not None:
            append_record(self._path, self.record)
        self._shown = (after, observation, info.get("messages"))
        return observation, float(reward), terminated, truncated, info


def make_recorded(
    record: Record, path: str | os.PathLike[str] | None, **kwargs: Any
) -> gym.Env[str, str]:
    """Make the environment a record is from.

    Parameters
    ----------
    record
        Says which environment.
    path
        File to record to; None: none.
    **kwargs
        Arguments to make it with instead of, or beside, the recorded ones.
    """
    if not str(record.env.get("id")).startswith("MLAgent/"):
        raise RecordError(
            f"{record.env.get('id')!r} is no environment of this package."
            " Use the package that recorded it."
        )
    try:
        arguments = {**record.env["kwargs"], **kwargs}
        env: gym.Env[str, str] = gym.make(record.env["id"], disable_env_checker=True, **arguments)
    except (KeyError, TypeError, gym.error.Error) as error:
        raise RecordError(
            f"The recorded environment cannot be made: {error}"
            " Install or prepare what it needs, then try again."
        ) from error
    return env if path is None else RecordEpisode(env, path)


def last_record(path: str | os.PathLike[str]) -> Record:
    """Return the last whole record of a file; raises `RecordError` if there is none."""
    lines = deque(read_lines(path), maxlen=1)
    if not lines:
        raise RecordError(
            f"{path} has no whole record: there is nothing to go on from. Start a new episode."
        )
    return Record.from_json(lines[0])


def resume(
    path: str | os.PathLike[str], **kwargs: Any
) -> tuple[gym.Env[str, str], str, dict[str, Any]]:
    """Go on with the last episode of a file, wherever its process was ended.

    Parameters
    ----------
    path
        The recording; further steps are appended to it.
    **kwargs
        As for `make_recorded`; the ``store`` must be the one the episode was recorded with,
        and so must ``prompt_count``, if there was one.

    Returns
    -------
    env, observation, info
        The recorded environment after a `reset` to the last state.

    Raises
    ------
    RecordError
        There is nothing to go on with.
    StoreError
        The store does not have the state's files.
    """
    record = last_record(path)
    if record.terminated or record.truncated:
        raise RecordError(f"The last episode of {path} has ended; start a new one.")
    if record.env.get("own_prompt_count") and "prompt_count" not in kwargs:
        raise RecordError(
            f"The prompts of {path} were measured by a function of its own, which cannot be "
            "recorded. Give the same prompt_count, so that they stay as long as they were."
        )
    env = make_recorded(record, path, **kwargs)
    observation, info = env.reset(options={"state": record.next_state})
    assert isinstance(env, RecordEpisode)
    env.episode = record.episode
    return env, observation, info


def _digest(text: str) -> str:
    return digest_of(text.encode("utf-8", "replace"))


def _portable(env: MLAgentEnv, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that decide what happens in an episode, as JSON has them."""
    kept = {key: value for key, value in kwargs.items() if key not in _LOCAL}
    kept["editor"] = env.editor and env.editor.config  # also if variables named it
    try:
        decoded: dict[str, Any] = json.loads(json.dumps(kept, default=_plain_argument))
    except TypeError as error:
        raise ConfigError(
            f"An argument of this environment cannot be recorded: {error}"
            ". Use values that are plain JSON."
        ) from error
    return decoded


def _plain_argument(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return os.fspath(value)


def _readable(action: Action) -> dict[str, Any]:
    return {"name": action.name, **dataclasses.asdict(action)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    return value is None or isinstance(value, str | int | float | bool)


def _diff(before: State, after: State, store: Store) -> str:
    return "\n".join(_diffs(before, after, store))


def _diffs(before: State, after: State, store: Store) -> Iterator[str]:
    diffs = 0
    for path in sorted({*before.files, *after.files}):
        old, new = before.files.get(path), after.files.get(path)
        if old == new:
            continue
        texts = (None, None) if diffs == _MAX_DIFFS else (_text(old, store), _text(new, store))
        if texts[0] is None or texts[1] is None:
            yield f"{path} changed"
        else:
            diffs += 1
            yield unified_diff(texts[0], texts[1], path)


def _text(digest: str | None, store: Store) -> str | None:
    """Return a text to compare; None if it is too large or no text."""
    content = b"" if digest is None else store.get(digest)
    try:
        return content.decode() if len(content) <= _MAX_DIFFED_BYTES else None
    except UnicodeDecodeError:
        return None


@functools.cache
def _versions() -> dict[str, str]:
    """Return the versions that results may depend on; ours is unknown in a bare source tree."""
    versions = {"python": platform.python_version()}
    for package in ("mlagent-gym", "gymnasium", "numpy", "pandas", "scikit-learn"):
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions
