"""Nomad2018: a small forest of shallow trees on the table, one for each property."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

SEED = 0
VALIDATION_SHARE = 0.25
MODEL = "forest"
N_TREES = 40
MAX_DEPTH = 4
MAX_FEATURES = 1.0
LEARNING_RATE = 0.1
C = 1.0
LOG_TARGET = False
CATEGORICAL = []
VOLUME = False
MIXING = False
GEOMETRY = False
TARGETS = ["formation_energy_ev_natom", "bandgap_energy_ev"]
ANGLES = [f"lattice_angle_{name}_degree" for name in ("alpha", "beta", "gamma")]
EDGES = [f"lattice_vector_{i}_ang" for i in (1, 2, 3)]
METALS = [f"percent_atom_{name}" for name in ("al", "ga", "in")]


def bond_lengths(path):
    """Return mean and spread of the distance from each oxygen to the nearest metal."""
    rows = [line.split() for line in path.read_text().splitlines()[3:]]
    cell = np.array([row[1:4] for row in rows[:3]], dtype=float)
    place = np.array([row[1:4] for row in rows[3:]], dtype=float)
    oxygen = np.array([row[4] == "O" for row in rows[3:]])
    apart = (place[oxygen, None] - place[None, ~oxygen]) @ np.linalg.inv(cell)
    apart = (apart - np.round(apart)) @ cell
    nearest = np.sqrt((apart**2).sum(axis=2)).min(axis=1)
    return nearest.mean(), nearest.std()


def features(materials, part):
    X = materials[METALS + EDGES + ANGLES].copy()
    for column in CATEGORICAL:
        X = X.join(pd.get_dummies(materials[column], prefix=column, dtype=float))
    if VOLUME:
        cos = np.cos(np.radians(materials[ANGLES].to_numpy()))
        flatness = 1 - (cos**2).sum(axis=1) + 2 * cos.prod(axis=1)
        X["Volume"] = materials[EDGES].prod(axis=1) * np.sqrt(flatness)
        X["VolumePerAtom"] = X["Volume"] / materials["number_of_total_atoms"]
    if MIXING:
        X["AlIn"] = materials["percent_atom_al"] * materials["percent_atom_in"]
        X["GaIn"] = materials["percent_atom_ga"] * materials["percent_atom_in"]
    if GEOMETRY:
        files = [Path(f"../input/{part}/{i}/geometry.xyz") for i in materials["id"]]
        X[["Bond", "BondSpread"]] = [bond_lengths(file) for file in files]
    return X


def make_model():
    if MODEL == "kernel":
        return make_pipeline(StandardScaler(), SVR(C=C, epsilon=0.02, gamma=0.03))
    options = {"n_estimators": N_TREES, "max_depth": MAX_DEPTH, "max_features": MAX_FEATURES}
    if MODEL == "boosting":
        return GradientBoostingRegressor(
            learning_rate=LEARNING_RATE, subsample=0.7, random_state=SEED, **options
        )
    return RandomForestRegressor(random_state=SEED, **options)


def fit_predict(X, y, X_new):
    y = np.log1p(y) if LOG_TARGET else y
    predicted = np.column_stack([make_model().fit(X, y[name]).predict(X_new) for name in TARGETS])
    return np.maximum(np.expm1(predicted) if LOG_TARGET else predicted, 0)


train = pd.read_csv("../input/train.csv")
test = pd.read_csv("../input/test.csv")

X, y = features(train, "train"), train[TARGETS]
X_fit, X_valid, y_fit, y_valid = train_test_split(
    X, y, test_size=VALIDATION_SHARE, random_state=SEED
)
error = np.log1p(fit_predict(X_fit, y_fit, X_valid)) - np.log1p(y_valid.to_numpy())
print(f"Validation RMSLE: {np.sqrt((error**2).mean(axis=0)).mean():.4f}")

submission = pd.DataFrame(fit_predict(X, y, features(test, "test")), columns=TARGETS)
submission.insert(0, "id", test["id"])
submission.to_csv("submission.csv", index=False)
print(f"Wrote {len(submission)} rows to submission.csv")
