"""Batches of samples on OpenRLHF's rollout engines, run inside a job: see `benchmarks.training`.

``python -m mlagent_train.jobs.launch`` starts Ray and the pool of environment workers and
then this module, with a file that says what to measure and where to write the result.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.instant_env import ENV_ID, InstantState
from benchmarks.ppo_runs import prompt_row
from mlagent_train.envs.settings import NAMESPACE, POOL_NAME

HERE = Path(__file__).parent
CONTEXT = 512
SLOW_SHARE = 4
"""One sample in so many has slow steps."""


@dataclass(frozen=True)
class Batch:
    """What a batch of samples took."""

    seconds: float
    tokens: int
    fast_replied_s: float
    """Until the last reply of the samples whose steps take no time."""


def overhead(pairs: int, samples: int, engines: tuple[Any, Any], tools: Any) -> dict[str, Any]:
    """Measure bare OpenRLHF and the project's agent in turn, on the same prompts.

    Processor seconds are compared, of all processes that have a part in it and for each
    token, because other work on the machine does not change them; wall-clock beside.
    """
    import ray

    pool = ray.get_actor(POOL_NAME, namespace=NAMESPACE)
    helpers = [_pid(pool), *(worker.pid for worker in ray.get(pool.workers.remote()))]
    processes = [[_pid(engines[0])], [_pid(engines[1]), *helpers]]
    rows = [_row(tools, number, 0.0, 1) for number in range(samples)]
    for engine in engines:
        _batch(engine, rows, tools)
    cpu: list[list[float]] = [[], []]
    wall: list[list[float]] = [[], []]
    for pair in range(pairs):
        for which in ((0, 1), (1, 0))[pair % 2]:
            before = _cpu_s(processes[which])
            batch = _batch(engines[which], rows, tools)
            cpu[which].append((_cpu_s(processes[which]) - before) / batch.tokens)
            wall[which].append(batch.seconds / batch.tokens)
    ratios = [other / one for one, other in zip(*cpu, strict=True)]
    bare, ours = (statistics.median(times) for times in wall)
    return {
        "pairs": pairs,
        "samples": samples,
        "overhead": statistics.median(ratios) - 1,
        "overhead_quartiles": [q - 1 for q in statistics.quantiles(ratios, n=4)[::2]],
        "overhead_wall": ours / bare - 1,
        "bare_cpu_ms_per_token": 1000 * statistics.median(cpu[0]),
        "ours_cpu_ms_per_token": 1000 * statistics.median(cpu[1]),
        "bare_tokens_per_s": 1 / bare,
        "ours_tokens_per_s": 1 / ours,
    }


def _pid(actor: Any) -> int:
    import ray

    pid: int = ray.get(actor.__ray_call__.remote(lambda _: os.getpid()))
    return pid


def _cpu_s(pids: Sequence[int]) -> float:
    import psutil

    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(one.user + one.system for one in times)


def slow_steps(
    seconds: float, turns: int, repeats: int, samples: int, engine: Any, tools: Any
) -> dict[str, Any]:
    """Measure generation for the other samples while a quarter of them wait for slow steps."""
    rows = [
        _row(tools, number, 0.0, turns)
        if number % SLOW_SHARE
        else _row(tools, number, seconds, turns if seconds < 10 else 1)
        for number in range(samples)
    ]
    batches = [_batch(engine, rows, tools) for _ in range(repeats)]
    return {
        "step_s": seconds,
        "batch_s": statistics.median(batch.seconds for batch in batches),
        "fast_replied_s": statistics.median(batch.fast_replied_s for batch in batches),
    }


def _row(tools: Any, number: int, seconds: float, steps: int) -> dict[str, Any]:
    state = InstantState(number, seconds, steps)
    text = f"Task {number}: improve the score. Next?"
    return prompt_row(tools["tokenizer"], number, ENV_ID, json.loads(state.to_json()), text)


def _batch(engine: Any, rows: Sequence[dict[str, Any]], tools: Any) -> Batch:
    import ray

    wall, started = time.time(), time.perf_counter()
    samples = ray.get(
        [
            engine.generate_responses.remote(
                row["input"], row["label"], tools["params"], CONTEXT, tools["tokenizer"]
            )
            for row in rows
        ]
    )
    seconds = time.perf_counter() - started
    flat = [sample for group in samples for sample in group]
    fast = [
        sample["extra_logs"].get("replied_at", 0.0) - wall
        for sample, row in zip(flat, rows, strict=True)
        if not json.loads(row["label"])["state"]["seconds"]
    ]
    tokens = sum(end - start for sample in flat for start, end in sample["action_ranges"])
    return Batch(seconds, tokens, max(fast))


def _main(path: Path) -> None:
    import vllm
    from openrlhf.trainer.ray.vllm_engine import create_vllm_engines
    from transformers import AutoTokenizer

    order = json.loads(path.read_text())
    load: Any = AutoTokenizer.from_pretrained
    tools = {
        "tokenizer": load(order["model"]),
        "params": vllm.SamplingParams(
            temperature=1.0, top_p=1.0, max_tokens=order["new_tokens"], min_tokens=1
        ),
    }

    def engine(**which: Any) -> Any:
        (made,) = create_vllm_engines(
            num_engines=1,
            tensor_parallel_size=1,
            pretrain=order["model"],
            seed=0,
            full_determinism=False,
            enable_prefix_caching=False,
            enforce_eager=True,
            max_model_len=CONTEXT,
            **which,
        )
        return made

    bare = engine(remote_rm_url=[str(HERE / "bare_reward.py")])
    ours = engine(agent_func_path=str(HERE / "timed_agent.py"))
    samples = order["samples"]
    slow_steps(0.0, 1, 1, samples, ours, tools)  # warms up
    slow = [
        slow_steps(seconds, 3, 1 if seconds > 10 else order["repeats"], samples, ours, tools)
        for seconds in order["step_s"]
    ]
    result = {
        "overhead": overhead(order["pairs"], samples, (bare, ours), tools),
        "slow_steps": slow,
    }
    Path(order["result"]).write_text(json.dumps(result))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
