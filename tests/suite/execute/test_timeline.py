import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.execute.timeline import Span, Timeline, covered


def span(kind, start, end, **changes):
    given = {"title": kind, "digest": kind, "node": "10.0.0.1", "compute_s": 0.0}
    sizes = {"read_bytes": 10, "written_bytes": 5, "cpus": 1}
    return Span(kind=kind, start=start, end=end, **given | sizes | changes)


@pytest.fixture
def timeline():
    """Ten seconds on two CPUs: 5 s of features and waiting, then fits and attacks side by side."""
    made = Timeline(begin=100.0, cluster_cpus=2)
    for ran in (
        span("features", 101.0, 104.0),
        span("fit", 105.0, 107.0),
        span("fit", 105.0, 108.0),
        span("attack", 107.0, 109.0),
        span("measure", 109.0, 110.0),
    ):
        made.add(ran)
    return made


def test_the_share_outside_is_the_time_in_which_no_fit_represent_or_attack_ran(timeline):
    assert timeline.wall_s == 10
    assert timeline.outside == pytest.approx(1 - 4 / 10)


def test_idle_is_what_no_step_held_of_all_cpus(timeline):
    assert timeline.idle == pytest.approx(1 - (3 + 2 + 3 + 2 + 1) / 20)


def test_a_fit_of_several_workers_holds_a_cpu_for_each():
    made = Timeline(begin=0.0, cluster_cpus=4)
    made.add(span("fit", 0.0, 10.0, cpus=4))
    assert made.idle == 0
    assert made.outside == 0


def test_bytes_moved_are_those_of_the_results_read_and_written(timeline):
    assert timeline.moved_bytes == 5 * 15


def test_it_reads_what_it_wrote_and_says_it_in_one_line(timeline):
    again = Timeline.from_json(timeline.to_json())
    assert again == timeline
    plain = json.loads(timeline.to_json())
    assert plain["seconds"] == {"features": 3.0, "fit": 5.0, "attack": 2.0, "measure": 1.0}
    assert str(timeline) == (
        "10 s, 60% of it outside its work (fit, represent, defend, utility, attack); "
        "45% of 2 CPUs idle; 0 MB read and written"
    )


def test_an_execution_without_steps_has_no_share():
    assert (Timeline(begin=0.0).outside, Timeline(begin=0.0).idle) == (0.0, 0.0)


whole = st.integers(0, 60)


@given(st.lists(st.tuples(whole, whole).map(lambda ends: (min(ends), max(ends)))))
def test_the_union_of_intervals_is_as_long_as_the_units_in_any_of_them(intervals):
    units = {unit for start, end in intervals for unit in range(start, end)}
    assert covered(intervals) == len(units)
