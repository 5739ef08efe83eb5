"""The environment variables a script gets: ours, and nothing of whoever started the gym."""

from __future__ import annotations

from pathlib import Path

from mlagent_gym.sandbox.visible import interpreter

__all__ = ["script_environment"]


def script_environment(*, home: str, temporary: str, threads: int) -> dict[str, str]:
    """Return the variables of a script.

    Parameters
    ----------
    home, temporary
        Folders for HOME and for temporary files.
    threads
        How many each numerical library may start.
    """
    return {
        "PATH": f"{Path(interpreter()).parent}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "HOME": home,
        "TMPDIR": temporary,
        "PYTHONHASHSEED": "0",  # a preloaded interpreter has one for all its scripts
        "PYTHONUNBUFFERED": "1",  # output and errors in the order they came
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "Agg",
        "ARROW_DEFAULT_MEMORY_POOL": "system",  # the other one starts a thread
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",  # without a network, fail at once
        **{name: str(threads) for name in _THREADS},
    }


_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)
