"""The kinds of steps name what there is."""

from __future__ import annotations

from importlib import import_module

import pytest

from suite.execute.timeline import WORK
from suite.plan.kinds import KINDS


def named(place: str) -> object:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


@pytest.mark.parametrize("kind", KINDS)
def test_functions_and_results_are_there_and_results_save_and_load(kind: str) -> None:
    assert callable(named(KINDS[kind].function))
    result = named(KINDS[kind].result)
    assert callable(getattr(result, "save", None))
    assert callable(getattr(result, "load", None))


def test_analyses_and_nothing_else_have_tables_in_the_order_of_a_leaderboard() -> None:
    makers = {name: kind.tables for name, kind in KINDS.items() if kind.tables}
    assert list(makers) == ["differences", "attribution", "tasks"]
    assert all(callable(named(place)) for place in makers.values())


def test_what_counts_as_work_is_what_computes_or_changes_vectors_and_judges_them() -> None:
    assert set(WORK) == {"fit", "represent", "defend", "utility", "attack"}
