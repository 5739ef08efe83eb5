"""The commands about tasks: list, prepare, check, grade, measure."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import mlagent_gym
from mlagent_gym import data
from mlagent_gym.cli import app
from mlagent_gym.tasks import assets_root, load_task, task_ids

HOUSES = "house-price"
SIZE = "60"


@pytest.fixture
def run() -> Callable[..., Result]:
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def answers() -> Path:
    prepared = data.synthetic(load_task(HOUSES), size=int(SIZE))
    return prepared.private / "answers.csv"


def test_list_shows_every_task(run: Callable[..., Result]) -> None:
    shown = run("list")
    assert shown.exit_code == 0
    assert all(name in shown.stdout for name in task_ids())


def test_list_as_json_is_read_by_programs(run: Callable[..., Result]) -> None:
    rows = {row["task"]: row for row in json.loads(run("list", "--json").stdout)}
    assert set(rows) == set(task_ids())
    houses = rows[HOUSES]
    assert (houses["metric"], houses["better"], houses["split"]) == ("mae", "lower", "held-in")
    assert houses["env_id"] == "MLAgent/house-price-v0"
    assert houses["reference"] < houses["starter"]


def test_the_package_runs_as_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlagent_gym", "list", "--json"], capture_output=True, check=True
    )
    assert {row["task"] for row in json.loads(done.stdout)} == set(task_ids())


@pytest.mark.parametrize("command", ["list", "prepare", "check", "grade", "measure"])
def test_every_command_explains_itself(run: Callable[..., Result], command: str) -> None:
    shown = run(command, "--help")
    assert shown.exit_code == 0 and "Usage" in shown.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("check",),
        ("check", HOUSES, "--all"),
        ("check", "house-prices"),
        ("prepare", "no-such-task"),
        ("grade", "no-such-task", "submission.csv"),
        ("grade", HOUSES, "no-such-file.csv", "--data-size", SIZE),
        ("grade", HOUSES),
        ("no-such-command",),
        ("measure", HOUSES, "--seeds", "1"),
    ],
)
def test_wrong_use_has_exit_status_2(run: Callable[..., Result], arguments: tuple[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_an_unknown_task_is_answered_with_the_nearest_one_and_no_traceback(
    run: Callable[..., Result],
) -> None:
    shown = run("check", "house-prices")
    assert "Did you mean house-price" in shown.output
    assert "Traceback" not in shown.output


def test_a_submission_is_graded(run: Callable[..., Result], answers: Path) -> None:
    report = json.loads(run("grade", HOUSES, answers, "--data-size", SIZE, "--json").stdout)
    assert report["valid"] is True and report["score"] == 0
    assert (report["variant"], report["metric"]) == ("synthetic", "mae")
    assert "medal" not in report, "medals mean nothing on synthetic data"


def test_an_invalid_submission_has_its_reason_and_exit_status_1(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    wrong = tmp_path / "submission.csv"
    wrong.write_text("Id,Price\n1,2\n")
    shown = run("grade", HOUSES, wrong, "--data-size", SIZE)
    assert shown.exit_code == 1
    assert "Missing columns: 'SalePrice'" in shown.stdout


def test_other_answers_can_be_named(run: Callable[..., Result], tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine.csv", tmp_path / "theirs.csv"
    mine.write_text("Id,SalePrice\n1,100\n2,200\n")
    theirs.write_text("Id,SalePrice\n2,210\n1,100\n")
    shown = run("grade", HOUSES, mine, "--answers", theirs, "--json")
    assert json.loads(shown.stdout)["score"] == 5


def test_real_data_are_prepared_from_a_folder_and_graded_with_their_standing(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLAGENT_CACHE", str(tmp_path / "cache"))
    synthetic = data.synthetic(load_task(HOUSES), size=80)
    raw = tmp_path / "raw" / "home-data-for-ml-course"
    raw.mkdir(parents=True)
    (raw / "train.csv").write_bytes((synthetic.public / "train.csv").read_bytes())
    missing = run("grade", HOUSES, raw / "train.csv", "--variant", "real")
    assert missing.exit_code == 1 and "mlagent prepare house-price" in missing.output

    other = run("prepare", HOUSES, "--raw", raw.parent)
    assert other.exit_code == 1 and "bytes instead of 460,676" in other.output
    partial = run("prepare", HOUSES, "--raw", raw.parent, "--partial")
    assert partial.exit_code == 0 and "partial: scores are not comparable" in partial.output
    assert "variant real-partial" in partial.output
    asked = run("grade", HOUSES, raw / "train.csv", "--variant", "real")
    assert asked.exit_code == 1 and "which is there: real-partial" in asked.output
    answers = data.real(load_task(HOUSES), "real-partial").private / "answers.csv"
    graded = run("grade", HOUSES, answers, "--variant", "real-partial", "--json")
    report = json.loads(graded.stdout)
    assert report["variant"] == "real-partial" and "partial data" in report["note"]
    assert report["score"] == 0 and "medal" not in report
    rows = {row["task"]: row for row in json.loads(run("list", "--json").stdout)}
    assert rows[HOUSES]["prepared"] == ["real-partial"]
    assert "real-partial" in run("list").stdout
    refused = run("measure", HOUSES, "--variant", "real-partial")
    assert refused.exit_code == 2 and "partial data" in refused.output


def test_another_split_is_prepared_by_its_name(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLAGENT_CACHE", str(tmp_path / "cache"))
    titanic = load_task("spaceship-titanic")
    raw = data.synthetic(titanic, size=90).public
    arguments = ("prepare", titanic.id, "--raw", raw, "--split", "mle-bench")
    wrong = run(*arguments)
    assert wrong.exit_code == 1 and "bytes instead of" in wrong.output
    done = run(*arguments, "--partial")
    assert done.exit_code == 0 and "variant real-mle-bench-partial" in done.output
    prepared = data.of_variant(titanic, "real-mle-bench-partial")
    assert len((prepared.public / "test.csv").read_text().splitlines()) == 1 + 9
    unknown = run("prepare", titanic.id, HOUSES, "--split", "mle-bench")
    assert unknown.exit_code == 2 and "house-price has no split" in unknown.output
    rows = {row["task"]: row for row in json.loads(run("list", "--json").stdout)}
    assert "mle-bench" in rows[titanic.id]["other_splits"]


def test_check_prints_a_line_a_promise_and_fails_when_one_is_broken(
    run: Callable[..., Result],
) -> None:
    shown = run("check", HOUSES, "--only", "score_perfect")
    assert shown.exit_code == 0
    assert shown.stdout.split() == ["kept", HOUSES, "answers", "score", "perfect"]
    outcomes = json.loads(run("check", HOUSES, "--only", "description", "--json").stdout)
    assert [outcome["outcome"] for outcome in outcomes] == ["kept"]


def test_measure_prints_the_gain_of_every_idea(run: Callable[..., Result]) -> None:
    before = (load_task(HOUSES).folder / "scores.json").read_bytes()
    shown = run("measure", HOUSES, "--dry-run", "--seeds", "2")
    assert shown.exit_code == 0, shown.output
    assert "reference" in shown.stdout and "overall-quality" in shown.stdout
    assert (load_task(HOUSES).folder / "scores.json").read_bytes() == before


def test_scores_are_printed_as_a_page_and_for_programs(run: Callable[..., Result]) -> None:
    page = run("scores", HOUSES)
    assert page.exit_code == 0
    assert "| `house-price` | mean absolute error ↓ |" in page.stdout
    assert "| overall-quality |" in page.stdout
    (record,) = json.loads(run("scores", HOUSES, "--json").stdout)
    best = max(idea["gain"] for idea in record["ideas"].values())
    assert record["ideas"]["overall-quality"]["gain"] == best
    assert record["reference"] < record["starter"]


def test_gains_on_real_data_stand_beside_those_on_synthetic_ones(
    run: Callable[..., Result],
) -> None:
    page = run("scores", HOUSES).stdout
    assert "| idea | score | gain | gain on real data |" in page
    on_real = json.loads(run("scores", HOUSES, "--variant", "real", "--json").stdout)[0]
    gain = on_real["ideas"]["overall-quality"]["gain"]
    (row,) = (line for line in page.splitlines() if line.startswith("| overall-quality |"))
    assert row.endswith(f"| {gain:+.2f} |")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the gym and one task, whose folders a test may add to."""
    root = assets_root().parent
    shutil.copytree(Path(mlagent_gym.__file__).parent, tmp_path / "mlagent_gym")
    shutil.copytree(root / "task_assets" / HOUSES, tmp_path / "task_assets" / HOUSES)
    return tmp_path


def _python(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python on the copy."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=checkout, env=environment, capture_output=True, text=True
    )


def test_a_new_task_is_one_new_folder(checkout: Path) -> None:
    made = _python(checkout, "-m", "mlagent_gym", "new-task", "garden-price", "--like", HOUSES)
    assert made.returncode == 0, made.stderr
    folder = checkout / "task_assets" / "garden-price"
    assert not (folder / "scores.json").exists()

    listed = json.loads(_python(checkout, "-m", "mlagent_gym", "list", "--json").stdout)
    assert [row["task"] for row in listed] == ["garden-price", HOUSES]
    registered = _python(
        checkout,
        "-c",
        "import gymnasium, mlagent_gym; print('MLAgent/garden-price-v0' in gymnasium.registry)",
    )
    assert registered.stdout.strip() == "True"
    checked = _python(checkout, "-m", "mlagent_gym", "check", "garden-price", "--json")
    outcomes = {row["check"]: row["outcome"] for row in json.loads(checked.stdout)}
    broken = {name for name, outcome in outcomes.items() if outcome != "kept"}
    # All that is missing is to measure it.
    assert broken == {
        "recorded_scores_are_those_of_this_folder",
        "ideas_help_hurt_and_do_nothing",
    }


@pytest.mark.parametrize("name", ["Garden", "../garden", HOUSES, ""])
def test_a_new_task_needs_a_new_name_of_the_right_form(checkout: Path, name: str) -> None:
    made = _python(checkout, "-m", "mlagent_gym", "new-task", name)
    assert made.returncode == 2, made.stdout
    assert not (checkout / "garden").exists()
