"""mlagent_train.jobs.launch: Ray on a busy machine, and what a job's process finds there."""

import os

import pytest


@pytest.fixture
def starts(monkeypatch):
    """Have Ray's starts end as said, one after another; return those that were asked for."""
    import ray

    def ending(*errors):
        asked, left = [], list(errors)

        def init(**settings):
            asked.append(settings | {"devices": os.environ.get("CUDA_VISIBLE_DEVICES")})
            if left:
                raise left.pop(0)

        monkeypatch.setattr(ray, "init", init)
        return asked

    return ending


SLOW = "The current node timed out during startup. This could happen because"


def test_ray_that_was_too_slow_is_started_again(starts, capsys):
    from mlagent_train.jobs.job import RaySettings
    from mlagent_train.jobs.launch import start_ray

    asked = starts(Exception(SLOW), Exception(SLOW))
    start_ray(RaySettings(cpus=1, env_slots=3), {})
    assert [settings["resources"] for settings in asked] == [{"env_slot": 3}] * 3
    assert "attempt 2 of 3" in capsys.readouterr().out


def test_hidden_gpus_are_hidden_from_all_but_ray(starts, monkeypatch):
    from mlagent_train.jobs.job import RaySettings
    from mlagent_train.jobs.launch import start_ray

    asked = starts()
    for devices, shown in (("", None), ("1", "1")):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
        start_ray(RaySettings(cpus=1, gpus=4), {})
        assert asked[-1]["devices"] == shown
        assert os.environ["CUDA_VISIBLE_DEVICES"] == devices


def test_what_a_slow_start_has_left_is_ended_before_the_next(monkeypatch):
    import ray
    from ray._private.node import Node

    from mlagent_train.jobs.job import RaySettings
    from mlagent_train.jobs.launch import start_ray

    happened = []

    class SlowNode(Node):
        def __init__(self):
            happened.append("started")
            if len(happened) == 1:
                raise Exception(SLOW)

        def kill_all_processes(self, check_alive=True, allow_graceful=False, wait=False):
            happened.append("ended")

    monkeypatch.setattr(ray, "init", lambda **_: SlowNode())
    start_ray(RaySettings(cpus=1), {})
    assert happened == ["started", "ended", "started"]


def test_a_cluster_with_too_few_gpus_is_refused_before_it_is_waited_for(monkeypatch, tmp_path):
    import ray

    from mlagent_train.config import load_config
    from mlagent_train.errors import MachineError
    from mlagent_train.jobs.launch import require_gpus
    from mlagent_train.plan import make_job
    from mlagent_train.run import Run

    run = Run(load_config("multinode"), tmp_path)
    trained = make_job(run, "trainer", [], roles=3).ray
    assert (trained.gpus_needed, make_job(run, "episodes", []).ray.gpus_needed) == (32, 0)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 64.0, "GPU": 24.0})
    with pytest.raises(MachineError, match="32 GPUs and the Ray cluster has 24"):
        require_gpus(trained.gpus_needed)
    require_gpus(24)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 64.0})
    require_gpus(0)  # no GPU is needed, none is there


@pytest.fixture
def job(tmp_path, monkeypatch, python_path):
    """Run a program as a job's command; return its log."""
    from mlagent_train.jobs.job import Job
    from mlagent_train.jobs.launch import run_job

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([python_path, str(tmp_path)]))

    def run(code, **settings):
        (tmp_path / "a_command.py").write_text(code)
        values = {"argv": (), "cuda_free": True, "engine": "transformers", **settings}
        run_job(Job("a_command", **values), tmp_path, "stage")
        return (tmp_path / "stage.log").read_text()

    return run


def test_a_job_without_cuda_sees_no_gpu(job, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    show = "import os; print('devices', repr(os.environ['CUDA_VISIBLE_DEVICES']))"
    assert "devices ''" in job(show)
    assert "devices '0'" in job(show, cuda_free=False)


def test_a_failure_is_explained_by_its_own_words_and_not_by_an_earlier_attempts(job):
    from mlagent_train.errors import StageError

    with pytest.raises(StageError, match="ValueError: the first reason"):
        job("raise ValueError('the first reason')")
    with pytest.raises(StageError, match="status 3") as second:
        job("import sys; print('the second reason'); sys.exit(3)")
    assert "the second reason" in str(second.value)
    assert "the first reason" not in str(second.value)


def test_a_job_of_several_processes_is_one_group(job):
    code = (
        "import torch.distributed as group, torch\n"
        "group.init_process_group('gloo')\n"
        "ranks = torch.tensor(10 ** group.get_rank())\n"
        "group.all_reduce(ranks)\n"
        "print(f'rank {group.get_rank()} of {group.get_world_size()}: {ranks}', flush=True)\n"
        "group.destroy_process_group()\n"
    )
    said = job(code, processes=2)
    assert "rank 0 of 2: 11" in said
    assert "rank 1 of 2: 11" in said


def test_a_group_fails_with_the_words_of_the_process_that_failed(job):
    from mlagent_train.errors import StageError

    code = (
        "import os, time\n"
        "if os.environ['RANK'] == '1': raise ValueError('not with me')\n"
        "time.sleep(60)\n"
    )
    with pytest.raises(StageError, match="ValueError: not with me") as failed:
        job(code, processes=2)
    assert "rank 1 of 2 was the first to end, with status 1" in str(failed.value)
    assert "ChildFailedError" not in str(failed.value)


def test_a_group_does_not_outlive_the_process_that_started_it(tmp_path, python_path):
    import subprocess
    import sys
    import time

    import psutil

    from mlagent_train.jobs.job import Job

    (tmp_path / "a_command.py").write_text(
        "import os, pathlib, sys, time\n"
        "pathlib.Path(sys.argv[1], os.environ['RANK'] + '.pid').write_text(str(os.getpid()))\n"
        "time.sleep(600)\n"
    )
    Job("a_command", (str(tmp_path),), True, "transformers", processes=2).save(tmp_path / "job")
    path = os.pathsep.join([python_path, str(tmp_path)])
    with (tmp_path / "log").open("w") as log:
        started = subprocess.Popen(
            [sys.executable, "-m", "mlagent_train.jobs.launch", str(tmp_path / "job")],
            env={**os.environ, "PYTHONPATH": path},
            stdout=log,
            stderr=log,
        )
    deadline = time.monotonic() + 240
    while len(ranks := [file.read_text() for file in tmp_path.glob("*.pid")]) < 2 or "" in ranks:
        assert started.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started.kill()
    started.wait()
    processes = [psutil.Process(int(pid)) for pid in ranks if psutil.pid_exists(int(pid))]
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert not alive


@pytest.mark.parametrize(
    ("errors", "attempts"), [([SLOW] * 3, 3), (["No space left on the device"], 1)]
)
def test_ray_that_does_not_start_at_all_is_an_error(errors, attempts, starts):
    from mlagent_train.jobs.job import RaySettings
    from mlagent_train.jobs.launch import start_ray

    asked = starts(*map(Exception, errors))
    with pytest.raises(Exception, match=errors[-1]):
        start_ray(RaySettings(cpus=1), {})
    assert len(asked) == attempts
