"""Result of the features step."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from suite.datasets.base import WideFeature

Statistics = dict[str, list[Any]]


@dataclass(frozen=True)
class Features:
    """Arrays of E events that share R histories, one per window and user with events in it.

    Attributes
    ----------
    events
        E rows sorted by window (in time order), user, time, event: ``event_id``, ``user_id``,
        ``item_id``, ``window``, ``time``, ``session_id``, ``trained`` (the user is not held out),
        ``row`` (of the event's history in the arrays), and a Boolean column for each label;
        ``sampled_for`` if some are sampled.
    aggregates : (R, 27)
        Standardized ``suite.features.aggregates.AGGREGATES``.
    sequence : (R, 50, 2)
        Standardized channels of the last 50 steps, left-aligned; a null step is 0 s or 0 % before
        it is standardized, padding is exactly 0.
    mask : (R, 50)
        True if the step exists.
    favorite : (R,)
        Most frequent category of the history's steps, in [0, 32); 0 is rare or unknown.
    categorical : (E, 2)
        Category in [0, 32), item type in [0, 16); 0 is unknown.
    continuous : (E, 8)
        Standardized ``CONTINUOUS``, sine and cosine too.
    labels : (E, L)
        0 or 1, in the order of ``label_names``.
    wide : (E, F)
        Features computed by the dataset, in raw units; NaN if unknown.
    tokens : (V, T)
        Token ids of the V distinct texts of the events' items, at most 64 each, 0 as padding; a
        longer text keeps its last token. An item without a text has a row of padding; without any
        text there is one row and T is 0.
    text_row : (E,)
        Row of each event's text in ``tokens``.
    label_names
        ``engaged`` first.
    wide_features
        Descriptions of the columns of ``wide``.
    dropped, filled
        Number of rows that the dataset dropped, and kept with an imputed value, by reason.
    statistics
        Fitted statistics: vocabularies, means, standard deviations.
    """

    events: pl.DataFrame
    aggregates: NDArray[np.float32]
    sequence: NDArray[np.float32]
    mask: NDArray[np.bool_]
    favorite: NDArray[np.int64]
    categorical: NDArray[np.int64]
    continuous: NDArray[np.float32]
    labels: NDArray[np.float32]
    wide: NDArray[np.float32]
    tokens: NDArray[np.int32]
    text_row: NDArray[np.int64]
    label_names: tuple[str, ...]
    wide_features: tuple[WideFeature, ...]
    dropped: dict[str, int]
    filled: dict[str, int]
    statistics: Statistics

    def save(self, folder: Path) -> None:
        """Write Parquet, ``.npy`` and JSON files into a folder, created if missing."""
        folder.mkdir(parents=True, exist_ok=True)
        self.events.write_parquet(folder / "events.parquet")
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name), allow_pickle=False)
        meta = {name: getattr(self, name) for name in _META}
        meta["wide_features"] = [asdict(feature) for feature in self.wide_features]
        (folder / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Features:
        """Open what ``save`` wrote; the arrays are memory-mapped and read-only."""
        arrays = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in _ARRAYS
        }
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        meta["label_names"] = tuple(meta["label_names"])
        meta["wide_features"] = tuple(WideFeature(**plain) for plain in meta["wide_features"])
        return cls(events=pl.read_parquet(folder / "events.parquet", glob=False), **arrays, **meta)


_ARRAYS = (
    "aggregates",
    "sequence",
    "mask",
    "favorite",
    "categorical",
    "continuous",
    "labels",
    "wide",
    "tokens",
    "text_row",
)


_META = ("label_names", "dropped", "filled", "statistics")
