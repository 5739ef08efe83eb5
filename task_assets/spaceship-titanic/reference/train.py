"""Spaceship Titanic: damaged cells filled in from the group; linear model and boosted trees."""

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 0
VALIDATION_SHARE = 0.2
N_MODELS = 3
BILLS = ["RoomService", "FoodCourt", "ShoppingMall", "Spa", "VRDeck"]
PLANET_OF_DECK = {"G": "Earth", "A": "Europa", "B": "Europa", "C": "Europa", "T": "Europa"}


def features(passengers):
    p = passengers.copy()
    group = p["PassengerId"].str[:4]
    p[["Deck", "Number", "Side"]] = p["Cabin"].str.split("/", expand=True)

    # A group shares planet and side, and mostly deck and destination.
    for column in ["HomePlanet", "Side", "Deck", "Destination"]:
        p[column] = p[column].fillna(p[column].groupby(group).transform("first"))
    p["HomePlanet"] = p["HomePlanet"].fillna(p["Deck"].map(PLANET_OF_DECK)).fillna("Earth")
    p["Destination"] = p["Destination"].fillna("TRAPPIST-1e")
    p["Side"] = p["Side"].fillna("unknown")
    p["Deck"] = p["Deck"].fillna("unknown")

    # Sleepers are billed nothing; of the others only children mostly are.
    total = p[BILLS].sum(axis=1)
    age = p["Age"].fillna(p["Age"].median())
    asleep = p["CryoSleep"].astype(str) == "True"
    asleep |= p["CryoSleep"].isna() & (total == 0) & (age > 12)
    for column in BILLS:
        typical = p[column].groupby([p["HomePlanet"], total > 0]).transform("median")
        p[column] = p[column].fillna(typical.where(~asleep & (age > 12), 0))

    X = np.sqrt(p[BILLS])
    X["Total"] = np.sqrt(p[BILLS].sum(axis=1))
    X["Nothing"] = total == 0
    X["Age"] = age
    X["Child"] = age < 13
    X["AwakeChild"] = (age < 13) & ~asleep
    X["Asleep"] = asleep
    X["Vip"] = p["VIP"].astype(str) == "True"
    X["GroupSize"] = group.map(group.value_counts()).clip(upper=4)
    for column in ["HomePlanet", "Destination", "Deck", "Side"]:
        X = X.join(pd.get_dummies(p[column], prefix=column))
    for column in [c for c in X.columns if c.startswith(("Deck_", "HomePlanet_"))]:
        X[f"Asleep_{column}"] = X[column] & asleep
    return X.astype(float)


def fit(X, y):
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=500))
    trees = [
        HistGradientBoostingClassifier(
            max_iter=110,
            learning_rate=0.05,
            max_leaf_nodes=12,
            min_samples_leaf=30,
            max_features=0.4,
            l2_regularization=5.0,
            random_state=SEED + i,
        )
        for i in range(N_MODELS)
    ]
    return [model.fit(X, y) for model in [linear, *trees]]


def predict(models, X):
    linear, *trees = (model.predict_proba(X)[:, 1] for model in models)
    return (linear + np.mean(trees, axis=0)) / 2 > 0.5


train = pd.read_csv("../input/train.csv")
test = pd.read_csv("../input/test.csv")

X = features(pd.concat([train, test], ignore_index=True))
X, X_test, y = X[: len(train)], X[len(train) :], train["Transported"]

X_fit, X_valid, y_fit, y_valid = train_test_split(
    X, y, test_size=VALIDATION_SHARE, random_state=SEED
)
accuracy = accuracy_score(y_valid, predict(fit(X_fit, y_fit), X_valid))
print(f"Validation accuracy: {accuracy:.4f}")

submission = test[["PassengerId"]].assign(Transported=predict(fit(X, y), X_test))
submission.to_csv("submission.csv", index=False)
print(f"Wrote {len(submission)} rows to submission.csv")
