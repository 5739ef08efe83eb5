"""Reading TensorBoard event files back as plain numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["ScalarLog", "latest", "read_scalars"]


class ScalarLog:
    """The scalars of a folder of event files, read on as the files grow.

    Parameters
    ----------
    folder
        Need not exist yet. A resumed run adds a file to it.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._loaders: dict[Path, Any] = {}
        self._scalars: dict[int, dict[str, float]] = {}

    def read(self) -> dict[int, dict[str, float]]:
        """Return the scalars of each step so far; of one logged twice, the newer ones."""
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

        files = self._folder.glob("events.out.tfevents.*")
        for path in sorted(files, key=lambda path: path.stat().st_mtime):
            if path not in self._loaders:
                self._loaders[path] = EventFileLoader(str(path))
            for event in self._loaders[path].Load():  # what was appended since the last time
                for value in event.summary.value:
                    if value.HasField("tensor") and value.tensor.float_val:
                        step = self._scalars.setdefault(event.step, {})
                        step[value.tag] = value.tensor.float_val[0]
        return self._scalars


def read_scalars(folder: Path) -> dict[int, dict[str, float]]:
    """Return the scalars of each step in a folder, as `ScalarLog.read` does, once."""
    return ScalarLog(folder).read()


def latest(scalars: dict[int, dict[str, float]], tag: str) -> tuple[int, float]:
    """Return the last step that has a scalar, and its value; (0, nan) if none has.

    A step that is just being written may lack some of its scalars.
    """
    steps = [step for step, values in scalars.items() if tag in values]
    return (max(steps), scalars[max(steps)][tag]) if steps else (0, float("nan"))
