"""A model that is here as an agent: vLLM where there is a GPU, transformers where there is none."""

from __future__ import annotations

import asyncio
import importlib
import os
import uuid
from typing import Any

from mlagent_train.agents.base import Reply, Sampling, Turn
from mlagent_train.chat import prompt_text, reply_text
from mlagent_train.cuda_free.shim import ENGINE_VARIABLE
from mlagent_train.hardware import gpu_count

__all__ = ["Checkpoint"]


class Checkpoint:
    """Generates in batches from a model that is loaded on its first turn.

    Parameters
    ----------
    model
        Folder or hub name.
    sampling
        How it generates.
    vllm
        Whether vLLM does; None: as the job says, or outside of one where there is a GPU.
    """

    def __init__(self, model: str, sampling: Sampling, *, vllm: bool | None = None):
        self._model = model
        self._sampling = sampling
        self._use_vllm = vllm
        self._loading = asyncio.Lock()
        self._engine: Any = None
        self._params: Any = None
        self._tokenizer: Any = None
        self._make_prompt: Any = None

    async def act(self, turn: Turn) -> Reply:
        """Return the model's reply."""
        async with self._loading:
            if self._engine is None:
                await asyncio.to_thread(self._load)
        text = prompt_text(self._tokenizer, turn.messages)
        tokens = self._tokenizer(text=text, add_special_tokens=False)["input_ids"]
        tokens = tokens[-self._sampling.max_prompt_tokens :]  # 0: all of them
        prompt = self._make_prompt(prompt_token_ids=tokens)
        stream = self._engine.generate(prompt, self._params, request_id=uuid.uuid4().hex)
        *_, finished = [output async for output in stream]
        new = finished.outputs[0].token_ids
        return Reply(reply_text(self._tokenizer, new), len(tokens), len(new))

    def _load(self) -> None:
        from transformers import AutoTokenizer

        sampling = self._sampling
        modules = self._modules()
        if modules[0] == "vllm" and ENGINE_VARIABLE not in os.environ:
            # vLLM would fork its engine's process, in which CUDA does not work once this one has
            # asked the driver for devices, as `gpu_count` does
            os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
        vllm, inputs = (importlib.import_module(name) for name in modules)
        limit = sampling.max_prompt_tokens
        args = vllm.AsyncEngineArgs(
            model=self._model,
            dtype="bfloat16",
            seed=sampling.seed,
            max_model_len=limit + sampling.max_new_tokens if limit else None,
            gpu_memory_utilization=sampling.engine_memory_share,
            tensor_parallel_size=sampling.tensor_parallel,
        )
        self._params = vllm.SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_new_tokens,
            min_tokens=1,
            skip_special_tokens=False,
        )
        self._tokenizer = AutoTokenizer.from_pretrained(self._model)
        self._make_prompt = inputs.TokensPrompt
        self._engine = vllm.AsyncLLMEngine.from_engine_args(args)

    def _modules(self) -> tuple[str, str]:
        """Return the modules of the engine and of its prompts."""
        use_vllm = self._use_vllm
        if use_vllm is None:
            engine = os.environ.get(ENGINE_VARIABLE)  # only jobs without CUDA have it
            use_vllm = engine == "vllm" if engine else gpu_count() > 0
        free = "mlagent_train.cuda_free.engine"
        return ("vllm", "vllm.inputs") if use_vllm else (free, free)
