"""Where this project keeps things on a machine."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_root"]


def cache_root() -> Path:
    """Return the folder that prepared data are kept in.

    It is named by the environment variable ``MLAGENT_CACHE``, or else lies where the
    operating system wants caches to be.
    """
    if named := os.environ.get("MLAGENT_CACHE"):
        return Path(named).expanduser().resolve()
    import platformdirs

    return platformdirs.user_cache_path("mlagent-gym")
