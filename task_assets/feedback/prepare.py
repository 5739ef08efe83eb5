"""Essays of English learners: MLAgentBench's split, and a stand-in with six graded skills.

The stand-in's writers have six correlated skills, and each leaves its own traces: cohesion in
the words that link sentences, syntax in how many clauses a sentence joins, vocabulary in how
rare and long the words are, phraseology in which common words go together ("make a decision"
or "do a decision": only pairs of words tell), grammar in agreement and verb forms, conventions
in spelling (each word goes wrong in several ways, so that pieces of words tell), capitals,
apostrophes and full stops. Better writers write a little more. Raters add noise, which is
correlated too, and round to half points.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

SKILLS = ["cohesion", "syntax", "vocabulary", "phraseology", "grammar", "conventions"]
MEANS = np.array([3.127, 3.028, 3.236, 3.117, 3.033, 3.081])
SPREADS = np.array([0.663, 0.644, 0.583, 0.656, 0.700, 0.671])
SKILL_SHARE = 0.62  # of a grade's variance; the rest are the raters
WORLD = 2022  # the language is the same for every seed, the essays are not


def prepare(raw: Path, public: Path, private: Path) -> None:
    """Shuffle Kaggle's train.csv and hold its last fiftieth out, as MLAgentBench does."""
    essays = pd.read_csv(raw / "train.csv").sample(frac=1, random_state=42).reset_index(drop=True)
    cut = int(len(essays) * 0.98)
    _write(essays.iloc[:cut], essays.iloc[cut:], public, private)


def synthesize(public: Path, private: Path, *, seed: int, size: int) -> None:
    """Write `size` essays to learn from and a quarter as many to grade."""
    rng = np.random.default_rng([seed, 0xFEEDB])
    n = size + max(size // 4, 1)
    skill = _correlated(rng, n, 0.75)
    clean = MEANS + SPREADS * np.sqrt(SKILL_SHARE) * skill
    grades = clean + SPREADS * np.sqrt(1 - SKILL_SHARE) * _correlated(rng, n, 0.6)
    essays = pd.DataFrame({"text_id": _ids(rng, n), "full_text": _Writer().write(rng, skill)})
    essays[SKILLS] = np.clip(np.rint(2 * grades) / 2, 1, 5)
    _write(essays.iloc[:size], essays.iloc[size:], public, private)
    oracle = pd.DataFrame(clean[size:].round(3), columns=SKILLS)
    oracle.insert(0, "text_id", essays["text_id"].to_numpy()[size:])
    oracle.to_csv(private / "oracle.csv", index=False)


def _write(train: pd.DataFrame, test: pd.DataFrame, public: Path, private: Path) -> None:
    train.to_csv(public / "train.csv", index=False)
    test[["text_id", "full_text"]].to_csv(public / "test.csv", index=False)
    answers = test[["text_id", *SKILLS]]
    answers.to_csv(private / "answers.csv", index=False)
    sample = answers.assign(**dict.fromkeys(SKILLS, 3.0))
    sample.to_csv(public / "sample_submission.csv", index=False)


def _correlated(rng: np.random.Generator, n: int, rho: float) -> np.ndarray:
    """Draw n x 6 standard normal numbers, every two columns with correlation rho."""
    shared, own = rng.standard_normal((n, 1)), rng.standard_normal((n, len(SKILLS)))
    return np.sqrt(rho) * shared + np.sqrt(1 - rho) * own


def _ids(rng: np.random.Generator, n: int) -> list[str]:
    return [f"{number:012X}" for number in rng.choice(1 << 40, n, replace=False) * 251]


# Sentences by the number of clauses they join. Lower-case words stand for themselves, the
# others are slots: P Q a plural and a singular subject, V Z verbs that agree with them, N M
# a noun and its plural, J an adjective, A an article, C a set phrase, F a verb form, D a
# shortened form, I the writer, L a word that links sentences.
SENTENCES = [
    [
        "P V A N", "Q Z A J N", "L I think P F A N", "P C", "Q D V A N", "this is A J N",
        "I V many M", "L P V J M", "P D V", "it is J to V", "Q Z", "I F A N",
    ],
    [
        "L P V A J N because Q Z M", "when P C I V A N", "if P V A N then P V M",
        "I think that P D V A N and Q Z it", "L it is J to V A N so P C",
        "Q Z M but P D V A J N", "P F many M and I V them", "I think P V A N more than M",
    ],
    [
        "L although P V A J N , Q Z that P C with J M",
        "the N that Q Z is J because P F A N , which Z many M",
        "by V M and A J N , P C while Q Z what I F",
        "L P V not only M but also A J N , since Q Z M when P D V",
        "as Q Z A N in which P C , I V that J M D V the N",
        "L the J M who V A N often C , even if Q Z that it is J to V",
    ],
]  # fmt: skip

PLURAL = "I you we they people students kids parents teachers friends".split()
SINGULAR = "he,she,it,someone,everyone,my friend,the teacher,my mother,the school".split(",")
VERBS = (
    "have want need like make help know learn take get use see find give try work change start "
    "feel show believe choose spend understand enjoy improve explain follow support create decide "
    "prefer allow require achieve encourage develop provide consider influence demonstrate"
).split()
NOUNS = (
    "school student time thing work life friend class home person day job phone teacher idea way "
    "problem family world year parent game book activity group project lesson sport goal skill "
    "experience technology decision opinion future place subject hour question reason computer "
    "success program summer community attitude advice grade test choice career example company "
    "knowledge advantage character education opportunity environment schedule challenge "
    "confidence responsibility information situation"
).split()
ADJECTIVES = (
    "good new bad hard important different better big happy easy great little high positive free "
    "real nice difficult interesting young special strong successful helpful online possible "
    "necessary useful personal social creative comfortable independent educational"
).split()
STEMS = (
    "act adapt admir ampl anim aspir attent bene cap celebr cert collabor commun compass concept "
    "confid consid contempl coordin creat curi dedic deliber determ devel diligen divers durabl "
    "elabor eloqu emot empath encour enthus evalu exhaust expand facilit flex fluct form founda "
    "function generos gratit harmon hesit imagin immers impress incorpor initi innov inspir integr "
    "intens intuit invest judg liber maint manifest moder motiv narrat negoti nurtur observ optim "
    "organ particip persever perspect potent practic preserv product profess promin prosper reflect"
).split()
ENDINGS = {
    "N": ["ion", "ment", "ance", "ation", "ability", "iveness"],
    "V": ["e", "ate", "ify"],
    "J": ["ive", "able", "ative", "ational", "ous"],
}
LINKS = [
    ["and", "so", "but", "then", "also", "because", "well"],
    ["first", "second", "also", "for example,", "another reason is that", "in my opinion", "next"],
    [
        "however,", "therefore,", "in addition,", "furthermore,", "for instance,", "consequently,",
        "on the other hand,", "in conclusion,", "moreover,", "as a result,",
    ],
]  # fmt: skip
# Set phrases and verb forms: as it should be, and as learners put it with the same small words.
PHRASES = [
    ("make a decision", "do a decision"), ("do the homework", "make the homework"),
    ("take a break", "make a break"), ("pay attention to it", "put attention in it"),
    ("depend on others", "depend of others"), ("spend time on it", "pass time in it"),
    ("make a mistake", "do a mistake"), ("have a good time", "pass a good time"),
    ("get a good grade", "take a good grade"), ("give an example", "put an example"),
    ("listen to music", "listen the music"), ("ask for help", "ask by help"),
    ("take part in it", "make part of it"), ("tell the truth", "say the truth"),
    ("look forward to it", "look front to it"), ("think about it", "think in it"),
]  # fmt: skip
FORMS = [
    ("have gone to", "have went to"), ("have seen", "have saw"), ("would have", "would of"),
    ("can take", "can takes"), ("had to do", "had to did"), ("want to have", "want have"),
    ("are going to make", "are going make"), ("were doing", "was doing"),
    ("did not have", "did not had"), ("are used to", "are use to"), ("will get", "will gets"),
    ("like to do", "like do"),
]  # fmt: skip
SHORT = [
    ("don't", "dont"), ("can't", "cant"), ("won't", "wont"), ("didn't", "didnt"),
    ("wouldn't", "wouldnt"), ("couldn't", "couldnt"), ("shouldn't", "shouldnt"),
]  # fmt: skip


class _Writer:
    """The language: words of each slot by rank, and the ways each is misspelt."""

    def __init__(self) -> None:
        rng = np.random.default_rng(WORLD)
        self.words = {}
        for slot, common in (("N", NOUNS), ("V", VERBS), ("J", ADJECTIVES)):
            rare = [stem + ending for stem in STEMS for ending in ENDINGS[slot]]
            self.words[slot] = np.array([*common, *rng.permutation(rare)], dtype=object)
        self.words["Z"] = np.array([_with_s(v) for v in self.words["V"]], dtype=object)
        self.words["M"] = np.array([_with_s(n) for n in self.words["N"]], dtype=object)
        self.misspelt = {
            slot: np.array([[_misspell(rng, w) for _ in range(4)] for w in words], dtype=object)
            for slot, words in self.words.items()
        }
        self.patterns = [[sentence.split() for sentence in kind] for kind in SENTENCES]

    def write(self, rng: np.random.Generator, skill: np.ndarray) -> list[str]:
        """Write one essay for each row of skills."""
        overall = skill.mean(axis=1) / 0.89
        noise = rng.standard_normal(len(skill))
        lengths = np.exp(6.0 + 0.14 * overall + 0.43 * noise).clip(14, 1260)
        slots, essay, ends = [], [], []
        for number, n_words in enumerate(lengths):
            kind_of = np.cumsum(_shares([0.0, 0.2, -0.4] + 0.45 * skill[number, 1] * _STEPS))
            sentences = max(int(n_words / 9), 2)
            kinds = np.searchsorted(kind_of, rng.random(sentences)).clip(max=2)
            picks = rng.random(sentences)
            written = 0
            for kind, pick in zip(kinds, picks, strict=True):
                if written >= n_words:
                    break
                pattern = self.patterns[kind][int(pick * len(self.patterns[kind]))]
                slots += pattern
                essay += [number] * len(pattern)
                ends += [False] * (len(pattern) - 1) + [True]
                written += 1.25 * len(pattern)
        tokens = self._fill(rng, np.array(slots, dtype=object), skill[essay])
        return _join(rng, tokens, np.array(essay), np.array(ends), skill)

    def _fill(self, rng: np.random.Generator, slots: np.ndarray, skill: np.ndarray) -> np.ndarray:
        """Put words into slots; `skill` has a row for each slot."""
        cohesion, _, vocabulary, phraseology, grammar, conventions = skill.T
        u, v = rng.random((2, len(slots)))
        agreement = v < 0.10 * np.exp(-0.75 * grammar)
        swapped = {"V": "Z", "Z": "V", "N": "M", "M": "N"}
        tokens = slots.copy()
        for slot in ("V", "Z", "N", "M", "J"):
            at = np.flatnonzero(slots == slot)
            words = self.words[slot]
            # A power of a uniform number spreads the ranks: Zipf's law at 1.
            rank = len(words) ** (u[at] ** (1.45 * np.exp(-0.26 * vocabulary[at])))
            rank = rank.astype(int).clip(max=len(words)) - 1
            other = self.words[swapped.get(slot, slot)]
            chosen = np.where(agreement[at], other[rank], words[rank])
            wrong = rng.random(len(at)) < 0.040 * np.exp(-0.75 * conventions[at])
            way = rng.integers(0, 4, len(at))
            tokens[at] = np.where(wrong, self.misspelt[slot][rank, way], chosen)
        for slot, pairs, error in (
            ("C", PHRASES, 1 / (1 + np.exp(0.7 + 1.6 * phraseology))),
            ("F", FORMS, 1 / (1 + np.exp(1.0 + 1.4 * grammar))),
            ("D", SHORT, 1 / (1 + np.exp(1.4 + 0.8 * conventions))),
        ):
            at = np.flatnonzero(slots == slot)
            both = np.array(pairs, dtype=object)
            tokens[at] = both[(u[at] * len(both)).astype(int), (v[at] < error[at]).astype(int)]
        for slot, choices in (("P", PLURAL), ("Q", SINGULAR)):
            at = np.flatnonzero(slots == slot)
            tokens[at] = np.array(choices, dtype=object)[(u[at] ** 1.5 * len(choices)).astype(int)]
        at = np.flatnonzero(slots == "A")
        dropped = v[at] < 0.12 * np.exp(-0.5 * grammar[at])
        vowel = np.array([str(token)[0] in "aeiou" for token in tokens[at + 1]], dtype=bool)
        some = np.where(vowel, "an", "a").astype(object)
        tokens[at] = np.where(dropped, "", np.where(u[at] < 0.5, some, "the"))
        at = np.flatnonzero(slots == "L")
        for i in at:
            kind = np.searchsorted(np.cumsum(_shares(0.6 * cohesion[i] * _STEPS)), v[i])
            links = LINKS[min(kind, 2)]
            tokens[i] = links[int(u[i] * len(links))]
        lower = (tokens == "I") & (rng.random(len(slots)) < 0.08 * np.exp(-0.5 * conventions))
        tokens[lower] = "i"
        return tokens


_STEPS = np.array([-1.0, 0.0, 1.0])


def _shares(weights: np.ndarray) -> np.ndarray:
    weights = np.exp(weights)
    return weights / weights.sum()


def _with_s(word: str) -> str:
    if word.endswith("y") and word[-2] not in "aeo":
        return word[:-1] + "ies"
    return "has" if word == "have" else word + ("es" if word.endswith(("s", "ch", "sh")) else "s")


def _misspell(rng: np.random.Generator, word: str) -> str:
    """Leave a letter out, write one twice, swap two or take another vowel."""
    i = int(rng.integers(1, max(len(word) - 1, 2)))
    way = rng.integers(0, 4)
    if way == 0:
        return word[:i] + word[i + 1 :]
    if way == 1:
        return word[:i] + word[i] + word[i:]
    if way == 2:
        return word[: i - 1] + word[i] + word[i - 1] + word[i + 1 :]
    vowels = [k for k, letter in enumerate(word) if letter in "aeiou"] or [i]
    at = vowels[int(rng.integers(len(vowels)))]
    return word[:at] + "aeiou"[int(rng.integers(5))] + word[at + 1 :]


def _join(
    rng: np.random.Generator,
    tokens: np.ndarray,
    essay: np.ndarray,
    ends: np.ndarray,
    skill: np.ndarray,
) -> list[str]:
    """Make sentences and paragraphs of the words, with or without capitals and full stops."""
    stops = np.flatnonzero(ends) + 1
    texts: list[list[str]] = [[] for _ in range(len(skill))]
    slip = 0.14 * np.exp(-0.7 * skill[:, 5])
    chance = rng.random((len(stops), 3))
    start = 0
    for stop, (small, run_on, paragraph) in zip(stops, chance, strict=True):
        number = essay[start]
        words = " ".join(tokens[start:stop]).replace("  ", " ").replace(" ,", ",").strip()
        if small > slip[number]:
            words = words[0].upper() + words[1:]
        mark = "." if run_on > slip[number] else ("," if run_on > slip[number] / 2 else "")
        texts[number].append(words + mark + ("\n\n" if paragraph < 0.14 else " "))
        start = stop
    return ["".join(sentences).strip() for sentences in texts]
