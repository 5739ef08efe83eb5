"""Whale categorization: photos matched against training photos cut out in many ways."""

import numpy as np
import pandas as pd
from PIL import Image

SEED = 0
VALIDATION_SHARE = 0.2
ROWS, COLUMNS = 18, 42
ZOOMS = 0.78 * 1.11 ** np.arange(-3, 4)
CUTS = [(zoom, dx, dy) for zoom in ZOOMS for dx in (-0.08, -0.04, 0, 0.04, 0.08)
        for dy in (-0.04, 0, 0.04)]  # fmt: skip
"""Size and place of the fluke, as shares of the photo's width."""
MIDDLE = [(0.78, 0, 0)]
NEW_WHALE_SHARE = 0.15
"""Share of photos, those least like any known whale, that are called new first."""


def read(folder, name, cuts):
    """Return one descriptor for each cut: levelled pixels and their slopes."""
    image = Image.open(f"../input/{folder}/{name}")
    image.draft("L", (128, 64))
    width = 96
    height = round(image.height * width / image.width)
    image = image.convert("L").resize((width, height), Image.Resampling.BOX)
    descriptors = []
    for zoom, dx, dy in cuts:
        cx, cy, rx = (0.5 + dx) * width, height / 2 + (dy + 0.04) * width, zoom * width / 2
        box = (cx - rx, cy - rx * ROWS / COLUMNS, cx + rx, cy + rx * ROWS / COLUMNS)
        cut = image.transform(
            (COLUMNS, ROWS), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR
        )
        level = np.asarray(cut, dtype=float)
        level = (level - level.mean()) / (level.std() + 1)
        slopes = [np.tanh(1.5 * part) for part in np.gradient(level)]
        descriptor = np.concatenate([0.5 * level.ravel(), *(part.ravel() for part in slopes)])
        descriptors.append(descriptor / np.linalg.norm(descriptor))
    return np.stack(descriptors).astype(np.float32)


def likeness(queries, known, ids):
    """Return how like each query is to each whale's most similar photo, and the whales."""
    best = (queries @ known.reshape(-1, known.shape[-1]).T).reshape(
        len(queries), len(known), len(CUTS)
    )
    best = best.max(axis=2)
    whales = np.unique(ids[ids != "new_whale"])
    return np.stack([best[:, ids == whale].max(axis=1) for whale in whales], axis=1), whales


def rank(queries, known, ids):
    """Return five names for each photo: `new_whale` first or second."""
    alike, whales = likeness(queries, known, ids)
    unlike = alike.max(axis=1) < np.quantile(alike.max(axis=1), NEW_WHALE_SHARE)
    rankings = []
    for row, new in zip(alike, unlike, strict=True):
        names = list(whales[np.argsort(-row)[:4]])
        names.insert(0 if new else 1, "new_whale")
        rankings.append(names)
    return rankings


train = pd.read_csv("../input/train.csv").sample(frac=1, random_state=SEED)
test = pd.read_csv("../input/sample_submission.csv")
ids = train["Id"].to_numpy()
known = np.stack([read("train", name, CUTS) for name in train["Image"]])
queries = np.stack([read("test", name, MIDDLE)[0] for name in test["Image"]])
n_fit = len(train) - int(len(train) * VALIDATION_SHARE)

# A whale that occurs in the validation part alone counts as new, as it does in the test.
truth = [name if name in set(ids[:n_fit]) else "new_whale" for name in ids[n_fit:]]
rankings = rank(known[n_fit:, CUTS.index(MIDDLE[0])], known[:n_fit], ids[:n_fit])
gains = [1 / (r.index(t) + 1) if t in r else 0.0 for r, t in zip(rankings, truth, strict=True)]
print(f"Validation MAP@5: {np.mean(gains):.4f}")

test["Id"] = [" ".join(ranking) for ranking in rank(queries, known, ids)]
test.to_csv("submission.csv", index=False)
print(f"Wrote {len(test)} rows to submission.csv")
