"""Fixtures of the trainer's tests; without its packages they are not collected."""

import gc
import importlib.util
import os
import sys
import warnings
from pathlib import Path

import pytest

from ..gym.fake_endpoint import FakeEndpoint

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
_NEEDED = ("torch", "ray", "openrlhf", "deepspeed")
if any(importlib.util.find_spec(name) is None for name in _NEEDED):
    collect_ignore_glob = ["test_*.py"]


_NOT_OURS = (
    "ignore:.*torch.jit:DeprecationWarning",  # torch, of itself
    "ignore:.*Ray:FutureWarning",  # Ray announces its own future changes
    # Ray leaves the processes it started to be reaped after its shutdown
    "ignore:subprocess .* is still running:ResourceWarning",
    "ignore:.*Popen.__del__:pytest.PytestUnraisableExceptionWarning",
)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups (3.8 cannot, with pytest 9.2)
def pytest_collection_modifyitems(items):
    """Let the trainer's packages warn about themselves; run these tests one after another."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("trainer"))  # each cluster wants all cores
            for warning in _NOT_OURS:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="session")
def python_path():
    """PYTHONPATH of child processes: the project and the toy environments."""
    return os.pathsep.join([str(PROJECT), str(HERE)])


@pytest.fixture(scope="session")
def toy(python_path):
    """The module of toy environments, importable here and in child processes."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = python_path
    sys.path.insert(0, str(HERE))
    import toy_env

    yield toy_env
    sys.path.remove(str(HERE))
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="session")
def cluster(toy, python_path):
    """A Ray cluster of this machine with room for a few workers."""
    import ray

    from mlagent_train.jobs.job import RaySettings
    from mlagent_train.jobs.launch import start_ray

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray announces its own future changes
        start_ray(RaySettings(cpus=16, env_slots=8), {"PYTHONPATH": python_path})
        gc.collect()  # what the start leaves behind is Ray's, not the first test's
    yield ray
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it drops its processes before they have ended
        ray.shutdown()
        gc.collect()


@pytest.fixture
def end_pool(cluster):
    """End the pool of environment workers, if there is one, and wait until its name is free."""
    import time

    from mlagent_train.envs.settings import POOL_NAME

    def end():
        asked = False
        while True:
            try:
                pool = cluster.get_actor(POOL_NAME)
                if not asked:
                    cluster.get(pool.close.remote())
                    cluster.kill(pool)
                    asked = True
            except (ValueError, cluster.exceptions.RayActorError):
                return
            time.sleep(0.05)

    return end


@pytest.fixture
def endpoint(monkeypatch):
    """Start servers that speak the API of chat completions and make them OpenAI's."""
    started = []

    def start(*answers, **kwargs):
        started.append(FakeEndpoint(answers, **kwargs))
        monkeypatch.setenv("OPENAI_BASE_URL", started[-1].base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def edit():
    """Write the reply that sets a knob of a toy."""
    import json

    def write(search, replace):
        edits = [{"search": search, "replace": replace}]
        text = json.dumps({"script_name": "train.py", "edits": edits})
        return f"Thought: try.\nAction: Edit Script\nAction Input: {text}"

    return write


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory, python_path):
    """Folder of a very small model with a tokenizer."""
    import json
    import subprocess

    root = tmp_path_factory.mktemp("model")
    texts = ["Task: alpha\nKnobs:\nLR = 0.1\nNext?", "Action: Edit Script\nThought: LR 0.01"] * 50
    (root / "corpus.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts))
    shape = {"vocab_size": 400, "hidden_size": 32, "layers": 2, "heads": 2, "kv_heads": 2}
    shape |= {"intermediate_size": 64, "max_positions": 512}
    arguments = [str(root / "tiny"), str(root / "corpus.jsonl"), json.dumps(shape), "0"]
    subprocess.run(
        [sys.executable, "-m", "mlagent_train.model", *arguments],
        env={**os.environ, "PYTHONPATH": python_path},
        capture_output=True,
        check=True,
    )
    return root / "tiny"
