"""Induction heads copy before any training."""

from __future__ import annotations

from typing import Any

import pytest

from mlagent_train.errors import ConfigError
from mlagent_train.induction import add_induction_heads

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


def tiny(**changes: Any) -> Any:
    shape = {
        "vocab_size": 512,
        "hidden_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "intermediate_size": 256,
        "tie_word_embeddings": True,
        "attention_bias": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
    }
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape | changes))


def copied(model: Any) -> float:
    """Return how often the model goes on as a random text did when it comes a second time."""
    torch.manual_seed(1)
    text = torch.randint(0, 512, (2, 80))
    with torch.no_grad():
        logits = model(input_ids=torch.cat([text, text], 1)).logits
    return float((logits[:, 80:-1].argmax(-1) == text[:, 1:]).float().mean())


def test_a_model_copies_with_them_and_not_without():
    model = tiny()
    assert copied(model) < 0.05
    add_induction_heads(model, seed=0)
    assert copied(model) > 0.4


def test_a_seed_decides_the_weights():
    first, again, other = tiny(), tiny(), tiny()
    for model, seed in ((first, 0), (again, 0), (other, 1)):
        add_induction_heads(model, seed)
    one, two, three = (m.model.layers[1].self_attn.v_proj.weight for m in (first, again, other))
    assert torch.equal(one, two)
    assert not torch.equal(one, three)


@pytest.mark.parametrize(
    "shape", [{"num_hidden_layers": 1}, {"num_key_value_heads": 1}, {"attention_bias": False}]
)
def test_other_shapes_are_refused(shape: dict[str, Any]):
    with pytest.raises(ConfigError, match="induction"):
        add_induction_heads(tiny(**shape), seed=0)
