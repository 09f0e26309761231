"""How often the intervals hold the true figure, over the populations of `tests.populations`.

``COVERAGE_RUNS`` samples of each population, 1,000 where it is not set; docs/statistics.md shows
what is printed. "marked" counts the samples whose interval `attacks.measures.reliability` doubts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from attacks.measures.auc import clustered_auc
from attacks.measures.comparisons import paired_difference
from attacks.measures.intervals import rate_intervals
from attacks.measures.reliability import doubt_of_mean
from tests.populations import ACTIVITIES, Events, Population, figures

RUNS = int(os.environ.get("COVERAGE_RUNS", "1000"))
SIZES = (30, 100, 1000)
RATES = (0.002, 0.01, 0.05, 0.3, 0.9)
FIGURES = ("top1", "per_user_top1", "mrr", "bits")
PER_USER = [name == "per_user_top1" for name in FIGURES]
# Where all users are equally active, nothing can depend on activity.
KINDS = [(kind, related) for kind in ACTIVITIES for related in (False, True)]
KINDS.remove(("equal", True))

Line = list[str]


def test_how_often_the_intervals_of_rates_hold_the_truth(
    benchmark: BenchmarkFixture,
    told: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    header = ["users", "activity", "risk", "top-1", "top-1, lift", "per user", "MRR", "bits"]
    header += ["marked", "top-1 unmarked"]
    lines = _timed(benchmark, lambda: list(map(_rates, product(SIZES, KINDS, RATES))))
    _print(capsys, header, lines)
    told({"samples of each population": RUNS})


def test_how_often_the_intervals_of_auc_hold_the_truth(
    benchmark: BenchmarkFixture,
    told: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = _timed(benchmark, lambda: list(map(_auc, product(SIZES, KINDS, (0.5, 2.0)))))
    _print(capsys, ["users", "activity", "risk", "AUC", "AUC held", "marked"], lines)
    told({"samples of each population": RUNS})


def test_how_often_paired_differences_reject_and_hold_the_truth(
    benchmark: BenchmarkFixture,
    told: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    header = ["users", "activity", "risk", "top-1", "rejected: alike", "rejected: even", "held"]
    header += ["marked: even", "even, unmarked"]
    lines = _timed(benchmark, lambda: list(map(_paired, product(SIZES, KINDS, (0.01, 0.05, 0.3)))))
    _print(capsys, header, lines)
    told({"samples of each population": RUNS})


def _rates(case: tuple[int, tuple[str, bool], float]) -> Line:
    num_users, (kind, related), rate = case
    population = Population(kind, related, rate)
    truth = np.array([population.truth[name] for name in FIGURES])
    held, marked = [], []
    for rng in _generators(case):
        ranks, user = population.sample(num_users, rng)
        credits = figures(ranks)
        low, high = rate_intervals(credits, user, per_user=PER_USER)
        held.append((low <= truth) & (truth <= high))
        marked.append(doubt_of_mean(credits[:, 0], user) is not None)
    kept = [row[0] for row, is_marked in zip(held, marked, strict=True) if not is_marked]
    shares = [_percent(column) for column in np.array(held).T]
    unmarked = _percent(kept) if len(kept) >= RUNS / 10 else ""
    return [*_names(case), f"{100 * rate:g} %", *shares, _percent(marked), unmarked]


def _auc(case: tuple[int, tuple[str, bool], float]) -> Line:
    num_users, (kind, related), separation = case
    events = Events(kind, related, separation)
    held, marked = [], []
    for rng in _generators(case):
        found = clustered_auc(*events.sample(num_users, rng))
        held.append(found.low <= events.auc <= found.high)
        marked.append(found.doubt is not None)
    return [*_names(case), f"{events.auc:.3f}", _percent(held), _percent(marked)]


def _paired(case: tuple[int, tuple[str, bool], float]) -> Line:
    """Two attacks with one true rate: of the same risks, or the second with one for everybody.

    The difference to be held is that to an attack that finds four of five.
    """
    num_users, (kind, related), rate = case
    population = Population(kind, related, rate)
    alike, even, held, marked = [], [], [], []
    for rng in _generators(case):
        risk, user = population.risk(num_users, rng)
        first, other, weaker = (rng.random(len(user)) < risk * x for x in (1.0, 1.0, 0.8))
        constant = rng.random(len(user)) < rate
        tests = [
            paired_difference(1.0 * first, 1.0 * second, user, swaps=999, rng=rng)
            for second in (other, constant, weaker)
        ]
        alike.append(tests[0].p <= 0.05)
        even.append(tests[1].p <= 0.05)
        held.append(tests[2].low <= 0.2 * rate <= tests[2].high)
        marked.append(tests[1].doubt is not None)
    kept = [small for small, is_marked in zip(even, marked, strict=True) if not is_marked]
    unmarked = _percent(kept) if len(kept) >= RUNS / 10 else ""
    shares = map(_percent, (alike, even, held, marked))
    return [*_names(case), f"{100 * rate:g} %", *shares, unmarked]


def _names(case: tuple[int, tuple[str, bool], float]) -> Line:
    num_users, (kind, related), _ = case
    return [f"{num_users:,}", kind, "with activity" if related else "independent"]


def _generators(case: tuple[int, tuple[str, bool], float]) -> Iterator[np.random.Generator]:
    num_users, (kind, related), value = case
    key = [num_users, ACTIVITIES.index(kind), related, round(1000 * value)]
    for run in range(RUNS):
        yield np.random.default_rng([*key, run])


def _percent(held: Any) -> str:
    return f"{100 * np.mean(held):.1f}"


def _timed(benchmark: BenchmarkFixture, make: Callable[[], list[Line]]) -> list[Line]:
    found: list[Line] = benchmark.pedantic(make, rounds=1, iterations=1)  # type: ignore[no-untyped-call]
    return found


def _print(capsys: pytest.CaptureFixture[str], header: Line, lines: list[Line]) -> None:
    with capsys.disabled():
        for line in ([""], header, ["---"] * len(header), *lines):
            print(f"| {' | '.join(line)} |" if len(line) > 1 else "")  # noqa: T201 - its output
