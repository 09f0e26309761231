"""Statistics of a tweet's text, decoded from its tokens."""

from __future__ import annotations

import numpy as np
import polars as pl

from suite.datasets.tweets.rows import Floats, declare
from suite.datasets.tweets.vocabulary import decode

_TEXT = pl.col("text")
_WORDS = _TEXT.str.extract_all(r"[\pL\pN_']+")

_STATISTICS = {
    "text_chars": ("characters", _TEXT.str.len_chars()),
    "text_words": ("count", _WORDS.list.len()),
    "text_distinct_words": ("count", _WORDS.list.n_unique()),
    "text_capitalized_words": ("count", _TEXT.str.count_matches(r"\b\p{Lu}")),
    "text_uppercase_words": ("count", _TEXT.str.count_matches(r"\b\p{Lu}{2,}\b")),
    "text_handles": ("count", _TEXT.str.count_matches(r"@\w+")),
    "text_hash_signs": ("count", _TEXT.str.count_matches("#", literal=True)),
    "text_mean_word_length": (
        "characters",
        _WORDS.list.eval(pl.element().str.len_chars()).list.mean(),
    ),
    "text_longest_word": (
        "characters",
        _WORDS.list.eval(pl.element().str.len_chars()).list.max(),
    ),
    "text_digits": ("count", _TEXT.str.count_matches(r"\d")),
    "text_non_ascii": ("count", _TEXT.str.count_matches(r"[^\x00-\x7F]")),
    "text_question_marks": ("count", _TEXT.str.count_matches("?", literal=True)),
    "text_exclamation_marks": ("count", _TEXT.str.count_matches("!", literal=True)),
    "text_urls": ("count", _TEXT.str.count_matches(r"(?i)https?\s*:")),
    "text_punctuation": ("count", _TEXT.str.count_matches(r"[\p{P}]")),
    "text_is_passed_on": ("flag", _TEXT.str.contains(r"^(?i:rt)\b")),
}

FEATURES = declare(
    "content",
    [(name, unit, "text_tokens, decoded") for name, (unit, _) in _STATISTICS.items()],
)

_CHUNK = 100_000


def text_features(tokens: pl.Series, vocabulary: tuple[str, ...]) -> Floats:
    """Describe the text of each tweet.

    Parameters
    ----------
    tokens : (T,)
        Lists of ids in the vocabulary.

    Returns
    -------
    (F, T)
        ``FEATURES``; NaN where there is no word to describe.
    """
    found = np.empty((len(FEATURES), len(tokens)), dtype=np.float32)
    for first in range(0, len(tokens), _CHUNK):
        text = decode(tokens.slice(first, _CHUNK), vocabulary).alias("text")
        described = text.to_frame().select(
            expression.cast(pl.Float32).alias(name) for name, (_, expression) in _STATISTICS.items()
        )
        found[:, first : first + _CHUNK] = described.to_numpy().T
    return found
