"""The part of OpenRLHF that runs inside vLLM's worker, for a worker on the CPU.

vLLM imports this module in its worker process and mixes `CpuWorkerWrap` into its worker.
"""

from __future__ import annotations

from typing import Any

from mlagent_train.cuda_free.engine import StatelessProcessGroup, StoreCommunicator

__all__ = ["CpuWorkerWrap"]


class CpuWorkerWrap:
    """Receives weights from the trainer through a TCP store."""

    model_runner: Any

    def init_process_group(
        self, address: str, port: int, rank_offset: int, world_size: int, *_names: object
    ) -> None:
        """Join the trainer's group."""
        import torch.distributed
        from vllm.distributed.utils import StatelessProcessGroup as VllmGroup

        groups: type[StatelessProcessGroup] = VllmGroup
        rank = torch.distributed.get_rank() + rank_offset
        self._weights = StoreCommunicator(groups.create(address, port, rank, world_size))

    def update_weight(self, name: str, dtype: Any, shape: Any, _empty_cache: bool = False) -> None:
        """Receive one weight and load it."""
        import torch

        weight = torch.empty(shape, dtype=dtype)
        self._weights.broadcast(weight, src=0)
        self.model_runner.model.load_weights(weights=[(name, weight)])


def _keep_linear_weights() -> None:
    """Let weights be loaded more than once.

    vLLM's CPU backend repacks linear weights and drops the originals, so that loading
    them again fails; plain tensors stay.
    """
    import torch
    import vllm.model_executor.layers.utils as layers

    def keep_plain(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    layers.dispatch_cpu_unquantized_gemm = keep_plain


_keep_linear_weights()
