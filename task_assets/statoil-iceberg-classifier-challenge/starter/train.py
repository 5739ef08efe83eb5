"""Icebergs and ships: logistic regression on how bright one band of the scene is."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import uniform_filter
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 0
VALIDATION_SHARE = 0.25
SIDE = 75
BANDS = ["band_1"]
CROP = 75
SMOOTH = 1
SHAPE = False
USE_ANGLE = False
FLAG_NO_ANGLE = False
DROP_NO_ANGLE = False
MODEL = "linear"
STANDARDISE = False
C = 0.01
N_TREES = 40
MAX_DEPTH = 3
SHARPEN = 1.0


def load(path):
    return pd.DataFrame(json.loads(Path(path).read_bytes()))


def shape(image):
    """Size of the bright body, and how much longer than wide it is."""
    bright = image > (image.max() + np.median(image)) / 2
    y, x = np.nonzero(bright)
    spread = np.linalg.eigvalsh(np.cov(np.array([y, x]), bias=True) + 0.1 * np.eye(2))
    return [np.log(bright.sum()), np.log(spread[1] / spread[0])]


def features(scenes):
    angle = pd.to_numeric(scenes["inc_angle"], errors="coerce")
    margin = (SIDE - CROP) // 2
    columns = []
    for band in BANDS:
        images = np.array(scenes[band].tolist()).reshape(-1, SIDE, SIDE)
        images = images[:, margin : SIDE - margin, margin : SIDE - margin]
        images = uniform_filter(images, size=(1, SMOOTH, SMOOTH))
        columns += [images.mean(axis=(1, 2)), images.std(axis=(1, 2)), images.max(axis=(1, 2))]
        if SHAPE:
            columns += list(np.array([shape(image) for image in images]).T)
    if USE_ANGLE:
        columns.append(angle.fillna(39.3))
    if FLAG_NO_ANGLE:
        columns.append(10 * angle.isna())
    return np.column_stack(columns)


def make_model():
    if MODEL == "boosting":
        return GradientBoostingClassifier(
            n_estimators=N_TREES, max_depth=MAX_DEPTH, random_state=SEED
        )
    if MODEL == "forest":
        return RandomForestClassifier(n_estimators=N_TREES, max_depth=MAX_DEPTH, random_state=SEED)
    linear = LogisticRegression(C=C, max_iter=1000)
    return make_pipeline(StandardScaler(), linear) if STANDARDISE else linear


def predict(model, X):
    odds = np.clip(model.predict_proba(X)[:, 1], 1e-6, 1 - 1e-6)
    return 1 / (1 + ((1 - odds) / odds) ** SHARPEN)


train, test = load("../input/train.json"), load("../input/test.json")
if DROP_NO_ANGLE:
    train = train[train["inc_angle"] != "na"]
X, y, X_test = features(train), train["is_iceberg"].to_numpy(), features(test)

X_fit, X_valid, y_fit, y_valid = train_test_split(
    X, y, test_size=VALIDATION_SHARE, random_state=SEED
)
loss = log_loss(y_valid, predict(make_model().fit(X_fit, y_fit), X_valid))
print(f"Validation log loss: {loss:.4f}")

probability = predict(make_model().fit(X, y), X_test)
pd.DataFrame({"id": test["id"], "is_iceberg": probability}).to_csv("submission.csv", index=False)
print(f"Wrote {len(test)} rows to submission.csv")
