"""mlagent_train.cuda_free.shim, in processes of its own: it changes where it is installed."""

import os
import subprocess
import sys

import pytest


@pytest.fixture
def python(python_path):
    """Run a program in a fresh interpreter; return what it printed."""

    def run(code, **env):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": python_path, **env},
            timeout=300,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_installing_imports_nothing_heavy_and_twice_is_once(python):
    code, out, err = python(
        "import sys; from mlagent_train.cuda_free import shim; shim.install();"
        "n = len(sys.meta_path);"
        "shim.install(); assert len(sys.meta_path) == n;"
        "print([m for m in ('torch', 'ray', 'deepspeed', 'transformers') if m in sys.modules])"
    )
    assert (code, out.strip()) == (0, "[]"), err


def test_openrlhf_trainers_import_and_see_a_cpu(python):
    code, out, err = python(
        "from mlagent_train.cuda_free import shim; shim.install();"
        "from openrlhf.trainer.ppo_utils.replay_buffer import NaiveReplayBuffer;"
        "from openrlhf.utils.deepspeed.deepspeed_utils import get_train_ds_config;"
        "import torch, vllm;"
        "assert str(NaiveReplayBuffer(2).target_device) == 'cpu';"
        "assert str(torch.cuda.current_device()) == 'cpu';"
        "config = get_train_ds_config(False, optim_config={'type': 'AdamW', 'params': {}});"
        "assert config['optimizer']['params']['torch_adam'] is True;"
        "print(vllm.AsyncLLMEngine.__module__)"
    )
    assert code == 0, err
    assert out.strip().endswith("mlagent_train.cuda_free.engine")


def test_patches_reach_modules_that_were_imported_before(python):
    code, out, err = python(
        "import torch; from mlagent_train.cuda_free import shim; shim.install();"
        "print(torch.cuda.current_device())"
    )
    assert (code, out.strip()) == (0, "cpu"), err


def test_another_openrlhf_is_refused(python):
    code, _, err = python(
        "import mlagent_train.cuda_free.shim as shim; shim.KNOWN_OPENRLHF = '0.0.1'; shim.install()"
    )
    assert code != 0
    assert "TrainerVersionError" in err
    assert "pip install --no-deps openrlhf==" in err


def test_a_gpu_that_the_run_does_not_use_changes_nothing(python):
    code, out, err = python(
        "import sys, torch; from mlagent_train import hardware; hardware.gpu_count = lambda: 1;"
        "torch.cuda.is_available = lambda: True; torch.cuda.device_count = lambda: 1;"
        "from mlagent_train.cuda_free import shim; shim.install(); import vllm, flash_attn;"
        "print(vllm.AsyncLLMEngine.__module__, torch.cuda.current_device(),"
        "torch.cuda.is_available(), torch.cuda.device_count())"
    )
    assert code == 0, err
    assert out.split() == ["mlagent_train.cuda_free.engine", "cpu", "False", "0"]


def test_flash_attention_stubs_refuse_to_be_called(python):
    code, _, err = python(
        "from mlagent_train.cuda_free import shim; shim.install();"
        "from flash_attn.bert_padding import unpad_input; unpad_input(1)"
    )
    assert code != 0
    assert "switch off packing" in err
