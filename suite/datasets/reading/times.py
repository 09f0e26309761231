"""Reading of times as instants: numbers since 1970, date-times, dates and text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import polars as pl

from suite.datasets.reading.values import NUMBER, Place, is_text, refuse_where, shown, spelled

Unit = Literal["s", "ms", "us", "ns"]
"""Unit of numbers since 1970."""

UTC = pl.Datetime("us", "UTC")

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_LARGEST_US = 8 * 10**18
"""Year 255,000, beyond which a date-time does not fit in 64 bits."""

_ISO = (
    r"^([0-9]{4})-?([0-9]{2})-?([0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):?([0-9]{2})(?::?([0-9]{2})(?:[.,]([0-9]{1,6})[0-9]*)?)?"
    r"(?: ?(Z|z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?))?)?$"
)
_COMMON = (
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.fZ",
    "%Y-%m-%dT%H:%M:%S%.f%:z",
    "%Y-%m-%d",
)
"""Formats tried for whole columns, which is much faster than mixed formats."""

_ALLOWED = "ISO 8601 such as 2026-01-31T12:00:00Z, or have its format given as time_format"


@dataclass(frozen=True)
class Instants:
    """Times of a column.

    Attributes
    ----------
    utc : (n,)
        In microseconds; null if missing or skipped.
    skipped, repeated : (n,)
        Boolean: local times skipped by a clock change, and repeated ones, which are read as the
        first of the two instants. None if all times have a zone or offset.
    """

    utc: pl.Series
    skipped: pl.Series | None = None
    repeated: pl.Series | None = None


def instants(
    values: pl.Series,
    place: Place,
    *,
    unit: Unit | None = None,
    form: str | None = None,
    zone: str = "UTC",
) -> Instants:
    """Read a column of times.

    Parameters
    ----------
    values : (n,)
        Date-times and dates of any unit, with a zone or without; numbers; text that is a number,
        ISO 8601 with or without an offset (also mixed), or in ``form``. Null, NaN and the
        spellings in ``values.MISSING`` are missing.
    place
        Returns the location of a row, for messages.
    unit
        Unit of numbers.
    form
        Format of text and of integers such as 20220408, as for chrono's strftime; a trailing Z is
        UTC. With ``unit``, it applies if all values have this format.
    zone
        IANA name of the zone of times without a zone or offset.

    Raises
    ------
    ValueError
        One line: a value is not such a time, with its row, or the type has no times.
    """
    dated = _dated(values, zone)
    if dated is not None:
        return dated
    if not (is_text(values) or values.dtype.is_numeric()):
        raise ValueError(f"{place(None)}: {values.name} is {values.dtype}, must be a time")
    if form is None and values.dtype.is_numeric():
        whole = values.dtype.is_integer()
        numbers = values if whole else values.cast(pl.Float64).fill_nan(None)
        return Instants(_since_1970(numbers, values, place, unit))
    text = spelled(values) if is_text(values) else _digits(values)
    numeric = 2 * int(text.str.contains(NUMBER).sum()) >= max(text.count(), 1)
    if form is not None:
        parsed = _formed(text, form)
        wrong = text.is_not_null() & parsed.is_null()
        if not wrong.any():
            return _dated(parsed, zone) or Instants(parsed)
        if unit is None or not numeric:
            allowed = f"of the format {form!r} (time_format)"
            refuse_where(wrong, values, place, allowed)
    if numeric:
        return Instants(_since_1970(text, values, place, unit))
    return _iso(text, values, place, zone)


def refuse_outside(
    utc: pl.Series, begin: datetime, end: datetime, *, path: str, column: str, unit: str | None
) -> None:
    """Reject times none of which is in the used span, such as those of a wrong unit.

    Parameters
    ----------
    utc : (n,)
        Instants; null is ignored.
    begin, end
        Bounds of the span; the end is excluded.

    Raises
    ------
    ValueError
        One line with the range of the times and the span.
    """
    if utc.count() and not utc.is_between(begin, end, closed="left").any():
        # Polars can also format years above 9999, which a wrong unit gives.
        ends = utc.drop_nulls().sort().dt.to_string("%Y-%m-%d %H:%M")
        as_unit = f" with time_unit {unit}" if unit else ""
        raise ValueError(
            f"{path}: no {column} is in the windows and their histories, {begin:%Y-%m-%d %H:%M} "
            f"to {end:%Y-%m-%d %H:%M}; found{as_unit} are {ends[0]} to {ends[-1]} (UTC)"
        )


def _local(naive: pl.Series, zone: str) -> Instants:
    """Localize times as the other datasets do: null if skipped by a clock change."""
    early = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    late = naive.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
    return Instants(
        early.dt.convert_time_zone("UTC"),
        skipped=early.is_null() & naive.is_not_null(),
        repeated=(early != late).fill_null(value=False),
    )


def _dated(values: pl.Series, zone: str) -> Instants | None:
    """Read date-times and dates; None for any other type."""
    if values.dtype == pl.Null:
        return Instants(values.cast(UTC))
    if values.dtype == pl.Date:
        return _local(values.cast(pl.Datetime("us")), zone)
    if not isinstance(values.dtype, pl.Datetime):
        return None
    times = values.dt.cast_time_unit("us")
    if values.dtype.time_zone is None:
        return _local(times, zone)
    return Instants(times.dt.convert_time_zone("UTC"))


def _digits(values: pl.Series) -> pl.Series:
    """Format numbers as text; integers without a point, NaN as null."""
    if not values.dtype.is_float():
        return values.cast(pl.String)
    present = values.fill_nan(None)
    whole = (present == present.floor()) & (present.abs() < 2**53)
    digits = present.cast(pl.Int64, strict=False).cast(pl.String)
    return digits.zip_with(whole.fill_null(value=False), present.cast(pl.String))


def _since_1970(found: pl.Series, values: pl.Series, place: Place, unit: Unit | None) -> pl.Series:
    """Read numbers, typed or as text, exactly if they are integers; null stays null."""
    if unit is None:
        first = int(found.is_not_null().arg_max() or 0)
        raise ValueError(
            f"{place(first)}: {values.name} is {shown(found[first])}, a number: time_unit must be "
            "s, ms, us or ns, or time_format must give its format"
        )
    if found.dtype == pl.String:
        refuse_where(
            ~found.str.contains(NUMBER), values, place, f"a number ({unit} since 1970: time_unit)"
        )
    per_second = _PER_SECOND[unit]
    about = found.cast(pl.Float64) * (1_000_000 / per_second)
    allowed = f"a time in {unit} since 1970 (time_unit), before the year 255,000"
    refuse_where(about.abs() > _LARGEST_US, values, place, allowed)
    whole = found.cast(pl.Int64, strict=False)
    if found.dtype.is_integer() or (
        found.dtype == pl.String and whole.null_count() == found.null_count()
    ):
        us = whole * (1_000_000 // per_second) if unit != "ns" else whole // 1_000
    else:
        us = about.round().cast(pl.Int64)
    return us.cast(pl.Datetime("us")).dt.replace_time_zone("UTC").alias(values.name)


def _formed(text: pl.Series, form: str) -> pl.Series:
    """Parse text in a strftime format; null if it does not match."""
    plain = form.replace("%%", "")
    if "%Z" in plain:
        raise ValueError(
            f"time_format: found {form!r}, zone names (%Z) are not supported; allowed: an offset "
            "(%z), or neither and the zone in time_zone"
        )
    offset = re.search(r"%[:#]*z|%\+", plain)
    if offset:
        # chrono's %z does not accept Z.
        text = text.str.replace(r"(?:Z|z|UTC|GMT)$", "+0000")
    read = form.replace(".%f", "%.f")
    if re.search("%[HIkl]", plain) and not re.search("%[MRTXcrs+]", plain):
        # chrono does not parse an hour without minutes, such as Avazu's 14102113.
        text, read = text + " 00", f"{read} %M"
    try:
        # Python's .%f is a fraction; in chrono %f counts nanoseconds.
        parsed = text.str.to_datetime(read, time_unit="us", strict=False)
    except pl.exceptions.PolarsError:
        raise ValueError(
            f"time_format: found {form!r}, must be a format such as '%Y-%m-%d %H:%M:%S'"
        ) from None
    return parsed.dt.replace_time_zone("UTC") if plain.endswith("Z") and not offset else parsed


def _iso(text: pl.Series, values: pl.Series, place: Place, zone: str) -> Instants:
    naive, ahead = _iso_parts(text)
    refuse_where(text.is_not_null() & naive.is_null(), values, place, _ALLOWED)
    rows = pl.DataFrame({"naive": naive, "ahead": ahead})
    here = pl.col("ahead").is_null()
    local = _local(rows.select(pl.when(here).then("naive")).to_series(), zone)
    exact = (pl.col("naive") - pl.duration(minutes="ahead")).dt.replace_time_zone("UTC")
    utc = rows.select(pl.when(here).then(local.utc).otherwise(exact)).to_series()
    return Instants(utc.alias(values.name), local.skipped, local.repeated)


def _iso_parts(text: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Parse date-times as written, null if invalid, and their minutes ahead of UTC."""
    naive = pl.Series([None], dtype=pl.Datetime("us")).new_from_index(0, len(text))
    ahead = pl.Series([None], dtype=pl.Int64).new_from_index(0, len(text))
    rest = text
    while form := _common_form(rest.drop_nulls().head(1)):
        parsed = _formed(rest, form)
        if "%:z" in form or form.endswith("Z"):
            ahead = ahead.zip_with(parsed.is_null(), pl.Series([0]))
        naive = pl.select(pl.coalesce(parsed.dt.replace_time_zone(None), naive)).to_series()
        rest = pl.select(pl.when(naive.is_null()).then(rest)).to_series()
    if rest.count():
        others = _parsed(rest)
        naive = pl.select(pl.coalesce(naive, others["naive"])).to_series()
        ahead = pl.select(pl.coalesce(ahead, others["ahead"])).to_series()
    return naive, ahead


def _common_form(first: pl.Series) -> str:
    return next((form for form in _COMMON if _formed(first, form).count()), "")


def _parsed(text: pl.Series) -> pl.DataFrame:
    """Parse ISO 8601 into ``naive`` and ``ahead``, as above."""
    names = ("year", "month", "day", "hour", "minute", "second", "fraction", "offset")
    parts = text.str.extract_groups(_ISO).struct.rename_fields(names).struct.unnest()
    date = pl.format("{}-{}-{}", "year", "month", "day")
    clock = [pl.col(name).fill_null("00") for name in ("hour", "minute", "second")]
    written = pl.format("{} {}:{}:{}.{}", date, *clock, pl.col("fraction").fill_null("0"))
    digits = pl.col("offset").str.replace(r"^[A-Za-z]+$", "+0000").str.replace(":", "")
    minutes = 60 * digits.str.slice(1, 2).cast(pl.Int64) + (
        digits.str.slice(3, 2).replace("", "00").cast(pl.Int64)
    )
    return parts.select(
        naive=written.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False),
        ahead=pl.when(digits.str.starts_with("-")).then(-minutes).otherwise(minutes),
    )
