"""Materials are numbered anew after the split, and their geometry files go with them."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from mlagent_gym import data
from mlagent_gym.tasks import load_module, load_task


def test_geometry_files_follow_their_materials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLAGENT_CACHE", str(tmp_path / "cache"))
    task = load_task("nomad2018-predict-transparent-conductors")
    made, raw = tmp_path / "made", tmp_path / "raw"
    for folder in (made, tmp_path / "private", raw):
        folder.mkdir()
    load_module(task, "prepare").synthesize(made, tmp_path / "private", seed=3, size=40)
    # Kaggle packs the table and the folder of geometry files into an archive each.
    for name, members in (("train.csv", [made / "train.csv"]), ("train", made.glob("train/*/*"))):
        with zipfile.ZipFile(raw / f"{name}.zip", "w") as archive:
            for member in members:
                archive.write(member, member.relative_to(made))
    prepared = data.prepare_real(replace(task, rows={}, checksums={}), raw)

    # Every cell is another one, so its edges tell which material a row was.
    edges = [f"lattice_vector_{i}_ang" for i in (1, 2, 3)]
    old = pd.read_csv(made / "train.csv").set_index(edges)["id"]
    counts = {"train": 36, "test": 4}
    for part, count in counts.items():
        table = pd.read_csv(prepared.public / f"{part}.csv")
        assert table["id"].tolist() == list(range(1, count + 1))
        for row in table.itertuples():
            was = old[tuple(getattr(row, edge) for edge in edges)]
            geometry = (prepared.public / part / str(row.id) / "geometry.xyz").read_bytes()
            assert geometry == (made / "train" / str(was) / "geometry.xyz").read_bytes()
    assert "bandgap_energy_ev" not in pd.read_csv(prepared.public / "test.csv")
