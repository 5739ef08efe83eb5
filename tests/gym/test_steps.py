"""What the agent reads about what it did."""

from contextlib import closing

import pytest

from mlagent_gym.actions import ExecuteScript
from mlagent_gym.executor import FakeExecutor, Limits, Run, RunStatus
from mlagent_gym.steps import Stage, is_corner_case, perform, score_line
from mlagent_gym.workspace import Workspace

from .conftest import ended_for_want_of


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("", ""),
        ("a\nb\n\n", "b"),
        ("Validation MAE: 3\nWrote 5 rows\n", "Validation MAE: 3"),
        ("validation 1\nVALIDATION 2\nend", "VALIDATION 2"),
        ("x" * 500, "x" * 120),
    ],
)
def test_the_score_line_is_the_last_about_validation(output, line):
    assert score_line(output) == line


@pytest.mark.parametrize("status", RunStatus)
def test_limits_are_corner_cases_and_failures_are_not(status):
    limits = {"timeout", "out_of_memory", "output_limit", "disk_limit"}
    assert is_corner_case(Run(status, "")) == (status in limits)


def missing_of(tmp_path, output, files=(), **more):
    """Return what a step says is missing, of a run that ended with this output."""
    (tmp_path / "data").mkdir()
    run = Run(RunStatus.ERROR, output, exit_code=1, **more)
    with closing(Workspace(tmp_path / "data", tmp_path)) as workspace:
        for name in ("train.py", *files):
            workspace.write(name, b"")
        stage = Stage(
            workspace, tmp_path / "data", FakeExecutor([run]), Limits(), 0, None, previous={}
        )
        effect = perform(ExecuteScript(script_name="train.py"), stage)
    assert is_corner_case(effect.run, effect.missing) == bool(effect.missing)
    assert ("is not installed and cannot be" in effect.feedback) == bool(effect.missing)
    return effect.missing


@pytest.mark.parametrize("name", ["nowhere", "nowhere.to.be_found"])
def test_a_missing_package_is_a_corner_case(tmp_path, name):
    assert missing_of(tmp_path, f"epoch 1\n{ended_for_want_of(name)}") == name


@pytest.mark.parametrize(
    "output",
    [
        "ModuleNotFoundError: No module named 'nowhere'\n",  # sys.exit can say so
        "Traceback (most recent call last):\nModuleNotFoundError: No module named 'nowhere'\n",
        f"{ended_for_want_of('nowhere')}ValueError: other\n",
        ended_for_want_of("numpy"),
        ended_for_want_of("numpy.nowhere"),
        ended_for_want_of("json.nowhere"),
        ended_for_want_of("sys"),
    ],
)
def test_a_package_that_is_there_or_only_spoken_of_is_not_missing(tmp_path, output):
    assert not missing_of(tmp_path, output)


@pytest.mark.parametrize("file", ["helper.py", "helper/part.py"])
def test_a_module_of_the_workspace_is_no_package_that_is_missing(tmp_path, file):
    assert not missing_of(tmp_path, ended_for_want_of("helper"), [file])


def test_an_image_may_lack_what_is_installed_here(tmp_path):
    assert missing_of(tmp_path, ended_for_want_of("numpy"), sandbox="docker") == "numpy"


def test_an_image_has_the_standard_library(tmp_path):
    assert not missing_of(tmp_path, ended_for_want_of("json.nowhere"), sandbox="docker")
