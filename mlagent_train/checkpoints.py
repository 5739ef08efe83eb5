"""Make OpenRLHF's PPO checkpoints consistent after a kill, before it resumes from them.

Actor and critic are saved one after the other; a process killed in between leaves a pair
of different steps, a half-written folder, or a ``latest`` file that names one. OpenRLHF
would resume from it, or fail.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from mlagent_train.files import write_text

__all__ = ["repair_checkpoints"]

_TAG = re.compile(r"global_step(\d+)")
_COMPLETE = "metric.json"


def repair_checkpoints(folder: Path, roles: Sequence[str]) -> int:
    """Leave only checkpoints that every role has completely.

    Parameters
    ----------
    folder
        OpenRLHF's ``ckpt.path``.
    roles
        Names of the folders below it, one for each model that is trained.

    Returns
    -------
    int
        Update to resume from; 0: there is nothing to resume, and nothing is left.
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
