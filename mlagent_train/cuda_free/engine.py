"""A rollout engine on transformers, behind the part of vLLM's interface OpenRLHF calls.

OpenRLHF generates through ``vllm.AsyncLLMEngine``, which needs a GPU or a special CPU
build. `install` puts a package named ``vllm`` in place whose engine generates with
``transformers``; everything above it (``RolloutRayActor``, ``create_vllm_engines``, weight
sync) is OpenRLHF's own, unmodified. Honoured: temperature, top_p, top_k, max_tokens,
min_tokens, log-probabilities. Not honoured, and refused: stop strings, images, sleep.
"""

from __future__ import annotations

import asyncio
import pickle
import queue
import threading
import types
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from mlagent_train.cuda_free.shim import stub_module

__all__ = ["AsyncEngineArgs", "AsyncLLMEngine", "SamplingParams", "StoreCommunicator", "install"]

_VLLM_VERSION = "0.29.0"  # the release OpenRLHF 0.11.2 is pinned to
_GATHER_S = 0.03
_MAX_BATCH = 64


@dataclass
class SamplingParams:
    """vLLM's sampling parameters, as far as OpenRLHF sets them."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    max_tokens: int | None = 16
    min_tokens: int = 0
    skip_special_tokens: bool = True
    logprobs: int | None = None


@dataclass(frozen=True)
class Logprob:
    """Natural log of the probability a token was sampled with."""

    logprob: float


@dataclass(frozen=True)
class CompletionOutput:
    """One completion: its tokens end with the end-of-text token unless it was cut."""

    token_ids: list[int]
    text: str
    finish_reason: str
    logprobs: list[dict[int, Logprob]] | None
    index: int = 0


@dataclass(frozen=True)
class RequestOutput:
    """The answer to one request."""

    request_id: str
    outputs: list[CompletionOutput]


class TokensPrompt(dict[str, Any]):
    """A prompt given as ``prompt_token_ids``."""


class AsyncEngineArgs:
    """Engine arguments, kept as attributes; those that only a GPU needs are ignored."""

    def __init__(
        self, *, model: str, seed: int = 0, dtype: str = "bfloat16", **ignored: object
    ) -> None:
        self.model = model
        self.seed = seed
        self.dtype = dtype
        self.ignored = ignored


class StatelessProcessGroup:
    """A TCP store shared by the trainer (rank 0) and the engines, as in vLLM."""

    def __init__(self, store: Any, rank: int, world_size: int):
        self.store = store
        self.rank = rank
        self.world_size = world_size
        self._sent = 0

    @staticmethod
    def create(host: str, port: int, rank: int, world_size: int) -> StatelessProcessGroup:
        """Join the group; returns once all ranks have."""
        import torch.distributed

        make: Any = torch.distributed
        store = make.TCPStore(host, port, world_size, is_master=rank == 0, wait_for_workers=True)
        return StatelessProcessGroup(store, rank, world_size)

    def broadcast_obj(self, value: Any, src: int) -> Any:
        """Return rank `src`'s value on every rank."""
        key = f"broadcast/{self._sent}"
        self._sent += 1
        if self.rank == src:
            self.store.set(key, pickle.dumps(value))
            return value
        received = pickle.loads(self.store.get(key))
        if self.store.add(f"{key}/read", 1) == self.world_size - 1:
            self.store.delete_key(key)
            self.store.delete_key(f"{key}/read")
        return received


class StoreCommunicator:
    """Stands where OpenRLHF makes a NCCL communicator for the weights."""

    def __init__(self, group: Any, device: object = None):
        self.group = group

    def broadcast(self, tensor: Any, src: int = 0, stream: object = None) -> None:
        """Fill `tensor` on every rank with rank `src`'s content."""
        value = tensor.detach().contiguous() if self.group.rank == src else None
        received = self.group.broadcast_obj(value, src)
        if self.group.rank != src:
            tensor.copy_(received)


@dataclass(frozen=True)
class _Request:
    id: str
    prompt: list[int]
    params: SamplingParams
    answer: Future[RequestOutput]


class AsyncLLMEngine:
    """Answers requests in batches on one thread; weights may change between batches."""

    @classmethod
    def from_engine_args(cls, args: AsyncEngineArgs) -> AsyncLLMEngine:
        """Load the model named in the arguments."""
        return cls(args)

    def __init__(self, args: AsyncEngineArgs):
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._torch = torch
        torch.manual_seed(args.seed)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(args.model)
        load: Any = AutoModelForCausalLM.from_pretrained
        self.model = load(args.model, dtype=getattr(torch, args.dtype), attn_implementation="sdpa")
        self.model.eval()
        self._parameters = dict(self.model.named_parameters())
        self._requests: queue.Queue[_Request] = queue.Queue()
        self._unfinished = 0
        self._weights = threading.Lock()
        self._running = threading.Event()
        self._running.set()
        self._communicator: StoreCommunicator | None = None
        self.output_processor = types.SimpleNamespace(
            get_num_unfinished_requests=lambda: self._unfinished
        )
        threading.Thread(target=self._serve, name="rollout-engine", daemon=True).start()

    async def generate(
        self, prompt: TokensPrompt, sampling_params: SamplingParams, request_id: str
    ) -> AsyncIterator[RequestOutput]:
        """Yield the one, finished answer."""
        if "multi_modal_data" in prompt:
            raise NotImplementedError("The transformers engine generates from text only.")
        answer: Future[RequestOutput] = Future()
        tokens = list(prompt["prompt_token_ids"])
        self._unfinished += 1
        self._requests.put(_Request(request_id, tokens, sampling_params, answer))
        try:
            yield await asyncio.wrap_future(answer)
        finally:
            self._unfinished -= 1

    async def collective_rpc(self, method: str, args: tuple[Any, ...] = ()) -> None:
        """Run one of OpenRLHF's worker methods, off the event loop."""
        methods: dict[str, Callable[..., None]] = {
            "init_process_group": self._init_process_group,
            "update_weight": self._update_weight,
        }
        await asyncio.to_thread(methods[method], *args)

    async def pause_generation(self, mode: str = "keep") -> None:
        """Start no further batch."""
        self._running.clear()

    async def resume_generation(self) -> None:
        """Go on after a pause."""
        self._running.set()

    async def reset_prefix_cache(self) -> None:
        """Do nothing: prefixes are not cached."""

    async def is_sleeping(self) -> bool:
        """Return False: there is no GPU memory to give back."""
        return False

    async def sleep(self, level: int = 1) -> None:
        """Refuse: see `is_sleeping`."""
        raise NotImplementedError("The transformers engine cannot sleep; unset vllm.enable_sleep.")

    def _init_process_group(
        self, address: str, port: int, rank: int, world_size: int, *_names: object
    ) -> None:
        group = StatelessProcessGroup.create(address, port, rank, world_size)
        self._communicator = StoreCommunicator(group)

    def _update_weight(self, name: str, dtype: Any, shape: Any, _empty_cache: bool = False) -> None:
        assert self._communicator is not None, "init_process_group comes first"
        weight = self._torch.empty(shape, dtype=dtype)
        self._communicator.broadcast(weight, src=0)
        with self._weights, self._torch.no_grad():
            self._parameters[name].copy_(weight)

    def _serve(self) -> None:
        while True:
            batch = [self._requests.get()]
            try:  # a batch runs to its end, so it is worth waiting for its neighbours
                while len(batch) < _MAX_BATCH:
                    batch.append(self._requests.get(timeout=_GATHER_S))
            except queue.Empty:
                pass
            self._running.wait()
            for group in _alike(batch):
                self._answer(group)

    def _answer(self, requests: list[_Request]) -> None:
        try:
            with self._weights:
                outputs = self._run(requests)
        except Exception as error:
            for request in requests:
                request.answer.set_exception(error)
            return
        for request, output in zip(requests, outputs, strict=True):
            request.answer.set_result(output)

    def _run(self, requests: list[_Request]) -> list[RequestOutput]:
        torch, params = self._torch, requests[0].params
        end, pad = self.tokenizer.eos_token_id, self.tokenizer.pad_token_id
        width = max(len(request.prompt) for request in requests)
        ids = torch.full((len(requests), width), end if pad is None else pad)
        mask = torch.zeros_like(ids)
        for row, request in enumerate(requests):
            ids[row, width - len(request.prompt) :] = torch.tensor(request.prompt)
            mask[row, width - len(request.prompt) :] = 1
        budgets = [request.params.max_tokens or 16 for request in requests]
        sampling: dict[str, Any] = {"do_sample": False}
        if params.temperature > 0:
            sampling = {
                "do_sample": True,
                "temperature": params.temperature,
                "top_p": params.top_p,
                "top_k": max(params.top_k, 0),
            }
        with torch.inference_mode():
            generated = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=max(budgets),
                min_new_tokens=min(max(params.min_tokens, 1), min(budgets)),
                eos_token_id=end,
                pad_token_id=end if pad is None else pad,
                return_dict_in_generate=True,
                output_scores=params.logprobs is not None,
                **sampling,
            )
        return [
            self._output(request, row, generated, width, budgets[row], end)
            for row, request in enumerate(requests)
        ]

    def _output(
        self, request: _Request, row: int, generated: Any, width: int, budget: int, end: int
    ) -> RequestOutput:
        tokens = generated.sequences[row, width : width + budget].tolist()
        reason = "length"
        if end in tokens:
            tokens, reason = tokens[: tokens.index(end) + 1], "stop"
        logprobs = None
        if request.params.logprobs is not None:
            logprobs = [
                {token: Logprob(float(scores[row].float().log_softmax(-1)[token]))}
                for token, scores in zip(tokens, generated.scores, strict=False)
            ]
        text = self.tokenizer.decode(tokens, skip_special_tokens=request.params.skip_special_tokens)
        return RequestOutput(request.id, [CompletionOutput(tokens, text, reason, logprobs)])


def _alike(requests: list[_Request]) -> list[list[_Request]]:
    """Split requests into groups that one call of ``generate`` can answer."""
    groups: dict[tuple[object, ...], list[_Request]] = {}
    for request in requests:
        params = request.params
        key = (params.temperature, params.top_p, params.top_k, params.logprobs is None)
        groups.setdefault(key, []).append(request)
    return list(groups.values())


def install() -> None:
    """Make ``import vllm`` find this module's names."""
    stub_module(
        "vllm",
        __version__=_VLLM_VERSION,
        AsyncEngineArgs=AsyncEngineArgs,
        AsyncLLMEngine=AsyncLLMEngine,
        SamplingParams=SamplingParams,
    )
    stub_module("vllm.inputs", TokensPrompt=TokensPrompt)
    stub_module("vllm.utils", random_uuid=lambda: uuid.uuid4().hex)
    stub_module("vllm.distributed")
    stub_module("vllm.distributed.utils", StatelessProcessGroup=StatelessProcessGroup)
    stub_module("vllm.distributed.device_communicators")
    stub_module(
        "vllm.distributed.device_communicators.pynccl", PyNcclCommunicator=StoreCommunicator
    )
