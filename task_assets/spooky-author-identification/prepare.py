"""Spooky authors: MLE-bench's split of the sentences, and a stand-in with three made-up writers.

The stand-in's writers share one grammar and one vocabulary (stems with endings, and small
words) and differ in four habits that models of the real sentences live on as well: which
small words they use, which stems, which endings (so that pieces of words tell more than
whole ones, most of which are rare) and which word they put after another (so that pairs
of words help). Each habit is weak; a sentence carries evidence in proportion to its length.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

AUTHORS = ["EAP", "HPL", "MWS"]
SHARES = np.array([7090, 5074, 5457]) / 17621
WORLD = 1764  # the writers are the same for every seed, their sentences are not
NOISE = 0.03  # share of sentences under a wrong name
CONSTANT = {"EAP": 0.403493538995863, "HPL": 0.287808366106543, "MWS": 0.308698094897594}


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Hold a random tenth of Kaggle's train.csv out, as MLE-bench does."""
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(pd.read_csv(raw / "train.csv"), test_size=0.1, random_state=0)
    _write(train, test, public, private)


def synthesize(public: Path, private: Path, *, seed: int, size: int) -> None:
    """Write `size` sentences to learn from and a quarter as many to judge."""
    rng = np.random.default_rng([seed, 0x5900C])
    sentences, posterior = _sentences(rng, size + max(size // 4, 1))
    train, test = sentences.iloc[:size], sentences.iloc[size:]
    _write(train, test, public, private)
    oracle = pd.DataFrame(posterior[size:], columns=AUTHORS).round(6)
    oracle["MWS"] = (1 - oracle["EAP"] - oracle["HPL"]).round(6)
    oracle.insert(0, "id", test["id"].to_numpy())
    oracle.to_csv(private / "oracle.csv", index=False)


def _write(train: pd.DataFrame, test: pd.DataFrame, public: Path, private: Path) -> None:
    train.to_csv(public / "train.csv", index=False)
    test[["id", "text"]].to_csv(public / "test.csv", index=False)
    answers = pd.DataFrame({"id": test["id"]})
    for author in AUTHORS:
        answers[author] = (test["author"] == author).astype(int)
    answers.to_csv(private / "test.csv", index=False)
    answers.assign(**CONSTANT).to_csv(public / "sample_submission.csv", index=False)


SMALL_WORDS = (
    "the of and to a in i was that my it with had his as he but for which me from at this on is "
    "not by be were so her all or have an they one no when you upon could their would she more we "
    "been now some if what there then into our these who very than out before only are him will "
    "such any even where over own must might most other through up them did should about still "
    "your how down long every after its like can great little first yet never again while those"
).split()

STEMS = (
    "abyss ancient appear arm ash autumn beast bell black blood bone breath bright burn candle "
    "castle cat cellar chamber child church cliff cloud coffin cold corpse cottage crawl cry dark "
    "dawn dead death deep demon despair doom door doubt dread dream dust ear earth echo eye face "
    "fade faint father fear fever fiend fire flame flesh flight forest friend frost garden gate "
    "ghast ghost gloom god grave green grief hand harbour hate haunt heart heaven hill hope horror "
    "house human hunt ice island joy key king lake lament lamp land letter light lone love mad man "
    "marble mask memory mind mirror mist moan monster moon morn mother mount murder music mystery "
    "name night ocean old pain pale pass peak phantom plague poison power prince queen rain raven "
    "reason rest river rock room ruin sad sea secret shade shadow ship shore shriek sick silent "
    "sister skull sky sleep slumber smile snow soul sound spectre spell spirit stair star steep "
    "stone storm strange street sun sword tale tear temple terror thought thunder tomb tower town "
    "tree trembl vault veil vision voice wall wander war water wave weep whisper white wild wind "
    "winter wisdom witch wolf woman wonder wood word world worm wound year young"
).split()

ENDINGS = (",s,ed,ing,ly,ness,ful,less,ous,ish,er,est,eth,al,ward,like,some,ity,ant,ism").split(",")


class _Writers:
    """Word frequencies of the three writers: over the vocabulary, and after each word."""

    def __init__(self) -> None:
        rng = np.random.default_rng(WORLD)
        n_stems, n_endings = len(STEMS), len(ENDINGS)
        self.words = np.array(SMALL_WORDS + [s + e for s in STEMS for e in ENDINGS])
        small = 1 / (np.arange(len(SMALL_WORDS)) + 3.0)
        stem = rng.permutation(1 / (np.arange(n_stems) + 12.0))
        ending = 1 / (np.arange(n_endings) + 1.5)
        pairing = rng.gamma(0.5, 2, (n_stems, n_endings))
        rows = []
        for _ in AUTHORS:
            own_small = small * np.exp(0.40 * rng.standard_normal(len(small)))
            own_stem = stem * np.exp(0.35 * rng.standard_normal(n_stems))
            own_ending = ending * np.exp(0.45 * rng.standard_normal(n_endings))
            content = np.outer(own_stem, own_ending) * pairing
            rows.append(np.r_[0.55 * _share(own_small), 0.45 * _share(content.ravel())])
        self.after_nothing = np.array(rows)  # writers x words
        # With this chance the next word is one of four favourites after the present one.
        self.habit = 0.15
        self.favourites = np.stack(
            [
                np.searchsorted(row.cumsum(), rng.random((len(self.words), 4))).clip(
                    max=row.size - 1
                )
                for row in self.after_nothing
            ]
        )  # writers x words x 4

    def write(self, rng: np.random.Generator, author: np.ndarray, length: int) -> np.ndarray:
        """Draw one sentence of `length` word numbers for each writer number."""
        text = np.empty((len(author), length), dtype=np.int64)
        cumulated = self.after_nothing.cumsum(axis=1)
        for a in range(len(AUTHORS)):
            drawn = np.searchsorted(cumulated[a], rng.random(text.shape))
            text[author == a] = drawn[author == a].clip(max=len(self.words) - 1)
        habitual = rng.random(text.shape) < self.habit
        pick = rng.integers(0, 4, text.shape)
        for i in range(1, length):
            follow = self.favourites[author, text[:, i - 1], pick[:, i]]
            text[:, i] = np.where(habitual[:, i], follow, text[:, i])
        return text

    def log_likelihood(self, text: np.ndarray) -> np.ndarray:
        """Return the log probability of sentences (rows) under each writer (columns)."""
        columns = []
        for own, favourites in zip(self.after_nothing, self.favourites, strict=True):
            total = np.log(own[text[:, 0]])
            hits = (favourites[text[:, :-1]] == text[:, 1:, None]).mean(axis=2)
            total += np.log((1 - self.habit) * own[text[:, 1:]] + self.habit * hits).sum(axis=1)
            columns.append(total)
        return np.column_stack(columns)


def _share(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum()


def _sentences(rng: np.random.Generator, n: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return sentences with their writers, and the writers' probabilities given the words."""
    writers = _Writers()
    author = rng.choice(len(AUTHORS), n, p=SHARES)
    lengths = np.clip(np.exp(3.08 + 0.62 * rng.standard_normal(n)), 2, 861).astype(int)
    texts = np.empty(n, dtype=object)
    evidence = np.empty((n, len(AUTHORS)))
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        numbers = writers.write(rng, author[rows], int(length))
        evidence[rows] = np.log(SHARES) + writers.log_likelihood(numbers)
        for row, sentence in zip(rows, numbers, strict=True):
            texts[row] = _punctuate(rng, writers.words[sentence])
    posterior = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    posterior /= posterior.sum(axis=1, keepdims=True)

    # Some sentences go under a name drawn from the two others.
    wrong = rng.random(n) < NOISE
    named = np.where(wrong, (author + rng.integers(1, 3, n)) % 3, author)
    posterior = (1 - NOISE) * posterior + NOISE * (1 - posterior) / 2
    ids = [f"id{number:05d}" for number in rng.permutation(max(100_000, n))[:n]]
    names = np.array(AUTHORS, dtype=object)[named]
    return pd.DataFrame({"id": ids, "text": texts, "author": names}), posterior


def _punctuate(rng: np.random.Generator, words: np.ndarray) -> str:
    commas = rng.random(len(words)) < 0.07
    text = " ".join(w + "," if c else w for w, c in zip(words[:-1], commas[:-1], strict=True))
    text = f"{text} {words[-1]}{'?' if rng.random() < 0.04 else '.'}"
    if rng.random() < 0.01:
        text = text.replace("e", "é", 1)
    return text[0].upper() + text[1:].replace(" i ", " I ")
