"""Spooky authors: logistic regression on the counts of the most frequent words."""

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

SEED = 0
VALIDATION_SHARE = 0.2
AUTHORS = ["EAP", "HPL", "MWS"]
ANALYZER = "word"
NGRAMS = (1, 1)
VOCABULARY = 200
STOP_WORDS = None
LOWERCASE = True
INVERSE_PENALTY = 1.0
LEAST_PROBABILITY = 1e-6


def make_vectorizer():
    return CountVectorizer(
        analyzer=ANALYZER,
        ngram_range=NGRAMS,
        max_features=VOCABULARY,
        stop_words=STOP_WORDS,
        lowercase=LOWERCASE,
    )


def make_classifier():
    return LogisticRegression(C=INVERSE_PENALTY, max_iter=200, random_state=SEED)


def fit(texts, authors):
    return make_pipeline(make_vectorizer(), make_classifier()).fit(texts, authors)


def predict(model, texts):
    probability = np.clip(model.predict_proba(texts), LEAST_PROBABILITY, 1)
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
