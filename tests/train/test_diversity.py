"""mlagent_train.diversity: which texts are far from each other."""

import sys
import types

import numpy as np
import pytest

from mlagent_train.diversity import embed, embedder_of, most_diverse, unlike_earlier
from mlagent_train.errors import ConfigError

TEXTS = [
    "Make the trees deeper.",
    "Make the trees a bit deeper.",
    "Predict the logarithm of the price.",
    "One-hot encode the neighbourhood.",
]


def at(*angles):
    radians = np.radians(angles)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


def test_texts_alike_in_words_are_close():
    vectors = embed(TEXTS, "tf-idf")
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0)
    similar = vectors @ vectors.T
    assert similar[0, 1] > 0.5 > similar[0, 2]


def test_numbers_and_signs_count_in_code():
    vectors = embed(["LR = 0.1", "LR = 0.2", "LR *= 0.1"], "tf-idf")
    similar = vectors @ vectors.T
    assert similar[0, 1] < 0.99
    assert similar[0, 2] < 0.99


def test_the_first_version_keeps_those_far_from_all_others_on_average():
    # 90 and 92 degrees are far from most, and next to each other
    assert most_diverse(at(0, 1, 2, 3, 90, 92), 2, "mean-distance") == [5, 4]


def test_the_second_version_goes_to_the_farthest_point_each_time():
    chosen = most_diverse(at(0, 1, 2, 3, 90, 92), 3, "farthest-point")
    assert chosen[:2] == [3, 5]  # the most central one, and the farthest from it
    assert chosen[2] in (0, 4)


@pytest.mark.parametrize("method", ["mean-distance", "farthest-point"])
def test_a_choice_repeats_itself_and_has_no_text_twice(method):
    vectors = embed([*TEXTS, *TEXTS], "tf-idf")
    chosen = most_diverse(vectors, 6, method)
    assert len(set(chosen)) == 6
    assert chosen == most_diverse(vectors, 6, method)
    assert len(most_diverse(vectors, 100, method)) == len(vectors)


def test_what_is_like_an_earlier_one_is_left_out():
    vectors = at(0, 1, 45, 44, 90)
    assert unlike_earlier(vectors, 0.99) == [0, 2, 4]
    assert unlike_earlier(vectors, 1.0) == [0, 1, 2, 3, 4]
    assert unlike_earlier(at(0, 0), 0.999) == [0]


def test_auto_takes_sentence_transformers_where_they_are(monkeypatch):
    import importlib.util

    there = importlib.util.find_spec("json")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: there)
    assert embedder_of("auto").startswith("sentence-transformers/")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert embedder_of("auto") == "tf-idf"
    assert embedder_of("some/model") == "some/model"


def test_a_sentence_transformer_is_asked_for_unit_vectors(monkeypatch):
    class Model:
        def __init__(self, name):
            if name != "some/model":
                raise OSError("not there")

        def encode(self, texts, *, normalize_embeddings, show_progress_bar):
            assert normalize_embeddings
            return np.eye(len(texts), dtype=np.float32)

    module = types.SimpleNamespace(SentenceTransformer=Model)
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    assert embed(TEXTS, "some/model").dtype == np.float64
    with pytest.raises(ConfigError, match=r"ideas\.embedder=tf-idf"):
        embed(TEXTS, "no/model")
