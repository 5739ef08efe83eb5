"""Forest cover types: boosted trees that also see a linear model's idea of the height."""

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 0
VALIDATION_SHARE = 0.1
MAX_ROWS = 400_000
N_TREES = 120
LEAST_ROWS = 5  # of a kind of trees, to learn it
HIGH = [1, 7]


def features(patches):
    X = patches.drop(columns=["Id", "Cover_Type"], errors="ignore").astype(float)
    water = [f"{way}_Distance_To_Hydrology" for way in ("Horizontal", "Vertical")]
    X["WaterLevel"] = X["Elevation"] - X["Vertical_Distance_To_Hydrology"]
    X["ToWater"] = np.hypot(X[water[0]], X[water[1]])
    X["North"] = np.cos(np.radians(X["Aspect"]))
    X["East"] = np.sin(np.radians(X["Aspect"]))
    return X


def with_height(linear, X):
    """Replace forty soils, each too rare for a tree, by what a linear model makes of them."""
    score = linear.decision_function(X)
    slope = linear[-1].coef_[0][X.columns.get_loc("Elevation")]
    metres = score / slope * linear[0].scale_[X.columns.get_loc("Elevation")]
    soils = X.columns[X.columns.str.startswith("Soil_Type")]
    return X.drop(columns=soils).assign(Height=metres, Lift=metres - X["Elevation"])


def fit(X, y):
    common = y.map(y.value_counts()) >= LEAST_ROWS
    X, y = X[common], y[common]
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=500))
    linear.fit(X, y.isin(HIGH))
    trees = HistGradientBoostingClassifier(
        max_iter=N_TREES,
        learning_rate=0.08,
        max_leaf_nodes=24,
        min_samples_leaf=15,
        l2_regularization=5.0,
        max_features=0.5,
        early_stopping=False,  # its own split fails on kinds with one row
        random_state=SEED,
    )
    return linear, trees.fit(with_height(linear, X), y)


def predict(models, X):
    linear, trees = models
    return trees.predict(with_height(linear, X))


train = pd.read_csv("../input/train.csv")
test = pd.read_csv("../input/test.csv")
train = train.sample(min(MAX_ROWS, len(train)), random_state=SEED)

X, y = features(train), train["Cover_Type"]
X_fit, X_valid, y_fit, y_valid = train_test_split(
    X, y, test_size=VALIDATION_SHARE, random_state=SEED
)
accuracy = accuracy_score(y_valid, predict(fit(X_fit, y_fit), X_valid))
print(f"Validation accuracy: {accuracy:.4f}")

predicted = predict(fit(X, y), features(test))
submission = pd.DataFrame({"Id": test["Id"], "Cover_Type": predicted})
submission.to_csv("submission.csv", index=False)
print(f"Wrote {len(submission)} rows to submission.csv")
