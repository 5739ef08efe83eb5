"""mlagent_train.preflight and dry_run: each check with what it says when it fails."""

import types

import pytest
from rich.console import Console
from typer.testing import CliRunner

from mlagent_train import preflight as module
from mlagent_train.cli import command
from mlagent_train.config import load_config
from mlagent_train.errors import MachineError
from mlagent_train.preflight import preflight, require_trainer
from mlagent_train.run import Run


@pytest.fixture
def check(tmp_path):
    """Return the check of a name, for a preset with overrides."""

    def run(preset, name, *overrides):
        found = preflight(Run(load_config(preset, overrides), tmp_path / "run"))
        return next(check for check in found if check.name == name)

    return run


@pytest.fixture
def gpus(monkeypatch):
    """Let this machine have GPUs of 80 GB and 2 TB of host memory."""

    def have(count):
        monkeypatch.setattr(module, "gpu_count", lambda: count)
        monkeypatch.setattr(module, "gpu_memory_gb", lambda: 80.0)
        memory = types.SimpleNamespace(total=2e12, available=2e12)
        monkeypatch.setattr(module.psutil, "virtual_memory", lambda: memory)

    return have


def test_the_default_is_ready_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "cpu_count", lambda: 2)
    config = load_config("cpu-tiny", ["workers.slots=2"])
    found = {check.name: check.passed for check in preflight(Run(config, tmp_path))}
    assert {found["versions"], found["disk"], found["data"], found["env slots"]} == {True}


def test_workers_that_are_given_up_too_soon_are_named(check):
    assert check("cpu-tiny", "step time").passed is True
    found = check("cpu-tiny", "step time", "workers.step_timeout_s=100")
    assert found.passed is False
    assert "given up after 100 s, scripts of a step end within 120 s; leave" in found.detail


def test_another_version_is_named_with_the_one_that_is_known(check, monkeypatch):
    monkeypatch.setitem(module.KNOWN, "openrlhf", "0.0.1")
    found = check("cpu-tiny", "versions")
    assert found.passed is False
    assert "openrlhf 0.11.2 (known: 0.0.1). Install what requirements" in found.detail


def test_a_package_that_is_not_installed_is_named(check, monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    found = check("qwen2.5-7b-8gpu", "GPU packages")
    assert found.passed is False
    assert "not installed: vllm, flash_attn; flash-attn is compiled" in found.detail
    assert "flash" not in check("h200x1", "GPU packages").detail


def test_gpus_are_counted(check, gpus):
    gpus(4)
    assert check("h200x1", "GPUs").passed is True
    found = check("qwen2.5-7b-8gpu", "GPUs")
    assert (found.passed, found.detail) == (False, "8 needed, 4 here")
    assert check("multinode", "GPUs").passed is None  # the cluster's are not counted from here


def test_environments_have_gpus_of_their_own(check, gpus):
    gpus(8)
    with_scripts = ("workers.slots=6", "workers.gpus_per_slot=0.25")
    assert check("qwen2.5-7b-8gpu", "GPUs", *with_scripts).detail == "10 needed, 8 here"


def test_ppo_is_not_begun_where_it_could_not_start(gpus, monkeypatch, tmp_path):
    eight, tiny = (Run(load_config(name), tmp_path) for name in ("qwen2.5-7b-8gpu", "cpu-tiny"))
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: object())
    gpus(8)
    require_trainer(eight)
    gpus(4)
    with pytest.raises(MachineError, match="GPUs: 8 needed, 4 here"):
        require_trainer(eight)
    gpus(8)
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MachineError, match="not installed: vllm, flash_attn"):
        require_trainer(eight)
    monkeypatch.setitem(module.KNOWN, "openrlhf", "0.0.1")
    with pytest.raises(MachineError, match=r"openrlhf 0\.11\.2 \(known: 0\.0\.1\)"):
        require_trainer(eight)
    require_trainer(tiny)  # without a GPU nothing has changed


def test_the_main_job_asks_before_its_first_stage(monkeypatch, tmp_path):
    from mlagent_train import ppo

    monkeypatch.setattr(ppo, "train", lambda *_: pytest.fail("it began"))
    monkeypatch.setattr("mlagent_train.ppo.Console", lambda: Console(width=400))
    arguments = ["--config", "qwen2.5-7b-8gpu", "--run", str(tmp_path / "run")]
    done = CliRunner().invoke(command(ppo._main), arguments)
    assert done.exit_code == 1, done.output
    assert "GPUs: 8 needed, 0 here" in done.output
    assert not (tmp_path / "run").exists()


def test_a_model_has_to_fit_its_share_of_a_gpu(check, gpus):
    gpus(8)
    assert check("qwen2.5-7b-8gpu", "GPU memory").passed is True
    large = check("h200x1", "GPU memory", "model.path=Qwen/Qwen2.5-7B")
    assert large.passed is False
    assert (
        "112 GB a GPU while training, activations not counted; 76 GB of 80 for it" in large.detail
    )
    shared = ("hardware.sleep=false", "hardware.engine_memory_share=0.5")
    assert check("h200x1", "GPU memory", *shared).detail.startswith("48 GB")
    assert check("h200x1", "GPU memory", *shared).passed is False


def test_fine_tuning_has_to_fit_its_share_of_the_gpus(check, gpus):
    gpus(8)
    found = check("qwen2.5-7b-8gpu", "SFT memory")
    assert found.passed is True
    assert found.detail.startswith("28 GB on each of 4 GPUs, activations not counted; 76 GB for it")
    found = check("qwen2.5-7b-8gpu", "SFT memory", "hardware.gpus_per_node=1")
    assert (found.passed, found.detail[:16]) == (False, "112 GB on one GP")


def test_fine_tuning_and_evaluation_are_on_the_node_they_are_started_on(check, gpus):
    gpus(4)
    found = check("multinode", "GPUs here")
    assert (found.passed, found.detail) == (False, "8 needed for SFT and evaluation, 4 here")
    assert check("multinode", "GPUs here", "sft.enabled=false").passed is True


def test_parked_models_have_to_fit_host_memory(check, gpus, monkeypatch):
    gpus(8)
    assert check("qwen2.5-7b-8gpu", "host memory").passed is True
    small = types.SimpleNamespace(total=1e11, available=1e11)
    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: small)
    found = check("qwen2.5-7b-8gpu", "host memory")
    assert found.passed is False
    assert found.detail == "224 GB parked on each node; this one has 100"


def test_a_model_of_unknown_size_is_not_guessed(check, gpus):
    gpus(1)
    found = check("h200x1", "memory", "model.path=mine/policy")
    assert found.passed is None
    assert "'mine/policy' does not say how large it is" in found.detail


def test_memory_on_a_cpu(check, monkeypatch):
    low = types.SimpleNamespace(total=2e9, available=1e9)
    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: low)
    found = check("cpu-tiny", "memory")
    assert found.passed is False
    assert "3.1 GB needed, 1.0 GB free" in found.detail


def test_checkpoints_have_to_fit_the_disk(check, monkeypatch):
    usage = types.SimpleNamespace(free=5e11)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    found = check("qwen2.5-7b-8gpu", "disk", "hardware.min_free_disk_gb=1")
    assert found.passed is False
    assert "500 GB free" in found.detail
    assert "checkpoints take about 868.0" in found.detail
    assert check("cpu-tiny", "disk").passed is True


def test_real_data_have_to_be_prepared(check, monkeypatch, tmp_path):
    monkeypatch.setenv("MLAGENT_CACHE", str(tmp_path))
    found = check("cpu-tiny", "data", "tasks.variant=real", 'tasks.held_in=["house-price"]')
    assert found.passed is False
    assert "real data not prepared: house-price" in found.detail
    assert "mlagent prepare" in found.detail


def test_slots_have_to_fit_the_cores(check, monkeypatch):
    monkeypatch.setattr(module, "cpu_count", lambda: 4)
    found = check("cpu-tiny", "env slots", "workers.slots=5")
    assert found.passed is False
    assert "5 slots x 1 CPUs on 4 cores; lower workers.slots" in found.detail


def test_a_dry_run_prints_the_command_the_plan_and_the_checks_and_fails_if_one_does(
    monkeypatch, tmp_path
):
    from mlagent_train.ppo import _main

    monkeypatch.chdir(tmp_path)
    wide = Console(width=400)
    monkeypatch.setattr("mlagent_train.ppo.Console", lambda: wide)
    app, runner = command(_main), CliRunner()
    ready = runner.invoke(app, ["--config", "cpu-tiny", "--dry-run", "--set", "workers.slots=1"])
    assert ready.exit_code == 0, ready.output
    for command_ in ("train_ppo_ray", "train_sft"):
        assert f"python -m openrlhf.cli.{command_}" in ready.output
    for part in ("processes in all: 4", "versions: ok"):
        assert part in ready.output
    lacking = runner.invoke(app, ["--config", "multinode", "--dry-run"])
    assert lacking.exit_code == 1
    torchrun = "python -m torch.distributed.run --standalone --nproc-per-node=8 -m openrlhf.cli."
    assert f"{torchrun}train_sft" in lacking.output
    for part in ("GPUs in all: 32", "env nodes: 4", "--train.async_enable", "data: missing"):
        assert part in lacking.output
    assert "This machine is not ready" in lacking.output
    assert not list(tmp_path.iterdir())  # a dry run leaves nothing behind
