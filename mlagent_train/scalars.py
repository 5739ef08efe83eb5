"""Reading TensorBoard event files back as plain numbers."""

from __future__ import annotations

from pathlib import Path

__all__ = ["latest", "read_scalars"]


def read_scalars(folder: Path) -> dict[int, dict[str, float]]:
    """Return the scalars of each step; of a step that was logged twice, the newer ones.

    Parameters
    ----------
    folder
        Folder of event files; need not exist yet. A resumed run adds a file to it.
    """
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    scalars: dict[int, dict[str, float]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*"), key=lambda path: path.stat().st_mtime):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.HasField("tensor") and value.tensor.float_val:
                    scalars.setdefault(event.step, {})[value.tag] = value.tensor.float_val[0]
    return scalars


def latest(scalars: dict[int, dict[str, float]], tag: str) -> tuple[int, float]:
    """Return the last step that has a scalar, and its value; (0, nan) if none has.

    A step that is just being written may lack some of its scalars.
    """
    steps = [step for step, values in scalars.items() if tag in values]
    return (max(steps), scalars[max(steps)][tag]) if steps else (0, float("nan"))
