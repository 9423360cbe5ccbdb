"""What is counted and timed, as Prometheus reads it. Each process counts for itself."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "focus_patrol_"
QUICK_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SLOW_S = (0.01, 0.1, 0.5, 1, 5, 15, 60, 300)
LAG_S = (0, 1, 2, 5, 15, 60, 300, 900, 3_600, 6 * 3_600, 86_400)
CALLS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)


class Metrics:
    """Everything that is measured, in a registry of its own."""

    def __init__(self) -> None:
        """Nothing has happened yet."""
        self._registry = CollectorRegistry()
        self.items = self._counter(
            "items", "Pings and incidents by what became of them", ["kind", "outcome"]
        )
        self.refused = self._counter("refused", "Refused pings by the code of their flaw", ["code"])
        self.answers = self._counter("answers", "HTTP answers", ["status"])
        self.answer_s = self._histogram(
            "answer_seconds", "From a request's head to the end of its answer", QUICK_S, ["call"]
        )
        self.group_calls = self._histogram("group_calls", "Calls that one write served", CALLS)
        self.write_s = self._histogram(
            "write_seconds", "Storing a group of pings, flushed to disk", QUICK_S
        )
        self.derive_s = self._histogram("derive_seconds", "One round of derivation", SLOW_S)
        self.lag_s = Spread(
            f"{PREFIX}lag_seconds", "How late new pings came: receipt minus fix", LAG_S
        )
        self._registry.register(self.lag_s)
        self.waiting = self._gauge("waiting_calls", "Calls that wait for a group")
        self.waiting_bytes = self._gauge("waiting_bytes", "Bodies that are held in memory")
        self.database_up = self._gauge("database_up", "Whether the database answered just now")
        self.dirty_hours = self._gauge("dirty_hours", "Hours of units that are still to derive")
        self.units = self._gauge("units", "Units that were ever heard")
        self.units_stale = self._gauge("units_stale", "Units that have been silent for too long")

    def text(self) -> bytes:
        """All of it in the text format of Prometheus."""
        return generate_latest(self._registry)

    def count(self, kind: str, accepted: int, duplicate: int, rejected: int) -> None:
        """Adds what became of some items."""
        self.items.labels(kind, "accepted").inc(accepted)
        self.items.labels(kind, "duplicate").inc(duplicate)
        self.items.labels(kind, "rejected").inc(rejected)

    def _counter(self, name: str, about: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(PREFIX + name, about, labels, registry=self._registry)

    def _gauge(self, name: str, about: str) -> Gauge:
        return Gauge(PREFIX + name, about, registry=self._registry)

    def _histogram(
        self, name: str, about: str, bounds: Sequence[float], labels: Sequence[str] = ()
    ) -> Histogram:
        return Histogram(PREFIX + name, about, labels, buckets=bounds, registry=self._registry)


class Spread(Collector):
    """A histogram that takes whole arrays."""

    def __init__(self, name: str, about: str, bounds: Sequence[float]) -> None:
        """`bounds`: the upper ends of the buckets, ascending; the last one has none."""
        self._name, self._about = name, about
        self._bounds = np.array([*bounds, np.inf])
        self._counts = np.zeros(len(self._bounds), dtype=np.int64)
        self._sum = 0.0

    def observe(self, values: NDArray[np.float64]) -> None:
        """Adds values (n,)."""
        place = np.searchsorted(self._bounds, values)
        self._counts += np.bincount(place, minlength=len(self._bounds))
        self._sum += float(values.sum())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The histogram so far."""
        ends = ["+Inf" if np.isinf(end) else f"{end:g}" for end in self._bounds.tolist()]
        buckets = [*zip(ends, np.cumsum(self._counts).tolist(), strict=True)]
        yield HistogramMetricFamily(self._name, self._about, buckets=buckets, sum_value=self._sum)
