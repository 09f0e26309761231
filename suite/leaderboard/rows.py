"""Rows and leaderboards: one row per cell, one leaderboard per suite.

A row is plain data with fixed keys. Two leaderboards are equal if all but their seconds are, so
repeated, resumed and distributed runs can be compared directly.
"""

from __future__ import annotations

import hashlib
import json
import math
from functools import cached_property
from itertools import pairwise
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    ValidationError,
    model_validator,
)

from suite.leaderboard.sections import Section
from suite.parts import Holds, Releases

if TYPE_CHECKING:
    import polars as pl

Rate = Annotated[float, Field(ge=0, le=1)]
Rank = Annotated[float, Field(ge=1)]

SLACK = 1e-9
"""Relative tolerance, as means of shares differ in the last bit."""

_T = TypeVar("_T", bound=BaseModel)


class Row(BaseModel):
    """One cell of a suite with all its figures.

    A metric that does not exist is null: an interval without a bootstrap, all figures of a failed
    cell.

    Attributes
    ----------
    reason
        Why the cell failed; for a done cell, remarks: which attack was selected, that the lift is
        below chance.
    releases_m
        How often each vector was released, anew each time, and averaged by the attacker; ``all``:
        as often as its user has events in the window. Null where no defense changes the vectors.
    attacker_holds
        ``defended``: gallery and probes are defended alike; ``undefended``: the probes alone are.
        Null where no defense changes the vectors.
    auc, auc_low, auc_high, ap, f1, log_loss
        Utility on the test window, label ``engaged``; log loss in nats. Of a model's undefended
        vectors it is that of its scores, of all else that of the better head on validation, of
        one release: refitted, or the model's own.
    auc_own_head, auc_refitted
        AUC of both heads: the model's own, null where there is none or it cannot read the defended
        vectors, and a logistic regression fitted on what is released.
    top1, top5, top10, top20, mrr, mean_rank, median_rank
        Re-identification over all probes, exact ranks, ties in random order.
    bits
        log2 N - E[log2 rank].
    lift
        top1 / chance, with chance = 1/N.
    bound_top1, bound_lift, bound_reason
        What no attacker exceeds, whatever it knows, if each user is equally likely, and why there
        is none under a defense, see `attacks.certify`. A bound on per_user_top1, and of top1 if
        active users are no easier to identify.
    raw_lift
        Lift of the strongest attack on the model's own scaled inputs in the same protocol,
        undefended: the best pair of a block of the inputs and one of the suite's plain attacks,
        selected on validation. Null if the row's own attack is not a plain one.
    raw_by
        That block and attack, such as ``aggregates, cosine``.
    num_gallery, num_probes, num_dropped
        N, the number of probes, and the number of events left out.
    num_users_always, num_users_never
        Number of users all, or none, of whose probes are identified.
    per_user_top1
        Mean over users of each user's top-1.
    interval, interval_reason
        ``unreliable`` if the interval of a figure over probes or events may cover less often than
        its nominal level; which figure, and why. Those of per_user_top1 are reliable.
    fit_s, represent_s, attack_s
        Seconds of the three steps; ignored in comparisons.
    digest
        Content digest of the cell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str
    synthetic: bool
    model: str
    seed: int
    release: str
    protocol: str
    defense: str
    attack: str
    releases_m: Releases | None = None
    attacker_holds: Holds | None = None
    status: Literal["done", "failed"]
    reason: str | None = None
    auc: Rate | None = None
    auc_low: Rate | None = None
    auc_high: Rate | None = None
    ap: Rate | None = None
    f1: Rate | None = None
    log_loss: NonNegativeFloat | None = None
    auc_own_head: Rate | None = None
    auc_refitted: Rate | None = None
    top1: Rate | None = None
    top1_low: Rate | None = None
    top1_high: Rate | None = None
    top5: Rate | None = None
    top10: Rate | None = None
    top20: Rate | None = None
    mrr: Rate | None = None
    mrr_low: Rate | None = None
    mrr_high: Rate | None = None
    mean_rank: Rank | None = None
    median_rank: Rank | None = None
    bits: float | None = None
    bits_low: float | None = None
    bits_high: float | None = None
    lift: NonNegativeFloat | None = None
    lift_low: NonNegativeFloat | None = None
    lift_high: NonNegativeFloat | None = None
    chance: Rate | None = None
    bound_top1: Rate | None = None
    bound_lift: NonNegativeFloat | None = None
    bound_reason: str | None = None
    raw_lift: NonNegativeFloat | None = None
    raw_by: str | None = None
    num_gallery: NonNegativeInt | None = None
    num_probes: NonNegativeInt | None = None
    num_dropped: NonNegativeInt | None = None
    num_users_always: NonNegativeInt | None = None
    num_users_never: NonNegativeInt | None = None
    per_user_top1: Rate | None = None
    per_user_top1_low: Rate | None = None
    per_user_top1_high: Rate | None = None
    interval: Literal["ok", "unreliable"] | None = None
    interval_reason: str | None = None
    num_parameters: NonNegativeInt | None = None
    fit_s: NonNegativeFloat | None = None
    represent_s: NonNegativeFloat | None = None
    attack_s: NonNegativeFloat | None = None
    digest: str

    @model_validator(mode="after")
    def _possible(self) -> Row:
        """Reject rows that no ranking can produce, as seen in published leaderboards."""
        if self.status == "failed" and not self.reason:
            raise ValueError("a failed cell needs a reason")
        top_k = ("top1", "top5", "top10", "top20")
        if self._falls(top_k):
            raise ValueError("top1, top5, top10, top20 must not decrease")
        if self._falls(("top1", "mrr")):
            raise ValueError("mrr must be at least top1")
        for name in (low.removesuffix("_low") for low in type(self).model_fields if "_low" in low):
            if self._falls((f"{name}_low", name, f"{name}_high")):
                raise ValueError(f"{name} must lie within its interval")
        # Claimed figures are rounded independently.
        ends = () if self.digest.startswith("claimed") else ("", "_low", "_high")
        for end in ends:
            top1, lift = getattr(self, f"top1{end}"), getattr(self, f"lift{end}")
            if None not in (top1, lift, self.chance) and not math.isclose(
                lift * self.chance, top1, rel_tol=SLACK, abs_tol=SLACK
            ):
                raise ValueError(f"lift{end} must be top1{end} / chance")
        return self

    def _falls(self, keys: tuple[str, ...]) -> bool:
        """Whether any figure that exists is smaller than the one before it."""
        values = [value for key in keys if (value := getattr(self, key)) is not None]
        return any(high < low - SLACK * max(1, low) for low, high in pairwise(values))

    @property
    def place(self) -> tuple[Any, ...]:
        """Sort key of the row in a leaderboard, independent of its figures."""
        return (
            self.dataset,
            self.protocol,
            self.release,
            self.model,
            self.defense,
            self.attack,
            *self.observed,
            self.seed,
            self.digest,
        )

    @property
    def observed(self) -> tuple[str, str]:
        """Number of releases and what the attacker holds, in an order: 2 before 10 before all."""
        return f"{self.releases_m or '':>9}", self.attacker_holds or ""

    def result(self) -> dict[str, Any]:
        """Return all but the seconds: what must be equal in two runs of the same cell."""
        return {key: value for key, value in self.model_dump().items() if not key.endswith("_s")}


def _in_place(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda row: row.place))


class Leaderboard(BaseModel):
    """The rows of one suite, in an order that does not depend on that of execution.

    Attributes
    ----------
    suite
        Name of the suite.
    rows
        One per cell, failed cells included.
    versions
        What ran, by name: package and its version. Shown, not compared: the digests of the cells
        hold the versions that matter.
    analyses
        Tables of what several cells say together; computed from the rows' own raw results, so
        that they are shown and not compared.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: str
    versions: dict[str, str] = {}
    analyses: tuple[Section, ...] = ()
    rows: Annotated[tuple[Row, ...], AfterValidator(_in_place)]

    @model_validator(mode="after")
    def _once(self) -> Leaderboard:
        seen: set[str] = set()
        for row in self.rows:
            if row.digest in seen:
                raise ValueError(f"digest {row.digest} appears twice; one row per cell")
            seen.add(row.digest)
        return self

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the suite's name and of all rows without their seconds."""
        content = {"suite": self.suite, "rows": [row.result() for row in self.rows]}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def synthetic(self) -> bool:
        """Whether any row comes from simulated users."""
        return any(row.synthetic for row in self.rows)

    @property
    def failed(self) -> tuple[Row, ...]:
        """Rows of failed cells."""
        return tuple(row for row in self.rows if row.status == "failed")

    def equal(self, other: Leaderboard) -> bool:
        """Whether the other has the same results, regardless of time."""
        return self.digest == other.digest

    def frame(self) -> pl.DataFrame:
        """Return the rows for Polars: one per cell, a column per key.

        A key whose values are numbers or words, such as ``releases_m``, is a column of text.
        """
        import polars as pl

        dtypes = {bool: pl.Boolean, int: pl.Int64, float: pl.Float64}
        hints = get_type_hints(Row)
        columns = []
        for key in Row.model_fields:
            types = {*get_args(hints[key]), hints[key]} - {type(None)}
            dtype: Any = next((dtypes[t] for t in types if t in dtypes), None)
            values = [getattr(row, key) for row in self.rows]
            if dtype is None or any(get_origin(t) is Literal for t in types):
                values, dtype = [None if v is None else str(v) for v in values], pl.String
            columns.append(pl.Series(key, values, dtype))
        return pl.DataFrame(columns)

    def to_json(self) -> str:
        """Return the leaderboard as JSON, one row per line, for readable diffs."""
        head = {"suite": self.suite, "digest": self.digest}
        head |= self.model_dump(include={"versions", "analyses"})
        lines = [json.dumps(row.model_dump(), allow_nan=False) for row in self.rows]
        body = ",\n".join(lines)
        return f'{json.dumps(head)[:-1]}, "rows": [\n{body}\n]}}\n'

    @classmethod
    def from_json(cls, text: str) -> Leaderboard:
        """Read what ``to_json`` wrote.

        Raises
        ------
        ValueError
            One line: invalid JSON, an unknown or missing key, a value out of range, or rows that
            do not match the file's digest.
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"leaderboard: not JSON: {error}") from None
        if not isinstance(data, dict):
            raise ValueError("leaderboard: expected an object with the keys suite and rows")
        digest = data.pop("digest", None)
        board = validated(cls, data, "leaderboard")
        if digest is not None and digest != board.digest:
            raise ValueError(
                f"leaderboard: the rows hash to {board.digest[:12]}, the file says "
                f"{str(digest)[:12]}; the file was edited after it was written"
            )
        return board


def validated(kind: type[_T], data: Any, name: str) -> _T:
    """Check data against its type.

    Raises
    ------
    ValueError
        One line: the source, the key, what was found.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "content"
        raise ValueError(f"{name}: {key}: {first['msg']}, got {first['input']!r:.80}") from None
