"""The quick suite as a first user runs it: whole-process seconds, cold and when all is cached.

Bars on two cores: less than 3 minutes cold, less than 10 s cached.
"""

import time
from statistics import median

import pytest

from tests.processes import finish

NUM_CACHED = 5


@pytest.mark.timeout(1800)
@pytest.mark.benchmark(group="quick suite")
def test_quick_cold_and_cached(benchmark, tmp_path, told):
    def once(*arguments):
        start = time.perf_counter()
        ran = finish(*arguments, "--storage", tmp_path)
        seconds = time.perf_counter() - start
        assert ran.returncode == 0, ran.stderr
        return seconds

    cold_s = once("run", "quick")
    cached_s = [once("run", "quick") for _ in range(NUM_CACHED - 1)]
    cached_s.append(benchmark.pedantic(once, args=("run", "quick"), rounds=1))
    help_s = [once_help() for _ in range(NUM_CACHED)]
    told(
        {
            "cold_s": round(cold_s, 1),
            "cached_s": round(median(cached_s), 1),
            "cached_lowest_s": round(min(cached_s), 1),
            "help_s": round(median(help_s), 2),
            "cached_repeats": NUM_CACHED,
        }
    )


def once_help():
    start = time.perf_counter()
    assert finish("--help").returncode == 0
    return time.perf_counter() - start
