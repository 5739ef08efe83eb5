"""A Gymnasium space of unrestricted text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gymnasium as gym
import numpy as np

_SAMPLE_ALPHABET = np.array(list('abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ\n{}:",._'))


class FreeText(gym.Space[str]):
    """Any string.

    ``gymnasium.spaces.Text`` fixes an alphabet and a length, which ordinary model
    output breaks. Every ``str`` belongs to this space; `max_length` only bounds samples.

    Parameters
    ----------
    max_length
        Longest sample, in characters.
    seed
        Seed of the sampler.
    """

    def __init__(self, max_length: int = 200, seed: int | np.random.Generator | None = None):
        self.max_length = max_length
        super().__init__(shape=None, dtype=None, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        """Text has no fixed size, so it cannot be flattened."""
        return False

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """Draw a random string; masks have no meaning here."""
        if mask is not None or probability is not None:
            raise ValueError("FreeText cannot be masked: every string is valid.")
        length = int(self.np_random.integers(1, self.max_length + 1))
        return "".join(self.np_random.choice(_SAMPLE_ALPHABET, size=length))

    def contains(self, x: Any) -> bool:
        """Return whether `x` is a string."""
        return isinstance(x, str)

    def to_jsonable(self, sample_n: Iterable[str]) -> list[str]:
        """Return the samples as they are: strings are JSON."""
        return list(sample_n)

    def from_jsonable(self, sample_n: list[Any]) -> list[str]:
        """Return the samples as they are."""
        return [str(sample) for sample in sample_n]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FreeText)

    def __hash__(self) -> int:
        return hash(FreeText)

    def __repr__(self) -> str:
        return "FreeText()"
