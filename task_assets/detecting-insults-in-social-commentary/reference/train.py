"""Insults: logistic regression and naive Bayes weights on words, pairs and pieces of words."""

import codecs

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC

SEED = 0
VALIDATION_SHARE = 0.2


def clean(comments):
    texts = comments.str.strip('"')
    texts = texts.map(lambda text: codecs.decode(text, "unicode_escape", "ignore"))
    texts = texts.str.replace(r"(.)\1{2,}", r"\1\1", regex=True)
    return texts.str.replace(r"\s+", " ", regex=True)


def leet(texts):
    """Undo digits for letters and letters set apart."""
    texts = texts.str.lower().str.translate(str.maketrans("013", "oie"))
    return texts.str.replace(r"\b(\w) (?=\w\b)", r"\1", regex=True)


def words():
    return TfidfVectorizer(ngram_range=(1, 3), token_pattern=r"[\w'*]+", sublinear_tf=True)


def pieces(low, high):
    return TfidfVectorizer(analyzer="char_wb", ngram_range=(low, high), sublinear_tf=True, min_df=2)


def models():
    plain = make_union(words(), pieces(2, 5))
    undone = make_union(
        make_pipeline(FunctionTransformer(leet), words()),
        make_pipeline(FunctionTransformer(leet), pieces(3, 6)),
    )
    return [
        make_pipeline(plain, LogisticRegression(C=4, max_iter=300, random_state=SEED)),
        make_pipeline(undone, LogisticRegression(C=4, max_iter=300, random_state=SEED)),
        make_pipeline(undone, LinearSVC(C=0.2, random_state=SEED)),
    ]


def fit(comments, insult):
    return [model.fit(clean(comments), insult) for model in models()]


def predict(fitted, comments):
    scores = [model.decision_function(clean(comments)) for model in fitted]
    score = np.mean([scores[0], scores[1], 2 * scores[2]], axis=0)
    return 1 / (1 + np.exp(-score))


train = pd.read_csv("../input/train.csv")
test = pd.read_csv("../input/test.csv")

part, valid = train_test_split(train, test_size=VALIDATION_SHARE, random_state=SEED)
fitted = fit(part["Comment"], part["Insult"])
area = roc_auc_score(valid["Insult"], predict(fitted, valid["Comment"]))
print(f"Validation AUC: {area:.4f}")

fitted = fit(train["Comment"], train["Insult"])
submission = test.assign(Insult=predict(fitted, test["Comment"]))
submission[["Insult", "Date", "Comment"]].to_csv("submission.csv", index=False)
print(f"Wrote {len(submission)} rows to submission.csv")
