"""Dogs vs. cats: MLE-bench's split of Kaggle's training photos, and a stand-in of the same form.

The stand-in shows the head of a cat or a dog in photos of the real sizes (80 to 500 pixels a
side). Cats have pointed ears and a short face, dogs hanging ears and a long snout, but some dogs'
ears stand up and some cats' fold, and furs come in every colour; dogs are a little more often in
the green. The head may be anywhere, large or small, in any light: convolution, mirrored copies,
normalised light, larger thumbnails and longer training help, and sure predictions cost when the
network overfits.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.model_selection import train_test_split

NOISE = 0.01  # share of photos under the wrong label
PIXELS = 96  # side of the square that is drawn before it becomes a photo


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Hold out a random tenth of the sorted training photos and number both parts anew.

    MLE-bench also packs the photos into train.zip and test.zip; here they lie in folders.
    """
    photos = sorted((raw / "train").glob("*.jpg"))
    train, test = train_test_split(photos, test_size=0.1, random_state=0)
    for part, folder in ((train, "train"), (test, "test")):
        (public / folder).mkdir()
        names = _names([int("dog" in path.name) for path in part], folder)
        for path, name in zip(part, names, strict=True):
            shutil.copyfile(path, public / folder / name)
    _write_tables([int("dog" in path.name) for path in test], public, private)


def synthesize(public: Path, private: Path, *, seed: int, size: int) -> None:
    """Draw `size` photos to learn from and three quarters as many to judge."""
    rng = np.random.default_rng([seed, 0xCA75D065])
    n = size + max(3 * size // 4, 8)
    shown = rng.permutation(np.arange(n) % 2)
    label = np.where(rng.random(n) < NOISE, 1 - shown, shown)
    parts = {"train": slice(None, size), "test": slice(size, None)}
    paths = []
    for folder, part in parts.items():
        (public / folder).mkdir()
        paths += [public / folder / name for name in _names(label[part].tolist(), folder)]
    for start in range(0, n, 50):  # a few at a time, to spare memory
        square = _draw(rng, shown[start : start + 50])
        for pixels, path in zip(square, paths[start : start + 50], strict=True):
            photo = Image.fromarray(pixels).resize(_photo_size(rng), Image.Resampling.BICUBIC)
            photo.save(path, format="JPEG", quality=90)
    _write_tables(label[size:].tolist(), public, private)
    beliefs = np.where(shown[size:] == 1, 1 - NOISE, NOISE)
    _table(beliefs.tolist()).to_csv(private / "oracle.csv", index=False)


def _names(labels: list[int], folder: str) -> list[str]:
    """Return file names: numbered from 0 per animal to learn from, from 1 to judge."""
    if folder == "test":
        return [f"{i}.jpg" for i in range(1, len(labels) + 1)]
    count = {"cat": 0, "dog": 0}
    names = []
    for label in labels:
        animal = "dog" if label else "cat"
        names.append(f"{animal}.{count[animal]}.jpg")
        count[animal] += 1
    return names


def _table(labels: list[int] | list[float]) -> pd.DataFrame:
    return pd.DataFrame({"id": range(1, len(labels) + 1), "label": labels})


def _write_tables(labels: list[int], public: Path, private: Path) -> None:
    _table(labels).to_csv(private / "answers.csv", index=False)
    _table([0.5] * len(labels)).to_csv(public / "sample_submission.csv", index=False)


def _photo_size(rng: np.random.Generator) -> tuple[int, int]:
    """Return width and height about as the real ones: half of the photos are 500 wide."""
    long = 500 if rng.random() < 0.55 else int(rng.triangular(100, 450, 500))
    short = int(long * np.clip(rng.normal(0.78, 0.09), 0.5, 1.0))
    return (long, short) if rng.random() < 0.75 else (short, long)


FURS = np.array(
    [[0.62, 0.45, 0.28], [0.25, 0.21, 0.19], [0.78, 0.73, 0.66], [0.50, 0.49, 0.49],
     [0.70, 0.55, 0.38], [0.40, 0.29, 0.20]]
)  # fmt: skip
PLACES = np.array([[0.52, 0.46, 0.40], [0.44, 0.48, 0.38]])  # where cats and dogs are


def _draw(rng: np.random.Generator, shown: np.ndarray) -> np.ndarray:
    """Return photos x side x side x 3 as bytes."""
    n = len(shown)

    def each(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (n, 1, 1))

    # The animal's own square, from -1 to 1, y downwards.
    axis = (np.arange(PIXELS) + 0.5) / PIXELS * 2 - 1
    y, x = np.meshgrid(axis, axis, indexing="ij")
    zoom, angle = each(0.42, 0.75), rng.normal(0, 0.15, (n, 1, 1))
    x0, y0 = (x - each(-0.3, 0.3)) / zoom, (y - each(-0.25, 0.25)) / zoom
    x, y = np.cos(angle) * x0 + np.sin(angle) * y0, np.cos(angle) * y0 - np.sin(angle) * x0
    soft = 2 / PIXELS / zoom

    def cover(distance: np.ndarray) -> np.ndarray:
        return np.clip(0.5 - distance / soft, 0, 1)[..., None]

    def oval(cx: float | np.ndarray, cy: float | np.ndarray, rx: object, ry: object) -> np.ndarray:
        return (np.hypot((x - cx) / rx, (y - cy) / ry) - 1) * 0.3

    dog = shown[:, None, None] == 1
    up = np.where(dog, each(0, 1) < 0.2, each(0, 1) < 0.9)  # do the ears stand?
    fur = FURS[rng.integers(len(FURS), size=n)][:, None, None] + rng.normal(0, 0.04, (n, 1, 1, 3))
    clutter = _clutter(rng, n)
    place = PLACES[shown][:, None, None] + rng.normal(0, 0.06, (n, 1, 1, 3))
    image = place + clutter

    head_width = each(0.58, 0.72) * np.where(dog, 0.93, 1.05)
    side = np.abs(x)
    standing = np.maximum(np.abs(side - 0.44) - (y + 1.05) * each(0.38, 0.5), y + 0.35)
    hanging = (np.hypot((side - 0.72) / 0.2, (y - each(-0.05, 0.2)) / 0.5) - 1) * 0.25
    ear = np.where(up, standing, hanging)
    dark = 1 - 0.3 * (each(0, 1) < 0.5)[..., None]
    body = oval(0.0, 1.5, 0.9, 0.95)
    image += cover(body) * (0.9 * fur - image)
    head = oval(0.0, 0.0, head_width, each(0.55, 0.7))
    image += cover(head) * (fur + 0.3 * clutter[:, ::-1] - image)
    image += cover(ear) * (fur * dark - image)

    # The face: a dog's snout is long and pale or dark, with a large nose low down.
    snout = oval(0.0, np.where(dog, 0.34, 0.24), np.where(dog, 0.3, 0.2), np.where(dog, 0.36, 0.14))
    pale = np.where(rng.random((n, 1, 1, 1)) < 0.6, 1.25, 0.8)
    image += cover(snout) * (fur * pale - image)
    nose = oval(0.0, np.where(dog, 0.42, 0.18), np.where(dog, 0.13, 0.07), np.where(dog, 0.1, 0.05))
    image += cover(nose) * (np.where(dog, 0.1, 0.45)[..., None] * np.array([1, 0.8, 0.8]) - image)
    eye = (np.hypot(side - 0.26, (y + 0.12) * np.where(dog, 1.0, 1.15)) - 0.11) * 0.8
    iris = np.where(dog[..., None], [0.25, 0.16, 0.1], [0.6, 0.65, 0.25])
    image += cover(eye) * (iris - image)
    pupil = np.hypot((side - 0.26) / np.where(dog, 1.0, 0.4), y + 0.12) - 0.07
    image += cover(pupil) * (0.05 - image)

    light = rng.uniform(0.6, 1.3, (n, 1, 1, 1)) * np.exp(rng.normal(0, 0.04, (n, 1, 1, 3)))
    image = light * image + rng.normal(0, 0.05, (n, 1, 1, 1)) + rng.normal(0, 0.02, image.shape)
    return (255 * np.clip(image, 0, 1)).astype(np.uint8)


def _clutter(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return smooth random colours, coarse and fine, photos x side x side x 3, about 0."""
    total = np.zeros((n, PIXELS, PIXELS, 3))
    for cells, strength in ((3, 0.12), (7, 0.10), (16, 0.08)):
        grey = rng.normal(0, strength, (n, cells + 1, cells + 1, 1))
        coarse = grey + rng.normal(0, 0.25 * strength, (n, cells + 1, cells + 1, 3))
        at = np.linspace(0, cells, PIXELS, endpoint=False)
        low, part = at.astype(int), (at % 1)[:, None]
        rows = coarse[:, low] * (1 - part[..., None]) + coarse[:, low + 1] * part[..., None]
        total += rows[:, :, low] * (1 - part) + rows[:, :, low + 1] * part
    return total
