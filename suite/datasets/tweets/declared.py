"""All wide features of the tweets, in the order of their columns: one table."""

from __future__ import annotations

from suite.datasets.base import WideFeature
from suite.datasets.tweets import content, creator, encoding, reader, reader_creator, text

FEATURES: tuple[WideFeature, ...] = (
    *content.FEATURES,
    *text.FEATURES,
    *encoding.FEATURES,
    *reader.FEATURES,
    *creator.FEATURES,
    *reader_creator.FEATURES,
)
