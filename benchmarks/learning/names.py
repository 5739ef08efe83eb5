"""Names and titles for prompts that cannot be learned by heart, common ones and made-up ones."""

from __future__ import annotations

import functools
import inspect
import random
from collections.abc import Sequence

from benchmarks.learning.knobs import Knob

__all__ = ["common_knobs", "made_up_name", "made_up_title"]

_CONSONANTS, _VOWELS = "BCDFGHJKLMNPQRSTVWXYZ", "AEIOU"


@functools.cache
def common_knobs() -> tuple[Knob, ...]:
    """Return the parameters of scikit-learn's estimators with their defaults, as constants.

    A pretrained model has met these names; the tiny one meets them here.
    """
    from sklearn.utils import all_estimators

    knobs = {}
    for _, estimator in all_estimators():
        for parameter in inspect.signature(estimator).parameters.values():
            if isinstance(parameter.default, (bool, int, float, str, type(None))):
                knob = Knob(parameter.name.upper(), repr(parameter.default).replace("'", '"'))
                knobs.setdefault(knob.name, knob)
    return tuple(knobs.values())


def made_up_name(words: Sequence[str], rng: random.Random) -> str:
    """Return a constant's name of one to three parts, each a word or a few syllables."""
    drawn = rng.random()
    if drawn < 0.08:
        return rng.choice(_CONSONANTS + _VOWELS)
    parts = [
        rng.choice(words).upper() if rng.random() < 0.5 else _syllables(rng)
        for _ in range(1 if drawn < 0.4 else 2 if drawn < 0.85 else 3)
    ]
    return "_".join(parts)


def made_up_title(words: Sequence[str], rng: random.Random) -> str:
    """Return one to four words."""
    return " ".join(rng.sample(words, rng.randint(1, 4))).capitalize()


def _syllables(rng: random.Random) -> str:
    return "".join(
        rng.choice(_CONSONANTS) + (rng.choice(_VOWELS) if rng.random() < 0.8 else "")
        for _ in range(rng.randint(1, 3))
    )
