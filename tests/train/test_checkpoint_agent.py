"""mlagent_train.agents.checkpoint: which engine a model that is here is loaded into, and how."""

import asyncio
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
