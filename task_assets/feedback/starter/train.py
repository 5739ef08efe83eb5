"""Essay grades: ridge regression on the TF-IDF of the most frequent words."""

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

SEED = 0
VALIDATION_SHARE = 0.2
SKILLS = ["cohesion", "syntax", "vocabulary", "phraseology", "grammar", "conventions"]
MAX_FEATURES = 300
NGRAM_MAX = 1
CHAR_NGRAMS = False
PUNCTUATION = False
LOWERCASE = True
STOP_WORDS = None
SUBLINEAR_TF = False
TEXT_STATISTICS = False
ALPHA = 20.0
CLIP = False


def make_vectorizer():
    return TfidfVectorizer(
        analyzer="char_wb" if CHAR_NGRAMS else "word",
        ngram_range=(3, 4) if CHAR_NGRAMS else (1, NGRAM_MAX),
        token_pattern=r"\w+|[^\w ]" if PUNCTUATION else r"\w+",
        max_features=MAX_FEATURES,
        lowercase=LOWERCASE,
        stop_words=STOP_WORDS,
        sublinear_tf=SUBLINEAR_TF,
    )


def statistics(texts):
    rows = []
    for text in texts:
        words = text.split()
        lengths = [len(word) for word in words]
        commas, stops = text.count(","), text.count(".")
        rows.append([np.log(len(words)), np.mean(lengths), np.std(lengths), len(set(words)),
                     commas / len(words), stops / len(words)])  # fmt: skip
    return np.array(rows)


class Grader:
    def fit(self, texts, grades):
        self.vectorizer, self.scaler = make_vectorizer(), StandardScaler()
        X = self.vectorizer.fit_transform(texts)
        if TEXT_STATISTICS:
            X = hstack([X, csr_matrix(0.1 * self.scaler.fit_transform(statistics(texts)))])
        self.model = Ridge(alpha=ALPHA, random_state=SEED).fit(X, grades)
        return self

    def predict(self, texts):
        X = self.vectorizer.transform(texts)
        if TEXT_STATISTICS:
            X = hstack([X, csr_matrix(0.1 * self.scaler.transform(statistics(texts)))])
        grades = self.model.predict(X)
        return np.clip(grades, 1, 5) if CLIP else grades


def mcrmse(true, predicted):
    return np.sqrt(((true - predicted) ** 2).mean(axis=0)).mean()


train = pd.read_csv("../input/train.csv")
test = pd.read_csv("../input/test.csv")

part, valid = train_test_split(train, test_size=VALIDATION_SHARE, random_state=SEED)
grader = Grader().fit(part["full_text"], part[SKILLS].to_numpy())
error = mcrmse(valid[SKILLS].to_numpy(), grader.predict(valid["full_text"]))
print(f"Validation MCRMSE: {error:.4f}")

grader = Grader().fit(train["full_text"], train[SKILLS].to_numpy())
submission = pd.DataFrame(grader.predict(test["full_text"]), columns=SKILLS)
submission.insert(0, "text_id", test["text_id"])
submission.to_csv("submission.csv", index=False)
print(f"Wrote {len(submission)} rows to submission.csv")
