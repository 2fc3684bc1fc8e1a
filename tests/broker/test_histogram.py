"""A histogram tells what a list of the same durations would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tidelog.broker.histogram import Histogram

NS = 1_000_000_000


@given(st.lists(st.integers(0, 20 * NS) | st.sampled_from([100_000, 250_000, NS, 10 * NS])))
def test_it_counts_as_a_list_would(durations_ns: list[int]) -> None:
    histogram = Histogram()
    for duration_ns in durations_ns:
        histogram.observe(duration_ns)
    assert histogram.count == len(durations_ns)
    assert histogram.sum_ns == sum(durations_ns)
    buckets = histogram.buckets()
    bounds = [bound for bound, _ in buckets]
    assert bounds == sorted(bounds)
    assert bounds[-1] == float("inf")
    for bound, count in buckets:
        assert count == sum(one <= bound * NS for one in durations_ns)
