"""What training costs at scale, on paper: ``python -m benchmarks.scaling``.

A model of a few formulae over constants. Those in ``scaling.json`` were measured here, with
``--measure``; those in `Assumed` were not. `docs/scaling.md` shows the tables this prints.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

HERE = Path(__file__).parent
MEASURED = HERE / "scaling.json"
STEPS = (10_000, 100_000, 1_000_000)
GPUS = (8, 64, 512)
POOL_STEPS = 300
REPEATS = 3
"""The least is kept: other work on the machine only adds to it."""

_TASK_CONSTANTS = {
    "env_s": "a step",
    "cpu_s": "of a processor",
    "state_bytes": "state",
    "blob_bytes": "new in the store",
    "record_bytes": "record",
}


@dataclass(frozen=True)
class Measured:
    """Constants of one machine, medians over tasks unless said otherwise."""

    env_s: float
    """Seconds of a step that edits and runs a script, on synthetic data."""
    cpu_s: float
    """Processor seconds of it, the script's and the worker's."""
    state_bytes: float
    """A state as JSON."""
    blob_bytes: float
    """What a step adds to the store."""
    record_bytes: float
    """A step's line in ``rollouts.jsonl``, its reply included."""
    pool_steps_per_s: float
    """Most steps the pool hands out and takes back, on one core of this machine."""
    worker_mb: float
    """Memory of an idle environment worker."""


@dataclass(frozen=True)
class Assumed:
    """What was not measured: a 7B policy on H100-class GPUs."""

    parameters: float = 7.6e9
    prompt_tokens: float = 4000
    reply_tokens: float = 600
    flops: float = 989e12
    """Dense bf16 of an H100 SXM, by its data sheet."""
    prefill_share: float = 0.4
    """Of these that prefill reaches."""
    train_share: float = 0.35
    decode_tokens_per_s: float = 3000
    """Of a vLLM engine on one GPU, over all its requests."""
    cores_per_gpu: float = 14
    """112 cores and 8 GPUs in a DGX H100."""
    real_env_s: float = 120
    """A step on real data; it keeps a core busy all the time."""
    ray_actors: float = 40_000
    """In one cluster, by Ray's own scalability tests."""

    @property
    def generate_s(self) -> float:
        """GPU seconds to generate a step's reply."""
        prefill = 2 * self.parameters * self.prompt_tokens / (self.flops * self.prefill_share)
        return prefill + self.reply_tokens / self.decode_tokens_per_s

    @property
    def train_s(self) -> float:
        """GPU seconds to learn from it.

        Actor and critic are trained (6 FLOP a parameter and token) and asked (2), the
        reference is asked.
        """
        flop = (2 * 6 + 3 * 2) * self.parameters * (self.prompt_tokens + self.reply_tokens)
        return flop / (self.flops * self.train_share)


def costs(measured: Measured, assumed: Assumed) -> Iterator[list[str]]:
    """Yield what a number of training steps costs, a row each."""
    yield ["steps", "GPU-hours", "core-hours", "slot-hours", "record", "pool of as many states"]
    for steps in STEPS:
        state = measured.state_bytes + measured.blob_bytes
        yield [
            f"{steps:,}",
            _number(steps * (assumed.generate_s + assumed.train_s) / 3600),
            _number(steps * measured.cpu_s / 3600),
            _number(steps * measured.env_s / 3600),
            _size(steps * measured.record_bytes),
            _size(steps * state),
        ]


def rates(measured: Measured, assumed: Assumed) -> Iterator[list[str]]:
    """Yield what keeps a number of GPUs busy, and what of it gives out first, a row each."""
    yield [
        "GPUs",
        "steps a second",
        "a step takes",
        "slots",
        "workers' memory",
        "share of the GPU nodes' cores",
        "of the pool's steps a second",
        "of Ray's actors",
        "gives out first",
    ]
    for gpus in GPUS:
        rate = steps_per_s(gpus, assumed)
        for step_s, cores in ((measured.env_s, measured.cpu_s), (assumed.real_env_s,) * 2):
            slots = rate * step_s
            loads = {
                "cores": rate * cores / (gpus * assumed.cores_per_gpu),
                "the pool": rate / measured.pool_steps_per_s,
                "Ray's actors": slots / assumed.ray_actors,
            }
            first = max(loads, key=lambda name: loads[name])
            yield [
                str(gpus),
                f"{rate:.1f}",
                f"{step_s:.1f} s" if step_s < 10 else f"{step_s:.0f} s",
                _number(slots),
                _size(slots * measured.worker_mb * 2**20),
                *(f"{load:.1%}" if load < 0.1 else f"{load:.0%}" for load in loads.values()),
                first if loads[first] > 1 else f"the GPUs, then {first}",
            ]


def steps_per_s(gpus: int, assumed: Assumed) -> float:
    """Return the most steps a second, with GPUs that neither wait nor are in each other's way."""
    return gpus / (assumed.generate_s + assumed.train_s)


def constants(found: dict[str, Any]) -> Iterator[list[str]]:
    """Yield what was measured, a row for each task and one of their medians."""
    yield [f"load {found['load']:g} on {found['cores']} cores", *_TASK_CONSTANTS.values()]
    named = {**found["tasks"], "median": found["constants"]}
    for task, row in named.items():
        times = [f"{row[name]:.2f} s" for name in ("env_s", "cpu_s")]
        sizes = [f"{row[name]:,.0f} B" for name in list(_TASK_CONSTANTS)[2:]]
        yield [task, *times, *sizes]


def markdown(measured: Measured, assumed: Assumed, found: dict[str, Any]) -> str:
    """Return all tables as Markdown."""
    return "\n\n".join(
        "\n".join(
            [
                "| " + " | ".join(head) + " |",
                "|" + "---|" * len(head),
                *("| " + " | ".join(row) + " |" for row in rows),
            ]
        )
        for head, *rows in (
            list(costs(measured, assumed)),
            list(rates(measured, assumed)),
            list(constants(found)),
        )
    )


def load() -> Measured:
    """Return the constants that were measured."""
    return Measured(**_found()["constants"])


def _found() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return found


def measure(tasks: list[str]) -> dict[str, Any]:
    """Measure the constants: a scripted step of each task, and an empty pool."""
    with tempfile.TemporaryDirectory(prefix="scaling-") as top:
        # In a temp folder of our own, nobody else's scripts share our interpreter and slots.
        os.environ.pop("XDG_RUNTIME_DIR", None)
        tempfile.tempdir = top
        rows = [_measure_task(task, Path(top) / task) for task in tasks]
        tempfile.tempdir = None
    pool = _measure_pool()
    medians = {
        name: statistics.median(row[name] for row in rows)
        for name in ("env_s", "cpu_s", "state_bytes", "blob_bytes", "record_bytes")
    }
    return {
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "constants": {**medians, **pool},
        "tasks": {row["task"]: row for row in rows},
    }


def _measure_task(task: str, folder: Path) -> dict[str, Any]:
    import psutil

    from mlagent_gym import load_ideas, load_task, render
    from mlagent_train.envs.record import StepRecord
    from mlagent_train.envs.stepping import StepOutcome, Stepper, StepRequest, step_key

    idea = load_ideas(load_task(task))[0]
    edits = [asdict(edit) for edit in idea.edits]
    reply = render("Edit Script", {"script_name": idea.script, "edits": edits}, thought=idea.idea)
    env_id = f"MLAgent/{task}-v0"
    stepper = Stepper({"store": str(folder / "store"), "step_wise": True})
    start = stepper.run(StepRequest(env_id, None, keep_state=True))
    before = _bytes_below(folder / "store")
    request = StepRequest(env_id, reply, start.state, keep_state=True)
    stepper.run(request)  # starts what later steps find running
    times, result = [], None
    for _ in range(REPEATS):
        busy, started = psutil.Process().cpu_times(), time.perf_counter()
        result = stepper.run(request)
        seconds, now = time.perf_counter() - started, psutil.Process().cpu_times()
        own = now.user + now.system - busy.user - busy.system
        times.append((seconds, own + float(result.info["cpu_s"] or 0.0)))
    assert result is not None
    env_s, cpu_s = (min(column) for column in zip(*times, strict=True))
    record = StepRecord(str(folder / "record.jsonl"))
    tags = {"purpose": "train", "task": task, "row": 0, "turn": 0, "update": 1}
    record.append(step_key(request), request, StepOutcome(result, env_s=env_s), tags)
    stepper.close()
    return {
        "task": task,
        "outcome": result.info["outcome"],
        "env_s": round(env_s, 2),
        "cpu_s": round(cpu_s, 2),
        "state_bytes": len(json.dumps(result.state)),
        "blob_bytes": _bytes_below(folder / "store") - before,
        "record_bytes": (folder / "record.jsonl").stat().st_size,
    }


def _measure_pool() -> dict[str, float]:
    import psutil
    import ray

    from benchmarks.instant_env import ENV_ID
    from benchmarks.ppo_runs import importable
    from mlagent_train.envs.links import Caller
    from mlagent_train.envs.pool import start_pool
    from mlagent_train.envs.settings import PoolSettings
    from mlagent_train.envs.stepping import StepRequest
    from mlagent_train.jobs.job import RaySettings
    from mlagent_train.jobs.launch import start_ray

    slots = 4
    with importable():
        start_ray(RaySettings(cpus=slots, env_slots=slots), {})
        pool = start_pool(PoolSettings(slots=slots, cpus_per_slot=0.1, cache=False))
        address = ray.get(pool.address.remote())

        async def steps() -> None:
            caller = Caller(address)
            await asyncio.gather(
                *(caller.ask((StepRequest(ENV_ID, str(n)), {})) for n in range(POOL_STEPS))
            )

        best = 0.0
        for _ in range(4):
            started = time.perf_counter()
            asyncio.run(steps())
            best = max(best, POOL_STEPS / (time.perf_counter() - started))
        workers = ray.get(pool.workers.remote())
        rss = statistics.median(psutil.Process(one.pid).memory_info().rss for one in workers)
        ray.shutdown()
    return {"pool_steps_per_s": round(best), "worker_mb": round(rss / 2**20)}


def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _size(size: float) -> str:
    units = ["B", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.1f} {units[0]}"


def main(
    measuring: Annotated[
        bool, typer.Option("--measure", help="Measure the constants again, and keep them.")
    ] = False,
    tasks: Annotated[
        str, typer.Option(help="Tasks to measure, with commas. Default: all held-in ones.")
    ] = "",
) -> None:
    """Print the tables of docs/scaling.md."""
    if measuring:
        from mlagent_gym import load_task, task_ids

        held_in = [name for name in task_ids() if load_task(name).split == "held-in"]
        found = measure(tasks.split(",") if tasks else held_in)
        MEASURED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(markdown(load(), Assumed(), _found()))


if __name__ == "__main__":
    typer.run(main)
