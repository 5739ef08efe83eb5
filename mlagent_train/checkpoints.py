"""OpenRLHF's checkpoints: made consistent after a kill, and what it exports beside them.

In PPO actor and critic are saved one after the other; a process killed in between leaves a
pair of different steps, a half-written folder, or a ``latest`` file that names one. OpenRLHF
would resume from it, or fail, or count it as one of those it keeps.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlagent_train.files import write_text

__all__ = ["Export", "exports", "prune_exports", "repair_checkpoints"]

_TAG = re.compile(r"global_step(\d+)")
_EXPORT = re.compile(r"(best_)?global_step(\d+)_hf")
_COMPLETE = "metric.json"


def repair_checkpoints(folder: Path, roles: Sequence[str] = ("",)) -> int:
    """Leave only checkpoints that every role has completely.

    Parameters
    ----------
    folder
        OpenRLHF's ``ckpt.path``.
    roles
        Names of the folders below it, one for each model that PPO trains; SFT has its
        checkpoints in `folder` itself.

    Returns
    -------
    int
        Update to resume from; 0: there is nothing to resume, and nothing is left of `folder`.
    """
    steps = set.intersection(*(_complete(folder / role) for role in roles))
    if not steps:
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    newest = max(steps)
    for role in roles:
        for path in (folder / role).iterdir():
            found = _TAG.fullmatch(path.name)
            if found and int(found.group(1)) not in steps:
                shutil.rmtree(path)
        write_text(folder / role / "latest", f"global_step{newest}")
    return newest


def _complete(role: Path) -> set[int]:
    """Return the steps saved to the end: the metric file is written last."""
    if not role.is_dir():
        return set()
    return {
        int(found.group(1))
        for path in role.iterdir()
        if (found := _TAG.fullmatch(path.name)) and (path / _COMPLETE).is_file()
    }


@dataclass(frozen=True)
class Export:
    """A checkpoint in the format of ``transformers``, beside OpenRLHF's own."""

    update: int
    best: bool
    """Saved because its evaluation was the best so far."""
    path: Path


def exports(folder: Path) -> list[Export]:
    """Return the complete exports in OpenRLHF's ``ckpt.path``, oldest update first."""
    found = [
        Export(int(name.group(2)), bool(name.group(1)), path)
        for path in (folder.iterdir() if folder.is_dir() else ())
        if (name := _EXPORT.fullmatch(path.name))
        # the tokenizer is written last
        and (path / "tokenizer.json").is_file()
        and (path / "tokenizer_config.json").is_file()
    ]
    return sorted(found, key=lambda export: (export.update, export.best))


def prune_exports(folder: Path, keep: int) -> None:
    """Delete exports but the newest `keep` of each kind: OpenRLHF keeps them all.

    An export that is just being written is not complete and so not counted.
    """
    for best in (False, True):
        for export in [export for export in exports(folder) if export.best is best][:-keep]:
            shutil.rmtree(export.path)
