"""Aerial cactus: MLE-bench's split of Kaggle's training images, and a stand-in of the same form.

The stand-in looks down on arid ground with bushes and dead branches, in light of any
strength; three images in four also show a columnar cactus. What tells it from the rest is
its long outline, its ribs and a slight tint together, at any place and angle: so convolution,
turned and mirrored copies, normalised light and longer training all help, and no linear
model of the pixels does.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.model_selection import train_test_split

TARGET = "has_cactus"
PIXELS = 32
SHARE = 13136 / 17500  # of images with a cactus
NOISE = 0.01  # share of images under the wrong label


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Split Kaggle's train.csv at random into 81 and 19 %, not stratified, as MLE-bench does.

    MLE-bench packs the images into train.zip and test.zip; here they lie in folders.
    """
    images = pd.read_csv(raw / "train.csv")
    train, test = train_test_split(images, test_size=0.19, random_state=0)
    there = {path.name for path in (raw / "train").glob("*.jpg")}
    train, test = train[train["id"].isin(there)], test[test["id"].isin(there)]
    for part, folder in ((train, "train"), (test, "test")):
        (public / folder).mkdir()
        for name in part["id"]:
            shutil.copyfile(raw / "train" / name, public / folder / name)
    _write_tables(train, test, public, private)


def synthesize(public: Path, private: Path, *, seed: int, size: int) -> None:
    """Draw `size` images to learn from and half as many to judge."""
    rng = np.random.default_rng([seed, 0xCAC705])
    n = size + max(size // 2, 8)
    shown = rng.permutation(np.arange(n) < round(SHARE * n)).astype(int)
    label = np.where(rng.random(n) < NOISE, 1 - shown, shown)
    table = pd.DataFrame({"id": [f"{rng.bytes(16).hex()}.jpg" for _ in range(n)], TARGET: label})
    for folder in ("train", "test"):
        (public / folder).mkdir()
    for i, (name, pixels) in enumerate(zip(table["id"], _draw(rng, shown), strict=True)):
        path = public / ("train" if i < size else "test") / name
        Image.fromarray(pixels).save(path, format="JPEG", quality=90)
    _write_tables(table[:size], table[size:], public, private)
    oracle = table[size:].assign(**{TARGET: np.where(shown[size:] == 1, 1 - NOISE, NOISE)})
    oracle.to_csv(private / "oracle.csv", index=False)


def _write_tables(train: pd.DataFrame, test: pd.DataFrame, public: Path, private: Path) -> None:
    train.to_csv(public / "train.csv", index=False)
    test.to_csv(private / "test.csv", index=False)
    test.assign(**{TARGET: 0.5}).to_csv(public / "sample_submission.csv", index=False)


GROUND = np.array([0.53, 0.48, 0.43])
LEAVES = np.array([0.36, 0.41, 0.29])
CACTUS = np.array([0.41, 0.46, 0.36])
WOOD = np.array([0.42, 0.36, 0.31])


def _draw(rng: np.random.Generator, shown: np.ndarray) -> np.ndarray:
    """Return images x 32 x 32 x 3 as bytes."""
    n = len(shown)
    image = GROUND + rng.normal(0, 0.025, (n, 1, 1, 3)) + 0.5 * _clutter(rng, n)
    for _ in range(3):  # bushes and branches, each in some of the images
        image = _bush(rng, image, rng.random(n) < 0.5)
        image = _rod(rng, image, rng.random(n) < 0.25, WOOD, width=(0.8, 2.2), ribs=0.0)
    image = _rod(rng, image, shown == 1, CACTUS, width=(2.4, 3.6), ribs=0.13)
    light = rng.uniform(0.65, 1.3, (n, 1, 1, 1)) * np.exp(rng.normal(0, 0.03, (n, 1, 1, 3)))
    image = light * image + rng.normal(0, 0.07, (n, 1, 1, 1)) + rng.normal(0, 0.035, image.shape)
    return (255 * np.clip(image, 0, 1)).astype(np.uint8)


def _grid() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:PIXELS, :PIXELS].astype(float)
    return x, y


def _paint(image: np.ndarray, cover: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """Lay a colour over the images where `cover`, images x 32 x 32, is near 1."""
    return image + cover[..., None] * (colour - image)


def _bush(rng: np.random.Generator, image: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Add a clump of round leaves and its shadow."""
    n = len(image)
    x, y = _grid()
    centre = rng.uniform(0, PIXELS, (2, n, 1, 1))
    distance = np.full((n, PIXELS, PIXELS), np.inf)
    for _ in range(3):
        part = centre + rng.normal(0, 2.5, (2, n, 1, 1))
        edge = np.hypot(x - part[0], y - part[1]) - rng.uniform(1.5, 4.5, (n, 1, 1))
        distance = np.minimum(distance, edge)
    cover = np.clip(0.5 - distance / 1.5, 0, 1) * there[:, None, None]
    shadow = np.roll(cover, (1, 2), (1, 2))
    image = image * (1 - 0.35 * shadow[..., None])
    colour = LEAVES + rng.normal(0, 0.04, (n, 1, 1, 3)) + 0.4 * _clutter(rng, n)
    return _paint(image, cover, colour)


def _rod(
    rng: np.random.Generator,
    image: np.ndarray,
    there: np.ndarray,
    colour: np.ndarray,
    *,
    width: tuple[float, float],
    ribs: float,
) -> np.ndarray:
    """Add something long at any angle, with its shadow, smooth or with ribs along it."""
    n = len(image)
    x, y = _grid()
    centre = rng.uniform(0.2 * PIXELS, 0.8 * PIXELS, (2, n, 1, 1))
    angle = rng.uniform(0, np.pi, (n, 1, 1))
    half_length = rng.uniform(6, 14, (n, 1, 1))
    half_width = rng.uniform(*width, (n, 1, 1))
    along = np.cos(angle) * (x - centre[0]) + np.sin(angle) * (y - centre[1])
    across = np.cos(angle) * (y - centre[1]) - np.sin(angle) * (x - centre[0])
    distance = np.hypot(np.maximum(np.abs(along) - half_length, 0), across) - half_width
    cover = np.clip(0.5 - distance, 0, 1) * there[:, None, None]
    shadow = np.roll(cover, (1, 2), (1, 2))
    image = image * (1 - 0.35 * shadow[..., None])
    stripes = ribs * np.cos(2 * np.pi * across / 2.6)[..., None]
    return _paint(image, cover, colour + rng.normal(0, 0.04, (n, 1, 1, 3)) + stripes)


def _clutter(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return smooth random colours, coarse and fine, images x 32 x 32 x 3, about 0."""
    total = np.zeros((n, PIXELS, PIXELS, 3))
    for cells, strength in ((3, 0.10), (8, 0.12), (16, 0.12)):
        grey = rng.normal(0, strength, (n, cells + 1, cells + 1, 1))
        coarse = grey + rng.normal(0, 0.25 * strength, (n, cells + 1, cells + 1, 3))
        at = np.linspace(0, cells, PIXELS, endpoint=False)
        low, part = at.astype(int), (at % 1)[:, None]
        rows = coarse[:, low] * (1 - part[..., None]) + coarse[:, low + 1] * part[..., None]
        total += rows[:, :, low] * (1 - part) + rows[:, :, low + 1] * part
    return total
