"""Essay scores: logistic regression on the TF-IDF of the most frequent words."""

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import cohen_kappa_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

SEED = 0
VALIDATION_SHARE = 0.2
MODEL = "classifier"
MAX_FEATURES = 500
NGRAM_MAX = 1
CHAR_NGRAMS = False
SUBLINEAR_TF = False
STOP_WORDS = None
TEXT_STATISTICS = False
C = 1.0
STRETCH = 1.0


def make_vectorizer():
    return TfidfVectorizer(
        analyzer="char_wb" if CHAR_NGRAMS else "word",
        ngram_range=(3, 4) if CHAR_NGRAMS else (1, NGRAM_MAX),
        max_features=MAX_FEATURES,
        stop_words=STOP_WORDS,
        sublinear_tf=SUBLINEAR_TF,
    )


def make_model():
    if MODEL == "classifier":
        return LogisticRegression(C=C, max_iter=200, random_state=SEED)
    return Ridge(alpha=1 / C, random_state=SEED)


def statistics(texts):
    rows = []
    for text in texts:
        words = text.split()
        lengths = [len(word) for word in words]
        rows.append([np.log(len(words)), np.mean(lengths), len(set(words)), text.count("\n")])
    return np.array(rows)


class Scorer:
    def fit(self, texts, score):
        self.vectorizer, self.scaler = make_vectorizer(), StandardScaler()
        X = self.vectorizer.fit_transform(texts)
        if TEXT_STATISTICS:
            X = hstack([X, csr_matrix(self.scaler.fit_transform(statistics(texts)))])
        self.model, self.mean = make_model().fit(X, score), score.mean()
        return self

    def predict(self, texts):
        X = self.vectorizer.transform(texts)
        if TEXT_STATISTICS:
            X = hstack([X, csr_matrix(self.scaler.transform(statistics(texts)))])
        score = self.mean + STRETCH * (self.model.predict(X) - self.mean)
        return np.clip(np.rint(score), 1, 6).astype(int)


train = pd.read_csv("../input/train.csv")
test = pd.read_csv("../input/test.csv")

part, valid = train_test_split(train, test_size=VALIDATION_SHARE, random_state=SEED)
scorer = Scorer().fit(part["full_text"], part["score"])
kappa = cohen_kappa_score(valid["score"], scorer.predict(valid["full_text"]), weights="quadratic")
print(f"Validation QWK: {kappa:.4f}")

scorer = Scorer().fit(train["full_text"], train["score"])
submission = pd.DataFrame(
    {"essay_id": test["essay_id"], "score": scorer.predict(test["full_text"])}
)
submission.to_csv("submission.csv", index=False)
print(f"Wrote {len(submission)} rows to submission.csv")
