"""mlagent_train.model: the tokenizer of models made on the spot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from mlagent_train.config.schema import TinyModel
from mlagent_train.model import make_model, train_tokenizer

TEXTS = [
    "Task: Houses\nMAX_DEPTH = 3\nC = 0.5\nNext?",
    '{"search": "MAX_DEPTH = ", "replace": "MAX_DEPTH = 2 * "}',
] * 20


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 600)


@pytest.mark.parametrize("name", ["MAX_DEPTH", "C"])
@pytest.mark.parametrize("before", ["\n", '"', " ", "-> ", "(", ""])
def test_a_constants_name_is_the_same_token_wherever_it_stands(tokenizer, name, before):
    (token,) = tokenizer(text=name, add_special_tokens=False)["input_ids"]
    found = tokenizer(text=f"{before}{name} = 4", add_special_tokens=False)["input_ids"]
    assert token in found


@given(st.text())
def test_every_text_comes_back(tokenizer, text):
    ids = tokenizer(text=text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text


def test_what_is_loaded_is_the_tokenizer_that_was_trained(tmp_path, tokenizer):
    shape = TinyModel(vocab_size=600, hidden_size=32, layers=1, heads=2, kv_heads=2)
    make_model(tmp_path / "model", TEXTS, shape, seed=0)
    loaded = AutoTokenizer.from_pretrained(tmp_path / "model")
    loaded.save_pretrained(tmp_path / "again")  # as training does
    (tmp_path / "again/config.json").write_text((tmp_path / "model/config.json").read_text())
    again = AutoTokenizer.from_pretrained(tmp_path / "again")
    for text in (*TEXTS, "12) MAX_DEPTH = 3"):
        ids = tokenizer(text=text, add_special_tokens=False)["input_ids"]
        assert loaded(text=text, add_special_tokens=False)["input_ids"] == ids
        assert again(text=text, add_special_tokens=False)["input_ids"] == ids
