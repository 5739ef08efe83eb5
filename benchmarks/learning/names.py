"""Names and titles drawn from words, for prompts that cannot be learned by heart."""

from __future__ import annotations

import random
from collections.abc import Sequence

__all__ = ["made_up_name", "made_up_title"]

_CONSONANTS, _VOWELS = "BCDFGHJKLMNPQRSTVWXYZ", "AEIOU"


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
