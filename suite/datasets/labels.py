"""The label of a log: 0 and 1, some values of a column, or a threshold."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import polars as pl

from suite.registry import nearest

BOUNDS = ("at_least", "above", "at_most", "below")
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Label:
    """Rule that derives engagement from a column.

    Attributes
    ----------
    column
        Name of the column; Boolean, or 0 and 1, unless one of the following is given.
    positive
        Values that mean engagement, all others do not; ``buy`` is text, ``4`` any number of that
        value.
    at_least, above, at_most, below
        Bounds on numbers; all given ones must hold.
    """

    column: str
    positive: tuple[Any, ...] = ()
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    @property
    def bounds(self) -> dict[str, float]:
        """The given bounds."""
        given = {name: getattr(self, name) for name in BOUNDS}
        return {name: bound for name, bound in given.items() if bound is not None}


def label(given: str | Mapping[str, Any], above: float | None = None) -> Label:
    """Read ``event``, ``{column: event, positive: [buy]}`` or ``{column: rating, at_least: 4}``.

    Parameters
    ----------
    given
        Name of the column, or the fields of ``Label``.
    above
        A bound given beside the name.

    Raises
    ------
    ValueError
        One line: the key, what was found, what is allowed.
    """
    keys: dict[str, Any] = {"column": given} if isinstance(given, str) else dict(given)
    if above is not None:
        if "above" in keys:
            raise ValueError(f"above: found {above:g} and label.above, allowed: one of them")
        keys["above"] = above
    allowed = [field.name for field in fields(Label)]
    for key in keys:
        if key not in allowed:
            raise ValueError(f"label: unknown key {key!r}; {nearest(str(key), allowed)}")
    if not isinstance(keys.get("column"), str):
        raise ValueError(
            f"label.column: found {keys.get('column')!r}, must be the name of a column"
        )
    for name in BOUNDS:
        if name in keys and not _is_number(keys[name]):
            raise ValueError(f"label.{name}: found {keys[name]!r}, must be a number")
    keys["positive"] = _values(keys)
    return Label(**keys)


def _values(keys: Mapping[str, Any]) -> tuple[Any, ...]:
    if "positive" not in keys:
        return ()
    given = keys["positive"]
    if not isinstance(given, list | tuple) or not given:
        raise ValueError(f"label.positive: found {given!r}, must be a list such as [buy]")
    for value in given:
        if not isinstance(value, str | bool) and not _is_number(value):
            raise ValueError(f"label.positive: found {value!r}, must be texts, numbers or booleans")
    if bounds := [name for name in BOUNDS if name in keys]:
        raise ValueError(f"label: found {', '.join(bounds)} and positive, allowed: one of the two")
    return tuple(given)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def engaged(values: pl.Series, label: Label, path: str) -> pl.Series:
    """Determine which events are engaged.

    Parameters
    ----------
    values : (n,)
        The label's column, possibly as text.
    path
        Its file, for messages.

    Returns
    -------
    Series
        Boolean; null if the value is null or NaN.

    Raises
    ------
    ValueError
        One line: a value is neither 0 nor 1, or not a number although there is a bound, or no
        value is a positive one.
    """
    if label.positive:
        return _among(values, label, path)
    if values.dtype == pl.Boolean and not label.bounds:
        return values
    numbers = _numbers(values)
    fitting = numbers.is_not_null() if label.bounds else numbers.is_in([0.0, 1.0])
    _refuse_others(values, ~fitting.fill_null(value=False), label, path)
    held = numbers.is_not_null()
    for name, bound in (label.bounds or {"at_least": 1}).items():
        held &= _COMPARED[name](numbers, bound)
    return _where(numbers.is_not_null(), held)


def _among(values: pl.Series, label: Label, path: str) -> pl.Series:
    """Compare with the positive values: text without surrounding blanks, numbers by value."""
    text = values.cast(pl.String).str.strip_chars()
    numbers = _numbers(values)
    spelled = [value for value in label.positive if isinstance(value, str)]
    truths = [str(value).lower() for value in label.positive if isinstance(value, bool)]
    counts = [float(value) for value in label.positive if _is_number(value)]
    held = text.is_in(pl.Series(spelled, dtype=pl.String))
    held |= text.str.to_lowercase().is_in(pl.Series(truths, dtype=pl.String))
    held |= numbers.is_in(pl.Series(counts, dtype=pl.Float64)).fill_null(value=False)
    held = _where(_given(values), held)
    if not held.any():
        most = text.drop_nulls().value_counts(sort=True)[text.name].head(_SHOWN).to_list()
        raise ValueError(
            f"{path}: {label.column} has none of the values {list(label.positive)}; the most "
            f"frequent of its {text.n_unique()} are {', '.join(map(repr, most))}"
        )
    return held


_COMPARED: dict[str, Callable[[pl.Series, float], pl.Series]] = {
    "at_least": operator.ge,
    "above": operator.gt,
    "at_most": operator.le,
    "below": operator.lt,
}


def _refuse_others(values: pl.Series, others: pl.Series, label: Label, path: str) -> None:
    """Reject the first invalid value; missing ones are ignored."""
    wrong = (others & _given(values)).arg_true()
    if not len(wrong):
        return
    allowed = (
        f"a number, for {' and '.join(label.bounds)}"
        if label.bounds
        else "Boolean, or 0 and 1, or any value with positive: [...], at_least: ... in label"
    )
    raise ValueError(
        f"{path}, row {wrong[0]} (from 0): {label.column} is {values[wrong[0]]!r}, "
        f"allowed: {allowed}"
    )


def _given(values: pl.Series) -> pl.Series:
    return values.is_not_null() & (values.is_not_nan() if values.dtype.is_float() else True)


def _numbers(values: pl.Series) -> pl.Series:
    """Read values as numbers, null if they are not; true and false are 1 and 0."""
    if not values.dtype.is_numeric() and values.dtype != pl.Boolean:
        lower = values.cast(pl.String).str.strip_chars().str.to_lowercase()
        values = lower.replace({"true": "1", "false": "0"})
    return values.cast(pl.Float64, strict=False).fill_nan(None)


def _where(present: pl.Series, held: pl.Series) -> pl.Series:
    return pl.select(pl.when(present).then(held)).to_series().alias(held.name)
