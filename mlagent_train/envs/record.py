"""The pool's record: one line a step, read again by the pool of a restarted job."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlagent_train.envs.stepping import StepOutcome, StepRequest, StepResult

__all__ = ["StepRecord"]


class StepRecord:
    """Append-only JSONL of steps; a line cut by a kill is skipped when read.

    Parameters
    ----------
    path
        The file; made with its folder when it is not there.
    """

    def __init__(self, path: str):
        self._path = Path(path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        cut = self._path.exists() and not self._path.read_bytes().endswith(b"\n")
        self._process = f"{time.time():.0f}-{os.getpid()}"
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        if cut and self._path.stat().st_size:
            os.write(self._file, b"\n")

    def append(
        self, key: str, request: StepRequest, outcome: StepOutcome, tags: Mapping[str, Any]
    ) -> None:
        """Write one step.

        Parameters
        ----------
        key
            As `step_key` of the request.
        request, outcome
            The step and what became of it.
        tags
            Written beside it.
        """
        values = asdict(outcome)
        result = values.pop("result")
        row = {
            **tags,
            "process": self._process,
            "env_id": request.env_id,
            "reply": request.reply,
            "keep_state": request.keep_state,
            **values,
            "reward": result and result["reward"],
            "terminated": result and result["terminated"],
            "truncated": result and result["truncated"],
            "info": result and result["info"],
            "key": key,
            "time": time.time(),
        }
        os.write(self._file, (json.dumps(row) + "\n").encode())

    def results(self) -> dict[str, StepResult]:
        """Return the steps recorded so far that were not lost, without their prompts."""
        results = {}
        for line in self._path.read_bytes().splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if row["reward"] is not None and not row["keep_state"]:  # states are not recorded
                results[row["key"]] = StepResult(
                    [], row["reward"], row["terminated"], row["truncated"], row["info"], None
                )
        return results
