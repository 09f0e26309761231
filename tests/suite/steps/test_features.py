"""What reading a dataset ends with where Polars cannot."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from suite.datasets.base import Dataset
from suite.steps.features import read


@dataclass(frozen=True, kw_only=True)
class OwnReader(Dataset):
    """A user's own dataset that scans a file with Polars itself."""

    path: str

    def files(self):
        return [Path(self.path)]

    def tables(self):
        return pl.scan_parquet(self.path).collect()


def test_a_panic_and_an_error_of_polars_are_one_line_with_the_files(tmp_path):
    views = pa.array([[1, 2]], pa.list_view(pa.int64()))
    pq.write_table(pa.table({"x": views}), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_text("no Parquet")

    for name, kind in (("a", "PanicException"), ("b", "ComputeError")):
        path = tmp_path / f"{name}.parquet"
        with pytest.raises(ValueError, match=rf"^{path}: {kind}: [^\n]+$"):
            read(OwnReader(path=str(path)))
