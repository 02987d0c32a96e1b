"""The metrics as Prometheus reads them. docs/monitoring.md explains each; a test holds the two together."""

from collections.abc import Iterator
from importlib.metadata import version

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from checkpointd.engine import Engine
from checkpointd.engine.tally import Histogram
from checkpointd.server.admission import Admission
from checkpointd.server.monitoring.meter import Meter

_PREFIX = "checkpointd_"


def registry(engine: Engine, meter: Meter, admission: Admission) -> CollectorRegistry:
    """All metrics of a server: its own, and those of its process."""
    made = CollectorRegistry()
    made.register(_Metrics(engine, meter, admission))
    ProcessCollector(registry=made)
    PlatformCollector(registry=made)
    GCCollector(registry=made)
    return made


class _Metrics(Collector):
    """Reads the numbers when they are asked for, in the thread that asks."""

    def __init__(self, engine: Engine, meter: Meter, admission: Admission) -> None:
        self._engine = engine
        self._meter = meter
        self._admission = admission

    def collect(self) -> Iterator[Metric]:
        yield _gauge("info", "Which version runs; always 1.", (version("checkpointd"), 1), labels=["version"])
        yield _gauge("ready", "Whether it can serve: 1, or 0 while the database can't be used.", self._ready)
        yield from self._calls()
        yield from self._limits()
        yield from self._commits()
        yield from self._pools()
        yield from self._cache()
        yield from self._retention()

    @property
    def _ready(self) -> int:
        return int(self._engine.readiness.problem is None)

    def _calls(self) -> Iterator[Metric]:
        meter = self._meter
        seconds = HistogramMetricFamily(
            f"{_PREFIX}rpc_seconds",
            "From when a call or an op of a session is taken until it is answered.",
            labels=["rpc", "via", "code"],
        )
        for key, histogram in list(meter.seconds.items()):
            seconds.add_metric(key, _buckets(histogram), histogram.sum)
        yield seconds
        calls, requests, responses = (
            list(numbers.items()) for numbers in (meter.in_progress, meter.request_bytes, meter.response_bytes)
        )
        yield _gauge("calls_in_progress", "Calls and streams that are being answered.", *calls, labels=["rpc"])
        yield _counter("request_bytes", "Bytes of requests.", *requests, labels=["rpc"])
        yield _counter("response_bytes", "Bytes of responses.", *responses, labels=["rpc"])

    def _limits(self) -> Iterator[Metric]:
        admission = self._admission
        refused = [(f"--{limit.replace('_', '-')}", count) for limit, count in admission.refused.items()]
        yield _gauge("requests_in_flight", "Calls and ops of sessions under way.", admission.in_flight)
        yield _gauge("held_request_bytes", "Bytes of requests that are in memory.", admission.bytes)
        yield _gauge("streams", "Sessions, lists, watches, and calls that wait for a lease.", admission.streams)
        yield _gauge("watches", "Watches that are told what is committed.", self._engine.watches.count)
        yield _counter("refused", "Requests that were over a limit of the server's.", *refused, labels=["limit"])

    def _commits(self) -> Iterator[Metric]:
        tally = self._engine.commits
        for name, text, histogram in (
            ("batch_commits", "Commits that one transaction stores together.", tally.commits),
            ("batch_seconds", "From when such a transaction is begun until it is answered.", tally.seconds),
        ):
            family = HistogramMetricFamily(f"{_PREFIX}{name}", text)
            family.add_metric([], _buckets(histogram), histogram.sum)
            yield family
        yield _counter("batches_failed", "Transactions that the database refused or broke off.", tally.failed)
        yield _gauge(
            "queued_commits", "Commits that wait for the transaction that will have them.", self._engine.queued()
        )

    def _retention(self) -> Iterator[Metric]:
        tally = self._engine.retention_rounds.tally
        yield _counter("retention_rounds", "Rounds of retention that this server has carried out.", tally.rounds)
        yield _counter("retention_removed_threads", "Threads that retention has deleted.", tally.threads)
        yield _counter("retention_removed_checkpoints", "Checkpoints that it has removed.", tally.checkpoints)
        yield _counter("retention_removed_bytes", "Bytes of what it has removed.", tally.bytes)

    def _pools(self) -> Iterator[Metric]:
        pools = self._engine.pools()
        sizes = [(pool.name, pool.size) for pool in pools]
        in_use = [(pool.name, pool.in_use) for pool in pools]
        waiting = [(pool.name, pool.waiting) for pool in pools]
        yield _gauge("pool_connections", "Connections to the database.", *sizes, labels=["pool"])
        yield _gauge("pool_connections_in_use", "Connections that run something.", *in_use, labels=["pool"])
        yield _gauge("pool_callers_waiting", "Callers that wait for a connection.", *waiting, labels=["pool"])

    def _cache(self) -> Iterator[Metric]:
        cache = self._engine.cache
        yield _gauge("value_cache_bytes", "Memory for values that the next ones are compared with.", cache.bytes)
        yield _counter("value_cache_hits", "Values whose predecessor was in it.", cache.hits)
        yield _counter("value_cache_misses", "Values whose predecessor was not.", cache.misses)


_Sample = float | tuple[str, float]


def _gauge(name: str, text: str, *samples: _Sample, labels: list[str] | None = None) -> Metric:
    return _filled(GaugeMetricFamily(f"{_PREFIX}{name}", text, labels=labels), samples)


def _counter(name: str, text: str, *samples: _Sample, labels: list[str] | None = None) -> Metric:
    return _filled(CounterMetricFamily(f"{_PREFIX}{name}", text, labels=labels), samples)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, samples: tuple[_Sample, ...]) -> Metric:
    for sample in samples:
        if isinstance(sample, tuple):
            family.add_metric([sample[0]], sample[1])
        else:
            family.add_metric([], sample)
    return family


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Each bound with how many values lie at or under it."""
    bounds = [*(str(float(bound)) for bound in histogram.bounds), "+Inf"]
    total, buckets = 0, []
    for bound, count in zip(bounds, list(histogram.counts), strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets
