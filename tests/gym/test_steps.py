"""What the agent reads about what it did."""

import pytest

from mlagent_gym.executor import Run, RunStatus
from mlagent_gym.steps import is_corner_case, score_line


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


def test_a_missing_package_is_a_corner_case_only_as_the_last_line():
    message = "ModuleNotFoundError: No module named 'xgboost'"
    assert is_corner_case(Run(RunStatus.ERROR, f"Traceback\n{message}\n"))
    assert not is_corner_case(Run(RunStatus.ERROR, f"{message}\nValueError: other\n"))
    assert not is_corner_case(Run(RunStatus.OK, f"{message}\n"))
