"""Toxic comments: one logistic regression per kind on the TF-IDF of the most frequent words."""

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

SEED = 0
VALIDATION_SHARE = 0.25
KINDS = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]
MAX_FEATURES = 1_000
NGRAM_MAX = 1
CHAR_NGRAMS = False
MIN_DF = 1
LOWERCASE = True
STOP_WORDS = None
SUBLINEAR_TF = False
MAX_CHARS = 10_000
C = 0.1
CLASS_WEIGHT = None


def make_vectorizer():
    return TfidfVectorizer(
        analyzer="char_wb" if CHAR_NGRAMS else "word",
        ngram_range=(2, 4) if CHAR_NGRAMS else (1, NGRAM_MAX),
        max_features=10 * MAX_FEATURES if CHAR_NGRAMS else MAX_FEATURES,
        min_df=MIN_DF,
        lowercase=LOWERCASE,
        stop_words=STOP_WORDS,
        sublinear_tf=SUBLINEAR_TF,
    )


def make_classifier():
    return LogisticRegression(C=C, class_weight=CLASS_WEIGHT, max_iter=200, random_state=SEED)


def fit(comments, labels):
    vectorizer = make_vectorizer()
    X = vectorizer.fit_transform(comments.str[:MAX_CHARS])
    return vectorizer, [make_classifier().fit(X, labels[kind]) for kind in KINDS]


def predict(model, comments):
    vectorizer, classifiers = model
    X = vectorizer.transform(comments.str[:MAX_CHARS])
    return np.column_stack([one.predict_proba(X)[:, 1] for one in classifiers])


train = pd.read_csv("../input/train.csv")
test = pd.read_csv("../input/test.csv")

part, valid = train_test_split(train, test_size=VALIDATION_SHARE, random_state=SEED)
predicted = predict(fit(part["comment_text"], part[KINDS]), valid["comment_text"])
area = np.mean([roc_auc_score(valid[kind], predicted[:, i]) for i, kind in enumerate(KINDS)])
print(f"Validation mean AUC: {area:.4f}")

model = fit(train["comment_text"], train[KINDS])
submission = pd.DataFrame(predict(model, test["comment_text"]), columns=KINDS)
submission.insert(0, "id", test["id"])
submission.to_csv("submission.csv", index=False)
print(f"Wrote {len(submission)} rows to submission.csv")
