"""mlagent_train.agents.checkpoint: which engine a model that is here is loaded into, and how."""

import asyncio
import os
import sys

import pytest

from mlagent_train.agents import Sampling, Turn, make_agent

TURN = Turn("house-price", 3, [{"role": "user", "content": "Improve."}], {})


def act(agent, asked):
    return asyncio.run(agent.act(asked))


def test_a_job_without_cuda_uses_no_gpu_that_the_machine_has(tiny_model, monkeypatch):
    from mlagent_train.agents import checkpoint

    monkeypatch.setattr(checkpoint, "gpu_count", lambda: 1)
    monkeypatch.setitem(sys.modules, "vllm", None)  # it cannot be imported
    monkeypatch.setenv("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    agent = make_agent(f"hf:{tiny_model}", Sampling(max_new_tokens=3))
    monkeypatch.setenv("MLAGENT_ROLLOUT_ENGINE", "transformers")
    assert act(agent, TURN).completion_tokens > 0
    monkeypatch.delenv("MLAGENT_ROLLOUT_ENGINE")
    with pytest.raises(ImportError):  # without a job the GPU decides
        act(make_agent(f"hf:{tiny_model}"), TURN)


@pytest.fixture
def vllm(monkeypatch):
    """Have something in vLLM's place; return what it is started with, and how."""
    from mlagent_train.cuda_free import engine

    started = []

    class AsyncEngineArgs(engine.AsyncEngineArgs):
        def __init__(self, **arguments):
            super().__init__(**arguments)
            start = os.environ.get("VLLM_WORKER_MULTIPROC_METHOD")
            started.append((start, arguments["tensor_parallel_size"]))

    monkeypatch.setattr(engine, "AsyncEngineArgs", AsyncEngineArgs)
    monkeypatch.setitem(sys.modules, "vllm", engine)
    monkeypatch.setitem(sys.modules, "vllm.inputs", engine)
    for name in ("MLAGENT_ROLLOUT_ENGINE", "VLLM_WORKER_MULTIPROC_METHOD"):
        monkeypatch.setenv(name, "")  # so that it is as it was afterwards
        monkeypatch.delenv(name)
    return started


def test_vllm_gets_its_gpus_and_a_process_that_is_not_forked(tiny_model, vllm, monkeypatch):
    sampling = Sampling(max_new_tokens=2, tensor_parallel=2)
    assert act(make_agent(f"vllm:{tiny_model}", sampling), TURN).completion_tokens > 0
    monkeypatch.setenv("VLLM_WORKER_MULTIPROC_METHOD", "fork")  # one's own choice
    act(make_agent(f"vllm:{tiny_model}", sampling), TURN)
    assert vllm == [("spawn", 2), ("fork", 2)]


def test_without_cuda_processes_are_started_as_before(tiny_model, vllm, monkeypatch):
    monkeypatch.setenv("MLAGENT_ROLLOUT_ENGINE", "vllm")
    act(make_agent(f"hf:{tiny_model}", Sampling(max_new_tokens=2)), TURN)
    assert vllm == [(None, 1)]
