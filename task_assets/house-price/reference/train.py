"""Housing prices: ridge regression and boosted trees on the logarithm of the price, averaged."""

import numpy as np
import pandas as pd
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 0
VALIDATION_SHARE = 0.25
GRADES = {"Po": 1, "Fa": 2, "TA": 3, "Gd": 4, "Ex": 5}
AREAS = ["LotArea", "1stFlrSF", "GrLivArea"]
N_TREES = 400
RARE = 8


def features(houses):
    X = houses.drop(columns=["Id", "SalePrice"])
    for column in X.columns:
        if X[column].dtype.kind not in "iuf":
            if X[column].isin(GRADES).any():
                X[column] = X[column].map(GRADES).astype(float).fillna(0)
            else:
                levels = X[column].fillna("none")
                counts = levels.map(levels.value_counts())
                X[column] = levels.where(counts >= RARE, "rare")
    X["MSSubClass"] = X["MSSubClass"].astype(str)
    X["TotalArea"] = np.log(X["GrLivArea"] + X["TotalBsmtSF"])
    X["Baths"] = X["FullBath"] + X["BsmtFullBath"] + 0.5 * (X["HalfBath"] + X["BsmtHalfBath"])
    X["Age"] = X["YrSold"] - X["YearBuilt"]
    X["SinceRemodelled"] = X["YrSold"] - X["YearRemodAdd"]
    X["LotFrontage"] = X["LotFrontage"].fillna(X["LotFrontage"].median())
    for column in AREAS:
        X[column] = np.log(X[column])
    return pd.get_dummies(X, dtype=float).fillna(0)


def fit(X, price):
    linear = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 3, 13)))
    trees = GradientBoostingRegressor(
        n_estimators=N_TREES,
        learning_rate=0.05,
        max_depth=3,
        subsample=0.7,
        max_features=0.2,
        random_state=SEED,
    )
    return [model.fit(X, np.log(price)) for model in (linear, trees)]


def predict(models, X):
    linear, trees = (model.predict(X) for model in models)
    return np.exp(0.7 * linear + 0.3 * trees)


train = pd.read_csv("../input/train.csv")
test = pd.read_csv("../input/test.csv")

both = features(pd.concat([train, test], ignore_index=True))
X, X_test, y = both[: len(train)], both[len(train) :], train["SalePrice"]

X_fit, X_valid, y_fit, y_valid = train_test_split(
    X, y, test_size=VALIDATION_SHARE, random_state=SEED
)
error = mean_absolute_error(y_valid, predict(fit(X_fit, y_fit), X_valid))
print(f"Validation MAE: {error:.0f} dollars")

submission = pd.DataFrame({"Id": test["Id"], "SalePrice": predict(fit(X, y), X_test)})
submission.to_csv("submission.csv", index=False)
print(f"Wrote {len(submission)} rows to submission.csv")
