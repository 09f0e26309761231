import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.features.texts import NUM_TOKENS, texts


def world(ids: list[list[int] | None], items: list[int]):
    table = pl.LazyFrame(
        {"item_id": range(len(ids)), "tokens": ids},
        schema={"item_id": pl.Int64, "tokens": pl.List(pl.Int32)},
    )
    return pl.DataFrame({"item_id": items}, schema={"item_id": pl.Int64}), table


def expected(ids: list[int] | None) -> list[int]:
    ids = ids or []
    return ids if len(ids) <= NUM_TOKENS else [*ids[: NUM_TOKENS - 1], ids[-1]]


IDS = st.one_of(st.none(), st.lists(st.integers(1, 3), max_size=3 + NUM_TOKENS))


@settings(max_examples=60, deadline=None)
@given(ids=st.lists(IDS, min_size=1, max_size=6), data=st.data())
def test_every_event_finds_its_text_and_equal_texts_are_kept_once(ids, data):
    items = data.draw(st.lists(st.integers(0, len(ids) + 1), min_size=1, max_size=20))
    tokens, row = texts(*world(ids, items))
    assert tokens.dtype == np.int32
    assert tokens.shape[1] <= NUM_TOKENS
    assert len(np.unique(tokens, axis=0)) == len(tokens) == len(np.unique(row))
    for item, found in zip(items, tokens[row].tolist(), strict=True):
        # Items that are not in the table have no text.
        wanted = expected(ids[item] if item < len(ids) else None)
        assert found[: len(wanted)] == wanted
        assert not any(found[len(wanted) :])


@pytest.mark.parametrize("events", [1, 7])
def test_without_texts_there_is_one_row_without_tokens(events):
    frame = pl.DataFrame({"item_id": [3] * events})
    tokens, row = texts(frame, pl.LazyFrame({"item_id": [3]}))
    assert tokens.shape == (1, 0)
    assert row.tolist() == [0] * events
