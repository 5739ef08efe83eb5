"""Tabular Playground, December 2021: MLE-bench's split, and patches of a made-up forest.

A made-up patch has an effective height: its elevation, moved by its soil, its wilderness
area, the way it faces, water, roads and hillshade, in part depending on each other. The
kinds of trees follow one another with that height, as those of the real survey do with
elevation, in the real shares; the three kinds of the valleys are told apart by water and
shade. So elevation alone goes far, every other column a little further, trees see more
than a linear model, and the more rows the better. Soils and areas are as frequent as the
real ones and as carelessly imitated (none or two in some rows); a few labels are drawn at
random.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd

TARGET = "Cover_Type"
FACTS = tomllib.loads(Path(__file__).with_name("task.toml").read_text(encoding="utf-8"))
WORLD = 2021  # soils are the same for every seed, patches are not
NOISE = 0.065  # share of labels drawn at random from all
SHARES = np.array([0.367, 0.566, 0.049, 9e-5, 2.5e-7, 0.0028, 0.0156])


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Hold a random tenth of Kaggle's train.csv out, as MLE-bench does.

    Its private file, kept for its checksum, has all columns; answers.csv has those graded.
    """
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(pd.read_csv(raw / "train.csv"), test_size=0.1, random_state=0)
    _write(train, test, public, private)


def synthesize(public: Path, private: Path, *, seed: int, size: int) -> None:
    """Write `size` patches to learn from and a quarter as many to judge."""
    rng = np.random.default_rng([seed, 0xF03E57])
    n_test = max(size // 4, 1)
    patches, clean = _patches(rng, size + n_test)
    patches.insert(0, "Id", rng.permutation(len(patches)))
    _write(patches.iloc[:size], patches.iloc[size:], public, private)
    oracle = pd.DataFrame({"Id": patches["Id"], TARGET: clean})
    oracle[size:].to_csv(private / "oracle.csv", index=False)


def _write(train: pd.DataFrame, test: pd.DataFrame, public: Path, private: Path) -> None:
    train.to_csv(public / "train.csv", index=False)
    test.to_csv(private / "test.csv", index=False)
    test[["Id", TARGET]].to_csv(private / "answers.csv", index=False)
    test.drop(columns=TARGET).to_csv(public / "test.csv", index=False)
    sample = pd.DataFrame({"Id": test["Id"], TARGET: 2})
    sample.to_csv(public / "sample_submission.csv", index=False)


# Rows in 4 million that have each wilderness area and soil type.
AREA_COUNTS = np.array([1044772, 166644, 2614293, 87276])
SOIL_COUNTS = np.array([
    67366, 123584, 17102, 151651, 62861, 31891, 0, 11599, 43572, 218163, 111941, 73160, 125181,
    59906, 0, 63554, 82687, 53745, 55245, 69472, 46156, 125384, 196683, 100087, 13033, 54108,
    47063, 42831, 89094, 115468, 109973, 149848, 151283, 47980, 64214, 42851, 48830, 163006,
    156957, 126474,
])  # fmt: skip

AREA_LIFTS = np.array([50.0, 110.0, -20.0, -300.0])  # in metres of effective height
SOIL_LIFT = 55.0  # standard deviation over soils
# Effective heights between the valleys' kinds (3, 4, 6), 2, 1 and 7, for the real shares.
BORDERS = np.array([2416.0, 3057.0, 3609.0])


def _patches(rng: np.random.Generator, n: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return patches with labels, and the labels before some are drawn at random."""
    area = rng.choice(4, n, p=AREA_COUNTS / AREA_COUNTS.sum())
    soil = rng.choice(40, n, p=SOIL_COUNTS / SOIL_COUNTS.sum())
    elevation = np.clip(rng.normal(2990 + np.array([60, 120, 0, -520])[area], 270), 1773, 4383)
    aspect = np.where(rng.random(n) < 0.6, rng.normal(75, 50, n), rng.normal(265, 55, n))
    aspect = np.clip(aspect, -33, 407)
    slope = np.clip(rng.gamma(3.4, 4.6, n) - 0.5, -3, 64)
    water = np.clip(rng.gamma(1.5, 190, n) - 12, -92, 1602)
    above_water = np.clip(0.17 * water * rng.gamma(1.4, 0.8, n) + rng.normal(0, 18, n), -317, 647)
    roads = np.clip(rng.gamma(1.9, 950, n) - 40, -287, 7666)
    fires = np.clip(rng.gamma(2.0, 800, n) - 20, -277, 8075)
    facing = np.radians(aspect)
    morning = 222 + 1.7 * slope * np.sin(facing) - 0.3 * slope + rng.normal(0, 14, n)
    noon = 228 - 0.9 * slope * np.cos(facing) * 0.9 - 0.5 * slope + rng.normal(0, 12, n)
    evening = 142 - 1.9 * slope * np.sin(facing) + rng.normal(0, 22, n)

    soil_lift = SOIL_LIFT * np.random.default_rng(WORLD).standard_normal(40)
    height = elevation + soil_lift[soil] + AREA_LIFTS[area] - 0.9 * above_water
    height -= 110 * np.tanh(np.hypot(water, above_water) / 250) - 63
    height += 60 * np.cos(facing) * np.where(elevation > 2950, 1, -0.6)
    height += 60 * np.sin(roads / 900) * np.where(area == 2, 1.0, -0.4)
    height += 0.6 * (noon - 221) - 40 * np.tanh((fires - 1580) / 700)
    clean = np.array([0, 2, 1, 7])[np.searchsorted(BORDERS, height)]
    damp = 0.02 * (evening - 140) - water / 250
    valley = np.where(damp > 0.244, 6, np.where((damp < -4.6) & (area == 3), 4, 3))
    clean = np.where(clean == 0, valley, clean)
    drawn = rng.choice(np.arange(1, 8), n, p=SHARES / SHARES.sum())
    label = np.where(rng.random(n) < NOISE, drawn, clean)

    numbers = [
        elevation, aspect, slope, water, above_water, roads,
        np.clip(morning, -4, 301), np.clip(noon, 49, 279), np.clip(evening, -53, 272), fires,
    ]  # fmt: skip
    table = np.column_stack([
        np.rint(np.column_stack(numbers)).astype(int),
        _one_hot(rng, area, AREA_COUNTS, lost=0.035, added=0.013),
        _one_hot(rng, soil, SOIL_COUNTS, lost=0.21, added=0.04),
        label,
    ])  # fmt: skip
    return pd.DataFrame(table, columns=FACTS["columns"]["public/train.csv"][1:]), clean


def _one_hot(
    rng: np.random.Generator, drawn: np.ndarray, counts: np.ndarray, *, lost: float, added: float
) -> np.ndarray:
    """Return indicator columns in which a share of rows lost its one or got another."""
    n = len(drawn)
    block = np.zeros((n, len(counts)), dtype=int)
    block[np.arange(n), drawn] = rng.random(n) >= lost
    other = rng.choice(len(counts), n, p=counts / counts.sum())
    more = np.flatnonzero(rng.random(n) < added)
    block[more, other[more]] = 1
    return block
