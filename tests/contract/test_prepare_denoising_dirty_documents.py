"""The benchmark's split of the pages has a leak, which the other split has not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mlagent_gym import data
from mlagent_gym.data import Prepared
from mlagent_gym.grading import flag_of, grade
from mlagent_gym.tasks import Task, load_task

TEXTS, PAGES_OF_A_TEXT, SIDE = 10, 4, 6


@pytest.fixture
def task() -> Task:
    return load_task("denoising-dirty-documents")


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pages of noise in grey, each text on four of them, with the clean page beside each."""
    monkeypatch.setenv("MLAGENT_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for folder in ("train", "train_cleaned"):
        (tmp_path / "raw" / folder).mkdir(parents=True)
    for number in range(TEXTS * PAGES_OF_A_TEXT):
        clean = np.full((SIDE, SIDE), number % TEXTS, dtype=np.uint8)
        dirty = rng.integers(0, 255, (SIDE, SIDE), dtype=np.uint8)
        Image.fromarray(clean).save(tmp_path / "raw" / "train_cleaned" / f"{number}.png")
        Image.fromarray(dirty).save(tmp_path / "raw" / "train" / f"{number}.png")
    return tmp_path / "raw"


def _texts(prepared: Prepared) -> tuple[set[int], set[int]]:
    """Return which texts are among the training targets and which among the answers."""
    targets = {int(np.asarray(Image.open(p))[0, 0]) for p in _targets(prepared)}
    answers = pd.read_csv(prepared.private / "answers.csv")
    return targets, set(answers["value"].mul(255).round().astype(int))


def _targets(prepared: Prepared) -> list[Path]:
    return sorted((prepared.public / "train_cleaned").iterdir())


def test_the_benchmarks_split_shows_the_answers_and_the_score_that_uses_them_is_flagged(
    task: Task, raw: Path
) -> None:
    prepared = data.prepare_real(task, raw, partial=True)
    targets, answers = _texts(prepared)
    assert answers <= targets
    looked_up = (prepared.private / "answers.csv").read_bytes()
    score = grade(task, prepared.private / task.submission.answers, looked_up).score
    assert "is among the training pages" in flag_of(task, prepared.variant, score)


def test_split_by_text_no_clean_page_is_in_both_parts(task: Task, raw: Path) -> None:
    prepared = data.prepare_real(task, raw, split="by-text", partial=True)
    targets, answers = _texts(prepared)
    assert not targets & answers
    assert targets | answers == set(range(TEXTS))
    assert len(answers) == 2 and len(_targets(prepared)) == 8 * PAGES_OF_A_TEXT
    assert not flag_of(task, prepared.variant, 0.0)
