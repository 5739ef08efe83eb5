"""Dirty documents: a straight line from a dirty pixel to a clean one."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.ndimage import gaussian_filter, grey_closing, uniform_filter
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

SEED = 0
VALIDATION_SHARE = 0.25
PIXELS_PER_PAGE = 200
BLUR = 0.0
NORMALISE = False
BACKGROUND = 0
WINDOW = 1
MODEL = "linear"
DEGREE = 1
N_TREES = 20
MAX_DEPTH = 6
CLIP = False
INPUT = Path("../input")


def read(folder, name):
    with Image.open(INPUT / folder / name) as image:
        return np.array(image.convert("L"), dtype=np.float32) / 255


def features(page):
    """Describe every pixel: rows are pixels, columns are features."""
    page = gaussian_filter(page, BLUR) if BLUR else page
    if NORMALISE:
        page = page - page.mean() + 0.85
    columns = []
    if BACKGROUND:
        # Closing fills dark strokes with the paper around them.
        paper = uniform_filter(grey_closing(page, BACKGROUND), BACKGROUND // 2)
        columns.append(page / np.clip(paper, 0.1, None))
    reach = WINDOW // 2
    padded = np.pad(page, reach, mode="reflect")
    height, width = page.shape
    near = [(y, x) for y in range(WINDOW) for x in range(WINDOW)]
    columns += [padded[y : y + height, x : x + width] for y, x in near]
    return np.stack(columns, axis=-1).reshape(height * width, -1)


def make_model():
    if MODEL == "boosting":
        return HistGradientBoostingRegressor(
            max_iter=N_TREES, learning_rate=0.2, max_depth=MAX_DEPTH, random_state=SEED
        )
    if MODEL == "forest":
        return RandomForestRegressor(N_TREES, max_depth=MAX_DEPTH, random_state=SEED)
    return make_pipeline(PolynomialFeatures(DEGREE), Ridge(1e-3))


def fit(names):
    rng = np.random.default_rng(SEED)
    X, y = [], []
    for name in names:
        described, clean = features(read("train", name)), read("train_cleaned", name).ravel()
        chosen = rng.choice(len(clean), min(PIXELS_PER_PAGE, len(clean)), replace=False)
        X.append(described[chosen])
        y.append(clean[chosen])
    return make_model().fit(np.concatenate(X), np.concatenate(y))


def predict(model, page):
    value = model.predict(features(page))
    return np.clip(value, 0, 1) if CLIP else value


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
