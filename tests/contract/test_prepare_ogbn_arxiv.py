"""OGB's archive becomes plain arrays and tables, in which no test label is public."""

from __future__ import annotations

import gzip
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from mlagent_gym import data
from mlagent_gym.tasks import load_task

N_NODES = 60


@pytest.fixture
def tables() -> dict[str, npt.NDArray[np.generic]]:
    """Return the tables of a small archive, by their paths in it."""
    rng = np.random.default_rng(0)
    year = rng.integers(2015, 2021, N_NODES)
    return {
        "raw/node-feat": rng.standard_normal((N_NODES, 128)).round(4),
        "raw/edge": rng.integers(0, N_NODES, (200, 2)),
        "raw/node-label": rng.integers(0, 40, N_NODES),
        "raw/node_year": year,
        "split/time/train": np.flatnonzero(year <= 2017),
        "split/time/valid": np.flatnonzero(year == 2018),
        "split/time/test": np.flatnonzero(year >= 2019),
    }


def test_the_archive_is_laid_out_by_its_own_split(
    tables: dict[str, npt.NDArray[np.generic]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLAGENT_CACHE", str(tmp_path / "cache"))
    with zipfile.ZipFile(tmp_path / "arxiv.zip", "w") as archive:
        for name, table in tables.items():
            text = pd.DataFrame(table).to_csv(header=False, index=False)
            archive.writestr(f"arxiv/{name}.csv.gz", gzip.compress(text.encode()))
    prepared = data.prepare_real(replace(load_task("ogbn-arxiv"), rows={}), tmp_path)

    label = tables["raw/node-label"]
    features = np.load(prepared.public / "node_features.npy")
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, tables["raw/node-feat"], rtol=1e-6)
    assert (np.load(prepared.public / "edges.npy") == tables["raw/edge"]).all()
    for name in ("train", "valid"):
        nodes = pd.read_csv(prepared.public / f"{name}_nodes.csv")
        assert (nodes["node"] == tables[f"split/time/{name}"]).all()
        assert (nodes["label"] == label[nodes["node"]]).all()
    test = pd.read_csv(prepared.public / "test_nodes.csv")
    assert list(test) == ["node"]
    answers = pd.read_csv(prepared.private / "answers.csv")["0"]
    assert answers.tolist() == label[tables["split/time/test"]].tolist()
