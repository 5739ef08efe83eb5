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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.instant_env import ENV_ID, InstantState
from benchmarks.ppo_runs import prompt_row
from mlagent_train.envs.settings import POOL_NAME

HERE = Path(__file__).parent
OURS = HERE.parent / "mlagent_train" / "rlhf" / "agent.py"
CONTEXT = 512
SLOW_SHARE = 4
"""One sample in so many has slow steps."""


@dataclass(frozen=True)
class Batch:
    """What a batch of samples took."""

    seconds: float
    replies: list[list[int]]
    fast_replied_s: float
    """Until the last reply of the samples whose steps take no time."""


def overhead(order: Mapping[str, Any], engines: tuple[Any, Any], tools: Any) -> dict[str, Any]:
    """Measure OpenRLHF's own agent and the project's in turn, on the same prompts and replies.

    Processor seconds are compared, of all processes that have a part in it, because other
    work on the machine hardly changes them; wall-clock beside. Replies are greedy, so that
    both write the same tokens.

    Raises
    ------
    RuntimeError
        They did not.
    """
    import ray

    pool = ray.get_actor(POOL_NAME)
    workers = [worker.pid for worker in ray.get(pool.workers.remote())]
    processes = {
        "bare": [pid_of(engines[0])],
        "engine": [pid_of(engines[1])],
        "pool": [pid_of(pool)],
        "workers": workers,
    }
    samples, pairs = order["samples"], order["pairs"]
    rows = [_row(tools, number, 0.0, 1) for number in range(samples)]
    replies = [_batch(engine, rows, tools, order["new_tokens"]).replies for engine in engines]
    if replies[0] != replies[1]:
        raise RuntimeError("The two agents had different replies; what they cost is no matter.")
    cpu: dict[str, list[float]] = {name: [] for name in processes}
    wall: list[list[float]] = [[], []]
    for pair in range(pairs):
        for which in ((0, 1), (1, 0))[pair % 2]:
            names = ["bare"] if which == 0 else ["engine", "pool", "workers"]
            before = {name: cpu_s(processes[name]) for name in names}
            batch = _batch(engines[which], rows, tools, order["new_tokens"])
            wall[which].append(batch.seconds)
            for name in names:
                cpu[name].append(1000 * (cpu_s(processes[name]) - before[name]) / samples)
    ours = [sum(times) for times in zip(cpu["engine"], cpu["pool"], cpu["workers"], strict=True)]
    ratios = [all_of_it / bare for all_of_it, bare in zip(ours, cpu["bare"], strict=True)]
    tokens = sum(len(reply) for reply in replies[0]) / samples
    return {
        "pairs": pairs,
        "samples": samples,
        "slots": len(workers),
        "tokens_per_sample": tokens,
        "overhead": sum(ours) / sum(cpu["bare"]) - 1,
        "overhead_quartiles": [q - 1 for q in statistics.quantiles(ratios, n=4)[::2]],
        "batch_s": {"bare": statistics.fmean(wall[0]), "ours": statistics.fmean(wall[1])},
        "overhead_wall": statistics.median(wall[1]) / statistics.median(wall[0]) - 1,
        "cpu_ms_per_sample": {name: statistics.fmean(times) for name, times in cpu.items()},
        "bare_cpu_ms_per_token": statistics.fmean(cpu["bare"]) / tokens,
        "added_cpu_ms_per_sample": statistics.fmean(ours) - statistics.fmean(cpu["bare"]),
        "idle_cpu_share": _idle_share(processes["pool"] + workers),
    }


def pid_of(actor: Any) -> int:
    """Return the number of an actor's process."""
    import ray

    pid: int = ray.get(actor.__ray_call__.remote(lambda _: os.getpid()))
    return pid


def cpu_s(pids: Sequence[int]) -> float:
    """Return the processor seconds that processes have used so far."""
    import psutil

    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(one.user + one.system for one in times)


def _idle_share(pids: Sequence[int], seconds: float = 10.0) -> float:
    """Return the share of one core that processes use which have nothing to do."""
    before = cpu_s(pids)
    time.sleep(seconds)
    return (cpu_s(pids) - before) / seconds


def slow_steps(seconds: float, order: Mapping[str, Any], engine: Any, tools: Any) -> dict[str, Any]:
    """Measure generation for the other samples while a quarter of them wait for slow steps."""
    turns = order["turns"]
    rows = [
        _row(tools, number, 0.0, turns)
        if number % SLOW_SHARE
        else _row(tools, number, seconds, turns if seconds < 10 else 1)
        for number in range(order["samples"])
    ]
    repeats = 1 if seconds > 10 else order["repeats"]
    batches = [_batch(engine, rows, tools) for _ in range(repeats)]
    return {
        "step_s": seconds,
        "slow_samples": sum(number % SLOW_SHARE == 0 for number in range(order["samples"])),
        "batch_s": statistics.median(batch.seconds for batch in batches),
        "fast_replied_s": statistics.median(batch.fast_replied_s for batch in batches),
    }


def _row(tools: Any, number: int, seconds: float, steps: int) -> dict[str, Any]:
    state = InstantState(number, seconds, steps)
    text = f"Task {number}: improve the score. Next?"
    return prompt_row(tools["tokenizer"], number, ENV_ID, json.loads(state.to_json()), text)


def _batch(
    engine: Any, rows: Sequence[dict[str, Any]], tools: Any, new_tokens: int | None = None
) -> Batch:
    """Run a batch; with `new_tokens`, samples are no longer than their prompt and as many."""
    import ray

    tokenizer = tools["tokenizer"]
    lengths = [
        len(tokenizer(row["input"])["input_ids"]) + new_tokens if new_tokens else CONTEXT
        for row in rows
    ]
    wall, started = time.time(), time.perf_counter()
    samples = ray.get(
        [
            engine.generate_responses.remote(
                row["input"], row["label"], tools["params"], length, tokenizer
            )
            for row, length in zip(rows, lengths, strict=True)
        ]
    )
    seconds = time.perf_counter() - started
    flat = [sample for group in samples for sample in group]
    fast = [
        sample["extra_logs"].get("replied_at", 0.0) - wall
        for sample, row in zip(flat, rows, strict=True)
        if not json.loads(row["label"])["state"]["seconds"]
    ]
    replies = [
        [
            token
            for start, end in sample["action_ranges"]
            for token in sample["observation_tokens"][start:end]
        ]
        for sample in flat
    ]
    return Batch(seconds, replies, max(fast))


def _main(path: Path) -> None:
    import vllm
    from openrlhf.trainer.ray.vllm_engine import create_vllm_engines
    from transformers import AutoTokenizer

    order = json.loads(path.read_text())
    load: Any = AutoTokenizer.from_pretrained
    tools = {
        "tokenizer": load(order["model"]),
        "params": vllm.SamplingParams(
            temperature=0.0, top_p=1.0, max_tokens=order["new_tokens"], min_tokens=1
        ),
    }

    def engine(agent: str) -> Any:
        (made,) = create_vllm_engines(
            num_engines=1,
            tensor_parallel_size=1,
            pretrain=order["model"],
            seed=0,
            full_determinism=False,
            enable_prefix_caching=False,
            enforce_eager=True,
            max_model_len=CONTEXT,
            agent_func_path=agent,
        )
        return made

    ours = engine(str(OURS if "pairs" in order else HERE / "timed_agent.py"))
    result: Any
    if "pairs" in order:
        result = overhead(order, (engine(str(HERE / "bare_agent.py")), ours), tools)
    else:
        slow_steps(0.0, order, ours, tools)  # warms up
        result = [slow_steps(seconds, order, ours, tools) for seconds in order["step_s"]]
    Path(order["result"]).write_text(json.dumps(result))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
