"""What the project's agent costs a sample: ``python -m benchmarks.agent_cost``.

The agents run on an engine that answers at once, so that nothing else is measured: OpenRLHF's
own kind and the project's, in turn, on the same prompts and replies, with an instant
environment. What it adds is compared with what a reply costs of two models, each of which
the rollout engine for CPUs runs by itself; with agent and engine together it is measured by
`benchmarks.training`. All of it is processor time.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.ppo_runs import importable, make_tiny_model, prompt_rows

SLOTS, SAMPLES, AT_ONCE, REPLY_TOKENS = 8, 320, 32, 64
LARGER = {"hidden_size": 512, "layers": 10, "heads": 8, "kv_heads": 8, "intermediate_size": 1536}
"""What the larger model has instead of the tiny one's."""


class AgentActor:
    """A rollout engine's process with an agent, and a reply instead of an engine."""

    def __init__(self, model: str, kind: str):
        from mlagent_train.cuda_free import shim

        shim.install()
        from transformers import AutoTokenizer

        load: Any = AutoTokenizer.from_pretrained
        self._tokenizer = load(model)
        if kind == "bare":
            from benchmarks.bare_agent import AgentExecutor
        else:
            from mlagent_train.rlhf.agent import AgentExecutor
        self._agent = AgentExecutor()
        self._ids = [10 + 7 * i % 240 for i in range(REPLY_TOKENS)]
        self._text = self._tokenizer.decode(self._ids)

    async def generate(self, *_: Any, **__: Any) -> Any:
        """Return the reply, in the form of vLLM's."""
        await asyncio.sleep(0)
        reply = types.SimpleNamespace(
            token_ids=list(self._ids), text=self._text, finish_reason="length", logprobs=None
        )
        return types.SimpleNamespace(outputs=[reply])

    async def run(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run a sample for each row, so many at a time as a batch has."""
        from mlagent_train.cuda_free.engine import SamplingParams

        left = iter(rows)

        async def some() -> None:
            for row in left:
                prompt = len(self._tokenizer(row["input"])["input_ids"])
                await self._agent.execute(
                    prompt=row["input"],
                    label=row["label"],
                    sampling_params=SamplingParams(max_tokens=REPLY_TOKENS, min_tokens=1),
                    max_length=prompt + REPLY_TOKENS,
                    hf_tokenizer=self._tokenizer,
                    llm_engine=self,
                )

        await asyncio.gather(*(some() for _ in range(AT_ONCE)))

    async def pid(self) -> int:
        """Return the number of this process."""
        return os.getpid()


def agents(model: Path, rounds: int) -> dict[str, float]:
    """Return processor milliseconds of a sample: bare, engine, pool, workers; medians of rounds."""
    import ray

    from benchmarks.rollouts import cpu_s, pid_of
    from mlagent_train.envs.pool import start_pool
    from mlagent_train.envs.settings import AgentSettings, PoolSettings
    from mlagent_train.jobs.job import RaySettings
    from mlagent_train.jobs.launch import start_ray

    with importable():
        env = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        env |= {"PYTHONPATH": os.environ["PYTHONPATH"]}
        start_ray(RaySettings(cpus=SLOTS, env_slots=SLOTS), env)
        settings = AgentSettings(1, REPLY_TOKENS, 0.0, SAMPLES)
        pool = start_pool(PoolSettings(SLOTS, cpus_per_slot=0.1, cache=False, agent=settings))
        actor: Any = ray.remote(num_cpus=1, max_concurrency=100)(AgentActor)
        bare, ours = (actor.remote(str(model), kind) for kind in ("bare", "ours"))
        processes = {
            "bare": [ray.get(bare.pid.remote())],
            "engine": [ray.get(ours.pid.remote())],
            "pool": [pid_of(pool)],
            "workers": [worker.pid for worker in ray.get(pool.workers.remote())],
        }
        rows = prompt_rows(model, SAMPLES)
        for agent in (bare, ours):
            ray.get(agent.run.remote(rows[:AT_ONCE]))
        taken: dict[str, list[float]] = {name: [] for name in processes}
        for _ in range(rounds):
            for agent, names in ((bare, ["bare"]), (ours, ["engine", "pool", "workers"])):
                before = {name: cpu_s(processes[name]) for name in names}
                ray.get(agent.run.remote(rows))
                for name in names:
                    taken[name].append(1000 * (cpu_s(processes[name]) - before[name]) / SAMPLES)
        ray.shutdown()
    return {name: statistics.median(times) for name, times in taken.items()}


def engine(model: Path, rounds: int) -> dict[str, float]:
    """Return parameters of a model, and processor milliseconds of a reply in a full batch."""
    import torch

    from mlagent_train.cuda_free.engine import (
        AsyncEngineArgs,
        AsyncLLMEngine,
        SamplingParams,
        TokensPrompt,
    )

    torch.set_num_threads(1)
    made = AsyncLLMEngine.from_engine_args(AsyncEngineArgs(model=str(model)))
    params = SamplingParams(temperature=0.0, max_tokens=REPLY_TOKENS, min_tokens=REPLY_TOKENS)

    async def one(number: int) -> None:
        prompt = TokensPrompt(prompt_token_ids=[5 + number] * 60)
        async for _ in made.generate(prompt, params, str(number)):
            pass

    async def batch() -> None:
        await asyncio.gather(*map(one, range(AT_ONCE)))

    taken = []
    for _ in range(rounds):
        before = time.process_time()
        asyncio.run(batch())
        taken.append(1000 * (time.process_time() - before) / AT_ONCE)
    count = sum(weight.numel() for weight in made.model.parameters())
    return {"parameters": count, "ms": statistics.median(taken)}


def main(
    rounds: Annotated[int, typer.Option(help="Rounds; medians of them are printed.")] = 3,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Where to write the figures as JSON.")
    ] = None,
) -> None:
    """Measure and print milliseconds of processor time."""
    with tempfile.TemporaryDirectory(prefix="agent-cost-") as top:
        models = {}
        for name, larger in {"tiny": {}, "larger": LARGER}.items():
            (Path(top) / name).mkdir()
            models[name] = make_tiny_model(Path(top) / name, **larger)
        cost = agents(models["tiny"], rounds)
        added = cost["engine"] + cost["pool"] + cost["workers"] - cost["bare"]
        print(
            f"a sample, OpenRLHF's own kind of agent: {cost['bare']:.2f} ms\n"
            f"a sample, the project's: {cost['engine']:.2f} ms in the engine's process, "
            f"{cost['pool']:.2f} ms in the pool, {cost['workers']:.2f} ms in the workers\n"
            f"it adds: {added:.2f} ms; 5 % of a reply that takes {added / 0.05:.0f} ms",
            flush=True,
        )
        replies = {name: engine(model, rounds) for name, model in models.items()}
        for reply in replies.values():
            print(
                f"a reply of {REPLY_TOKENS} tokens from {reply['parameters'] / 1e6:.1f} million "
                f"parameters: {reply['ms']:.1f} ms; the agent adds {added / reply['ms']:.1%}"
            )
        if json_path is not None:
            figures = {"agents": cost, "added": added, "replies": replies, "load": os.getloadavg()}
            json_path.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
