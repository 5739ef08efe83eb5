"""mlagent_train.rlhf.process, in processes of its own: it changes where it is called."""

import os
import subprocess
import sys

import pytest


@pytest.fixture
def python(python_path):
    """Run a program in a fresh interpreter that has or has not the variable of a CPU job."""

    def run(code, **env):
        kept = {key: value for key, value in os.environ.items() if key != "MLAGENT_ROLLOUT_ENGINE"}
        done = subprocess.run(
            [sys.executable, "-c", f"import sys; from mlagent_train.rlhf import process; {code}"],
            capture_output=True,
            text=True,
            env={**kept, "PYTHONPATH": python_path, **env},
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def test_flash_attention_is_stood_in_for_in_openrlhfs_import_and_nowhere_else(python):
    seen = python(
        "process.prepare(); import importlib.util as util, types, openrlhf;"
        "models = types.ModuleType('openrlhf.models');"  # the one module of it, which is light
        "models.__path__ = [openrlhf.__path__[0] + '/models'];"
        "sys.modules['openrlhf.models'] = models; before = util.find_spec('flash_attn');"
        "from openrlhf.models.ring_attn_utils import all_gather, unpad_input;"
        "print(before, util.find_spec('flash_attn'), 'vllm' in sys.modules)\n"
        "try: unpad_input(1)\n"
        "except RuntimeError as error: print('switch off packing' in str(error))"
    )
    assert seen.split() == ["None", "None", "False", "True"]


def test_an_installed_flash_attention_is_left_alone(python):
    code = (
        "process.importlib.util.find_spec = lambda name: object();"
        "process.shim.lend_flash_attn = lambda: print('replaced'); process.prepare();"
        "print('flash_attn' in sys.modules)"
    )
    assert python(code) == "False"


def test_a_job_without_cuda_is_prepared_for_it(python):
    seen = python(
        "process.prepare(); print('vllm' in sys.modules, 'torch' in sys.modules)",
        MLAGENT_ROLLOUT_ENGINE="transformers",
    )
    assert seen == "True False"
