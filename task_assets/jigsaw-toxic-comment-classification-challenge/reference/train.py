"""Toxic comments: logistic regressions on words, pairs and pieces of words, and their counts."""

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

SEED = 0
VALIDATION_SHARE = 0.25
KINDS = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]
C = 2.0
MAX_CHARS = 2_000


def make_vectorizers():
    words = TfidfVectorizer(
        ngram_range=(1, 2),
        token_pattern=r"[\w'*]+",
        sublinear_tf=True,
        min_df=2,
        max_features=40_000,
    )
    pieces = TfidfVectorizer(
        analyzer="char_wb",
        ngram_range=(2, 4),
        sublinear_tf=True,
        min_df=3,
        max_features=40_000,
    )
    return [words, pieces]


def style(comments):
    """Measure shouting and repetition."""
    rows = []
    for text in comments:
        words = text.split()
        upper = sum(letter.isupper() for letter in text) / max(len(text), 1)
        repeated = 1 - len(set(words)) / max(len(words), 1)
        rows.append([upper, repeated, np.log1p(len(words)) / 8, np.log1p(text.count("!"))])
    return csr_matrix(np.array(rows))


def features(vectorizers, comments):
    texts = comments.str[:MAX_CHARS]
    return hstack([*(v.transform(texts) for v in vectorizers), style(texts)]).tocsr()


def fit(comments, labels):
    vectorizers = [v.fit(comments.str[:MAX_CHARS]) for v in make_vectorizers()]
    X = features(vectorizers, comments)
    classifiers = []
    for kind in KINDS:
        classifier = LogisticRegression(
            C=C, solver="liblinear", class_weight="balanced", random_state=SEED
        )
        classifiers.append(classifier.fit(X, labels[kind]))
    return vectorizers, classifiers


def predict(model, comments):
    vectorizers, classifiers = model
    X = features(vectorizers, comments)
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
