"""Spaceship Titanic: a linear model of age and bills."""

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 0
VALIDATION_SHARE = 0.2
MODEL = "linear"
C = 1.0
N_TREES = 50
MAX_DEPTH = 6
LEARNING_RATE = 0.1
STANDARDISE = True
CLIP = 1_000_000
LOG_BILLS = False
TOTAL_BILL = False
CATEGORICAL = []
CABIN_PARTS = []
GROUP_SIZE = False
BILLS = ["RoomService", "FoodCourt", "ShoppingMall", "Spa", "VRDeck"]


def features(passengers):
    X = passengers[["Age", *BILLS]].copy()
    X["Age"] = X["Age"].fillna(X["Age"].median())
    X[BILLS] = X[BILLS].fillna(0).clip(upper=CLIP)
    if TOTAL_BILL:
        X["Total"] = X[BILLS].sum(axis=1)
        X["Nothing"] = X["Total"] == 0
    if LOG_BILLS:
        X[BILLS] = np.log1p(X[BILLS])
    if GROUP_SIZE:
        group = passengers["PassengerId"].str[:4]
        X["GroupSize"] = group.map(group.value_counts())
    cabins = passengers["Cabin"].str.split("/", expand=True)
    cabins.columns = ["Deck", "Number", "Side"]
    if "Number" in CABIN_PARTS:
        X["Number"] = pd.to_numeric(cabins["Number"]).fillna(-1)
    names = [part for part in CABIN_PARTS if part != "Number"]
    levels = passengers[CATEGORICAL].join(cabins[names]).astype(str)
    return pd.get_dummies(X.join(levels), columns=list(levels.columns)).astype(float)


def make_model():
    if MODEL == "forest":
        return RandomForestClassifier(N_TREES, max_depth=MAX_DEPTH, random_state=SEED)
    if MODEL == "boosting":
        return HistGradientBoostingClassifier(
            max_iter=N_TREES,
            max_depth=MAX_DEPTH,
            learning_rate=LEARNING_RATE,
            random_state=SEED,
        )
    linear = LogisticRegression(C=C, max_iter=300)
    return make_pipeline(StandardScaler(), linear) if STANDARDISE else linear


train = pd.read_csv("../input/train.csv")
test = pd.read_csv("../input/test.csv")

X = features(pd.concat([train, test], ignore_index=True))
X, X_test, y = X[: len(train)], X[len(train) :], train["Transported"]

X_fit, X_valid, y_fit, y_valid = train_test_split(
    X, y, test_size=VALIDATION_SHARE, random_state=SEED
)
accuracy = make_model().fit(X_fit, y_fit).score(X_valid, y_valid)
print(f"Validation accuracy: {accuracy:.4f}")

submission = test[["PassengerId"]].assign(Transported=make_model().fit(X, y).predict(X_test))
submission.to_csv("submission.csv", index=False)
print(f"Wrote {len(submission)} rows to submission.csv")
