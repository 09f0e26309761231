from __future__ import annotations


def test_a_file_that_cannot_be_read_is_named(latentprint, tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    days = [("train", "08"), ("validation", "09"), ("test", "10"), ("end", "11")]
    windows = [part for name, day in days for part in ("--set", f"{name}=2020-01-{day}")]
    done = latentprint("data", "check", "table", tmp_path / "bad.parquet", *windows)
    assert done.code == 2
    assert done.err.startswith(f"latentprint: {tmp_path}/bad.parquet: ")
