"""The process that runs an OpenRLHF command: ``python -m mlagent_train.jobs.launch JOB``.

It prepares this process (and every Ray worker) for the machine, starts Ray and the pool
of environment workers, and then runs the unmodified command as ``__main__``. A job of several
processes (SFT on several GPUs) is that in each of them, started by torchrun.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlagent_train.errors import MachineError, StageError
from mlagent_train.hardware import cpu_count
from mlagent_train.jobs.job import Job, RaySettings
from mlagent_train.jobs.last_words import last_words
from mlagent_train.rlhf.process import prepare

__all__ = ["die_with_parent", "run_job", "start_ray"]

_PARENT = "MLAGENT_PARENT_PID"
_PR_SET_PDEATHSIG = 1
_DEVICES = "CUDA_VISIBLE_DEVICES"
_STARTS = 3
_RANK = "rank"
"""Second argument of the processes that torchrun starts."""


def run_job(job: Job, folder: Path, name: str, watch: Callable[[], None] = lambda: None) -> None:
    """Carry out a job in a child process that does not outlive this one.

    Parameters
    ----------
    job
        What to run.
    folder
        Where ``<name>.job.json`` and ``<name>.log`` are written; the log is appended to.
    name
        What the job is called there.
    watch
        Called about every second while the child runs.

    Raises
    ------
    StageError
        The child ended with another status than 0; its last lines are in the message, none
        of an earlier attempt.
    """
    path, log = folder / f"{name}.job.json", folder / f"{name}.log"
    job.save(path)
    with log.open("ab") as output:
        written_before = output.tell()
        child = subprocess.Popen(
            [sys.executable, "-m", "mlagent_train.jobs.launch", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, _PARENT: str(os.getpid())},
        )
        try:
            while child.poll() is None:
                watch()
                try:
                    child.wait(timeout=1.0)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(timeout=20.0)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
    watch()
    if child.returncode != 0:
        with log.open("rb") as words:
            words.seek(written_before)
            lines = last_words(words.read().decode(errors="replace"))
        said = "\n".join(f"    {line}" for line in lines)
        raise StageError(
            f"{job.command} ended with status {child.returncode}. What was finished is kept: run "
            f"the same command to go on from there. It said (all of it: {log}):\n{said}"
        )


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the one that started it ends."""
    parent = os.environ.get(_PARENT)
    if parent is None:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it ended before the line above
        os._exit(1)


def start_ray(settings: RaySettings, env: Mapping[str, str], hook: str | None = None) -> None:
    """Start or join the job's Ray cluster.

    Parameters
    ----------
    settings
        Which cluster.
    env
        Environment of every worker process.
    hook
        ``module.function`` that every worker process calls first.
    """
    # Ray starts idle workers ahead of need: on a small machine they cost more than they save.
    os.environ.update(RAY_prestart_worker_first_driver="0", RAY_enable_worker_prestart="0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    runtime: dict[str, Any] = {"env_vars": dict(env)}
    if hook:
        runtime["worker_process_setup_hook"] = hook
    if settings.address:
        ray.init(address=settings.address, runtime_env=runtime)
        return
    # Ray takes "" for "no device, ever", and without CUDA its devices are only tickets
    hidden = os.environ.get(_DEVICES) == ""
    if hidden:
        del os.environ[_DEVICES]
    try:
        _start_here(settings, runtime)
    finally:
        if hidden:
            os.environ[_DEVICES] = ""


def _start_here(settings: RaySettings, runtime: Mapping[str, Any]) -> None:
    """Start Ray on this machine, again where it was too slow."""
    import ray

    from mlagent_train.envs.settings import SLOT

    for attempt in range(1, _STARTS + 1):
        try:
            ray.init(
                address="local",
                num_cpus=settings.cpus,
                num_gpus=settings.gpus,
                resources={SLOT: settings.env_slots},
                object_store_memory=settings.object_store_mb * 2**20,
                include_dashboard=False,
                runtime_env=dict(runtime),
                _temp_dir=str(Path(tempfile.gettempdir()) / f"mlagent-ray-{os.getuid()}"),
            )
            return
        except Exception as error:
            # Ray waits 30 s for its own processes, which a busy machine may not be done with.
            if attempt == _STARTS or "timed out during startup" not in str(error):
                raise
            _end_processes(error)
            print(f"Ray did not start in time (attempt {attempt} of {_STARTS})", flush=True)


def require_gpus(needed: int) -> None:
    """Check that the Ray cluster has the GPUs of a job; OpenRLHF waits for them without an end.

    Raises
    ------
    MachineError
        It has fewer.
    """
    import ray

    resources: Any = ray.cluster_resources  # its annotations are incomplete
    found = resources().get("GPU", 0.0)
    if found < needed:
        raise MachineError(
            f"This job needs {needed} GPUs and the Ray cluster has {found:g}: it would wait for "
            "the others for ever. Start Ray on more nodes with GPUs, or set hardware to fewer."
        )


def _end_processes(error: Exception) -> None:
    """End what a failed start of Ray has left running; only its traceback still knows of it."""
    from ray._private.node import Node

    for frame, _ in traceback.walk_tb(error.__traceback__):
        node = frame.f_locals.get("self")
        if isinstance(node, Node):
            end: Any = node.kill_all_processes
            end(check_alive=False, allow_graceful=False, wait=True)
            return


def worker_environment(job: Job) -> dict[str, str]:
    """Return the environment variables of the job's processes."""
    from mlagent_train.cuda_free.shim import ENGINE_VARIABLE

    project = str(Path(__file__).parents[2])
    known = os.environ.get("PYTHONPATH", "")
    env = {
        "PYTHONPATH": os.pathsep.join([project, *([known] if known else [])]),
        "PYTHONUNBUFFERED": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    if job.cuda_free:
        env |= {
            ENGINE_VARIABLE: job.engine,
            "DS_ACCELERATOR": "cpu",
            # with Ray there is one process for each role, and they share the cores
            "OMP_NUM_THREADS": "1" if job.ray else str(cpu_count()),
            "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin take the cores from each other
        }
        if job.engine == "vllm":
            env |= {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    return env


def _main(path: Path, *, rank: bool = False) -> None:
    die_with_parent()
    job = Job.load(path)
    env = worker_environment(job)
    os.environ.update(env)
    if job.cuda_free:
        os.environ[_DEVICES] = ""  # GPUs that are there all the same are not used
    if job.processes > 1 and not rank:
        _start_ranks(path, job.processes)
        return
    prepare()
    if job.ray is None:
        _single_process_group()
        _run(job)
        return
    start_ray(job.ray, env, "mlagent_train.rlhf.process.prepare")
    require_gpus(job.ray.gpus_needed)
    import ray

    from mlagent_train.envs.pool import start_pool
    from mlagent_train.envs.settings import AgentSettings, PoolSettings

    values = dict(job.pool or {})
    agent = AgentSettings(**values.pop("agent"))
    pool = start_pool(PoolSettings(**values, agent=agent))
    _run(job)
    print(f"env pool: {ray.get(pool.counts.remote())}", flush=True)
    ray.shutdown()


def _run(job: Job) -> None:
    sys.argv = [job.command, *job.argv]
    runpy.run_module(job.command, run_name="__main__", alter_sys=True)


def _start_ranks(path: Path, count: int) -> None:
    """Run the job in as many processes, each of which ends when this one does."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    os.environ[_PARENT] = str(os.getpid())
    start = ["--standalone", f"--nproc-per-node={count}", "-m", "mlagent_train.jobs.launch"]
    try:
        main([*start, str(path), _RANK])
    except ChildFailedError as failed:  # it has said why; torchrun's own report would hide that
        first, failure = failed.get_first_failure()
        sys.exit(f"rank {first} of {count} was the first to end, with status {failure.exitcode}")


def _single_process_group() -> None:
    """Describe a group of one process, unless torchrun described one already."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    group = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 1, "MASTER_PORT": port}
    for name, value in {**group, "MASTER_ADDR": "127.0.0.1"}.items():
        os.environ.setdefault(name, str(value))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), rank=sys.argv[2:] == [_RANK])
