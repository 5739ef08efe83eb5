"""Both published splits of the passengers come out of one raw file."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from mlagent_gym.raw import file_digest
from mlagent_gym.tasks import load_module, load_task

MLE_BENCH_MD5 = {
    "public/sample_submission.csv": "5414b5da6ebcff454de1c9ed39b73774",
    "public/test.csv": "8186bd4048aece25f1ed45708f8f34e1",
    "public/train.csv": "564a1614ecef9d9611cec4efdce4c412",
    "private/test.csv": "1cb99c65efecaba968128577722a83ef",
}


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
def test_the_random_split_has_the_checksums_of_mle_bench(folder: Path) -> None:
    root = os.environ.get("MLAGENT_RAW_DATA")
    if not root or not (Path(root) / "spaceship-titanic").is_dir():
        pytest.skip("MLAGENT_RAW_DATA names no folder with the raw files")
    module = load_module(load_task("spaceship-titanic"), "prepare")
    module.prepare_as_mle_bench(
        Path(root) / "spaceship-titanic", folder / "public", folder / "private"
    )
    found = {name: file_digest(folder / name, "md5") for name in MLE_BENCH_MD5}
    assert found == MLE_BENCH_MD5
