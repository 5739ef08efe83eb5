"""Patent phrases: MLE-bench's split of the rated pairs, and a stand-in with a made-up lexicon.

A phrase of the stand-in is one to five words; a word is a root with an ending. How close two
phrases are follows from their words, the last of which counts most. The same root with
another ending is nearly the same (so pieces of words help), some roots are synonyms without
sharing a letter (so pairs seen in training help), concepts belong to fields, the targets of
some anchors are nearer than those of others (so the scores of other rows of the anchor help),
and some roots mean another concept in the second half of the CPC sections (so the context
helps a little). Rows of one anchor fall into both parts, as in the real split.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

LEVELS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
BOUNDS = np.array([0.19, 0.44, 0.79, 1.0])  # closeness that separates the five scores
NOISE = 0.09  # standard deviation of a rater's closeness around the true one
ROWS_PER_ANCHOR = 50


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Hold a random tenth of the rows of Kaggle's train.csv out, as MLE-bench does."""
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(pd.read_csv(raw / "train.csv"), test_size=0.1, random_state=0)
    _write(train, test, public, private)


def synthesize(public: Path, private: Path, *, seed: int, size: int) -> None:
    """Write `size` rated pairs to learn from and a quarter as many to rate."""
    rng = np.random.default_rng([seed, 0x9A7E])
    pairs, expected = _pairs(rng, size + max(size // 4, 1))
    test = pairs.iloc[size:]
    _write(pairs.iloc[:size], test, public, private)
    oracle = pd.DataFrame({"id": test["id"], "score": expected[size:].round(5)})
    oracle.to_csv(private / "oracle.csv", index=False)


def _write(train: pd.DataFrame, test: pd.DataFrame, public: Path, private: Path) -> None:
    train.to_csv(public / "train.csv", index=False)
    test.drop(columns="score").to_csv(public / "test.csv", index=False)
    test.to_csv(private / "test.csv", index=False)
    sample = test[["id"]].assign(score=0)
    sample.to_csv(public / "sample_submission.csv", index=False)


# Classes of the Cooperative Patent Classification by section, as many as the real data have,
# and how many real rows lie in each section.
SECTIONS = {
    "A": (4094, "01 21 22 23 24 41 43 44 45 46 47 61 62 63"),
    "B": (8019, "01 02 03 05 07 08 21 22 23 24 25 27 28 29 32 33 41 44 60 61 62 63 64 65 66 67 81"),
    "C": (5288, "01 02 03 04 06 07 08 09 10 11 12 13 14 21 22 23 25"),
    "D": (1279, "01 03 04 05 06 21"),
    "E": (1531, "01 02 03 04 05 06 21"),
    "F": (4054, "01 02 03 04 15 16 17 21 22 23 24 25 26 27 28 41 42"),
    "G": (6013, "01 02 03 04 05 06 07 08 09 10 11 16 21"),
    "H": (6195, "01 02 03 04 05"),
}  # fmt: skip

STEMS = (
    "absorb adapt adher align anneal anod arc armour assembl atom attach axl baff balanc band bas "
    "batch beam bear bellow bend blad blank bleach blend block board bob boil bolt bond bor bottl "
    "brac brak branch braz bridg brush bubbl buff bundl bush cabl cag calibrat cam cap carri cast "
    "catal cathod chamb chann charg chip chuck clad clamp clip clos clutch coat cod coil collar "
    "combust compact compress condens conduct conic connect contain control conver cool copp core "
    "coupl cowl crank cross crush crystal cur curl cut cylind damp decod deflect deliver detect "
    "diffus digit dimm direct dispens display distill divid dock dos drain draw drill driv drum "
    "duct dust eject elastic elut emboss emit emuls encod engag etch evapor exhaust expand expos "
    "extract extrud fabric fasten feed fiber filt fin flang flap flash flow fluid foam foil fold "
    "forg fram freez frequen friction fuel fus gas gat gaug gear gel generat gimbal glaz grain "
    "grat grind grip groov guid hamm handl hatch heat helic hing hois hous hub humid ignit imag "
    "impell implant incub index induct inflat inject inlet insulat integrat invert ioniz irrigat "
    "isolat join junct keel knit label lacqu lamin lanc latch leach lens lev lift link liquef "
    "load lock loop lubric magnet mandrel mask matrix melt membran mesh mill mix modul mold "
    "monitor mount neutral nod nozzl orient oscill outlet oxid pack pad panel particl past pedal "
    "pellet permeat photon pil pin pip pist pivot plasm plat pleat plug polar polish polym pores "
    "port pouch powd press prim prism prob process profil project propel protein pull puls pump "
    "purg quench rack radiat rail ratchet react receiv recoil record rectifi recycl reduc refin "
    "reflect regulat reinforc relay releas resist resonat retain rib rinse rivet roll rot rubb "
    "sampl sand scal scann screen screw scrub seal seed sens separat servo sew shad shaft shap "
    "shear shift shim shunt sieve signal sint siphon skid sleev slic slid slot slurry solder solv "
    "sort spac spark spind spiral spray spring stack stain steam steer sterili stiff stir stitch "
    "stor strain strap stream stretch suction suspend swing switch synch tank tap tension tether "
    "therm thread threshold tilt timb tip titrat tool torqu toxin track transduc transmit tread "
    "treat trigg trim truss tub tun turbin twist valv vapor vent vibrat vis voltag vortex wash "
    "weav wedg weld wheel wind wing wir"
).split()
PREFIXES = ["", "", "", "", "", "", "electro", "thermo", "hydro", "micro", "opto", "bio"]
ENDINGS = ["", "s", "ed", "er", "ing", "ion"]
SMALL = ["for", "of", "with", "and"]


class _Lexicon(NamedTuple):
    """Roots and what they mean: two roots of a concept are synonyms."""

    roots: list[str]
    concept: np.ndarray  # by section half and root
    field: np.ndarray  # by concept

    def closeness(self, half: int, one: tuple[int, int], other: tuple[int, int]) -> float:
        """Return how alike two words (root, ending) are in one half of the sections."""
        if one[0] == other[0]:
            return 1.0 if one[1] == other[1] else 0.95
        a, b = self.concept[half, one[0]], self.concept[half, other[0]]
        if a == b:
            return 0.85
        return 0.35 if self.field[a] == self.field[b] else 0.0

    def text(self, words: list[tuple[int, int]]) -> str:
        return " ".join(self.roots[root] + ENDINGS[ending] for root, ending in words)


def _lexicon(rng: np.random.Generator, n_fields: int) -> _Lexicon:
    """Draw 8 concepts a field with 2 roots each; a fifth of the roots have two meanings."""
    n = 16 * n_fields
    every = sorted({prefix + stem for prefix in PREFIXES for stem in STEMS})
    # Most words are plain stems, as long as there are enough.
    plain = rng.permutation(STEMS)[: int(0.93 * n)]
    rest = rng.permutation(sorted(set(every) - set(plain)))[: n - len(plain)]
    roots = rng.permutation(np.concatenate([plain, rest])).tolist()
    first = np.arange(n) // 2
    second = first.copy()
    ambiguous = rng.choice(n, n // 5, replace=False)
    second[ambiguous] = rng.permutation(first[ambiguous])
    return _Lexicon(roots, np.stack([first, second]), np.arange(n // 2) // 8)


class _Phrases:
    """Draws anchors, and targets that are more or less like them."""

    def __init__(self, rng: np.random.Generator, lexicon: _Lexicon) -> None:
        self.rng, self.lexicon = rng, lexicon
        n_concepts = len(lexicon.field)
        self.roots_of = [
            [np.flatnonzero(meaning == c) for c in range(n_concepts)] for meaning in lexicon.concept
        ]

    def word(self, root: int | None = None) -> tuple[int, int]:
        root = int(self.rng.integers(len(self.lexicon.roots))) if root is None else root
        return root, int(self.rng.integers(len(ENDINGS)))

    def anchor(self) -> list[tuple[int, int]]:
        n_words = self.rng.choice([1, 2, 3, 4], p=[0.10, 0.68, 0.17, 0.05])
        head = self.word()
        half = self.lexicon.concept[0]
        mates = np.flatnonzero(self.lexicon.field[half] == self.lexicon.field[half[head[0]]])
        return [self.word(int(self.rng.choice(mates))) for _ in range(n_words - 1)] + [head]

    def target(
        self, anchor: list[tuple[int, int]], half: int, remote: float
    ) -> list[tuple[int, int]]:
        """Change every word of an anchor, from not at all to beyond recognition.

        The targets of an anchor whose `remote` is high are further from it than others'.
        """
        rng, meaning = self.rng, self.lexicon.concept[half]
        distance = rng.beta(1.3, 1.1) + remote
        words = []
        for root, ending in anchor:
            change = 1.15 * distance + 0.24 * rng.standard_normal()
            if change < -0.05:
                words.append((root, ending))
            elif change < 0.20:
                words.append(self.word(root))
            elif change < 0.42:
                synonyms = self.roots_of[half][meaning[root]]
                words.append(self.word(int(rng.choice(synonyms))))
            elif change < 0.85:
                field = self.lexicon.field[meaning[root]]
                mates = np.flatnonzero(self.lexicon.field[meaning] == field)
                words.append(self.word(int(rng.choice(mates))))
            else:
                words.append(self.word())
        if len(words) > 1 and rng.random() < 0.22:
            del words[int(rng.integers(len(words)))]
        while len(words) < 5 and rng.random() < 0.20:
            words.insert(0, self.word())
        return words

    def closeness(
        self, anchor: list[tuple[int, int]], target: list[tuple[int, int]], half: int
    ) -> float:
        """Match every word of the anchor with its best in the target; the head counts most."""
        best = [max(self.lexicon.closeness(half, a, t) for t in target) for a in anchor]
        weights = np.array([1.0] * (len(anchor) - 1) + [1.5])
        matched = float(weights @ best / weights.sum())
        return matched * (0.93 ** max(len(target) - len(anchor), 0))


def _pairs(rng: np.random.Generator, n: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Return rated pairs, and the mean score that raters would give each."""
    n_anchors = max(n // ROWS_PER_ANCHOR, 4)
    phrases = _Phrases(rng, _lexicon(rng, n_fields=int(np.clip(n_anchors // 6, 4, 40))))
    anchors = [phrases.anchor() for _ in range(n_anchors)]
    weights = np.array([count for count, _ in SECTIONS.values()], dtype=float)
    letters = rng.choice(list(SECTIONS), (n_anchors, 3), p=weights / weights.sum())
    remote = 0.16 * rng.standard_normal(n_anchors)
    popularity = rng.gamma(3.9, size=n_anchors)
    drawn = rng.choice(n_anchors, n, p=popularity / popularity.sum())

    rows, close, seen = [], np.empty(n), set()
    for i, a in enumerate(drawn):
        while True:
            section = str(rng.choice(letters[a]))
            context = section + str(rng.choice(SECTIONS[section][1].split()[:6]))
            half = int(section >= "E")
            target = phrases.target(anchors[a], half, remote[a])
            text = phrases.lexicon.text(target)
            if (a, text, context) not in seen:
                break
        seen.add((a, text, context))
        close[i] = phrases.closeness(anchors[a], target, half)
        if len(target) < 4 and rng.random() < 0.03:
            text = text.replace(" ", f" {rng.choice(SMALL)} ", 1)
        rows.append((phrases.lexicon.text(anchors[a]), text, context))

    # Identical phrases are rated 1 by everybody; elsewhere raters differ.
    spread = np.where(close >= 1.0, 1e-3, NOISE)
    rated = close + spread * rng.standard_normal(n)
    frame = pd.DataFrame(rows, columns=["anchor", "target", "context"])
    frame.insert(0, "id", [f"{x:016x}" for x in rng.integers(0, 2**63, n)])
    frame["score"] = LEVELS[np.searchsorted(BOUNDS, rated)]
    return frame, _expected_score(close, spread)


def _expected_score(close: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return the mean of the rated score: a quarter for every bound that raters pass."""
    from math import erf

    normal = np.vectorize(lambda z: 0.5 * (1 + erf(z / 2**0.5)))
    return 0.25 * sum(normal((close - bound) / spread) for bound in BOUNDS)
