"""Essay scores: ridge and boosting on words and statistics, cut where QWK is best."""

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, hstack
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.metrics import cohen_kappa_score
from sklearn.model_selection import KFold, train_test_split
from sklearn.preprocessing import StandardScaler

SEED = 0
VALIDATION_SHARE = 0.2
FOLDS = 3
ALPHA = 2.0


def make_vectorizer():
    return TfidfVectorizer(
        ngram_range=(1, 2),
        token_pattern=r"[\w']+|[^\w ]",
        sublinear_tf=True,
        min_df=5,
        max_features=8_000,
    )


def statistics(texts, known):
    rows = []
    for text in texts:
        words = [word.strip(".,!?\"'").lower() for word in text.split()]
        lengths = np.array([len(word) for word in words])
        n = len(words)
        rows.append([
            np.log(n), lengths.mean(), lengths.std(), (lengths > 6).mean(), np.log(len(set(words))),
            len(set(words)) / np.sqrt(n), np.log1p(text.count("\n\n")), text.count(",") / n,
            text.count(".") / n, np.mean([word not in known for word in words]),
            np.mean([part[:1].islower() for part in text.replace("\n", " ").split(". ")]),
        ])  # fmt: skip
    return np.array(rows)


class Regressor:
    """Ridge regression on everything, corrected by boosting on its output and the statistics."""

    def fit(self, texts, score):
        counts = pd.Series(" ".join(texts).lower().split()).str.strip(".,!?\"'").value_counts()
        self.known = set(counts.index[counts >= max(len(texts) // 200, 3)])
        self.vectorizer = make_vectorizer().fit(texts)
        numbers = statistics(texts, self.known)
        self.scaler = StandardScaler().fit(numbers)
        X = self.features(texts, numbers)
        held_out = np.empty(len(score))
        for fit, rest in KFold(FOLDS, shuffle=True, random_state=SEED).split(held_out):
            held_out[rest] = Ridge(ALPHA).fit(X[fit], score[fit]).predict(X[rest])
        self.ridge = Ridge(ALPHA).fit(X, score)
        self.booster = GradientBoostingRegressor(
            n_estimators=80, max_depth=2, learning_rate=0.05, subsample=0.7, random_state=SEED
        )
        self.booster.fit(np.column_stack([held_out, numbers]), score)
        return self

    def features(self, texts, numbers):
        scaled = csr_matrix(0.3 * self.scaler.transform(numbers))
        return hstack([self.vectorizer.transform(texts), scaled]).tocsr()

    def predict(self, texts):
        numbers = statistics(texts, self.known)
        linear = self.ridge.predict(self.features(texts, numbers))
        return (linear + self.booster.predict(np.column_stack([linear, numbers]))) / 2


class Scorer:
    """A regressor, and the cuts that give its held-out predictions the shares of the scores."""

    def fit(self, texts, score):
        texts, score = texts.to_numpy(), score.to_numpy()
        held_out = np.empty(len(score))
        for fit, rest in KFold(FOLDS, shuffle=True, random_state=SEED).split(texts):
            held_out[rest] = Regressor().fit(texts[fit], score[fit]).predict(texts[rest])
        shares = np.array([(score <= s).mean() for s in range(1, 6)])
        self.cuts = np.quantile(held_out, shares)
        self.regressor = Regressor().fit(texts, score)
        return self

    def predict(self, texts):
        return 1 + np.searchsorted(self.cuts, self.regressor.predict(texts.to_numpy()))


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
