"""Nomad2018: volume, bonds and composition; support vectors and boosted trees, averaged."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

SEED = 0
VALIDATION_SHARE = 0.25
N_TREES = 300
TARGETS = ["formation_energy_ev_natom", "bandgap_energy_ev"]
ANGLES = [f"lattice_angle_{name}_degree" for name in ("alpha", "beta", "gamma")]
EDGES = [f"lattice_vector_{i}_ang" for i in (1, 2, 3)]
METALS = [f"percent_atom_{name}" for name in ("al", "ga", "in")]
RADII = np.array([0.535, 0.62, 0.80])
GROUPS = [12, 33, 167, 194, 206, 227]


def bonds(path):
    """Describe the distances from each atom of one kind to the nearest of the other."""
    rows = [line.split() for line in path.read_text().splitlines()[3:]]
    cell = np.array([row[1:4] for row in rows[:3]], dtype=float)
    place = np.array([row[1:4] for row in rows[3:]], dtype=float)
    oxygen = np.array([row[4] == "O" for row in rows[3:]])
    apart = (place[oxygen, None] - place[None, ~oxygen]) @ np.linalg.inv(cell)
    apart = np.sqrt((((apart - np.round(apart)) @ cell) ** 2).sum(axis=2))
    to_metal, to_oxygen = np.sort(apart, axis=1)[:, :2], apart.min(axis=0)
    return [
        to_metal[:, 0].mean(),
        to_metal[:, 0].std(),
        to_metal[:, 1].mean(),
        to_metal[:, 1].std(),
        to_oxygen.mean(),
    ]


def features(materials, part):
    X = materials[METALS].copy()
    cos = np.cos(np.radians(materials[ANGLES].to_numpy()))
    flatness = 1 - (cos**2).sum(axis=1) + 2 * cos.prod(axis=1)
    volume = materials[EDGES].prod(axis=1) * np.sqrt(flatness)
    per_atom = (volume / materials["number_of_total_atoms"]) ** (1 / 3)
    files = [Path(f"../input/{part}/{i}/geometry.xyz") for i in materials["id"]]
    lengths = np.array([bonds(file) for file in files]) / per_atom.to_numpy()[:, None]
    X["Radius"] = X[METALS].to_numpy() @ RADII
    X["Spacing"] = per_atom
    # What composition, and no cell, explains of the volume is the same for every group.
    X["Stretch"] = per_atom / (1 + 0.36 * (X["Radius"] - RADII[1]))
    X["AlIn"] = X["percent_atom_al"] * X["percent_atom_in"]
    X["GaIn"] = X["percent_atom_ga"] * X["percent_atom_in"]
    for i in range(lengths.shape[1]):
        X[f"Bond{i}"] = lengths[:, i]
    X["Atoms"] = np.log(materials["number_of_total_atoms"])
    for group in GROUPS:
        X[f"Group{group}"] = (materials["spacegroup"] == group).astype(float)
    return X


def fit_predict(X, y, X_new):
    predicted = []
    for name in TARGETS:
        target = np.log1p(y[name])
        scale = target.std()
        smooth = make_pipeline(StandardScaler(), SVR(C=3.0, epsilon=0.1, gamma=0.02))
        trees = GradientBoostingRegressor(
            n_estimators=N_TREES,
            learning_rate=0.05,
            max_depth=4,
            subsample=0.5,
            max_features=0.5,
            min_samples_leaf=5,
            random_state=SEED,
        )
        curve = scale * smooth.fit(X, target / scale).predict(X_new)
        predicted.append(0.7 * curve + 0.3 * trees.fit(X, target).predict(X_new))
    return np.maximum(np.expm1(np.column_stack(predicted)), 0)


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
