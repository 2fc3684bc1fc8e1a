"""Families of metrics from values, in the classes of Prometheus' client."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    UntypedMetricFamily,
)
from prometheus_client.metrics_core import Metric

from tidelog.broker.histogram import Histogram

Labels = Sequence[str]
Samples = Iterable[tuple[Labels, float]]


def gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value)


def gauges(name: str, text: str, labels: Labels, samples: Samples) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def reserved(name: str, text: str, labels: Labels, samples: Samples) -> Metric:
    """Gauges whose usual names end as only a histogram's may: they say no type."""
    family = UntypedMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def counter(name: str, text: str, value: float) -> Metric:
    """``name`` is without the ``_total`` that it is written with."""
    return CounterMetricFamily(name, text, value)


def counters(name: str, text: str, labels: Labels, samples: Samples) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def histograms(
    name: str, text: str, labels: Labels, samples: Iterable[tuple[Labels, Histogram]]
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, one in samples:
        buckets = [(_bound(seconds), count) for seconds, count in one.buckets()]
        family.add_metric(values, buckets, one.sum_ns / 1e9)
    return family


def _bound(seconds: float) -> str:
    return "+Inf" if seconds == float("inf") else f"{seconds:g}"
