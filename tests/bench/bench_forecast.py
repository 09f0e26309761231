"""Coverage and error of forecasts to 10 and 25 times as many users, over ten worlds.

A population of 25,000 users with a probe each is ranked exactly, which gives the truth; galleries
of 1,000 with four new probes per user are drawn from it, and each forecasts. Per world and factor:
the truth, the mean forecast over it, the median absolute relative error, how often the 95 %
interval holds the truth, its median upper over its lower end, and forecasts refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from attacks.measures.forecast import forecast
from tests.worlds import NOISE, Draw, Population

USERS, SEEN, EACH, FACTORS = 25_000, 1000, 4, (10, 25)
REPLICATIONS, REPLICATES = 100, 200
COLUMNS = ("truth", "mean / truth", "median error", "coverage", "high / low", "refused")


@pytest.mark.parametrize(("draw", "d"), NOISE)
def test_intervals_cover_and_errors_are_small(
    draw: Draw, d: int, benchmark: BenchmarkFixture, told: Callable[..., None]
) -> None:
    spent: list[float] = []
    targets = [factor * SEEN for factor in FACTORS]
    table: dict[str, str] = {}

    def once() -> None:
        rng = np.random.default_rng(0)
        population = Population.drawn(draw, d, USERS, rng)
        truth = population.truth(targets)
        rows = []
        for ranks, user in islice(population.seen(SEEN, EACH, rng), REPLICATIONS):
            began = time.process_time()
            found = forecast(ranks, user, SEEN, targets, replicates=REPLICATES, rng=rng) or ()
            spent.append(time.process_time() - began)
            rows.append([(one.top1, one.top1_low, one.top1_high) for one in found])
        said = np.array(rows, np.float64)
        for factor, exact, column in zip(FACTORS, truth, said.swapaxes(0, 1), strict=True):
            value, low, high = column[~np.isnan(column[:, 0])].T
            figures = (
                *(exact, value.mean() / exact, np.median(np.abs(value / exact - 1))),
                *(((low <= exact) & (exact <= high)).mean(), np.median(high / low)),
                float(len(column) - len(value)),
            )
            table[f"{draw.__name__} {d}, {factor}x"] = "  ".join(
                f"{name} {figure:.3g}" for name, figure in zip(COLUMNS, figures, strict=True)
            )

    benchmark.pedantic(once, rounds=1, iterations=1)  # type: ignore[no-untyped-call]
    told(
        {
            "users, seen, probes each, noise": f"{USERS}, {SEEN}, {EACH}, {NOISE[draw, d]}",
            "replications": REPLICATIONS,
            **table,
            "median_forecast_cpu_s": round(float(np.median(spent)), 3),
        }
    )
