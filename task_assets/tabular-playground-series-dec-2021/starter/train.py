"""Forest cover types: a small forest of shallow trees on a sample of the rows."""

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 0
VALIDATION_SHARE = 0.2
MAX_ROWS = 1000  # the real training part has millions
MODEL = "forest"
N_TREES = 10
MAX_DEPTH = 4
MAX_FEATURES = "sqrt"
LEARNING_RATE = 0.1
C = 1.0
SOILS = False
AREAS = False
HEIGHT_ABOVE_WATER = False
FACING = False
DROP_RARE = False
LAND = ["Elevation", "Aspect", "Slope"]
DISTANCES = [
    "Horizontal_Distance_To_Hydrology",
    "Vertical_Distance_To_Hydrology",
    "Horizontal_Distance_To_Roadways",
    "Horizontal_Distance_To_Fire_Points",
]
SHADES = ["Hillshade_9am", "Hillshade_Noon", "Hillshade_3pm"]


def features(patches):
    X = patches[LAND + DISTANCES + SHADES].copy()
    if AREAS:
        X = X.join(patches.filter(like="Wilderness_Area"))
    if SOILS:
        X = X.join(patches.filter(like="Soil_Type"))
    if HEIGHT_ABOVE_WATER:
        X["WaterLevel"] = X["Elevation"] - X["Vertical_Distance_To_Hydrology"]
        X["ToWater"] = np.hypot(X[DISTANCES[0]], X[DISTANCES[1]])
    if FACING:
        X["North"] = np.cos(np.radians(X["Aspect"]))
        X["East"] = np.sin(np.radians(X["Aspect"]))
    return X


def make_model():
    if MODEL == "linear":
        return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=300))
    if MODEL == "boosting":
        return HistGradientBoostingClassifier(
            max_iter=N_TREES,
            max_depth=MAX_DEPTH,
            learning_rate=LEARNING_RATE,
            early_stopping=False,  # its own split fails on kinds with one row
            random_state=SEED,
        )
    return RandomForestClassifier(
        N_TREES, max_depth=MAX_DEPTH, max_features=MAX_FEATURES, random_state=SEED
    )


train = pd.read_csv("../input/train.csv")
test = pd.read_csv("../input/test.csv")
if DROP_RARE:
    train = train[~train["Cover_Type"].isin([4, 5, 6])]
train = train.sample(min(MAX_ROWS, len(train)), random_state=SEED)

X, y = features(train), train["Cover_Type"]
X_fit, X_valid, y_fit, y_valid = train_test_split(
    X, y, test_size=VALIDATION_SHARE, random_state=SEED
)
accuracy = make_model().fit(X_fit, y_fit).score(X_valid, y_valid)
print(f"Validation accuracy: {accuracy:.4f}")

predicted = make_model().fit(X, y).predict(features(test))
submission = pd.DataFrame({"Id": test["Id"], "Cover_Type": predicted})
submission.to_csv("submission.csv", index=False)
print(f"Wrote {len(submission)} rows to submission.csv")
