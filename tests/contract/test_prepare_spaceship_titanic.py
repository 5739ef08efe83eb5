"""Both published splits of the passengers come out of one raw file."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from mlagent_gym import data
from mlagent_gym.grading import grade
from mlagent_gym.tasks import load_module, load_task


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "public").mkdir()
    (tmp_path / "private").mkdir()
    return tmp_path


def test_the_split_by_position_keeps_the_order_of_the_records(folder: Path) -> None:
    module = load_module(load_task("spaceship-titanic"), "prepare")
    raw, public, private = folder / "raw", folder / "public", folder / "private"
    raw.mkdir()
    (folder / "elsewhere").mkdir()
    module.synthesize(raw, folder / "elsewhere", seed=4, size=99)
    module.prepare(raw, public, private)
    records = pd.read_csv(raw / "train.csv", dtype=str)
    train, test = (pd.read_csv(public / f"{name}.csv", dtype=str) for name in ("train", "test"))
    pd.testing.assert_frame_equal(train, records[:79])
    pd.testing.assert_frame_equal(
        test, records[79:].drop(columns="Transported").reset_index(drop=True)
    )
    answers = pd.read_csv(private / "answers.csv", dtype=str)
    assert answers["Transported"].tolist() == records["Transported"][79:].tolist()


@pytest.mark.realdata
def test_the_random_split_has_the_checksums_of_mle_bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLAGENT_CACHE", str(tmp_path / "cache"))
    root, task = os.environ.get("MLAGENT_RAW_DATA"), load_task("spaceship-titanic")
    if not root or not (Path(root) / task.id).is_dir():
        pytest.skip("MLAGENT_RAW_DATA names no folder with the raw files")
    assert len(task.other_splits["mle-bench"].checksums) == 4
    prepared = data.prepare_real(task, Path(root) / task.id, split="mle-bench")  # compares them
    assert prepared.variant == "real-mle-bench"
    answers = (prepared.private / task.submission.answers).read_bytes()
    assert grade(task, prepared.private / task.submission.answers, answers).score == 1
