"""Result of the fit step."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray


@dataclass(frozen=True)
class Fitted:
    """A fitted model as plain arrays.

    Attributes
    ----------
    state
        Argument of the model's ``load_state``.
    scores
        ``event_id, user_id, window, engaged, logit`` of all validation and test events, and for
        each further label its name and ``logit_<name>``; after fine-tuning also the columns of
        logits with the prefix ``finetuned_``.
    history
        One row per epoch; empty for models that are not trained in epochs.
    positive_weight : (L,)
        Weight w of positives in the loss: the probability is sigmoid(logit - ln w).
    num_parameters
        Number of learned parameters.
    facts
        Figures of the model's pretraining and of private training, by metric key.
    note
        What a reader of the model's rows must know.
    """

    state: dict[str, NDArray[Any]]
    scores: pl.DataFrame
    history: list[dict[str, float]]
    positive_weight: list[float]
    num_parameters: int
    facts: dict[str, float] = field(default_factory=dict)
    note: str | None = None

    def save(self, folder: Path) -> None:
        """Write state.npz, scores.parquet and fitted.json."""
        np.savez(folder / "state.npz", **self.state)  # type: ignore[arg-type]
        self.scores.write_parquet(folder / "scores.parquet")
        plain = {
            "history": self.history,
            "positive_weight": self.positive_weight,
            "num_parameters": self.num_parameters,
            "facts": self.facts,
            "note": self.note,
        }
        (folder / "fitted.json").write_text(json.dumps(plain))

    @classmethod
    def load(cls, folder: Path) -> Fitted:
        """Read what ``save`` wrote; nothing is unpickled."""
        with np.load(folder / "state.npz", allow_pickle=False) as arrays:
            state = dict(arrays)
        plain = json.loads((folder / "fitted.json").read_text())
        return cls(
            state=state, scores=pl.read_parquet(folder / "scores.parquet", glob=False), **plain
        )
