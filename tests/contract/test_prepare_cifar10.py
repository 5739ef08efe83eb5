"""The published CIFAR-10 archive is read without trusting its pickles."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlagent_gym import data
from mlagent_gym.data import Prepared
from mlagent_gym.errors import TaskError
from mlagent_gym.grading import grade
from mlagent_gym.tasks import Task, load_task

ROWS = 6


def _batch(seed: int) -> dict[bytes, object]:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (ROWS, 3072), dtype=np.uint8)
    return {b"data": pixels, b"labels": rng.integers(0, 10, ROWS).tolist(), b"batch_label": b"x"}


def _archive(path: Path, **batches: object) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, batch in batches.items():
            # The published pickles name NumPy's modules as of 2009.
            content = pickle.dumps(batch, protocol=2)
            content = content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def _prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **batches: object) -> Prepared:
    monkeypatch.setenv("MLAGENT_CACHE", str(tmp_path / "cache"))
    _archive(tmp_path / "cifar-10-python.tar.gz", **batches)
    return data.prepare_real(_small(load_task("cifar10")), tmp_path)


def _small(task: Task) -> Task:
    raw = tuple(replace(file, md5=None) for file in task.raw)
    return replace(task, raw=raw, rows={"private/answers.csv": ROWS})


def test_batches_become_arrays_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = [_batch(seed) for seed in range(1, 6)], _batch(9)
    batches = {f"data_batch_{i}": batch for i, batch in enumerate(train, 1)}
    prepared = _prepare(tmp_path, monkeypatch, test_batch=test, batches_meta={}, **batches)
    images = np.load(prepared.public / "train_images.npy")
    labels = np.load(prepared.public / "train_labels.npy")
    assert images.shape == (5 * ROWS, 32, 32, 3) and images.dtype == labels.dtype == np.uint8
    assert labels.tolist() == [label for batch in train for label in batch[b"labels"]]  # type: ignore[attr-defined]
    red = np.asarray(train[1][b"data"])[0, :1024].reshape(32, 32)
    assert (images[ROWS, :, :, 0] == red).all()
    answers = (prepared.private / "answers.csv").read_bytes()
    assert grade(load_task("cifar10"), prepared.private / "answers.csv", answers).score == 1


class _Hostile:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch hostile-pickle-ran",)


def test_a_pickle_that_wants_to_run_something_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TaskError, match=r"must not refer to \w+\.system"):
        _prepare(tmp_path, monkeypatch, test_batch=_Hostile())
    assert not (tmp_path / "hostile-pickle-ran").exists()
