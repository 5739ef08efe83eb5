"""Dirty documents: boosted trees on a window around the pixel and on paper at several scales."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.ndimage import gaussian_filter, grey_closing, minimum_filter, uniform_filter
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import train_test_split

SEED = 0
VALIDATION_SHARE = 0.25
PIXELS = 60_000
SCALES = (7, 13, 25)
REACH = 2
FARTHER = [(-4, 0), (4, 0), (0, -4), (0, 4), (-7, 0), (7, 0), (0, -7), (0, 7)]
N_TREES = 250
INPUT = Path("../input")


def read(folder, name):
    with Image.open(INPUT / folder / name) as image:
        return np.array(image.convert("L"), dtype=np.float32) / 255


def features(page):
    """Describe every pixel: the page over its paper at each scale, nearby and far pixels."""
    height, width = page.shape
    columns = []
    papers = [uniform_filter(grey_closing(page, scale), scale // 2) for scale in SCALES]
    flat = [page / np.clip(paper, 0.1, None) for paper in papers]
    columns += [*flat, *papers, page]
    columns += [minimum_filter(flat[1], 5), minimum_filter(flat[1], 15)]
    columns += [gaussian_filter(flat[1], sigma) for sigma in (1.0, 2.5)]
    columns.append(gaussian_filter(np.abs(flat[1] - gaussian_filter(flat[1], 2.0)), 4.0))
    padded = np.pad(flat[1], 7, mode="reflect")
    near = [(y, x) for y in range(-REACH, REACH + 1) for x in range(-REACH, REACH + 1)]
    for y, x in [*near, *FARTHER]:
        columns.append(padded[7 + y : 7 + y + height, 7 + x : 7 + x + width])
    return np.stack(columns, axis=-1).reshape(height * width, -1)


def fit(names):
    rng = np.random.default_rng(SEED)
    X, y = [], []
    for name in names:
        described, clean = features(read("train", name)), read("train_cleaned", name).ravel()
        # Half of the pixels near ink, where most of the error is.
        inky = np.flatnonzero(described[:, 7] < 0.9)
        n = PIXELS // len(names) // 2
        chosen = np.r_[rng.choice(len(clean), n), rng.choice(inky, n)]
        X.append(described[chosen])
        y.append(clean[chosen])
    model = HistGradientBoostingRegressor(
        max_iter=N_TREES, learning_rate=0.1, max_leaf_nodes=31, random_state=SEED
    )
    return model.fit(np.concatenate(X), np.concatenate(y))


def predict(model, page):
    return np.clip(model.predict(features(page)), 0, 1)


names = sorted(path.name for path in (INPUT / "train").glob("*.png"))
part, valid = train_test_split(names, test_size=VALIDATION_SHARE, random_state=SEED)
model = fit(part)
# Six pages are enough for an estimate.
errors = [predict(model, read("train", n)) - read("train_cleaned", n).ravel() for n in valid[:6]]
print(f"Validation RMSE: {np.sqrt(np.mean(np.concatenate(errors) ** 2)):.5f}")

model = fit(names)
for i, path in enumerate(sorted((INPUT / "test").glob("*.png"))):
    page = read("test", path.name)
    ids = [f"{path.stem}_{y + 1}_{x + 1}" for y, x in np.ndindex(page.shape)]
    rows = pd.DataFrame({"id": ids, "value": predict(model, page).round(4)})
    rows.to_csv("submission.csv", mode="a" if i else "w", header=i == 0, index=False)
print(f"Cleaned {i + 1} pages")
