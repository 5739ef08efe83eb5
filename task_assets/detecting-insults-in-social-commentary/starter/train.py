"""Insults: logistic regression on the TF-IDF of the most frequent words."""

import codecs

import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

SEED = 0
VALIDATION_SHARE = 0.2
MAX_FEATURES = 1_000
NGRAM_MAX = 1
CHAR_NGRAMS = False
MIN_DF = 1
LOWERCASE = True
STOP_WORDS = None
SUBLINEAR_TF = False
UNESCAPE = False
C = 0.3
CLASS_WEIGHT = None


def clean(comments):
    comments = comments.str.strip('"')
    if UNESCAPE:
        comments = comments.map(lambda text: codecs.decode(text, "unicode_escape", "ignore"))
    return comments


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


def fit(comments, insult):
    return make_pipeline(make_vectorizer(), make_classifier()).fit(clean(comments), insult)


def predict(model, comments):
    return model.predict_proba(clean(comments))[:, 1]


train = pd.read_csv("../input/train.csv")
test = pd.read_csv("../input/test.csv")

part, valid = train_test_split(train, test_size=VALIDATION_SHARE, random_state=SEED)
model = fit(part["Comment"], part["Insult"])
area = roc_auc_score(valid["Insult"], predict(model, valid["Comment"]))
print(f"Validation AUC: {area:.4f}")

model = fit(train["Comment"], train["Insult"])
submission = test.assign(Insult=predict(model, test["Comment"]))
submission[["Insult", "Date", "Comment"]].to_csv("submission.csv", index=False)
print(f"Wrote {len(submission)} rows to submission.csv")
