"""Plant pathology: MLE-bench's split of Kaggle's labelled images, and a stand-in of the same form.

The stand-in shows one apple leaf before a blurred orchard, at an eighth of the real 2048 x 1365
pixels to keep it quick. Rust makes small round orange spots, scab larger olive-brown blotches,
a leaf with several diseases has both; there are few spots or many, light and white balance
differ from photo to photo, and bits of the orchard have the spots' colours. So colour features,
larger images, normalised light and mirrored copies help; few leaves have several diseases.
"""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.model_selection import train_test_split

CLASSES = ["healthy", "multiple_diseases", "rust", "scab"]
SHARES = np.array([516, 91, 622, 592]) / 1821
WIDTH, HEIGHT = 256, 171
NOISE = 0.02  # share of leaves under the wrong label


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Hold out a random tenth of Kaggle's train.csv and number both parts, as MLE-bench does."""
    leaves = pd.read_csv(raw / "train.csv")
    train, test = train_test_split(leaves, test_size=0.1, random_state=0)
    (public / "images").mkdir()
    parts = []
    for part, prefix in ((train, "Train"), (test, "Test")):
        names = [f"{prefix}_{i}" for i in range(len(part))]
        there = []
        for old, new in zip(part["image_id"], names, strict=True):
            source = raw / "images" / f"{old}.jpg"
            there.append(source.is_file())
            if there[-1]:
                shutil.copyfile(source, public / "images" / f"{new}.jpg")
        parts.append(part.assign(image_id=names)[there])
    _write_tables(*parts, public, private)


def synthesize(public: Path, private: Path, *, seed: int, size: int) -> None:
    """Draw `size` leaves to learn from and three quarters as many to judge."""
    rng = np.random.default_rng([seed, 0x1EAF5])
    n_test = max(3 * size // 4, 40)
    shown = np.concatenate([_classes(rng, size), _classes(rng, n_test)])
    wrong = rng.random(len(shown)) < NOISE
    label = np.where(wrong, (shown + rng.integers(1, 4, len(shown))) % 4, shown)
    names = [f"Train_{i}" for i in range(size)] + [f"Test_{i}" for i in range(n_test)]
    (public / "images").mkdir()
    for name, kind in zip(names, shown, strict=True):
        path = public / "images" / f"{name}.jpg"
        Image.fromarray(_leaf(rng, int(kind))).save(path, format="JPEG", quality=85)
    table = _table(names, np.eye(4, dtype=int)[label])
    _write_tables(table[:size], table[size:], public, private)
    beliefs = np.where(np.eye(4)[shown[size:]] == 1, 1 - NOISE, NOISE / 3)
    _table(names[size:], beliefs).to_csv(private / "oracle.csv", index=False)


def _table(names: list[str], values: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame(values, columns=CLASSES)
    frame.insert(0, "image_id", names)
    return frame


def _write_tables(train: pd.DataFrame, test: pd.DataFrame, public: Path, private: Path) -> None:
    train.to_csv(public / "train.csv", index=False)
    test[["image_id"]].to_csv(public / "test.csv", index=False)
    test.to_csv(private / "test.csv", index=False)
    sample = test.assign(**dict.fromkeys(CLASSES, 0.25))
    sample.to_csv(public / "sample_submission.csv", index=False)


def _classes(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return classes in the real shares, as exactly as `n` allows, in random order."""
    return rng.permutation(np.searchsorted(np.cumsum(SHARES), (np.arange(n) + 0.5) / n))


GREEN = np.array([0.30, 0.47, 0.22])
RUST = np.array([0.72, 0.44, 0.16])
SCAB = np.array([0.34, 0.34, 0.21])
ORCHARD = np.array([0.41, 0.50, 0.32])

# How much rust and how much scab a leaf of each class has on average.
DISEASES = {
    "healthy": np.array([0.0, 0.0]),
    "multiple_diseases": np.array([1.0, 1.0]),
    "rust": np.array([1.0, 0.0]),
    "scab": np.array([0.0, 1.0]),
}

_Y, _X = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)


def _leaf(rng: np.random.Generator, kind: int) -> np.ndarray:
    """Return one photo, height x width x 3 as bytes."""
    image = ORCHARD + _clutter(rng, 4, 0.13) + _clutter(rng, 9, 0.07)
    for _ in range(rng.poisson(1.0)):  # twigs, fruit and dead leaves out of focus
        x, y = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
        colour = RUST if rng.random() < 0.5 else SCAB
        _spot(image, x, y, rng.uniform(4, 13), 3, 0.6, colour + rng.normal(0, 0.05, 3))

    # The blade: where two circles' arcs meet, along an axis that leans.
    middle = np.array([WIDTH, HEIGHT]) * (0.5 + rng.uniform(-0.08, 0.08, 2))
    angle, long = rng.normal(0, 0.35), rng.uniform(75, 110)
    wide = long * rng.uniform(0.38, 0.6)
    along = np.cos(angle) * (_X - middle[0]) + np.sin(angle) * (_Y - middle[1])
    across = np.cos(angle) * (_Y - middle[1]) - np.sin(angle) * (_X - middle[0])
    edge = np.abs(across) - wide * (1 - (along / long) ** 2)
    cover = np.clip(0.5 - edge / 2, 0, 1)[..., None]
    veins = np.cos((along - 0.8 * np.abs(across)) / 3.0) * 0.02 + 0.10 * (np.abs(across) < 1.2)
    rust, scab = (DISEASES[CLASSES[kind]] * rng.gamma(1.5, 1 / 1.5, 2)).tolist()
    pallor = min(rust, 2) * np.array([0.05, 0.0, -0.02]) + min(scab, 2) * np.array([0.02, -0.04, 0])
    blade = GREEN + pallor + rng.normal(0, 0.025, 3) + veins[..., None] + _clutter(rng, 14, 0.035)
    image += cover * (blade - image)

    def anywhere() -> tuple[float, float]:
        u = rng.uniform(-0.8, 0.8) * long
        v = rng.uniform(-0.8, 0.8) * wide * (1 - (u / long) ** 2)
        x, y = np.cos(angle) * u - np.sin(angle) * v, np.sin(angle) * u + np.cos(angle) * v
        return x + middle[0], y + middle[1]

    for _ in range(math.ceil(8 * rust)):
        colour = RUST + rng.normal(0, 0.05, 3)
        _spot(image, *anywhere(), rng.uniform(2, 5.5), 0.6, 0.95, colour)
    for _ in range(math.ceil(6 * scab)):
        strength, colour = rng.uniform(0.45, 0.9), SCAB + rng.normal(0, 0.03, 3)
        x, y = anywhere()
        for _ in range(4):  # an irregular blotch is a few soft spots together
            dx, dy = rng.normal(0, 4, 2)
            _spot(image, x + dx, y + dy, rng.uniform(3, 7), 2, strength, colour)
    light = rng.uniform(0.65, 1.3) * np.exp(rng.normal(0, 0.04, 3))
    image = light * image + 0.02 * rng.standard_normal(image.shape, dtype=np.float32)
    return (255 * np.clip(image, 0, 1)).astype(np.uint8)


def _spot(
    image: np.ndarray,
    x: float,
    y: float,
    radius: float,
    blur: float,
    strength: float,
    colour: np.ndarray,
) -> None:
    """Blend a disc into the image, in place."""
    reach = int(radius + 2 * blur) + 2
    rows = slice(max(int(y) - reach, 0), max(int(y) + reach, 0))
    columns = slice(max(int(x) - reach, 0), max(int(x) + reach, 0))
    distance = np.hypot(_X[rows, columns] - x, _Y[rows, columns] - y)
    cover = strength * np.clip(0.5 - (distance - radius) / (2 * blur), 0, 1)[..., None]
    image[rows, columns] += cover * (colour - image[rows, columns])


def _clutter(rng: np.random.Generator, cells: int, strength: float) -> np.ndarray:
    """Return smooth random colours, height x width x 3, about 0."""
    coarse = rng.normal(0, strength, (cells, cells, 1)) + rng.normal(
        0, 0.4 * strength, (cells, cells, 3)
    )
    planes = [
        Image.fromarray(coarse[..., c].astype(np.float32)).resize(
            (WIDTH, HEIGHT), Image.Resampling.BICUBIC
        )
        for c in range(3)
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)
