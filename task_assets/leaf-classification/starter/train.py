"""Leaves: logistic regression on the features of the margin."""

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 0
VALIDATION_SHARE = 0.2
GROUPS = ["margin"]
IMAGE_SIZE_FEATURES = False
SQUARE_ROOT = False
STANDARDISE = False
COMPONENTS = 0
MODEL = "linear"
C = 100.0
MAX_ITER = 50
N_TREES = 50
MAX_DEPTH = 10
SMOOTHING = 1e-4


def features(leaves):
    columns = [c for c in leaves.columns if c.rstrip("0123456789") in GROUPS]
    X = leaves[columns].to_numpy()
    X = np.sqrt(X) if SQUARE_ROOT else X
    if IMAGE_SIZE_FEATURES:
        sizes = [Image.open(f"../input/images/{leaf}.jpg").size for leaf in leaves["id"]]
        X = np.column_stack([X, 0.1 * np.log(np.array(sizes))])
    return X


def make_model():
    if MODEL == "forest":
        model = RandomForestClassifier(N_TREES, max_depth=MAX_DEPTH, random_state=SEED)
    elif MODEL == "lda":
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3)
    else:
        model = LogisticRegression(C=C, max_iter=MAX_ITER)
    steps = [StandardScaler()] if STANDARDISE else []
    steps += [PCA(COMPONENTS, random_state=SEED)] if COMPONENTS else []
    return make_pipeline(*steps, model)


def predict(model, X):
    """Probabilities of all species, none of them zero."""
    found = pd.DataFrame(model.predict_proba(X), columns=model.classes_)
    probability = found.reindex(columns=SPECIES, fill_value=0) + SMOOTHING
    return probability.div(probability.sum(axis=1), axis=0)


train = pd.read_csv("../input/train.csv")
test = pd.read_csv("../input/test.csv")
SPECIES = list(pd.read_csv("../input/sample_submission.csv").columns[1:])
X, y = features(train), train["species"].to_numpy()

X_fit, X_valid, y_fit, y_valid = train_test_split(
    X, y, test_size=VALIDATION_SHARE, random_state=SEED
)
probability = predict(make_model().fit(X_fit, y_fit), X_valid).to_numpy()
given = probability[np.arange(len(y_valid)), [SPECIES.index(name) for name in y_valid]]
print(f"Validation log loss: {-np.log(given).mean():.4f}")

submission = predict(make_model().fit(X, y), features(test))
submission.insert(0, "id", test["id"])
submission.to_csv("submission.csv", index=False)
print(f"Wrote {len(submission)} rows to submission.csv")
