"""Remembering runs: what was run before, on the same files, is replayed instead of run again."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import secrets
import stat
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from mlagent_gym import beneath
from mlagent_gym.errors import StoreError
from mlagent_gym.executor import Executor, Limits, Run, RunStatus
from mlagent_gym.store import Store

__all__ = ["CachingExecutor"]

_FORMAT = 2
_REPEATABLE = {RunStatus.OK, RunStatus.ERROR}
"""How often a limit is hit depends on the machine, so such runs are made again."""


class CachingExecutor:
    """An executor that replays a run's output and files if it knows the run.

    A run is known by the workspace's files, the data, the script, the seed, the limits,
    the interpreter and every installed package. Only its wall-clock limit may be another one,
    as long as the known run was shorter. A script that is not deterministic gets
    one of its outcomes for good, which is why caching is never the default. Entries that
    were damaged or cut short are noticed, and the script is run again.

    Parameters
    ----------
    inner
        Runs what is not known; closed with this one.
    folder
        Where runs are kept. May be shared by processes.
    """

    def __init__(self, inner: Executor, folder: Path):
        self.hits = 0
        self.misses = 0
        self._inner = inner
        self._folder = folder
        self._store = Store(folder / "blobs")
        self._entries = folder / "runs"
        self._entries.mkdir(parents=True, exist_ok=True)

    def run(
        self, script: str, workspace: Path, data: Path, limits: Limits, *, seed: int = 0
    ) -> Run:
        """Run or replay a script; see `mlagent_gym.executor.Executor.run`."""
        before = _digests(workspace)
        if before is None:
            return self._inner.run(script, workspace, data, limits, seed=seed)
        others = {name: value for name, value in asdict(limits).items() if name != "wall_s"}
        key = _digest_of([_FORMAT, before, _data_digest(data), script, seed, others, _installed()])
        known = self._recall(key)
        if known is not None and known[0].wall_s < limits.wall_s:
            run, files = known
            _apply(workspace, before, files)
            self.hits += 1
            return run
        self.misses += 1
        run = self._inner.run(script, workspace, data, limits, seed=seed)
        after = _digests(workspace)
        if run.status in _REPEATABLE and after is not None:
            self._keep(key, run, {path: (workspace / path).read_bytes() for path in after})
        return run

    def close(self) -> None:
        """Close the executor within."""
        self._inner.close()

    def _keep(self, key: str, run: Run, files: Mapping[str, bytes]) -> None:
        entry = {
            "run": asdict(run),
            "files": {path: self._store.put(content) for path, content in files.items()},
        }
        self._store.sync()
        text = json.dumps({"entry": entry, "digest": _digest_of([key, entry])})
        temporary = self._entries / f".new-{secrets.token_hex(8)}"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self._entries / key)

    def _recall(self, key: str) -> tuple[Run, dict[str, bytes]] | None:
        """Return a known run and the files it left; None if it is not known for sure."""
        try:
            kept = json.loads((self._entries / key).read_text(encoding="utf-8"))
            if kept["digest"] != _digest_of([key, kept["entry"]]):
                return None
            files = {path: self._store.get(blob) for path, blob in kept["entry"]["files"].items()}
            run = Run(**kept["entry"]["run"])
        except (OSError, ValueError, KeyError, TypeError, StoreError):
            return None
        return replace(run, status=RunStatus(run.status), queued_s=0.0, cached=True), files


def _digests(folder: Path) -> dict[str, str] | None:
    """Return the digest of every file by path; None if there is anything but plain files."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            found[path.relative_to(folder).as_posix()] = _digest(path)
        elif not stat.S_ISDIR(status.st_mode):
            return None
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _data_digest(folder: Path) -> str:
    """Return the digest of a data folder's content, read once as long as nothing changes."""
    looks = tuple(
        (str(path), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        for path in sorted(folder.resolve().rglob("*"))
        if stat.S_ISREG((status := path.stat()).st_mode)
    )
    return _content_digest(folder.resolve(), looks)


@functools.lru_cache(maxsize=64)
def _content_digest(folder: Path, looks: tuple[tuple[str, int, int, int, int], ...]) -> str:
    return _digest_of(
        {str(Path(path).relative_to(folder)): _digest(Path(path)) for path, *_ in looks}
    )


@functools.cache
def _installed() -> list[str]:
    """Return the interpreter's and all packages' versions."""
    packages = {
        f"{found.metadata['Name']}=={found.version}" for found in importlib.metadata.distributions()
    }
    return [sys.version, *sorted(packages)]


def _apply(workspace: Path, before: Mapping[str, str], files: Mapping[str, bytes]) -> None:
    """Make the workspace what the run left."""
    for path in before.keys() - files.keys():
        (workspace / path).unlink()
    for path, content in files.items():
        if before.get(path) == hashlib.sha256(content).hexdigest():
            continue
        *folders, name = path.split("/")
        with beneath.open_folder(workspace, tuple(folders), path, make=True) as folder:
            beneath.write_file(folder, name, path, content)
