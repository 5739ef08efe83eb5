"""Spooky authors: naive Bayes and logistic regression on words, pairs and pieces of words."""

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_predict, train_test_split
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline, make_union

SEED = 0
VALIDATION_SHARE = 0.2
AUTHORS = ["EAP", "HPL", "MWS"]
FOLDS = 3
LEAST_PROBABILITY = 0.005


def base_models():
    words = CountVectorizer(ngram_range=(1, 2))
    pieces = CountVectorizer(analyzer="char_wb", ngram_range=(2, 4), min_df=2)
    both = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, min_df=2),
    )
    return [
        make_pipeline(words, MultinomialNB(alpha=0.3)),
        make_pipeline(pieces, MultinomialNB(alpha=1.0)),
        make_pipeline(both, LogisticRegression(C=10, max_iter=300, random_state=SEED)),
    ]


def logs(probabilities):
    return np.hstack([np.log(np.clip(p, 1e-6, 1)) for p in probabilities])


def fit(texts, authors):
    """Stack the models: a last one learns how far to trust each."""
    held_out = [
        cross_val_predict(model, texts, authors, cv=FOLDS, method="predict_proba")
        for model in base_models()
    ]
    last = LogisticRegression(C=0.1, max_iter=1000, random_state=SEED)
    last.fit(logs(held_out), authors)
    return [model.fit(texts, authors) for model in base_models()], last


def predict(stack, texts):
    models, last = stack
    probability = last.predict_proba(logs([model.predict_proba(texts) for model in models]))
    probability = np.clip(probability, LEAST_PROBABILITY, 1)
    return probability / probability.sum(axis=1, keepdims=True)


train = pd.read_csv("../input/train.csv")
test = pd.read_csv("../input/test.csv")

part, valid = train_test_split(train, test_size=VALIDATION_SHARE, random_state=SEED)
model = fit(part["text"], part["author"])
loss = log_loss(valid["author"], predict(model, valid["text"]), labels=AUTHORS)
print(f"Validation log loss: {loss:.4f}")

model = fit(train["text"], train["author"])
submission = pd.DataFrame(predict(model, test["text"]), columns=AUTHORS)
submission.insert(0, "id", test["id"])
submission.to_csv("submission.csv", index=False)
print(f"Wrote {len(submission)} rows to submission.csv")
