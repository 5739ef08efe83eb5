"""A world in which scripts are not run: a script's QUALITY decides how good its submission is."""

import csv
import re

import gymnasium as gym
import pytest

import mlagent_gym  # noqa: F401 - registers the environments
from mlagent_gym.actions import render
from mlagent_gym.executor import FakeExecutor, Run, RunStatus
from mlagent_gym.tasks import load_task

from .fake_endpoint import FakeEndpoint

TASK = "house-price"
STARTER = load_task(TASK).starter_files()["train.py"].decode()
STARTER_QUALITY, REFERENCE_QUALITY = 0.2, 0.95
DATA_SIZE = 97  # data of their own, so that what is measured here stays here


def ended_for_want_of(module):
    """Return what a script says last when it imports what there is not."""
    return (
        "Traceback (most recent call last):\n"
        '  File "train.py", line 1, in <module>\n'
        f"    import {module}\nModuleNotFoundError: No module named '{module}'\n"
    )


def quality_run(script, workspace, data):
    """Write a submission whose error shrinks as the script's QUALITY grows to 1."""
    text = (workspace / script).read_text()
    if "raise" in text:
        return Run(RunStatus.ERROR, "Traceback ...\nValueError: raised\n", exit_code=1)
    if "import nowhere" in text:
        return Run(RunStatus.ERROR, ended_for_want_of("nowhere"), exit_code=1)
    if "while True" in text:
        return Run(RunStatus.TIMEOUT, "", reason="300 s of wall-clock time")
    if "silent" in text:
        return Run(RunStatus.OK, "nothing written\n", exit_code=0)
    if found := re.search(r"QUALITY = (\d*\.?\d+)", text):
        quality = float(found.group(1))
    else:
        quality = STARTER_QUALITY if text == STARTER else REFERENCE_QUALITY
    with (data.parent / "private" / "answers.csv").open() as file:
        rows = list(csv.DictReader(file))
    with (workspace / "submission.csv").open("w") as file:
        file.write("Id,SalePrice\n")
        for row in rows:
            file.write(f"{row['Id']},{float(row['SalePrice']) * quality}\n")
    return Run(RunStatus.OK, f"validation score: {quality}\n", exit_code=0, wall_s=0.1)


def edit(content, script="train.py", **more):
    return render("Edit Script", {"script_name": script, "content": content, **more})


def quality(value):
    return edit(f"QUALITY = {value}\n")


@pytest.fixture
def make_env(tmp_path):
    """Make environments whose scripts are not run, closed at the end of the test."""
    made = []

    def make(task=TASK, **kwargs):
        defaults = {"executor": FakeExecutor(quality_run), "store": tmp_path / "store"}
        defaults["data_size"] = DATA_SIZE
        made.append(gym.make(f"MLAgent/{task}-v0", **(defaults | kwargs)))
        return made[-1]

    yield make
    for env in made:
        env.close()


@pytest.fixture
def endpoint():
    """Start servers that speak the API of chat completions, stopped at the end of the test."""
    started = []

    def start(*answers, **kwargs):
        started.append(FakeEndpoint(answers, **kwargs))
        return started[-1]

    yield start
    for one in started:
        one.close()
