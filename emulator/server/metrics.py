"""Metrics: what exchanges add up to, counted as plain numbers, and shown in Prometheus' text format when somebody asks.

Counters are texts with numbers, so that a store can add up those of several processes: `Store.sum_counters`.
"""

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from emulator.redaction import clean_line
from emulator.store.exchange import Exchange, TokenExchange, UnroutedRequest
from emulator.store.interface import OPEN_STREAMS, Store, StoreUnreachableError

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Upper bounds of the latency histograms, in seconds."""
MAX_SERIES: Final = 2_000
"""Combinations of outcome, rule, model and status that are counted apart; further ones count as rule and model `other`."""
MAX_LABEL: Final = 200
"""Characters of a label."""
_OTHER: Final = "other"
_KINDS: Final = ("prompt", "completion", "reasoning", "cached")
_MICROSECONDS: Final = 1_000_000

Series = tuple[str, str, str, int]
"""Outcome, rule (empty if none answered), model and status."""


class _Histogram:
    """Durations in buckets."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0
        """The sum of all durations, in seconds."""

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


class Metrics:
    """What the exchanges of this process add up to."""

    def __init__(self, open_streams: Mapping[int, object]) -> None:
        """`open_streams` are the answers that are being sent, by number."""
        self._open_streams = open_streams
        self._series: dict[Series, list[int]] = {}
        """Requests, then tokens of each kind."""
        self._planned, self._observed = _Histogram(), _Histogram()
        self.store_errors = 0

    def count(self, exchange: Exchange) -> None:
        """Count an exchange that has ended."""
        outcome = exchange.outcome
        chosen, usage, timeline = outcome.chosen, outcome.usage, outcome.timeline
        key = (outcome.result, "" if chosen is None else chosen.rule.name, exchange.asked.model, timeline.status)
        series = self._series.get(key)
        if series is None:
            series = self._add_series(key)
        series[0] += 1
        if usage is not None:
            series[1] += usage.prompt
            series[2] += usage.completion
            series[3] += usage.reasoning
            series[4] += usage.cached
        if timeline.end_at:
            self._planned.add(timeline.end_at)
        else:
            self._planned.counts[0] += 1
        self._observed.add(exchange.duration)

    def count_other(self, exchange: TokenExchange | UnroutedRequest) -> None:
        """Count an exchange with a token endpoint, or a request that nothing routes."""
        key = (exchange.result, "", "", exchange.status)
        (self._series.get(key) or self._add_series(key))[0] += 1

    def _add_series(self, key: Series) -> list[int]:
        if len(self._series) >= MAX_SERIES:
            key = (key[0], _OTHER, _OTHER, key[3])
        return self._series.setdefault(key, [0] * (1 + len(_KINDS)))

    def read(self) -> dict[str, int]:
        """All counters as texts with whole numbers; durations in microseconds."""
        found: Counter[str] = Counter()
        for (outcome, rule, model, status), (requests, *tokens) in self._series.items():
            rule, model = clean_line(rule, MAX_LABEL), clean_line(model, MAX_LABEL)  # noqa: PLW2901  # as labels
            found[_write_key("requests", outcome, rule, model, status)] += requests
            for kind, number in zip(_KINDS, tokens, strict=True):
                if number:
                    found[_write_key("tokens", model, kind)] += number
        for name, histogram in (("planned", self._planned), ("observed", self._observed)):
            for index, number in enumerate(histogram.counts):
                if number:
                    found[_write_key(name, index)] = number
            found[_write_key(name, "sum")] = round(histogram.total * _MICROSECONDS)
        found[_write_key("store_errors")] = self.store_errors
        found[OPEN_STREAMS] = len(self._open_streams)
        return dict(found)


def _write_key(*parts: str | int) -> str:
    return json.dumps(parts)


async def expose(metrics: Metrics, store: Store) -> tuple[bytes, str]:
    """The metrics of all processes that share the store, of this one alone if it is unreachable: text and content type.

    Raises ImportError without prometheus-client.
    """
    # Only where somebody asks for metrics, and not installed with the package itself.
    from prometheus_client import CollectorRegistry  # noqa: PLC0415  # see the comment
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest  # noqa: PLC0415  # as above

    try:
        counters = await store.sum_counters()
    except StoreUnreachableError:
        metrics.store_errors += 1
        counters = metrics.read()
    registry = CollectorRegistry()
    registry.register(_Collector(counters))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Collector:
    """Counters as prometheus-client collects them."""

    def __init__(self, counters: Mapping[str, int]) -> None:
        self._counters = {tuple(json.loads(key)): number for key, number in counters.items()}

    def describe(self) -> "Sequence[Metric]":
        """Nothing, so that a registry does not collect twice."""
        return ()

    def collect(self) -> "Iterator[Metric]":
        """All metrics."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415  # not always installed

        requests = CounterMetricFamily(
            "vertex_emulator_requests",
            "Requests that have been answered.",
            labels=("outcome", "rule", "model", "status"),
        )
        tokens = CounterMetricFamily("vertex_emulator_tokens", "Tokens that usage reported.", labels=("model", "kind"))
        for (name, *labels), number in sorted(self._counters.items(), key=str):
            if name == "requests":
                requests.add_metric(list(map(str, labels)), number)
            elif name == "tokens":
                tokens.add_metric(labels, number)
        yield requests
        yield tokens
        yield self._histogram("planned", "Seconds that answers were planned to take.")
        yield self._histogram("observed", "Seconds from the request to the last byte of its answer.")
        yield GaugeMetricFamily(
            "vertex_emulator_open_streams",
            "Answers that are being sent and take their time.",
            self._counters.get(tuple(json.loads(OPEN_STREAMS)), 0),
        )
        yield CounterMetricFamily(
            "vertex_emulator_store_errors",
            "Requests that the store could not be reached for.",
            self._counters.get(("store_errors",), 0),
        )

    def _histogram(self, name: str, text: str) -> "Metric":
        from prometheus_client.core import HistogramMetricFamily  # noqa: PLC0415  # as above

        counts: list[Any] = [self._counters.get((name, index), 0) for index in range(len(BUCKETS) + 1)]
        bounds = [*map(str, BUCKETS), "+Inf"]
        total = self._counters.get((name, "sum"), 0) / _MICROSECONDS
        buckets = list(zip(bounds, accumulate(counts), strict=True))
        return HistogramMetricFamily(f"vertex_emulator_latency_{name}_seconds", text, buckets=buckets, sum_value=total)
