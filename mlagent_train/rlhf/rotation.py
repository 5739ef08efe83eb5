"""Let OpenRLHF delete its oldest checkpoint before it writes the next one, not its worst.

Where it evaluates, it deletes the checkpoint of the lowest metric first, and before the new
one is written: often the one just before. A process killed in between would go back many
updates. The best policies are kept as exports, which this does not concern.
"""

from __future__ import annotations

from typing import Any

from mlagent_train.after_import import after_import

__all__ = ["install"]


def install() -> None:
    """Have OpenRLHF, in whichever process it saves, rotate checkpoints by age."""
    after_import({"openrlhf.utils.deepspeed.deepspeed": _rotate_by_age})


def _rotate_by_age(module: Any) -> None:
    # `save_ckpt` asks for metrics only to choose what it deletes: without one, the oldest.
    module.DeepspeedStrategy._read_ckpt_metric = lambda _self, _folder: None
