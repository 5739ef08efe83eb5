"""mlagent_train.model: the tokenizer of models made on the spot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlagent_train.model import train_tokenizer

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
