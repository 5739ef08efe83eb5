r"""Insults in comments: MLE-bench's files, and a stand-in that talks about made-up topics.

In the stand-in, rude words alone do not make an insult: people also swear about teams and
politicians. An insult is aimed at the reader, so that word order ("you are a ...") tells more
than words. Many rude words are rare compounds of a few stems and many are disguised (letters
repeated, spaced, starred or replaced by digits, missing apostrophes), so that pieces of words
tell more than words. Comments are short, escaped and quoted as the real ones; a few labels are
wrong.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

INSULT_SHARE = 1049 / 3947
NOISE = 0.04  # share of comments under the wrong label
UNDATED = 718 / 3947
REPEATED = 20 / 2647  # comments that occur twice in the real test set
FIRST, LAST = 1332220747, 1340216219  # seconds since 1970: 20120320051907Z and 20120620181659Z
WORLD = 1049  # the language is the same for every seed, the comments are not


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Take Kaggle's labelled test set of the first stage, as MLE-bench does."""
    shutil.copyfile(raw / "train.csv", public / "train.csv")
    shutil.copyfile(raw / "test_with_solutions.csv", private / "test.csv")
    _write_test(pd.read_csv(private / "test.csv"), public, private)


def synthesize(public: Path, private: Path, *, seed: int, size: int) -> None:
    """Write `size` comments to learn from and two thirds as many to judge, as in reality."""
    rng = np.random.default_rng([seed, 0x125017])
    n_test = max(2 * size // 3, 4)
    comments, posterior = _comments(rng, size + n_test)
    comments.iloc[:size].to_csv(public / "train.csv", index=False)
    test = comments.iloc[size:].reset_index(drop=True)
    posterior = posterior[size:]
    for twin in range(0, int(REPEATED * n_test)):
        test.loc[n_test - 1 - twin, "Comment"] = test.loc[twin, "Comment"]
        test.loc[n_test - 1 - twin, "Insult"] = test.loc[twin, "Insult"]
        posterior[n_test - 1 - twin] = posterior[twin]
    usage = np.where(rng.random(n_test) < 0.5, "PublicTest", "PrivateTest")
    test.assign(Usage=usage).to_csv(private / "test.csv", index=False)
    _write_test(test, public, private)
    test.assign(Insult=posterior.round(4)).to_csv(private / "oracle.csv", index=False)


def _write_test(test: pd.DataFrame, public: Path, private: Path) -> None:
    gold = test[["Insult", "Date", "Comment"]]
    gold.to_csv(private / "gold_submission.csv", index=False)
    gold[["Date", "Comment"]].to_csv(public / "test.csv", index=False)
    gold.assign(Insult=0).to_csv(public / "sample_submission_null.csv", index=False)


SMALL_WORDS = (
    "the to a you and of is that i in it for are be not they have on your this with was as but he "
    "if so what who all just do like his or about will can at people we no get them an would from "
    "there their when one has up out by how more why don't been than had know my think because me "
    "him should good go time never now then see only really want even make right say those any "
    "some our way its back too were into did over could let need these very well better still"
).split()
ABOUT = (
    "game team player coach season vote president tax party economy phone movie article law city "
    "money police church band song episode war country media voter school price company film "
    "government debate election website computer record contract ticket stadium border"
).split()
STEMS = (
    "bim bron clod clum dim dolt drib dunk fusk gab gob grub gunt halv jark lunk mook mort nerk "
    "nim numpt plonk prat putz rott scum skank slob smug snag snork spud squib swin tosk twer wank "
    "wastr yob zonk"
).split()
ENDINGS = ",head,face,brain,er,ling,bag,wit,ass,ster,hole,pot,nut,oid,tard".split(",")
PLAIN_RUDE = "idiot stupid moron loser fool pathetic ignorant dumb clown coward liar troll".split()

# Where a rude word stands: R a rude noun, S small talk. Insults aim at the reader ...
AIMED = [
    "you are a R", "you're such a R", "your a R", "you R", "shut up you R",
    "you are nothing but a R", "you sound like a R", "go home R", "what a R you are", "get lost R",
    "hey R S",
    "only a R like you would S", "you and your R friends", "u are a R", "are you a R or what",
    "thanks for being a R", "look in the mirror R", "try thinking for once you R",
]  # fmt: skip
ELSEWHERE = [
    "he is a R", "they are R", "that R from the game", "what a R game that was", "the R on tv",
    "i was such a R back then", "some R stole my phone", "my boss is a R", "those R in congress",
    "R weather today", "we all know he is a R", "that coach is a R", "i feel like a R now",
]  # fmt: skip
KIND = [
    "you are right", "you are so funny", "you made my day", "thank you", "i agree with you",
    "you should see it", "are you sure", "you know the rest", "what do you think", "good for you",
    "you have a point", "you are not alone", "get well soon", "hope you like it",
]  # fmt: skip
VEILED = [
    "you have no idea what you are talking about", "go back to your cave", "nobody likes you",
    "learn how to read", "you make me sick", "get a life", "grow up", "do us all a favor and leave",
    "your mother must be proud", "crawl back under your rock", "you need help", "keep crying",
]  # fmt: skip


class _Language:
    """Words of talk by Zipf's law, and rude words with their disguises."""

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
            for _ in range(9000)
        }
        self.words = np.array([*SMALL_WORDS, *ABOUT, *sorted(made)], dtype=object)
        self.words[len(SMALL_WORDS) :] = rng.permutation(self.words[len(SMALL_WORDS) :])
        compounds = [stem + ending for stem in STEMS for ending in ENDINGS]
        self.rude = [*PLAIN_RUDE, *rng.permutation(np.array(compounds, dtype=object))]

    def talk(self, rng: np.random.Generator, n: int) -> list[str]:
        """Draw n words."""
        rank = np.exp(rng.random(n) ** 1.3 * np.log(len(self.words))).astype(int) - 1
        return list(self.words[rank.clip(0, len(self.words) - 1)])

    def rude_word(self, rng: np.random.Generator) -> str:
        """Draw a rude word, common or rare, as it is or disguised."""
        rank = int(np.exp(rng.random() ** 0.65 * np.log(len(self.rude)))) - 1
        word = str(self.rude[min(rank, len(self.rude) - 1)])
        return _disguise(rng, word) if rng.random() < 0.45 else word


def _disguise(rng: np.random.Generator, word: str) -> str:
    at = int(rng.integers(1, len(word)))
    way = rng.integers(0, 5)
    if way == 0:
        return word[:at] + word[at] * int(rng.integers(1, 5)) + word[at:]
    if way == 1:
        return word[:at] + "*" + word[at + 1 :]
    if way == 2:
        return word.translate(str.maketrans("oie", "013"))
    if way == 3:
        return " ".join(word)
    return word.upper()


def _comments(rng: np.random.Generator, n: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return labelled comments, and the probability of an insult given how each was made."""
    language = _Language()
    insult = rng.random(n) < (INSULT_SHARE - NOISE) / (1 - 2 * NOISE)
    lengths = np.exp(2.6 + 1.1 * rng.standard_normal(n) - 0.25 * insult).clip(1, 1400)
    texts = []
    for aimed, length in zip(insult, lengths, strict=True):
        talk = language.talk(rng, max(int(length), 1))
        for phrase in _phrases(rng, bool(aimed), length):
            words = " ".join(
                language.rude_word(rng) if word == "R" else " ".join(language.talk(rng, 3))
                if word == "S" else word
                for word in phrase.split()
            )  # fmt: skip
            talk.insert(int(rng.integers(0, len(talk) + 1)), words)
        texts.append(_escape(rng, _punctuate(rng, talk)))
    wrong = rng.random(n) < NOISE
    seconds = rng.integers(FIRST, LAST, n, endpoint=True)
    dates = pd.to_datetime(pd.Series(seconds), unit="s").dt.strftime("%Y%m%d%H%M%SZ")
    comments = pd.DataFrame(
        {
            "Insult": (insult ^ wrong).astype(int),
            "Date": dates.where(rng.random(n) >= UNDATED),
            "Comment": texts,
        }
    )
    return comments, np.where(insult, 1 - NOISE, NOISE)


def _phrases(rng: np.random.Generator, aimed: bool, length: float) -> list[str]:
    """Choose what is said to or about whom."""
    told = []
    if aimed:
        pool = VEILED if rng.random() < 0.22 else AIMED
        told += [pool[int(rng.integers(len(pool)))] for _ in range(1 + (rng.random() < 0.35))]
    if rng.random() < (0.22 if aimed else 0.33):
        told.append(ELSEWHERE[int(rng.integers(len(ELSEWHERE)))])
    if rng.random() < (0.12 if aimed else 0.38):
        told.append(KIND[int(rng.integers(len(KIND)))])
    if not aimed and rng.random() < 0.06:
        told.append(VEILED[int(rng.integers(len(VEILED)))])
    return told


def _punctuate(rng: np.random.Generator, words: list[str]) -> str:
    breaks = "\n" if rng.random() < 0.15 else " "
    marks = np.array([" "] * 20 + [", ", ". ", ". ", "... ", "! ", breaks], dtype=object)
    gaps = rng.integers(0, len(marks), len(words))
    text = "".join(w + marks[g] for w, g in zip(words, gaps, strict=True)).strip()
    style, address, end = rng.random(3)
    if style < 0.06:
        text = text.upper()
    elif style < 0.7:
        text = text[0].upper() + text[1:]
    if address < 0.06:
        text = f"@{words[-1].replace(' ', '')}{len(text) % 90} {text}"
    return text + ("." if end < 0.4 else "!!" if end < 0.5 else "?" if end < 0.6 else "")


def _escape(rng: np.random.Generator, text: str) -> str:
    r"""Escape as the real files do: some of them twice, and with no-break spaces."""
    if rng.random() < 0.3:
        text = text.replace(". ", ".\xa0 ").replace(", ", ",\xa0", 1)
    if rng.random() < 0.05:
        text = text.replace("'", "\u2019")
    escaped = text.encode("unicode_escape").decode("ascii")
    return f'"{escaped}"'
