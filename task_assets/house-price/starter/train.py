"""Housing prices: a small forest of shallow trees on a few columns."""

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import train_test_split

SEED = 0
VALIDATION_SHARE = 0.25
NUMERIC = ["LotArea", "YearBuilt", "1stFlrSF", "2ndFlrSF", "FullBath", "BedroomAbvGr"]
CATEGORICAL = []
FILL_NUMBER = 0
MAX_PRICE = 1_000_000
N_TREES = 20
MAX_DEPTH = 5
MAX_FEATURES = 1.0
LOG_TARGET = False


def features(houses):
    X = houses[NUMERIC].copy()
    for column in CATEGORICAL:
        X[column] = houses[column]
    X = pd.get_dummies(X, columns=CATEGORICAL, dtype=float)
    return X.fillna(FILL_NUMBER)


def make_model():
    return RandomForestRegressor(
        n_estimators=N_TREES,
        max_depth=MAX_DEPTH,
        max_features=MAX_FEATURES,
        random_state=SEED,
    )


def fit(X, price):
    return make_model().fit(X, np.log(price) if LOG_TARGET else price)


def predict(model, X):
    price = model.predict(X)
    return np.exp(price) if LOG_TARGET else price


train = pd.read_csv("../input/train.csv")
test = pd.read_csv("../input/test.csv")
train = train[train["SalePrice"] <= MAX_PRICE]

X, y = features(train), train["SalePrice"]
X_test = features(test).reindex(columns=X.columns, fill_value=0)

X_fit, X_valid, y_fit, y_valid = train_test_split(
    X, y, test_size=VALIDATION_SHARE, random_state=SEED
)
error = mean_absolute_error(y_valid, predict(fit(X_fit, y_fit), X_valid))
print(f"Validation MAE: {error:.0f} dollars")

model = fit(X, y)
submission = pd.DataFrame({"Id": test["Id"], "SalePrice": predict(model, X_test)})
submission.to_csv("submission.csv", index=False)
print(f"Wrote {len(submission)} rows to submission.csv")
