"""What every process of a job does before it imports OpenRLHF."""

from __future__ import annotations

import importlib.util
import os

from mlagent_train.cuda_free import shim
from mlagent_train.rlhf import figures, rotation

__all__ = ["prepare"]


def prepare() -> None:
    """Prepare this process, as a Ray worker's set-up hook does; imports nothing heavy."""
    if shim.ENGINE_VARIABLE in os.environ:
        shim.install()
    elif importlib.util.find_spec("flash_attn") is None:
        shim.lend_flash_attn()  # OpenRLHF imports it unasked
    figures.install()
    rotation.install()
