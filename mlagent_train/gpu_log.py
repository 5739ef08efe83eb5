"""How busy the GPUs of this machine are, over time."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from mlagent_train.hardware import gpu_count

__all__ = ["GpuLog"]

_QUERY = "index,utilization.gpu,memory.used,memory.total"


class GpuLog:
    """Appends what ``nvidia-smi`` says, a line for each GPU; nothing where there is none.

    Parameters
    ----------
    path
        JSONL file.
    every_s
        Least time between two samples.
    """

    def __init__(self, path: Path, every_s: float = 10.0):
        self._path, self._every_s = path, every_s
        self._next = 0.0 if gpu_count() else float("inf")

    def sample(self) -> None:
        """Ask and append, if it is time."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self._every_s
        command = ["nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10.0)
        except (OSError, subprocess.TimeoutExpired):
            return  # the run matters more than its log
        with self._path.open("a", encoding="utf-8") as file:
            for line in done.stdout.splitlines():
                values = [word.strip() for word in line.split(",")]
                if len(values) == 4 and all(value.isdigit() for value in values):
                    index, busy, used, total = map(int, values)
                    row = {
                        "time": round(time.time(), 1),
                        "gpu": index,
                        "busy_percent": busy,
                        "memory_used_mib": used,
                        "memory_total_mib": total,
                    }
                    file.write(json.dumps(row) + "\n")
