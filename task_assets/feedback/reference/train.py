"""Essay grades: ridge and kernel regression on words, pairs and text statistics."""

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

SEED = 0
VALIDATION_SHARE = 0.2
SKILLS = ["cohesion", "syntax", "vocabulary", "phraseology", "grammar", "conventions"]
ALPHA = 1.0
SUBLINEAR_TF = False
KERNEL_SHARE = 0.5


def make_vectorizer():
    return TfidfVectorizer(
        ngram_range=(1, 2),
        token_pattern=r"[\w']+|[^\w ]",
        sublinear_tf=SUBLINEAR_TF,
        min_df=5,
        max_features=2_000,
    )


def statistics(texts):
    rows = []
    for text in texts:
        words = text.split()
        sentences = [part for part in text.replace("!", ".").split(".") if part.strip()]
        lengths = np.array([len(word) for word in words])
        n = len(words)
        small_starts = sum(part.strip()[0].islower() for part in sentences)
        rows.append([
            np.log(n), lengths.mean(), lengths.std(), (lengths > 6).mean(), len(set(words)),
            len(set(words)) / np.sqrt(n), text.count(",") / n, text.count(".") / n,
            text.count("'") / n, text.count("\n\n"), np.log(n / max(len(sentences), 1)),
            small_starts / max(len(sentences), 1), words.count("i") / n, words.count("I") / n,
        ])  # fmt: skip
    return np.array(rows)


class Grader:
    """Average of ridge regression and support vector regression, a machine for each skill."""

    def fit(self, texts, grades):
        self.vectorizer = make_vectorizer().fit(texts)
        self.scaler = StandardScaler().fit(statistics(texts))
        X = self.features(texts)
        self.ridge = Ridge(alpha=ALPHA).fit(X, grades)
        self.machines = [SVR(C=1.0).fit(X, y) for y in grades.T]
        return self

    def features(self, texts):
        numbers = csr_matrix(0.1 * self.scaler.transform(statistics(texts)))
        return hstack([self.vectorizer.transform(texts), numbers]).tocsr()

    def predict(self, texts):
        X = self.features(texts)
        kernel = np.column_stack([machine.predict(X) for machine in self.machines])
        grades = KERNEL_SHARE * kernel + (1 - KERNEL_SHARE) * self.ridge.predict(X)
        return np.clip(grades, 1, 5)


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
