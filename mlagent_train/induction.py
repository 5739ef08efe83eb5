"""Begin with a head that copies: what a model of a million parameters would learn last.

To edit a line it was never trained on, a policy has to find it in its prompt and copy it.
Transformers do that with a pair of heads, one that looks at the token before and one that
looks for where the current token stood before and copies what followed: an induction head
(Olsson et al. 2022, arXiv 2209.11895; Elhage et al. 2021, "A Mathematical Framework for
Transformer Circuits"). Pretrained models have them; from random weights they take far more
data than a warm start has. So they are built in, as Trockman and Kolter start attention
from structure instead of noise (2023, arXiv 2305.09828). Training changes them like all else.
"""

from __future__ import annotations

import math
from typing import Any

from mlagent_train.errors import ConfigError

__all__ = ["add_induction_heads"]

_PREVIOUS_SHARPNESS = 48.0
"""Logit by which the token before stands out among its neighbours."""
_MATCH_SHARPNESS = 24.0
"""About the logit by which a token's earlier occurrence stands out."""
_COPY_STRENGTH = 6.0
"""What is copied against the token's own embedding."""
_EMBEDDING_STD = 0.06
_CONTEXT = 200
"""Tokens over which a pair of dimensions must hardly turn to compare contents with."""


def add_induction_heads(model: Any, seed: int) -> None:
    """Overwrite half the heads of the first two layers with induction circuits.

    In the first layer their queries and keys are biases alone, a rotation of one position
    apart, and their values a random projection of the embedding. In the second, queries are
    that projection of the current token, keys what the first layer wrote, and values are
    written out as they are.

    Parameters
    ----------
    model
        A Llama or Qwen2 model with tied embeddings, biases of queries and keys, as many
        key-value heads as heads, and two layers at least.
    seed
        Draws the projections.

    Raises
    ------
    ConfigError
        The model is not of this kind.
    """
    import torch

    config = model.config
    unfit = config.num_hidden_layers < 2 or config.num_key_value_heads != config.num_attention_heads
    if unfit or model.model.layers[0].self_attn.q_proj.bias is None:
        raise ConfigError(
            "model.tiny.induction needs two layers at least and as many kv_heads as heads. "
            "Change model.tiny, or set induction to false."
        )
    width, heads = config.hidden_size, config.num_attention_heads
    size = width // heads
    draw = torch.Generator().manual_seed(seed)

    def projection() -> Any:
        basis, _ = torch.linalg.qr(torch.randn(width, size, generator=draw))
        return basis.T.contiguous()

    turns = model.model.rotary_emb.inv_freq.float()
    fast = (turns > 0.05).float()
    quick = fast.repeat(2)
    still = (turns * _CONTEXT < 1.0).repeat(2).nonzero().flatten()
    one_back = torch.cat([torch.cos(turns), -torch.sin(turns)]) * quick
    here = torch.cat([torch.ones_like(turns), torch.zeros_like(turns)]) * quick
    sharp = math.sqrt(_PREVIOUS_SHARPNESS * math.sqrt(size) / float(fast.sum()))
    match = 1.6 * math.sqrt(_MATCH_SHARPNESS * math.sqrt(size) / max(len(still), 1))
    first, second = (model.model.layers[i].self_attn for i in (0, 1))
    with torch.no_grad():
        embedding = model.model.embed_tokens.weight
        embedding.mul_(_EMBEDDING_STD / embedding.std())
        scale = _EMBEDDING_STD * math.sqrt(width / size)
        for head in range(max(1, heads // 2)):
            part = slice(head * size, (head + 1) * size)
            read, write, copied = projection(), projection(), projection()
            first.q_proj.weight[part] *= 0.1
            first.k_proj.weight[part] *= 0.1
            first.q_proj.bias[part] = sharp * one_back
            first.k_proj.bias[part] = sharp * here
            first.v_proj.weight[part] = read
            first.o_proj.weight[:, part] = 0.5 * scale * write.T
            for weight, source in ((second.q_proj.weight, read), (second.k_proj.weight, write)):
                rows = 0.01 * torch.randn(size, width, generator=draw)
                rows[still] += match * source[: len(still)]
                weight[part] = rows
            second.v_proj.weight[part] = copied
            second.o_proj.weight[:, part] = _COPY_STRENGTH * scale * copied.T
