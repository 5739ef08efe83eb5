"""Benchmarks that run in this process: real environments, whose scripts are not run but faked."""

import asyncio
import csv
import hashlib
import types

import pytest

from benchmarks.protocol import Protocol
from benchmarks.results import open_results
from benchmarks.runner import Runner
from benchmarks.workers import Workers
from mlagent_gym import FakeExecutor, Run, RunStatus, load_task, synthetic
from mlagent_gym.submissions import read_submission
from mlagent_train.agents import make_agent
from mlagent_train.envs.stepping import StepOutcome, Stepper

TASKS = ("house-price", "detecting-insults-in-social-commentary")


class Crash(BaseException):
    """Ends a benchmark as a kill does: nothing is cleaned up."""


def answers_of(task_id):
    """Return a function that writes a submission whose quality depends on the script alone."""
    task = load_task(task_id)
    form = task.submission
    truth = (synthetic(task).private / form.answers).read_bytes()
    ids, values = read_submission(form, truth)

    def run(script, workspace, data):
        digest = hashlib.sha256((workspace / script).read_bytes()).digest()
        if digest[0] % 5 == 0:
            return Run(RunStatus.ERROR, "ValueError: a bad idea", 1, "exit status 1", cpu_s=0.1)
        wrong = 1 + digest[1] % 9
        rows = [(form.id, form.targets[0])]
        for i, value in enumerate(values):
            if task_id == "house-price":
                guess = value * (1.3 if i % 10 < wrong else 1.1)
            else:
                guess = 1 - value if i % 40 < wrong else value
            rows.append((ids[i], guess))
        with (workspace / "submission.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
        return Run(RunStatus.OK, "done", 0, cpu_s=0.1)

    return run


class LocalPool:
    """Stands where the pool of workers stands: steps run here, one after another."""

    def __init__(self, kwargs, fail=lambda request: "", stop_after=None):
        self._steppers = {
            f"MLAgent/{task}-v0": Stepper({**kwargs, "executor": FakeExecutor(answers_of(task))})
            for task in TASKS
        }
        self._fail = fail
        self._stop_after = stop_after
        self.steps = 0
        self.step = types.SimpleNamespace(remote=self._step)

    async def _step(self, request, tags):
        if detail := self._fail(request):
            return StepOutcome(None, "died", detail)
        if request.reply is not None:
            if self.steps == self._stop_after:
                raise Crash
            self.steps += 1
        return StepOutcome(self._steppers[request.env_id].run(request))

    def close(self):
        for stepper in self._steppers.values():
            stepper.close()


@pytest.fixture(scope="session")
def run_bench():
    """Run a benchmark of two tasks in a folder and return its results."""

    def run(
        policy,
        folder,
        agent=None,
        fail=lambda request: "",
        stop_after=None,
        **options,
    ):
        values = {"tasks": TASKS, "trajectories": 2, "max_steps": 5} | options
        protocol = Protocol(policy, **values)
        results = open_results(folder, protocol, f"python -m benchmarks.held_out {policy}")
        pool = LocalPool(protocol.env_kwargs(folder / "store"), fail, stop_after)
        failures = {}

        def on_done(done):
            if done.failure:
                failures[f"{done.task}/{done.number:02d}"] = done.failure

        workers = Workers(pool, slots=2, memory_mb=1e6)
        agent = agent or make_agent(policy)
        runner = Runner(protocol, folder, agent, workers, at_once=4, on_done=on_done)
        try:
            asyncio.run(runner.run())
            results.keep_failures(failures)
        finally:
            pool.close()
        return results

    return run


@pytest.fixture
def bench(run_bench, tmp_path):
    """Run a benchmark of two tasks, in a folder of the test unless another is named."""

    def run(policy="scripted:greedy", folder=tmp_path / "bench", **options):
        return run_bench(policy, folder, **options)

    return run
