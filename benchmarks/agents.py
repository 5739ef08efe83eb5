"""What acts in a benchmark, by its name on the command line.

=====================  ============================================================
``scripted:no-op``     lists the workspace again and again
``scripted:random``    any valid action at random
``scripted:expert``    tries one to three ideas of the task's bank, keeps what helps
``scripted:greedy``    tries all of them
``scripted:propose``   proposes an idea that fits the script it is shown
``openai:<model>``     any OpenAI-compatible endpoint (OPENAI_BASE_URL, OPENAI_API_KEY)
``hf:<path>``          a checkpoint, generated from with transformers
``vllm:<path>``        a checkpoint, generated from with vLLM on a GPU
``run:<folder>``       the trained policy of a run of ours
``<module>:<name>``    a function of one's own, from chat messages to a reply
=====================  ============================================================
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import random
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mlagent_gym import (
    ConfigError,
    IdeaBankExpert,
    NoOp,
    Policy,
    RandomAction,
    load_ideas,
    load_task,
    render,
)

__all__ = ["Agent", "Reply", "Turn", "make_agent"]

Messages = Sequence[Mapping[str, str]]

_SCRIPT = re.compile(r"```python\n(.*)\n```", re.DOTALL)


@dataclass(frozen=True)
class Turn:
    """What an agent is asked."""

    task: str
    seed: int
    messages: Messages
    info: Mapping[str, Any]
    past: Sequence[tuple[str, Mapping[str, Any]]] = ()
    """(prompt, info) of the turns before, for agents that keep something in mind."""


@dataclass(frozen=True)
class Reply:
    """What it answers, and what that took."""

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = field(default=0.0)


class Agent(Protocol):
    """Anything that answers turns, many at once."""

    async def act(self, turn: Turn) -> Reply:
        """Return the reply to a turn; raise if there is none to be had."""
        ...


def make_agent(spec: str, *, temperature: float = 0.6, max_new_tokens: int = 2048) -> Agent:
    """Return the agent of a name; see the table above.

    Raises
    ------
    ConfigError
        There is no agent of this name.
    """
    kind, _, name = spec.partition(":")
    if not name:
        raise ConfigError(f"{spec!r} names no policy; `--help` lists the kinds there are.")
    if kind == "scripted":
        return _scripted(name)
    if kind == "run":
        return _Checkpoint(_trained_model(Path(name)), temperature, max_new_tokens, gpu=None)
    if kind in ("hf", "vllm"):
        return _Checkpoint(name, temperature, max_new_tokens, gpu=kind == "vllm")
    if kind == "openai":
        from benchmarks.endpoint import EndpointAgent

        return EndpointAgent(name, temperature, max_new_tokens)
    return _Function(_imported(kind, name))


# -- scripted


class _Scripted:
    """A policy that keeps something in mind, told of the past anew each time."""

    def __init__(self, make: Callable[[], Policy]):
        self._make = make

    async def act(self, turn: Turn) -> Reply:
        policy = self._make()
        policy.start(turn.task, seed=turn.seed)
        for observation, info in turn.past:
            policy.act(observation, info)
        return Reply(policy.act(turn.messages[-1]["content"], turn.info))


class _Proposer:
    """Proposes ideas that fit the script in the prompt; needs no memory, so it suits a tree."""

    async def act(self, turn: Turn) -> Reply:
        found = _SCRIPT.search(turn.messages[-1]["content"])
        script = found.group(1) if found else ""
        rng = random.Random(f"{turn.task}/{turn.seed}/{len(turn.past)}")
        fitting = [
            idea
            for idea in load_ideas(load_task(turn.task))
            if all(script.count(edit.search) == 1 for edit in idea.edits)
        ]
        if not fitting:
            return Reply(render("Final Answer", {"final_answer": "No idea is left."}))
        idea = rng.choice(fitting)
        edits = [asdict(edit) for edit in idea.edits]
        action_input = {"script_name": idea.script, "edits": edits}
        return Reply(render("Edit Script", action_input, thought=idea.idea))


def _scripted(name: str) -> Agent:
    policies: dict[str, Callable[[], Policy]] = {
        "no-op": NoOp,
        "random": RandomAction,
        "expert": IdeaBankExpert,
        "greedy": lambda: IdeaBankExpert((100, 100)),
    }
    if name == "propose":
        return _Proposer()
    if name not in policies:
        raise ConfigError(
            f"There is no scripted policy {name!r}; known: {', '.join(policies)}, propose."
        )
    return _Scripted(policies[name])


# -- checkpoints


class _Checkpoint:
    """A model that is here, generated from in batches; loaded on its first turn."""

    def __init__(self, model: str, temperature: float, max_new_tokens: int, *, gpu: bool | None):
        self._model = model
        self._gpu = gpu
        self._temperature = temperature
        self._max_new_tokens = max_new_tokens
        self._loading = asyncio.Lock()
        self._engine: Any = None
        self._tokenizer: Any = None
        self._vllm: Any = None

    async def act(self, turn: Turn) -> Reply:
        from mlagent_train.chat import prompt_text, reply_text

        await self._load()
        text = prompt_text(self._tokenizer, turn.messages)
        tokens = self._tokenizer(text=text, add_special_tokens=False)["input_ids"]
        params = self._vllm.SamplingParams(
            temperature=self._temperature,
            max_tokens=self._max_new_tokens,
            min_tokens=1,
            skip_special_tokens=False,
        )
        prompt = self._vllm.TokensPrompt(prompt_token_ids=tokens)
        stream = self._engine.generate(prompt, params, request_id=uuid.uuid4().hex)
        *_, finished = [output async for output in stream]
        new = finished.outputs[0].token_ids
        return Reply(reply_text(self._tokenizer, new), len(tokens), len(new))

    async def _load(self) -> None:
        async with self._loading:
            if self._engine is None:
                await asyncio.to_thread(self._make_engine)

    def _make_engine(self) -> None:
        from transformers import AutoTokenizer

        if self._on_gpu():
            self._vllm = importlib.import_module("vllm")
        else:
            self._vllm = importlib.import_module("mlagent_train.cuda_free.engine")
        args = self._vllm.AsyncEngineArgs(model=self._model, dtype="bfloat16", seed=0)
        self._tokenizer = AutoTokenizer.from_pretrained(self._model)
        self._engine = self._vllm.AsyncLLMEngine.from_engine_args(args)

    def _on_gpu(self) -> bool:
        if self._gpu is not None:
            return self._gpu
        import torch

        return torch.cuda.is_available()


def _trained_model(folder: Path) -> str:
    for name in ("model", "sft/model"):
        if (folder / name).is_dir():
            return str(folder / name)
    raise ConfigError(f"{folder} holds no policy; is it a run folder of mlagent_train?")


# -- functions


class _Function:
    """A user's own function."""

    def __init__(self, function: Callable[[Messages], str | Awaitable[str]]):
        self._function = function

    async def act(self, turn: Turn) -> Reply:
        if inspect.iscoroutinefunction(self._function):
            return Reply(await self._function(turn.messages))
        text = await asyncio.to_thread(self._function, turn.messages)
        assert isinstance(text, str), "a policy returns text"
        return Reply(text)


def _imported(module: str, name: str) -> Callable[[Messages], str | Awaitable[str]]:
    try:
        function: Callable[[Messages], str | Awaitable[str]] = getattr(
            importlib.import_module(module), name
        )
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"There is no policy {module}:{name} ({error}). Known kinds: scripted, openai, hf, "
            "vllm, run, or module:function of one's own."
        ) from error
    return function
