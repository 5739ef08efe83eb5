"""Patent phrases: boosted trees on similarities and on the scores of like pairs."""

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, hstack
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold, train_test_split

SEED = 0
VALIDATION_SHARE = 0.2
FOLDS = 5
PIECES = {"analyzer": "char_wb", "sublinear_tf": True}
ALPHA = 3.0
NEAREST = 5


def row_cosine(one, other, **options):
    cut = TfidfVectorizer(**options).fit(pd.concat([one, other]))
    return np.asarray(cut.transform(one).multiply(cut.transform(other)).sum(axis=1)).ravel()


def best_matches(pairs):
    """For every word of the anchor the best cosine with a word of the target: mean and last."""
    words = sorted({w for column in ("anchor", "target") for p in pairs[column] for w in p.split()})
    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5)).fit_transform(words)
    number = {word: i for i, word in enumerate(words)}
    rows = []
    for anchor, target in zip(pairs["anchor"], pairs["target"], strict=True):
        one = [number[word] for word in anchor.split()]
        other = [number[word] for word in target.split()]
        best = (vectors[one] @ vectors[other].T).toarray()
        rows.append(
            (best.max(axis=1).mean(), best[-1].max(), best[-1, -1], best.max(axis=0).mean())
        )
    return np.array(rows)


def nearest_scores(pairs, known):
    """Scores of known pairs with the same anchor, weighted by how alike the targets are."""
    cut = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4)).fit(known["target"])
    prior, groups = known["score"].mean(), dict(list(known.groupby("anchor")))
    result = np.full((len(pairs), 4), prior)
    result[:, 1] = 0
    position = pd.Series(np.arange(len(pairs)), index=pairs.index)
    for anchor, rows in pairs.groupby("anchor"):
        if anchor not in groups:
            continue
        group = groups[anchor]
        alike = (cut.transform(rows["target"]) @ cut.transform(group["target"]).T).toarray()
        alike[rows["id"].to_numpy()[:, None] == group["id"].to_numpy()] = 0
        score, here = group["score"].to_numpy(), position[rows.index]
        result[here, 0] = (alike @ score + 0.2 * prior) / (alike.sum(axis=1) + 0.2)
        result[here, 1] = alike.max(axis=1)
        sharp = alike**4
        result[here, 2] = (sharp @ score + 0.01 * prior) / (sharp.sum(axis=1) + 0.01)
        order = np.argsort(-alike, axis=1)[:, :NEAREST]
        result[here, 3] = score[order].mean(axis=1)
    return result


def pair_words(cut, pairs):
    """Mark which piece of the anchor meets which word of the target."""
    crossed = [
        " ".join(f"{a[:4]}_{t[:4]}" for a in anchor.split() for t in target.split())
        for anchor, target in zip(pairs["anchor"], pairs["target"], strict=True)
    ]
    return crossed if cut is None else cut.transform(crossed)


def linear(known, pairs):
    """Ridge regression on pairs of word beginnings and pieces of the target per anchor."""
    cut = CountVectorizer(token_pattern=r"\S+", binary=True).fit(pair_words(None, known))
    pieces = TfidfVectorizer(ngram_range=(2, 4), **PIECES).fit(known["target"])

    def sparse(rows):
        dense = np.c_[row_cosine(rows["anchor"], rows["target"], ngram_range=(2, 4), **PIECES)]
        parts = [pair_words(cut, rows), pieces.transform(rows["target"]), csr_matrix(3 * dense)]
        return hstack(parts).tocsr()

    return Ridge(alpha=ALPHA).fit(sparse(known), known["score"]).predict(sparse(pairs))


def features(pairs, known):
    one, other = pairs["anchor"], pairs["target"]
    columns = [
        one.str.len(),
        other.str.len(),
        one.str.split().str.len(),
        other.str.split().str.len(),
        row_cosine(one, other, token_pattern=r"\S+"),
        row_cosine(one, other, ngram_range=(2, 3), **PIECES),
        row_cosine(one, other, ngram_range=(2, 5), **PIECES),
        pairs["context"].str[0].map(ord),
    ]
    return np.column_stack([*columns, best_matches(pairs), nearest_scores(pairs, known)])


def predict(known, pairs):
    folded = np.empty(len(known))
    for fit, hold in KFold(FOLDS, shuffle=True, random_state=SEED).split(known):
        folded[hold] = linear(known.iloc[fit], known.iloc[hold])
    model = HistGradientBoostingRegressor(
        max_iter=150, learning_rate=0.04, max_leaf_nodes=8, random_state=SEED
    )
    model.fit(np.c_[features(known, known), folded], known["score"])
    return model.predict(np.c_[features(pairs, known), linear(known, pairs)])


train = pd.read_csv("../input/train.csv")
test = pd.read_csv("../input/test.csv")

part, valid = train_test_split(train, test_size=VALIDATION_SHARE, random_state=SEED)
correlation = np.corrcoef(predict(part, valid), valid["score"])[0, 1]
print(f"Validation Pearson correlation: {correlation:.4f}")

submission = pd.DataFrame({"id": test["id"], "score": predict(train, test)})
submission.to_csv("submission.csv", index=False)
print(f"Wrote {len(submission)} rows to submission.csv")
