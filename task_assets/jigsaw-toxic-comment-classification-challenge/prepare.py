r"""Toxic comments: MLE-bench's files, and a stand-in of made-up talk about made-up articles.

The stand-in's comments are talk with a few charged phrases, by kind: insults aim at the
reader, threats announce something, identity hate is about peoples (none exists), obscenity
needs no object, and milder scorn is toxic alone; the same peoples and rude words also occur in
harmless phrases, so that pairs of words help. Rude words are compounds of stems, often
disguised, most of them rare: pieces of words help. Severe toxicity is much of everything,
shouted and repeated. The kinds occur together as in reality, and a few labels are wrong.

Kinds are as rare as in reality, but at least `LEAST` comments of each are in each part, which
matters below some 6000 rows: with fewer, the area under a curve would be noise, or undefined.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

KINDS = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]
SCORED = 63978 / 153164  # share of test comments with labels
LEAST = 20
NOISE = 0.02  # share of comments with labels of others
WORLD = 159571  # the language is the same for every seed, the comments are not

# Combinations of kinds as columns of KINDS, and about how many of 159571 comments have them.
COMBINATIONS = {
    "000000": 143346, "100000": 5700, "101000": 1800, "100010": 1250, "101010": 3900,
    "001000": 320, "000010": 300, "001010": 180, "101011": 640, "100011": 140, "100001": 140,
    "111010": 990, "111011": 270, "111000": 160, "100100": 115, "111110": 65, "101110": 130,
    "100110": 30, "111111": 35, "101001": 35, "000001": 50, "110000": 45,
}  # fmt: skip


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Take Kaggle's train and test set with the labels released later, as MLE-bench does."""
    pd.read_csv(raw / "train.csv").to_csv(public / "train.csv", index=False)
    pd.read_csv(raw / "test.csv").to_csv(public / "test.csv", index=False)
    pd.read_csv(raw / "test_labels.csv").to_csv(private / "test.csv", index=False)
    sample = pd.read_csv(raw / "sample_submission.csv")
    sample[KINDS] = 0.5
    sample.to_csv(public / "sample_submission.csv", index=False)


def synthesize(public: Path, private: Path, *, seed: int, size: int) -> None:
    """Write `size` comments to learn from and as many to judge, of which 42 % are scored."""
    rng = np.random.default_rng([seed, 0x10C51C])
    n_scored = max(int(SCORED * size), 1)
    language = _Language()
    train, _ = _comments(rng, language, size)
    test, posterior = _comments(rng, language, n_scored)
    unscored, _ = _comments(rng, language, max(size - n_scored, 1))
    unscored[KINDS] = -1
    test = pd.concat([test, unscored], ignore_index=True)
    order = rng.permutation(len(test))
    ids = [f"{number:016x}" for number in np.unique(rng.integers(0, 1 << 62, 3 * size))]
    train.insert(0, "id", ids[: len(train)])
    test.insert(0, "id", rng.permutation(ids[len(train) :])[: len(test)])
    train.to_csv(public / "train.csv", index=False)

    unknown = np.full((len(unscored), len(KINDS)), 0.5)
    oracle = test[["id"]].copy()
    oracle[KINDS] = np.vstack([posterior, unknown]).round(5)
    test.iloc[order][["id", "comment_text"]].to_csv(public / "test.csv", index=False)
    test.iloc[order][["id", *KINDS]].to_csv(private / "test.csv", index=False)
    oracle.iloc[order].to_csv(private / "oracle.csv", index=False)
    sample = oracle.assign(**dict.fromkeys(KINDS, 0.5))
    sample.iloc[order].to_csv(public / "sample_submission.csv", index=False)


SMALL_WORDS = (
    "the to of and a i you is that it in for not this on be as have are your with if was or but "
    "page my an from by do at about me so what can there all has will would no one like just they "
    "please he which any don't been some should who more other because his see know were also out "
    "only think up when how am use their make then we its now than them did time want why may two "
    "into does even really could over new here those good most after these her stop way get made"
).split()
WIKI = (
    "article page wikipedia talk edit edits user source sources deleted block blocked thanks "
    "information section policy name removed link links image discussion content added revert "
    "reference references comment vandalism admin editor fact history sentence notable neutral "
    "version category template consensus cite claim title list redirect license citation"
).split()
STEMS = (
    "bim clum dim dolt drib dunk fusk gab grub gunt halv jark lunk mook mort nerk nim numpt plonk "
    "prat putz rott scum slob smug snag spud swin tosk twer wast yob zonk"
).split()
FOUL = "bork crump drek flib frak gronk krap merd pizzle skrot smeg snorf splug swiv zark".split()
ENDINGS = ",head,face,brain,er,ling,bag,wit,ing,ster,hole,pot,nut,ed,y".split(",")
PEOPLES = "dravian ostrali velgar mondrine pelishti quorran tazmeri ulvanian yarrowite zemblan"

# R is a rude noun, O an obscene word, P a people.
PHRASES = {
    "toxic": [
        "this is pathetic", "what rubbish", "stupid page", "get a life", "you make no sense",
        "stop wasting my time", "who cares about this crap", "you know nothing", "grow up",
        "nobody asked you", "go away", "you people ruin everything", "what a joke you are",
    ],
    "obscene": [
        "O off", "what the O", "this O page", "O you", "full of O", "go O yourself", "O O O",
        "piece of O", "i do not give a O", "eat my O",
    ],
    "threat": [
        "i will find you and hurt you", "i know where you live", "i will burn your house down",
        "you are going to die", "watch your back", "i hope someone ends you",
        "you will pay with your life", "i will come for you",
    ],
    "insult": [
        "you are a R", "you R", "such a R", "you are nothing but a R", "your a R", "shut up R",
        "you and your R friends", "what a R you are", "only a R would write this",
    ],
    "identity_hate": [
        "all P are R", "go home you P", "typical P R", "dirty P", "you P R", "i hate P people",
        "P do not belong here", "a P should not edit",
    ],
    "none": [
        "you are right", "thank you for the edit", "the article on P history is good",
        "P people live here", "he called me a R and was blocked", "the band is named O",
        "i will find a source", "you will see the section", "i know where the source is",
        "please stop", "are you going to edit it", "the word R is not notable", "i hope you agree",
        "a P editor added it", "welcome to the page", "you are a good editor",
    ],
}  # fmt: skip


class _Language:
    """Words of talk by Zipf's law, and charged words with their disguises."""

    def __init__(self) -> None:
        rng = np.random.default_rng(WORLD)
        onsets, vowels = "b br c ch d f fl g gr h j l m n p pl r s st t tr v w".split(), "aeiou"
        codas = ["", "", "", "n", "r", "l", "s", "st", "ck"]
        made = {
            "".join(
                onsets[rng.integers(len(onsets))]
                + vowels[rng.integers(5)]
                + codas[rng.integers(len(codas))]
                for _ in range(int(rng.integers(2, 4)))
            )
            for _ in range(12000)
        }
        self.words = np.array([*SMALL_WORDS, *WIKI, *rng.permutation(sorted(made))], dtype=object)
        self.charged = {
            "R": [str(w) for w in rng.permutation([s + e for s in STEMS for e in ENDINGS])],
            "O": [str(w) for w in rng.permutation([s + e for s in FOUL for e in ENDINGS])],
            "P": PEOPLES.split(),
        }

    def talk(self, rng: np.random.Generator, n: int) -> list[str]:
        """Draw n words."""
        rank = np.exp(rng.random(n) ** 1.25 * np.log(len(self.words))).astype(int) - 1
        return list(self.words[rank.clip(0, len(self.words) - 1)])

    def phrase(self, rng: np.random.Generator, kind: str) -> str:
        """Draw a phrase of a kind, its charged words common or rare, plain or disguised."""
        words = PHRASES[kind][int(rng.integers(len(PHRASES[kind])))].split()
        for i, slot in enumerate(words):
            if choices := self.charged.get(slot):
                rank = int(np.exp(rng.random() ** 0.7 * np.log(len(choices)))) - 1
                words[i] = choices[min(rank, len(choices) - 1)]
                if slot != "P" and rng.random() < 0.35:
                    words[i] = _disguise(rng, words[i])
        return " ".join(words)


def _disguise(rng: np.random.Generator, word: str) -> str:
    at = int(rng.integers(1, len(word)))
    way = rng.integers(0, 4)
    if way == 0:
        return word[:at] + word[at] * int(rng.integers(1, 5)) + word[at:]
    if way == 1:
        return word[:at] + "*" + word[at + 1 :]
    if way == 2:
        return word.translate(str.maketrans("oie", "013"))
    return word.upper()


def _labels(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw n x 6 labels with the real shares, but at least `LEAST` of each kind."""
    rows = np.array([[int(flag) for flag in key] for key in COMBINATIONS])
    shares = np.array(list(COMBINATIONS.values()), dtype=float)
    labels = rows[rng.choice(len(rows), n, p=shares / shares.sum())]
    for kind in range(len(KINDS)):
        missing = min(LEAST, n // 12) - int(labels[:, kind].sum())
        if missing > 0:
            having = shares * rows[:, kind]
            more = rows[rng.choice(len(rows), missing, p=having / having.sum())]
            clean = np.flatnonzero(labels.sum(axis=1) == 0)
            labels[rng.choice(clean, missing, replace=False)] = more
    return labels


def _comments(
    rng: np.random.Generator, language: _Language, n: int
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return labelled comments, and the probability of each label given how each was made."""
    labels = _labels(rng, n)
    any_kind = labels.any(axis=1)
    lengths = np.exp(3.6 + 1.0 * rng.standard_normal(n) - 0.4 * any_kind).clip(3, 1200).astype(int)
    texts = []
    for row, length in zip(labels, lengths, strict=True):
        kinds = [kind for kind, has in zip(KINDS, row, strict=True) if has]
        texts.append(_text(rng, language, kinds, int(length)))
    # Wrong labels are those of other comments, so that the shares stay as they are.
    wrong = np.flatnonzero(rng.random(n) < NOISE)
    given = labels.copy()
    given[wrong] = labels[rng.permutation(wrong)]
    posterior = (1 - NOISE) * labels + NOISE * labels.mean(axis=0)
    comments = pd.DataFrame({"comment_text": texts})
    comments[KINDS] = given
    return comments, posterior


def _text(rng: np.random.Generator, language: _Language, kinds: list[str], length: int) -> str:
    talk = language.talk(rng, length)
    severe = "severe_toxic" in kinds
    told = [kind for kind in kinds if kind not in ("toxic", "severe_toxic")]
    if kinds and rng.random() < (0.3 if told else 1.0):
        told.append("toxic")
    told = told * (3 if severe else 1) + ["none"] * int(rng.poisson(0.3 if kinds else 0.9))
    phrases = [language.phrase(rng, kind) for kind in told]
    if severe:
        phrases = [" ".join([phrase] * int(rng.integers(1, 4))) for phrase in phrases]
    for phrase in phrases:
        talk.insert(int(rng.integers(0, len(talk) + 1)), phrase)
    breaks = "\n\n" if rng.random() < 0.4 else " "
    marks = np.array([" "] * 22 + [", ", ". ", ". ", '" ', ' "', breaks], dtype=object)
    gaps = rng.integers(0, len(marks), len(talk))
    text = "".join(w + marks[g] for w, g in zip(talk, gaps, strict=True)).strip()
    if rng.random() < (0.6 if severe else 0.15 if kinds else 0.02):
        return text.upper()
    return text[0].upper() + text[1:] + ("!!!" if kinds and rng.random() < 0.3 else "")
