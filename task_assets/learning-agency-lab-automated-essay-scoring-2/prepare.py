"""Essay scores: MLE-bench's split, and a stand-in whose essays answer seven assignments.

In the stand-in a better essay is longer (most of all), uses rarer words and phrases that
argue and cite, has paragraphs, and fewer words misspelt in ever different ways. Each habit is
noisy. Assignments have their own words, and their raters are more or less strict, so that the
same essay scores differently. Scores have the real shares: the extreme ones are rare, which
makes the cuts between them worth choosing by the metric. Some raters' noise remains.
"""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd

SHARES = np.array([0.072, 0.273, 0.361, 0.229, 0.056, 0.009])  # of scores 1 to 6
SKILL_SHARE = 0.80  # of the score's variance; the rest is the raters'
WORLD = 17307  # the language is the same for every seed, the essays are not


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Hold a random tenth of Kaggle's train.csv out, as MLE-bench does."""
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(pd.read_csv(raw / "train.csv"), test_size=0.1, random_state=0)
    _write(train, test, public, private)


def synthesize(public: Path, private: Path, *, seed: int, size: int) -> None:
    """Write `size` essays to learn from and a quarter as many to score."""
    rng = np.random.default_rng([seed, 0xE55A7])
    n = size + max(size // 4, 1)
    skill = rng.standard_normal(n)
    assignment = rng.integers(0, len(TOPICS), n)
    worth = np.sqrt(0.88) * skill + np.sqrt(0.12) * LENIENCY[assignment]
    rated = np.sqrt(SKILL_SHARE) * worth + np.sqrt(1 - SKILL_SHARE) * rng.standard_normal(n)
    ids = [f"{number:07x}" for number in rng.choice(1 << 28, n, replace=False)]
    texts = _Language().write(rng, skill, assignment)
    essays = pd.DataFrame({"essay_id": ids, "full_text": texts, "score": _score(rated)})
    _write(essays.iloc[:size], essays.iloc[size:], public, private)
    oracle = pd.DataFrame({"essay_id": ids[size:], "score": _score(worth[size:])})
    oracle.to_csv(private / "oracle.csv", index=False)


def _write(train: pd.DataFrame, test: pd.DataFrame, public: Path, private: Path) -> None:
    train.to_csv(public / "train.csv", index=False)
    test.drop(columns="score").to_csv(public / "test.csv", index=False)
    test.to_csv(private / "answers.csv", index=False)  # as MLE-bench keeps it, with the texts
    test[["essay_id", "score"]].to_csv(private / "scores.csv", index=False)
    # MLE-bench draws the sample's scores with this generator and seed.
    drawn = np.random.RandomState(42).randint(1, 7, size=len(test))
    test[["essay_id"]].assign(score=drawn).to_csv(public / "sample_submission.csv", index=False)


def _score(worth: np.ndarray) -> np.ndarray:
    """Cut a standard normal number into scores of the real shares."""
    cuts = [NormalDist().inv_cdf(share) for share in SHARES.cumsum()[:-1] / SHARES.sum()]
    return 1 + np.searchsorted(cuts, worth)


SMALL_WORDS = (
    "the to and of a in is that it they be for are you have this on not as can with or people it's "
    "would there will their if because he but we was at from so by all more what one i like about "
    "when do them could also how which has my your just an out no who some up should get other "
    "than make many his then think only were most into been these way even being over"
).split()
TOPICS = [
    "cars driverless driver road car sensors accident technology companies human drive safety",
    "facial expressions emotions computer students classroom teacher muscles software face smile",
    "venus planet earth surface scientists atmosphere danger exploring temperature nasa missions",
    "mars face landform picture aliens nasa camera shadows mesa martian evidence conspiracy",
    "electoral college vote president states voters election popular senator candidates fair",
    "pollution driving cities smog limiting traffic paris bogota greenhouse bikes suburbs streets",
    "luke seagoing cowboy animals horses ship war adventure cattle boats europe program",
]
LENIENCY = np.array([0.3, -0.9, -0.4, 1.6, 0.8, 0.4, -1.8])
COMMON = (
    "use good help work time thing place reason idea author article life different change world "
    "need want know take go see say give tell show become start stop try live learn problem way "
    "better big hard easy important new great bad true real sure able lot day year part example"
).split()
WEAK = [
    "a lot of", "and stuff like that", "i think that", "because it is good", "and then",
    "it is really good", "so yeah", "they can do it", "and thats why", "this is why i think",
    "like i said", "it would be cool", "in my opinion", "the thing is",
]  # fmt: skip
STRONG = [
    "according to the author", "on the other hand", "as stated in paragraph {n}", "in conclusion",
    "for instance", "one could argue that", "this evidence suggests that", "despite these claims",
    "in addition to this", "the author supports this claim by", "it is evident that",
    "although some may disagree", "in paragraph {n} the text states", "as a result of this",
]  # fmt: skip
STEMS = (
    "advan analy apprec argu assum benef circum claim compar compens conclu consequ consid contra "
    "contrib controv convin cred crit decla demon depend determ devast develop diff domin effic "
    "elim emph encour ensu environ equiv essen establ evalu evid exagg exper explor expos fascin "
    "feas fundam gener hypoth ident illus immed impl incent indic inevit influ innov inspir integr "
    "invest justif magnif manif mechan minim moder monit motiv navig negot obst oppos optim persp "
    "persu phenom poten precau predic prior promin provoc quant reason relev reliab remark resil"
).split()
ENDINGS = "ed ing ous ive al ent ation ate able ance ment ity atively ational ability".split()


class _Language:
    """Words by rank, and the ways each is misspelt."""

    def __init__(self) -> None:
        rng = np.random.default_rng(WORLD)
        rare = rng.permutation([stem + ending for stem in STEMS for ending in ENDINGS])
        words = np.array([*COMMON, *rare], dtype=object)
        topics = [topic.split() for topic in TOPICS]
        self.plain = [
            np.array(SMALL_WORDS, dtype=object),
            words,
            *(np.array(topic, dtype=object) for topic in topics),
        ]
        self.misspelt = [
            np.array([[_misspell(rng, word) for _ in range(5)] for word in kind], dtype=object)
            for kind in self.plain
        ]

    def write(
        self, rng: np.random.Generator, skill: np.ndarray, assignment: np.ndarray
    ) -> list[str]:
        """Write one essay for each skill."""
        habits = 0.82 * skill[:, None] + 0.57 * rng.standard_normal((len(skill), 6))
        long, rich, argued, neat, divided, flowing = habits.T
        # Long essays gain less from further length.
        lengths = 365 * np.exp(0.36 * long - 0.03 * long**2)
        texts = []
        for i, n_words in enumerate(lengths.clip(90, 1500).astype(int)):
            words = self._words(rng, n_words, int(assignment[i]), rich[i], neat[i])
            for strong, per_word in (
                (True, np.exp(0.75 * argued[i])),
                (False, np.exp(-0.5 * argued[i])),
            ):
                phrases = STRONG if strong else WEAK
                for at in rng.integers(0, n_words, rng.poisson(0.008 * per_word * n_words)):
                    phrase = phrases[int(rng.integers(len(phrases)))]
                    words[at] = phrase.format(n=int(rng.integers(1, 12)))
            texts.append(_punctuate(rng, words, float(divided[i]), float(flowing[i])))
        return texts

    def _words(
        self, rng: np.random.Generator, n: int, assignment: int, rich: float, neat: float
    ) -> np.ndarray:
        words = np.empty(n, dtype=object)
        kind = rng.choice(3, n, p=(0.56, 0.32, 0.12))
        error = 0.022 * np.exp(-0.7 * neat)
        for k, slope in ((0, 1.0), (1, 1.15 * np.exp(-0.20 * rich)), (2, 1.0)):
            at = np.flatnonzero(kind == k)
            which = k if k < 2 else 2 + assignment
            plain = self.plain[which]
            rank = (len(plain) ** (rng.random(len(at)) ** slope)).astype(int).clip(
                max=len(plain)
            ) - 1
            wrong = rng.random(len(at)) < error
            forms = self.misspelt[which][rank, rng.integers(0, 5, len(at))]
            words[at] = np.where(wrong, forms, plain[rank])
        return words


def _misspell(rng: np.random.Generator, word: str) -> str:
    """Leave a letter out, write one twice, swap two or take another vowel."""
    if len(word) < 3:
        return word
    i = int(rng.integers(1, len(word) - 1))
    way = rng.integers(0, 4)
    if way == 0:
        return word[:i] + word[i + 1 :]
    if way == 1:
        return word[:i] + word[i] + word[i:]
    if way == 2:
        return word[: i - 1] + word[i] + word[i - 1] + word[i + 1 :]
    return word[:i] + "aeiou"[int(rng.integers(5))] + word[i + 1 :]


def _punctuate(rng: np.random.Generator, words: np.ndarray, divided: float, flowing: float) -> str:
    """Cut words into sentences and paragraphs."""
    text, start = [], 0
    breaks = 0.16 / (1 + np.exp(-1.2 * divided))
    small = 0.10 * np.exp(-0.7 * flowing)
    lengths = np.exp(2.85 + 0.35 * rng.standard_normal(len(words))).clip(3, 80).astype(int)
    chance = rng.random((len(words), 3))
    for length, (comma, lower, paragraph) in zip(lengths, chance, strict=True):
        sentence = list(words[start : start + length])
        if comma < 0.55 + 0.12 * flowing and len(sentence) > 6:
            sentence[len(sentence) // 3] += ","
        line = " ".join(sentence)
        text.append(line if lower < small else line[0].upper() + line[1:])
        start += length
        if start >= len(words):
            break
        text.append(".\n\n" if paragraph < breaks else ". ")
    return "".join(text) + "."
