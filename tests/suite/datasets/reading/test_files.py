import bz2
import gzip
import json
import lzma
import os
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from suite.datasets.reading import content, files
from suite.datasets.reading.refusals import refusing

ROWS = [("7", "a b"), ("07", "c"), ("1e3", None)]


def write(path, text, pack=bytes):
    path.write_bytes(pack(text.encode()))
    return path


def zstd(data):
    return pa.compress(data, codec="zstd", asbytes=True)


def delimited(separator, header=True):
    lines = [("user", "note")] * header + ROWS
    return "".join(f"{user}{separator}{note or ''}\n" for user, note in lines)


def rows(path, **given):
    return files.collect(files.scan(path, **given), path).rows()


def message(call, *args, **given):
    with pytest.raises(ValueError, match=r".") as error:
        call(*args, **given)
    text = str(error.value)
    assert text.isprintable()
    return text


@pytest.mark.parametrize("separator", [",", "\t", ";", "|", "\x01"])
@pytest.mark.parametrize("suffix", ["csv", "tsv", "txt", "inter", "data"])
def test_the_separator_is_found_whatever_the_suffix(tmp_path, separator, suffix):
    path = write(tmp_path / f"log.{suffix}", delimited(separator))

    assert rows(path) == ROWS


def test_a_blank_separates_only_where_nothing_else_does(tmp_path):
    times = write(tmp_path / "a.txt", "1,2026-01-02 10:00\n2,2026-01-02 11:00\n")
    blanks = write(tmp_path / "b.txt", "1 2\n3 4\n")

    assert rows(times, columns=["user", "time"])[0] == ("1", "2026-01-02 10:00")
    assert rows(blanks, columns=["user", "item"]) == [("1", "2"), ("3", "4")]


def test_quoted_separators_and_lines_do_not_count(tmp_path):
    path = write(tmp_path / "a.csv", 'user;note\n1;"a,b\nc,d"\n2;"e,f"\n3;g\n')

    assert rows(path) == [("1", "a,b\nc,d"), ("2", "e,f"), ("3", "g")]


@pytest.mark.parametrize("separator", ["::", "\\t", "~"])
def test_a_separator_can_be_named(tmp_path, separator):
    text = delimited(separator.replace("\\t", "\t"))

    given = [
        (user, note or "")
        for user, note in rows(write(tmp_path / "a.dat", text), separator=separator)
    ]
    assert given == [(user, note or "") for user, note in ROWS]


@pytest.mark.parametrize("separator", ["::", "\t"])
def test_columns_of_a_file_without_a_header_are_named(tmp_path, separator):
    path = write(tmp_path / "u.data", "1,10,5,9\n2,11,4,8\n".replace(",", separator))
    names = ["user", "item", "rating", "time"]
    frame = files.collect(files.scan(path, separator=separator, columns=names), path)

    assert frame.columns == names
    assert frame.rows() == [("1", "10", "5", "9"), ("2", "11", "4", "8")]
    assert message(rows, path, separator=separator, columns=["user", "item"]).endswith(
        "columns: found 2 names (2 distinct), the first line has 4 fields; "
        "one name for each is needed"
    )


def test_names_lose_what_surrounds_them(tmp_path):
    blanks = write(tmp_path / "a.csv", "\ufeffuser , item\n1,2\n")
    recbole = write(
        tmp_path / "b.inter", "user_id:token\ttags:token_seq\ttime:float\n1\ta b\t2.0\n"
    )
    colons = write(tmp_path / "c.csv", "user:id,item:token\n1,2\n")

    assert files.scan(blanks).collect_schema().names() == ["user", "item"]
    assert files.scan(recbole).collect_schema().names() == ["user_id", "tags", "time"]
    assert files.scan(colons).collect_schema().names() == ["user:id", "item:token"]


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress), ("zst", zstd)],
)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_packed_files_are_read_whether_the_name_says_so_or_not(tmp_path, suffix, pack, kind):
    text = delimited(",")
    if kind == "jsonl":
        text = "".join(json.dumps({"user": user, "note": note}) + "\n" for user, note in ROWS)

    for name in (f"log.{kind}.{suffix}", f"log.{kind}"):
        path = write(tmp_path / name, text, pack)
        assert rows(path) == ROWS
        path.write_bytes(path.read_bytes()[:-9])
        assert "cannot be decompressed, it is damaged or truncated" in message(rows, path)


def test_json_lines_keep_their_types(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"u": 7, "v": [1, 2]}\n\n{"u": 8, "w": true}\n')
    mixed = write(tmp_path / "b.json", '{"u": 7}\n{"u": "07"}\n')

    assert rows(path) == [(7, [1, 2], None), (8, None, True)]
    assert rows(mixed) == [("7",), ("07",)]


@pytest.mark.parametrize("name", ["log[1]", "log?", "log*", "lo[g]*?"])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "dat"])
def test_a_name_is_not_a_pattern(tmp_path, name, kind):
    def put(path, user):
        if kind == "parquet":
            pl.DataFrame({"user": [user]}).write_parquet(path)
        elif kind == "dat":
            path.write_text(f"user::item\n{user}::1\n")
        else:
            path.write_text(json.dumps({"user": user}) if kind == "jsonl" else f"user\n{user}\n")

    for other in ("log1", "logx", "log[1]x"):
        put(tmp_path / f"{other}.{kind}", "another")
    put(tmp_path / f"{name}.{kind}", "me")

    found = files.read(
        tmp_path / f"{name}.{kind}", ["user"], separator="::" if kind == "dat" else None
    )
    assert found.frame["user"].to_list() == ["me"]


def test_files_of_a_folder_are_read_in_order_of_their_names(tmp_path):
    folder = tmp_path / "log[1]"
    folder.mkdir()
    for number in (2, 1, 10):
        pl.DataFrame({"user": [number] * number}).write_parquet(
            folder / f"part-{number:02}.parquet"
        )
    for name in ("_part.parquet", ".part.parquet", "part.txt"):
        (folder / name).write_text("not read")
    (folder / "more.parquet").mkdir()
    found = files.read(folder, ["user"], parts="*.parquet")

    assert found.frame["user"].to_list() == [1] + [2] * 2 + [10] * 10
    assert found.place(0).endswith("part-01.parquet, row 0 (from 0)")
    assert found.place(12).endswith("part-10.parquet, row 9 (from 0)")
    assert message(files.read, folder, ["user"]).endswith(
        "is a folder; select files with parts, such as '*.parquet'"
    )
    assert "no file matches parts ('*.csv')" in message(files.listed, folder, "*.csv")
    assert "parts: found '/x'" in message(files.listed, folder, "/x")
    assert "a.csv: is a URI, only local files are supported" in message(
        files.scan, "s3://log/a.csv"
    )
    assert "no such folder" in message(files.listed, folder / "part.txt", "*")


def test_files_whose_columns_differ_in_type_are_refused(tmp_path):
    pl.DataFrame({"user": [1]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"user": [[1]]}).write_parquet(tmp_path / "b.parquet")

    text = message(files.read, tmp_path, ["user"], parts="*")
    assert text.startswith(f"{tmp_path / 'b.parquet'}: user is List(Int64), must be Int64")


@pytest.mark.parametrize("given", [{"separator": ","}, {"columns": ("user",)}])
def test_what_is_said_of_text_is_not_passed_over_for_other_files(tmp_path, given):
    pl.DataFrame({"user": [1]}).write_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text('{"user": 1}')

    for name, kind in (("a.parquet", "Parquet"), ("a.jsonl", "JSON Lines")):
        text = message(files.scan, tmp_path / name, **given)
        assert text.endswith(f"{name}: is {kind}, {next(iter(given))} are for text only")


LOOKS = {
    "Parquet": b"PAR1\x15\x04",
    "a zip archive or an Excel workbook": b"PK\x03\x04\x14\0",
    "UTF-16 text": "user,item\n1,2\n".encode("utf-16"),
    "HDF5": b"\x89HDF\r\n",
    "a Python pickle": b"\x80\x04\x95",
    "a tar archive": bytes(257) + b"ustar",
    "a binary file": b"user,item\n1,\0\xff\n",
}


@pytest.mark.parametrize("name", LOOKS)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_binary_file_called_text_is_named_by_its_content(tmp_path, name, pack):
    path = tmp_path / "events.csv"
    path.write_bytes(pack(LOOKS[name]))

    assert f"events.csv: looks like {name}, must be" in message(rows, path)


def test_text_called_parquet_is_named(tmp_path):
    path = write(tmp_path / "log.parquet", "user,item\n1,2\n")
    packed = write(tmp_path / "packed.parquet", "PAR1", gzip.compress)

    assert "looks like text, must be Parquet as its suffix says" in message(rows, path)
    assert "looks like gzip, must be Parquet as its suffix says" in message(rows, packed)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", b"", "a.csv: empty file"),
        ("a.csv", b"\n\n", "a.csv: empty file"),
        ("a.parquet", b"", "a.parquet: empty file"),
        ("a.csv", b"a,b\n1,2\n1,2,3\n", "a.csv, line 3: has 3 fields, the first line has 2"),
        ("a.csv", b'a,b\n1,"2\n3,4\n', "a.csv, line 3: a quote is not closed, or not doubled"),
        ("a.csv", b"a,b\n1,2\nM\xfcller,3\n", "a.csv, line 3: is not UTF-8 text"),
        ("a.csv", b"a,b\r1,2\r", "a.csv: lines end in \\r, must end in"),
        ("a.csv", b"a,b\n" + b"1,2\n" * 300_000 + b"\xfc,3\n", "line 300002: is not UTF-8 text"),
        ("a.jsonl", b'{"u":1}\n{"u":\n', "a.jsonl, line 2: is not a JSON object"),
        ("a.jsonl", b'[{"u":1}]\n', "a.jsonl: must be JSON Lines: one object in braces"),
        ("a.jsonl", b'{"u":1}\n{"u":[1]}\n{"u":true}\n', "a column has values of several types"),
    ],
)
def test_what_is_wrong_with_a_text_is_said_with_its_line(tmp_path, name, text, said):
    (tmp_path / name).write_bytes(text)

    assert said in message(rows, tmp_path / name)


def test_a_missing_column_is_named_with_at_most_twenty_of_those_found(tmp_path):
    many = write(
        tmp_path / "a.csv", ",".join(f"c{n}" for n in range(1000)) + "\n" + ",".join("1" * 1000)
    )
    odd = write(tmp_path / "b.csv", "us\x1ber,item\n1,2\n")

    assert message(files.read, many, ["x"]).endswith(
        "no column x, found " + ", ".join(f"c{n}" for n in range(20)) + ", 980 more"
    )
    assert message(files.read, odd, ["x"]).endswith(r"found 'us\x1ber', item")


ODD = {
    "list_view": (pa.array([[1, 2], [3]], pa.list_view(pa.int64())), [[1, 2], [3]]),
    "large_list_view": (pa.array([[1, 2], [3]], pa.large_list_view(pa.int64())), [[1, 2], [3]]),
    "decimal256": (pa.array([Decimal("1.5"), None], pa.decimal256(60, 1)), ["1.5", None]),
    "seconds": (
        pa.array(np.array([1767351600, "NaT"], "datetime64[s]")),
        [datetime(2026, 1, 2, 11), None],
    ),
    "offset": (
        pa.array([1767351600, None], pa.timestamp("s", "+05:30")),
        [datetime(2026, 1, 2, 11, tzinfo=UTC), None],
    ),
    "unknown zone": (
        pa.array([1767351600_000, None], pa.timestamp("ms", "Mars/Olympus")),
        [datetime(2026, 1, 2, 11, tzinfo=UTC), None],
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_types_that_polars_does_not_know_are_read(tmp_path, name):
    array, expected = ODD[name]
    pq.write_table(pa.table({"x": array, "y": [1, 2]}), tmp_path / "a.parquet")

    assert rows(tmp_path / "a.parquet") == list(zip(expected, [1, 2], strict=True))


def damaged(path, seed):
    """Bytes of a Parquet file, some of its footer and pages changed or its end cut off."""
    rng = np.random.default_rng(seed)
    pl.DataFrame(
        {"u": rng.integers(9, size=500), "t": [f"user {n}" for n in range(500)]}
    ).write_parquet(path, row_group_size=100)
    found = bytearray(path.read_bytes())
    footer = len(found) - 8 - int.from_bytes(found[-8:-4], "little")
    for position in rng.integers(footer if seed % 2 else 4, len(found) - 8, size=4):
        found[position] = rng.integers(256)
    path.write_bytes(found[: rng.integers(8, len(found))] if seed % 5 == 0 else found)


def outcome(path):
    try:
        rows(path)
    except ValueError as error:
        return str(error)
    return None


def test_damaged_parquet_is_one_line_and_no_trace(tmp_path, capfd):
    path = tmp_path / "log.parquet"
    said = []
    for seed in range(120):
        damaged(path, seed)
        said.append(outcome(path))
    refused = [text for text in said if text]

    assert len(refused) > 60
    assert all(text.startswith(f"{path}: ") and text.isprintable() for text in refused)
    # Not that nothing is there: threads of Ray in this process may write at any time.
    assert not {"panicked", "Traceback"} & set(capfd.readouterr().err.split())


def test_a_panic_of_polars_leaves_one_line_and_other_words_are_kept(tmp_path, capfd):
    array, _ = ODD["list_view"]
    pq.write_table(pa.table({"x": array}), tmp_path / "a.parquet")
    scanned = pl.scan_parquet(tmp_path / "a.parquet")
    with (
        pytest.raises(ValueError, match=r"^a: cannot be read, it is damaged, [\w ,]+$"),
        refusing("a"),
    ):
        scanned.collect()
    with refusing("a"):
        os.write(2, b"a warning")

    assert capfd.readouterr().err == "a warning"


def test_separators_of_one_column_and_of_uneven_lines():
    assert content.separator("user\n1\n2\n", None) == ","
    assert content.separator("a;b;c\n1;2\n1;2;3\n4;5\n", None) == ";"
