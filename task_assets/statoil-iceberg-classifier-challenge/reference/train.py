"""Icebergs and ships: body and sea measured in despeckled bands, two models averaged."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter, label
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

SEED = 0
VALIDATION_SHARE = 0.25
SIDE = 75
SIGMA = 1.0
LEVELS = (0.35, 0.6)
N_TREES = 300
LINEAR_WEIGHT = 0.65


def load(path):
    return pd.DataFrame(json.loads(Path(path).read_bytes()))


def body(image):
    """Return the rise over the sea, and size and elongation of the body at two heights."""
    smooth = gaussian_filter(image, SIGMA)
    sea = np.median(smooth)
    middle = smooth[20:55, 20:55]
    peak = np.unravel_index(middle.argmax(), middle.shape)
    rise = middle.max() - sea
    found = [sea, rise]
    for level in LEVELS:
        parts, _ = label(middle > sea + level * rise)
        y, x = np.nonzero(parts == parts[peak])
        weight = np.clip(middle[y, x] - sea - 0.2 * rise, 0.01, None)
        spread = np.linalg.eigvalsh(np.cov(np.array([y, x]), aweights=weight, bias=True))
        spread = np.clip(spread, 0.1, None)
        found += [np.log(len(y)), np.log(spread[1] / spread[0])]
    return found


def features(scenes):
    angle = pd.to_numeric(scenes["inc_angle"], errors="coerce")
    measured = {}
    for band in ("band_1", "band_2"):
        images = np.array(scenes[band].tolist()).reshape(-1, SIDE, SIDE)
        measured[band] = np.array([body(image) for image in images])
    deficit = measured["band_1"][:, 1] - measured["band_2"][:, 1]
    X = np.column_stack([measured["band_1"], measured["band_2"], deficit, angle.fillna(39.3)])
    return X, angle.isna().to_numpy()


def fit(X, y):
    linear = make_pipeline(
        StandardScaler(),
        PolynomialFeatures(2, include_bias=False),
        StandardScaler(),
        LogisticRegression(C=0.03, max_iter=2000),
    )
    trees = ExtraTreesClassifier(N_TREES, min_samples_leaf=3, max_features=0.5, random_state=SEED)
    return [model.fit(X, y) for model in (linear, trees)]


def predict(models, X, no_angle):
    linear, trees = (model.predict_proba(X)[:, 1] for model in models)
    probability = LINEAR_WEIGHT * linear + (1 - LINEAR_WEIGHT) * trees
    # Scenes without an angle are ships, but for mistakes.
    return np.clip(np.where(no_angle, 0.02, probability), 0.01, 0.99)


train, test = load("../input/train.json"), load("../input/test.json")
X, no_angle = features(train)
y = train["is_iceberg"].to_numpy()

rows = np.arange(len(y))[~no_angle]
part, valid = train_test_split(rows, test_size=VALIDATION_SHARE, random_state=SEED)
checked = np.concatenate([valid, np.flatnonzero(no_angle)[::4]])
loss = log_loss(y[checked], predict(fit(X[part], y[part]), X[checked], no_angle[checked]))
print(f"Validation log loss: {loss:.4f}")

X_test, no_angle_test = features(test)
probability = predict(fit(X[~no_angle], y[~no_angle]), X_test, no_angle_test)
pd.DataFrame({"id": test["id"], "is_iceberg": probability}).to_csv("submission.csv", index=False)
print(f"Wrote {len(test)} rows to submission.csv")
