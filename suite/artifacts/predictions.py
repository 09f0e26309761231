"""What the utility step leaves."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Predictions:
    """How well the labels are predicted from a release, on the test window.

    Attributes
    ----------
    row
        Keys of the leaderboard's row: AUC with its interval, AP, F1, log loss; and ``note``, what
        a reader of the row must know of the fit.
    extra
        What the tracker shows besides, by its metric key.
    """

    row: dict[str, Any]
    extra: dict[str, float]

    def save(self, folder: Path) -> None:
        """Write predictions.json."""
        (folder / "predictions.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, folder: Path) -> Predictions:
        """Read what ``save`` wrote."""
        return cls(**json.loads((folder / "predictions.json").read_text()))
