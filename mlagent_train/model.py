"""A small Llama model with its own tokenizer, made on the spot from the corpus it will read.

``python -m mlagent_train.model FOLDER CORPUS SHAPE SEED`` makes one in a process of its own.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlagent_train.chat import CHAT_TEMPLATE
from mlagent_train.config.schema import TinyModel
from mlagent_train.files import read_jsonl
from mlagent_train.induction import add_induction_heads

__all__ = ["make_model", "train_tokenizer"]

_END, _START, _PAD = "<|im_end|>", "<|im_start|>", "<|endoftext|>"
_NUMBER = r" ?\p{N}+\) "
_NAME = "[A-Z][A-Z0-9_]*(?![a-z])"
_SPLIT = "|".join(
    (
        _NUMBER,
        _NAME,
        rf" ?(?!{_NAME})\p{{L}}+",
        r"\p{N}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
"""Where no token may reach across, much as for Qwen2: every digit is a token of its own.

But the name of a constant stands alone, whatever is before it, and can be one token. In a
prompt it follows a line's end, in an edit a quotation mark, and it has to be the same there
for a small model to copy it. The number of a list's item, ``12) ``, is one token, too, with the
space before it and unlike any number within the item.
"""


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Any:
    """Train a byte-level BPE tokenizer with ChatML's special tokens and template.

    Parameters
    ----------
    texts
        What it should be short on.
    vocab_size
        Most tokens, special ones included; a small corpus may give fewer.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[_PAD, _START, _END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast: Any = PreTrainedTokenizerFast
    return fast(
        tokenizer_object=tokenizer,
        eos_token=_END,
        pad_token=_PAD,
        additional_special_tokens=[_START],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def make_model(folder: Path, texts: Iterable[str], shape: TinyModel, *, seed: int) -> None:
    """Write a new model and its tokenizer to `folder`, whole or not at all."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = train_tokenizer(texts, shape.vocab_size)
    torch.manual_seed(seed)
    # Not Qwen2: for that, transformers splits texts as Qwen2 does, whatever tokenizer was saved.
    config = LlamaConfig(
        vocab_size=-(-len(tokenizer) // 64) * 64,  # rows in multiples of 64 multiply faster
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        intermediate_size=shape.intermediate_size,
        max_position_embeddings=shape.max_positions,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=True,
        attention_bias=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    make: Any = LlamaForCausalLM
    model = make(config)
    if shape.induction:
        add_induction_heads(model, seed)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)


if __name__ == "__main__":
    _folder, _corpus, _shape, _seed = sys.argv[1:]
    make_model(
        Path(_folder),
        read_jsonl(Path(_corpus)),
        TinyModel(**json.loads(_shape)),
        seed=int(_seed),
    )
