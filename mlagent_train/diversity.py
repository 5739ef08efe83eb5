"""How different texts are, and which of them are the most different from each other."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlagent_train.errors import ConfigError

__all__ = ["Method", "embed", "embedder_of", "most_diverse", "unlike_earlier"]

Vectors: TypeAlias = NDArray[np.float64]
Method: TypeAlias = Literal["mean-distance", "farthest-point"]

TFIDF = "tf-idf"
_DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
_TOKEN = r"\w+|[^\w\s]"
"""Words, numbers and signs: in code, the sign is often all the difference there is."""


def embedder_of(name: str) -> str:
    """Return what ``auto`` stands for on this machine; every other name stands for itself."""
    if name != "auto":
        return name
    return _DEFAULT_MODEL if importlib.util.find_spec("sentence_transformers") else TFIDF


def embed(texts: Sequence[str], embedder: str) -> Vectors:
    """Return a vector of length 1 for each text.

    Parameters
    ----------
    texts
        At least one.
    embedder
        ``tf-idf`` (words and pairs of words), or the name of a sentence-transformers model.

    Raises
    ------
    ConfigError
        The model cannot be loaded.
    """
    if embedder == TFIDF:
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(token_pattern=_TOKEN, ngram_range=(1, 2), sublinear_tf=True)
        vectors: Vectors = np.asarray(vectorizer.fit_transform(texts).todense(), dtype=np.float64)
        return vectors
    model: Any = _sentence_transformer(embedder)
    return np.asarray(
        model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False),
        dtype=np.float64,
    )


def most_diverse(vectors: Vectors, count: int, method: Method) -> list[int]:
    """Return which texts to keep, in the order in which they were chosen.

    Parameters
    ----------
    vectors
        Of length 1; distances are cosine distances.
    count
        How many; at most as many as there are.
    method
        ``mean-distance``: those whose mean distance to all others is largest (the paper's
        first version, arXiv 2505.23723v1). ``farthest-point``: one after another, each the
        farthest from those chosen before it, from the most central one on (the second
        version; Gonzalez 1985).
    """
    distances = 1.0 - np.clip(vectors @ vectors.T, -1.0, 1.0)
    return _METHODS[method](distances, min(count, len(vectors)))


def unlike_earlier(vectors: Vectors, max_similarity: float) -> list[int]:
    """Return those whose cosine similarity to each one kept before is `max_similarity` or less.

    At 1 all are kept: rounding does not make equal texts differ or different ones equal.
    """
    if max_similarity >= 1.0:
        return list(range(len(vectors)))
    kept: list[int] = []
    for number, vector in enumerate(vectors):
        if not kept or float(np.max(vectors[kept] @ vector)) <= max_similarity:
            kept.append(number)
    return kept


def _by_mean_distance(distances: Vectors, count: int) -> list[int]:
    order = np.argsort(-distances.mean(axis=1), kind="stable")
    return [int(number) for number in order[:count]]


def _by_farthest_point(distances: Vectors, count: int) -> list[int]:
    chosen = [int(np.argmin(distances.mean(axis=1)))]
    nearest = distances[chosen[0]].copy()
    nearest[chosen[0]] = -1.0  # never again, not even among equal texts
    while len(chosen) < count:
        chosen.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, distances[chosen[-1]])
        nearest[chosen[-1]] = -1.0
    return chosen


_METHODS: Mapping[str, Callable[[Vectors, int], list[int]]] = MappingProxyType(
    {"mean-distance": _by_mean_distance, "farthest-point": _by_farthest_point}
)


def _sentence_transformer(name: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(name)
    except (ImportError, OSError, ValueError) as error:
        raise ConfigError(
            f"The embedding model {name!r} cannot be loaded ({type(error).__name__}: "
            f"{str(error)[:200]}). Install sentence-transformers and the model, or set "
            f"ideas.embedder={TFIDF}."
        ) from error
