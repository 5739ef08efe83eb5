"""Patent phrases: a linear model on how many words two phrases share."""

import numpy as np
import pandas as pd
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split

SEED = 0
VALIDATION_SHARE = 0.2
MODEL = "linear"
ALPHA = 1.0
N_TREES = 40
MAX_DEPTH = 4
CHAR_NGRAMS = 0
SUBLINEAR_TF = False
USE_CONTEXT = False
NEIGHBOURS = 0
CLIP = False
ROUND = False


def similarity(one, other):
    """Cosine of each phrase in `one` with the phrase beside it in `other`."""
    if CHAR_NGRAMS:
        cut = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, CHAR_NGRAMS), sublinear_tf=SUBLINEAR_TF
        )
    else:
        cut = TfidfVectorizer(sublinear_tf=SUBLINEAR_TF, token_pattern=r"\S+")
    cut.fit(pd.concat([one, other]))
    return np.asarray(cut.transform(one).multiply(cut.transform(other)).sum(axis=1)).ravel()


def neighbours(pairs, known):
    """Mean score of known pairs with the same anchor, the own one left out."""
    total, prior = known.groupby("anchor")["score"].sum(), known["score"].mean()
    count = known.groupby("anchor")["score"].count()
    key, own = pairs["anchor"], pairs["id"].map(known.set_index("id")["score"])
    total = key.map(total).fillna(0) - own.fillna(0) + NEIGHBOURS * prior
    return total / (key.map(count).fillna(0) - own.notna() + NEIGHBOURS)


def features(pairs, known):
    one, other = pairs["anchor"], pairs["target"]
    X = pd.DataFrame({"length": one.str.len(), "other_length": other.str.len()})
    X["similarity"] = similarity(one, other)
    if USE_CONTEXT:
        for section in "ABCDEFGH":
            X[section] = (pairs["context"].str[0] == section).astype(float)
    if NEIGHBOURS:
        X["neighbours"] = neighbours(pairs, known)
    return X.to_numpy(float)


def make_model():
    if MODEL == "boosting":
        return GradientBoostingRegressor(
            n_estimators=N_TREES, max_depth=MAX_DEPTH, random_state=SEED
        )
    if MODEL == "forest":
        return RandomForestRegressor(n_estimators=N_TREES, max_depth=MAX_DEPTH, random_state=SEED)
    return Ridge(alpha=ALPHA)


def predict(known, pairs):
    model = make_model().fit(features(known, known), known["score"])
    score = model.predict(features(pairs, known))
    score = np.clip(score, 0, 1) if CLIP else score
    return np.round(4 * score) / 4 if ROUND else score


train = pd.read_csv("../input/train.csv")
test = pd.read_csv("../input/test.csv")

part, valid = train_test_split(train, test_size=VALIDATION_SHARE, random_state=SEED)
correlation = np.corrcoef(predict(part, valid), valid["score"])[0, 1]
print(f"Validation Pearson correlation: {correlation:.4f}")

submission = pd.DataFrame({"id": test["id"], "score": predict(train, test)})
submission.to_csv("submission.csv", index=False)
print(f"Wrote {len(submission)} rows to submission.csv")
