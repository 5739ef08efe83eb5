"""Let OpenRLHF run without CUDA.

OpenRLHF calls CUDA by name in some thirty places and imports flash-attn unasked. `install`
replaces exactly these places, in this process, before they are imported. It imports
nothing heavy itself, so that every Ray worker can call it as its set-up hook. Whether it
is called, the job decides by `ENGINE_VARIABLE`: a machine may have GPUs that the run does
not use. For an OpenRLHF it does not know it refuses.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.machinery
import importlib.metadata
import os
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from mlagent_train.after_import import after_import
from mlagent_train.errors import TrainerVersionError

__all__ = [
    "ENGINE_VARIABLE",
    "KNOWN_OPENRLHF",
    "install",
    "lend_flash_attn",
    "stub_flash_attn",
    "stub_module",
]

KNOWN_OPENRLHF = "0.11.2"
"""The release every patch below was read against."""

ENGINE_VARIABLE = "MLAGENT_ROLLOUT_ENGINE"
"""``transformers`` (default) or ``vllm``: the rollout engine that a Ray worker sets up.

Jobs without CUDA have it in their environment, all others have not.
"""


_INSTALLED: list[bool] = []


def install() -> None:
    """Prepare this process; a second call changes nothing.

    Raises
    ------
    TrainerVersionError
        OpenRLHF is missing or not `KNOWN_OPENRLHF`.
    """
    if _INSTALLED:
        return
    _require_known_openrlhf()
    # DeepSpeed otherwise probes for accelerators and may pick one that is only half there;
    # "cpu" also makes it choose gloo for its collectives.
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    stub_flash_attn()
    patches = dict(_PATCHES)
    if os.environ.get(ENGINE_VARIABLE, "transformers") == "vllm":
        from mlagent_train.cuda_free import vllm_cpu

        patches |= vllm_cpu.PATCHES
    else:
        from mlagent_train.cuda_free import engine

        engine.install()
    after_import(patches)
    _INSTALLED.append(True)


def _require_known_openrlhf() -> None:
    try:
        found = importlib.metadata.version("openrlhf")
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    if found != KNOWN_OPENRLHF:
        raise TrainerVersionError(
            f"The CUDA-free set-up knows OpenRLHF {KNOWN_OPENRLHF}; installed: {found}. "
            f"Install it with: pip install --no-deps openrlhf=={KNOWN_OPENRLHF}"
        )


def stub_module(name: str, **attributes: Any) -> types.ModuleType:
    """Put a module made of `attributes` where ``import name`` finds it."""
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
    module.__path__ = []
    module.__dict__.update(attributes)
    sys.modules[name] = module
    return module


def stub_flash_attn() -> None:
    """Satisfy imports of flash-attn, which has no CPU build and takes long to compile for GPUs.

    ``openrlhf.models.ring_attn_utils`` imports these names; they are called only with
    sample packing or ring attention, which the configuration refuses without a GPU.
    """

    def unavailable(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("flash-attn is not installed: switch off packing and ring attention.")

    stub_module("flash_attn", __version__="0.0.0")
    names = ("index_first_axis", "pad_input", "rearrange", "unpad_input")
    stub_module("flash_attn.bert_padding", **dict.fromkeys(names, unavailable))
    stub_module("flash_attn.utils")
    stub_module("flash_attn.utils.distributed", all_gather=unavailable)


def lend_flash_attn() -> None:
    """Satisfy OpenRLHF's import of flash-attn, and only that one: for GPUs without flash-attn.

    vLLM asks whether there is a flash-attn, and would take more from it than the stub has.
    """
    after_import({"openrlhf.models.ring_attn_utils": lambda _: None}, within=_with_flash_attn)


@contextlib.contextmanager
def _with_flash_attn() -> Iterator[None]:
    stub_flash_attn()
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "flash_attn"]:
            del sys.modules[name]


def _patch_torch(torch: Any) -> None:
    # OpenRLHF moves every batch to torch.cuda.current_device().
    torch.cuda.current_device = functools.partial(torch.device, "cpu")
    # A GPU that is there all the same is not to be found.
    torch.cuda.is_available = lambda: False
    torch.cuda.device_count = lambda: 0
    # It brackets its phases with these calls, none of which a CPU needs.
    for name in ("set_device", "synchronize", "empty_cache", "current_stream"):
        setattr(torch.cuda, name, _nothing())


def _patch_strategy(module: Any) -> None:
    # DeepspeedStrategy.setup_distributed asks for a mesh of "cuda" devices.
    original = module.init_device_mesh
    module.init_device_mesh = lambda _device, *args, **kwargs: original("cpu", *args, **kwargs)


def _patch_replay_buffer(module: Any) -> None:
    # NaiveReplayBuffer formats the current device into "cuda:<n>"; only that module's view of
    # torch.device is changed.
    module.torch = _TorchOnCpu(module.torch)


def _patch_train_config(module: Any) -> None:
    # DeepSpeed would compile its FusedAdam for the CPU (a minute of g++); torch's AdamW is there.
    original = module.get_train_ds_config

    @functools.wraps(original)
    def with_torch_adam(*args: Any, **kwargs: Any) -> Any:
        config = original(*args, **kwargs)
        if "optimizer" in config:
            config["optimizer"]["params"]["torch_adam"] = True
        return config

    module.get_train_ds_config = with_torch_adam


def _patch_deepspeed_comm(module: Any) -> None:
    # An optional shared-memory collective that DeepSpeed compiles on first use (a minute of
    # g++ and 1.5 GB per compiler); without it gloo is used.
    module.build_shm_op = _nothing()


_PATCHES: dict[str, Callable[[Any], None]] = {
    "torch": _patch_torch,
    "deepspeed.comm.torch": _patch_deepspeed_comm,
    "openrlhf.utils.deepspeed.deepspeed": _patch_strategy,
    "openrlhf.utils.deepspeed.deepspeed_utils": _patch_train_config,
    "openrlhf.trainer.ppo_utils.replay_buffer": _patch_replay_buffer,
}
"""What is changed in a module right after it was imported."""


def _nothing() -> Callable[..., None]:
    """Return a function that does nothing, a new one each time: torch tells them apart."""
    return lambda *_args, **_kwargs: None


class _TorchOnCpu:
    """torch, but every device made through it is the CPU."""

    def __init__(self, torch: Any):
        self._torch = torch

    def device(self, *_args: object) -> Any:
        return self._torch.device("cpu")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._torch, name)
