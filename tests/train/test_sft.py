"""mlagent_train.sft without OpenRLHF: what a killed process leaves is gone on with."""

import shutil

import pytest
from rich.console import Console

from mlagent_train import sft as module
from mlagent_train.config import load_config
from mlagent_train.files import read_json
from mlagent_train.run import open_run

QUIET = Console(quiet=True)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run whose examples are there, and whose OpenRLHF only writes the fine-tuned model."""
    monkeypatch.setattr(module, "_make_initial_model", lambda run, console: None)
    monkeypatch.setattr(module, "_examples", lambda run: ([{"input": "a", "output": "b"}] * 8, 0))
    monkeypatch.setattr(module, "sft_argv", lambda run: [])
    run = open_run(load_config("cpu-tiny"), tmp_path)

    def run_job(job, folder, name, watch):
        (folder / "model.partial").mkdir()

    monkeypatch.setattr(module, "run_job", run_job)
    return run


@pytest.fixture
def checkpoints(run):
    """The checkpoints of a process that was killed in its second save."""
    folder = run.folder / "sft" / "checkpoints"
    for step in (200, 400):
        (folder / f"global_step{step}").mkdir(parents=True)
    (folder / "global_step200" / "metric.json").write_text("{}")
    (folder / "latest").write_text("global_step200")
    return folder


def test_a_save_that_was_cut_short_is_gone_before_openrlhf_counts_it(run, checkpoints, monkeypatch):
    seen = []
    finish = module.run_job

    def run_job(job, folder, name, watch):
        seen.extend(sorted(path.name for path in checkpoints.iterdir()))
        finish(job, folder, name, watch)

    monkeypatch.setattr(module, "run_job", run_job)
    module.sft(run, QUIET)
    assert seen == ["global_step200", "latest"]


def test_the_checkpoints_outlive_the_summary(run, checkpoints, monkeypatch):
    """Killed at any moment, either the fine-tuning is known to be done or it is gone on with."""
    removed = []

    def rmtree(path, *args, **kwargs):
        if path == checkpoints:
            removed.append(read_json(run.folder / "sft" / "summary.json")["examples"])
        shutil_rmtree(path, *args, **kwargs)

    shutil_rmtree = shutil.rmtree
    monkeypatch.setattr(module.shutil, "rmtree", rmtree)
    module.sft(run, QUIET)
    assert removed == [8]
    assert run.sft_model.is_dir()
    assert not checkpoints.exists()


def test_each_gpu_of_the_node_has_a_process(run, monkeypatch):
    jobs, finish = [], module.run_job
    monkeypatch.setattr(module, "sft_ranks", lambda config: config.hardware.gpus_per_node + 3)

    def run_job(job, folder, name, watch):
        jobs.append(job)
        finish(job, folder, name, watch)

    monkeypatch.setattr(module, "run_job", run_job)
    module.sft(run, QUIET)
    assert [job.processes for job in jobs] == [4]
