"""Whale categorization: MLE-bench's split of Kaggle's training photos, and a stand-in like them.

The stand-in shows flukes before the sea, in grey or in colour, at varying sizes (smaller than the
real photos, to keep it quick). A whale is known by its fluke's outline and by the white patches
and scars on it; photos differ in place, size, tilt, light and contrast, waves and spray hide
parts. As in the real data most whales have one or two photos and one photo in twelve shows a
`new_whale`. So cutting out the fluke, normalised light, shifted copies and comparing by the
patches' shape help, and so does naming `new_whale` where nothing known is near.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.model_selection import train_test_split

NEW = "new_whale"
SAMPLE = "new_whale w_1287fbc w_98baff9 w_7554f44 w_1eafe46"
TEST_SHARE = 0.1
NEW_SHARE = 810 / 9850  # of photos whose whale nobody knows
NOISE = 0.03  # share of photos under another whale's name


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Split Kaggle's train.csv so that each whale with several photos is in both parts."""
    train, test = _split(pd.read_csv(raw / "train.csv"))
    there = {path.name for path in (raw / "train").glob("*.jpg")}
    train, test = train[train["Image"].isin(there)], test[test["Image"].isin(there)]
    for part, folder in ((train, "train"), (test, "test")):
        (public / folder).mkdir()
        for name in part["Image"]:
            shutil.copyfile(raw / "train" / name, public / folder / name)
    _write_tables(train, test, public, private)


def synthesize(public: Path, private: Path, *, seed: int, size: int) -> None:
    """Draw photos until the split leaves `size` of them to learn from."""
    rng = np.random.default_rng([seed, 0x3A1E5])
    whales, photos = _sightings(rng, size)
    train, test = _split(photos)
    for folder in ("train", "test"):
        (public / folder).mkdir()
    for row in range(len(photos)):
        path = public / ("train" if row in train.index else "test") / photos["Image"][row]
        _photo(rng, whales[row]).save(path, format="JPEG", quality=85)
    # The wrong names come last, so that they change no photo and no split.
    train, test, clean = _misname(rng, train), _misname(rng, test), test
    _write_tables(train, test, public, private)
    known = pd.unique(train["Id"])
    ranking = clean["Id"] + "".join(f" {name}" for name in known[:4])
    clean.assign(Id=ranking).to_csv(private / "oracle.csv", index=False)


def _split(photos: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training and test photos in their own order, by MLE-bench's rules.

    Of a whale's photos, if there are several, one goes into each part; a single one goes into
    either by chance, as do all the others. Whales of the test part alone become `new_whale`.
    """
    part = pd.Series("undecided", index=photos.index)
    singles = np.random.default_rng(0)
    for _, group in photos.groupby("Id", sort=False):
        if len(group) >= 2:
            part[group.sample(2, random_state=0).index] = ["train", "test"]
        else:
            shares = [1 - TEST_SHARE, TEST_SHARE]
            part[group.index] = singles.choice(["train", "test"], replace=False, p=shares)
    rest = photos[part == "undecided"]
    rest_train, rest_test = train_test_split(rest, test_size=TEST_SHARE, random_state=0)
    part[rest_train.index], part[rest_test.index] = "train", "test"
    train, test = photos[part == "train"], photos[part == "test"]
    return train, test.assign(Id=test["Id"].where(test["Id"].isin(train["Id"]), NEW))


def _write_tables(train: pd.DataFrame, test: pd.DataFrame, public: Path, private: Path) -> None:
    train.to_csv(public / "train.csv", index=False)
    test.to_csv(private / "test.csv", index=False)
    test.assign(Id=SAMPLE).to_csv(public / "sample_submission.csv", index=False)


def _sightings(rng: np.random.Generator, size: int) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the whale in each photo and the table of names, as many as give `size` to learn from.

    Whales have one photo or more, with the real data's long tail.
    """
    n = round(1.2 * size)
    while True:
        n_new = max(round(NEW_SHARE * n), 4)
        counts = []
        while sum(counts) < n - n_new:
            counts.append(1 + min(int(rng.pareto(1.6) * 1.6), 16))
        known = np.repeat(np.arange(len(counts)), counts)[: n - n_new]
        whales = rng.permutation(np.concatenate([known, len(counts) + np.arange(n_new)]))
        names = [f"w_{rng.bytes(4).hex()[:7]}" for _ in counts] + [NEW] * n_new
        table = pd.DataFrame(
            {
                "Image": [f"{rng.bytes(4).hex()}.jpg" for _ in range(n)],
                "Id": [names[whale] for whale in whales],
            }
        )
        missing = size - len(_split(table)[0])
        if missing == 0 and table["Image"].is_unique:
            return _seeds(rng, whales), table
        n += missing


def _seeds(rng: np.random.Generator, whales: np.ndarray) -> np.ndarray:
    """Return for each photo the seed that its whale's looks are drawn from."""
    return rng.integers(2**62, size=whales.max() + 1)[whales]


def _misname(rng: np.random.Generator, photos: pd.DataFrame) -> pd.DataFrame:
    wrong = rng.random(len(photos)) < NOISE
    others = rng.permutation(photos["Id"].to_numpy())
    return photos.assign(Id=photos["Id"].where(~wrong, others))


def _photo(rng: np.random.Generator, whale_seed: int) -> Image.Image:
    """Return one photo of a whale's fluke."""
    own = np.random.default_rng(whale_seed)  # what all photos of the whale have in common
    width = int(rng.integers(120, 281))
    height = int(width * np.clip(rng.normal(0.5, 0.09), 0.3, 0.8))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    scale = width / 2 * rng.uniform(0.65, 0.92)
    angle = rng.normal(0, 0.05)
    x0 = (x - width * rng.uniform(0.45, 0.55)) / scale
    y0 = (y - height * rng.uniform(0.44, 0.56)) / scale * np.exp(rng.normal(0, 0.05))
    u, v = np.cos(angle) * x0 + np.sin(angle) * y0, np.cos(angle) * y0 - np.sin(angle) * x0

    # Two lobes from a notch in the middle to the tips, narrowing outwards.
    side = np.abs(u)
    droop, notch = own.uniform(-0.12, 0.2), own.uniform(0.05, 0.2)
    upper = -0.22 + droop * side**2 + notch * np.exp(-side / 0.08)
    deep = own.uniform(0.42, 0.62) * np.clip(1 - side, 0, 1) ** own.uniform(0.55, 0.9)
    distance = np.maximum(np.maximum(upper - v, v - upper - deep), side - 1)
    cover = np.clip(0.5 - distance * scale / 2, 0, 1)

    # White patches between dark ones, the same in every photo; scars are thin and bright.
    waves = own.normal(0, 1, (7, 2)) * 3.2
    phases, weights = own.uniform(0, 2 * np.pi, 7), own.normal(0, 0.5, 7)
    paint = sum(
        w * np.cos(k[0] * u + k[1] * v + p) for w, k, p in zip(weights, waves, phases, strict=True)
    )
    skin = 0.2 + 0.55 / (1 + np.exp(-5 * (paint + own.normal(-0.3, 0.5))))
    for _ in range(int(own.poisson(3))):
        lean, offset = own.uniform(0, np.pi), own.uniform(-0.5, 0.5)
        skin = np.where(np.abs(np.cos(lean) * u + np.sin(lean) * v - offset) < 0.012, 0.75, skin)

    sea = rng.uniform(0.3, 0.6) + 0.10 * _rough(rng, width, height, 24) + 0.12 * (y / height - 0.5)
    image = sea + cover * (skin - sea)
    spray = np.clip(_rough(rng, width, height, 6) + 3 * (v - rng.uniform(0.3, 0.6)), 0, 1)
    image = image + 0.7 * spray * (0.85 - image)
    image = rng.uniform(0.6, 1.2) * (image - 0.4) + rng.uniform(0.3, 0.6)
    image = image + 0.03 * rng.standard_normal(image.shape, dtype=np.float32)
    if rng.random() < 0.4:
        return Image.fromarray((255 * np.clip(image, 0, 1)).astype(np.uint8))
    tint = np.array([0.93, 1.0, 1.08]) + rng.normal(0, 0.03, 3)
    return Image.fromarray((255 * np.clip(image[..., None] * tint, 0, 1)).astype(np.uint8))


def _rough(rng: np.random.Generator, width: int, height: int, cells: int) -> np.ndarray:
    """Return smooth noise with deviation about 1, longer than it is high, as waves are."""
    coarse = rng.standard_normal((cells, max(cells // 3, 2)), dtype=np.float32)
    plane = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(plane)
