"""Reading of Parquet, including Arrow types that Polars does not support."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import available_timezones

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from suite.datasets.reading.refusals import refusing


def scan_parquet(path: Path) -> pl.LazyFrame:
    """Scan a Parquet file.

    Returns
    -------
    LazyFrame
        List views become lists, decimals of more than 38 digits text, and times with an offset
        or a zone that is not in the database (pandas writes ``+05:30``) UTC.

    Raises
    ------
    ValueError
        One line: the file is damaged, or a column has an unsupported type.
    """
    with refusing(path):
        schema = pq.read_schema(path)
        fields = [_readable(field) for field in schema]
        if fields == list(schema):
            rows = pl.scan_parquet(path, glob=False)
            rows.collect_schema()
            return rows
        table = pq.read_table(path).cast(pa.schema(fields))
        return pl.DataFrame(table).lazy()


def _readable(field: pa.Field) -> pa.Field:
    dtype = field.type
    # Arrow's cast between views and lists fails if both have offsets of the same width.
    if pa.types.is_list_view(dtype):
        return field.with_type(pa.large_list(dtype.value_type))
    if pa.types.is_large_list_view(dtype):
        return field.with_type(pa.list_(dtype.value_type))
    if pa.types.is_decimal256(dtype):
        return field.with_type(pa.string())
    if pa.types.is_timestamp(dtype) and dtype.tz and dtype.tz not in available_timezones():
        return field.with_type(pa.timestamp(dtype.unit, "UTC"))
    return field
