"""User vectors with their ids and further columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import polars as pl
from numpy.typing import NDArray

from attacks.advice.result import Advice
from attacks.advise import advise
from attacks.audit import Audit, audit


@dataclass(frozen=True)
class Vectors:
    """User vectors in the order of the file.

    Attributes
    ----------
    user : (n,)
        User ids of any type.
    vector : (n, d)
        The vectors.
    columns
        Those of ``time``, ``role`` and ``session`` that exist, and ``attribute NAME`` or
        ``label NAME`` where asked for.
    notes
        Sentences about what was found, left out or changed while reading.
    """

    user: pl.Series
    vector: NDArray[Any]
    columns: dict[str, pl.Series]
    notes: tuple[str, ...] = ()

    def audit(self, **settings: Any) -> Audit:
        """Run `attacks.audit.audit`; users are numbered by the first row of each."""
        given = self._given() | {"attributes": self.named("attribute")} | settings
        return audit(first_rows(self.user).to_numpy(), self.vector, **given)

    def advise(self, **settings: Any) -> Advice:
        """Run `attacks.advise.advise`; users are numbered by the first row of each."""
        given = self._given() | {"labels": self.named("label")} | settings
        return advise(first_rows(self.user).to_numpy(), self.vector, **given)

    def _given(self) -> dict[str, Any]:
        given: dict[str, Any] = {
            name: self.columns[name].to_numpy() for name in self.columns.keys() & {"time", "role"}
        }
        if "session" in self.columns:
            number = first_rows(self.columns["session"]).cast(pl.Float64)
            given["session"] = number.to_numpy()
        return given

    def named(self, kind: Literal["attribute", "label"]) -> dict[str, NDArray[Any]]:
        """Columns of a kind by name, as text ``(n,)``; None where a value is missing."""
        start = f"{kind} "
        return {
            name.removeprefix(start): series.to_numpy()
            for name, series in self.columns.items()
            if name.startswith(start)
        }


def first_rows(values: pl.Series) -> pl.Series:
    """Replace values of any type by the first row with the same value; null stays null."""
    rows = pl.DataFrame({"value": values}).with_row_index("row")
    first = pl.col("row").cast(pl.Int64).first().over("value")
    return rows.select(pl.when(pl.col("value").is_not_null()).then(first)).to_series()
