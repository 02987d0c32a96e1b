"""What a server tells of itself: metrics, whether it is ready, and logs, on a real server under a little load."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from checkpointd.client import Client, NotFound
from checkpointd.v1.threads_pb2 import GetThreadRequest, ListThreadsRequest
from checkpointd.v1.watch_pb2 import WatchRequest
from checkpointd.v1.watch_pb2_grpc import WatchesStub
from tests.messages import checkpoint_put
from tests.packaging.environments import ROOT
from tests.postgres import TestPostgres, running_postgres
from tests.server.wire import health, invoke, refused
from tests.server_process import ServerProcess, eventually

DASHBOARD = ROOT / "docs" / "grafana" / "checkpointd.json"
GUIDE = ROOT / "docs" / "monitoring.md"


class Told(NamedTuple):
    """A server, and where it tells of itself."""

    server: ServerProcess
    metrics: str

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{self.metrics}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Every sample by its name and labels."""
        families = text_string_to_metric_families(self.get("/metrics")[1])
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        return self.samples().get((name, frozenset(labels.items())), 0.0)


def _told(home: Path, *options: str) -> Told:
    server = ServerProcess(home / "log", *options, "--metrics-listen", "127.0.0.1:0")
    found = re.search(r"metrics are at http://(\S+)/metrics", (home / "log").read_text())
    assert found
    return Told(server, found[1])


@pytest.fixture(scope="module")
def told(postgres: TestPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """A server that has done a bit of everything."""
    home, url = tmp_path_factory.mktemp("told"), postgres.create_database()
    told = _told(home, "--database-url", url, "--log-level", "debug", "--log-format", "json")
    with told.server, Client(told.server.address) as client:
        for number in range(3):
            put = checkpoint_put(f"c{number}", values={"x": f"{number}" * 2000}, versions={"x": f"{number}"})
            client.put_checkpoint(thread_id="t", checkpoint=put.checkpoint)
        with pytest.raises(NotFound):
            client.get_checkpoint(thread_id="nothing")
        list(client.list_checkpoints(thread_id="t"))
        list(client.list_threads())
        yield told
    postgres.drop_database(url)


def test_calls_are_counted_by_rpc_and_code(told: Told) -> None:
    with grpc.insecure_channel(told.server.address) as channel:
        for code, reason in (("OK", ""), ("NOT_FOUND", "THREAD_NOT_FOUND"), ("INVALID_ARGUMENT", "MALFORMED_REQUEST")):
            labels = {"rpc": "GetThread", "via": "call", "code": code}
            before = told.value("checkpointd_rpc_seconds_count", **labels)
            if code == "OK":
                invoke(channel, "GetThread", GetThreadRequest(thread_id="t"))
            else:
                asked = GetThreadRequest(thread_id="nothing") if code == "NOT_FOUND" else b"\xff"
                with refused(getattr(grpc.StatusCode, code), reason):
                    invoke(channel, "GetThread", asked)
            assert told.value("checkpointd_rpc_seconds_count", **labels) == before + 1
            assert told.value("checkpointd_rpc_seconds_bucket", **labels, le="+Inf") == before + 1
    assert told.value("checkpointd_calls_in_progress", rpc="GetThread") == 0


def test_ops_of_sessions_are_counted_as_their_rpcs(told: Told) -> None:
    with Client(told.server.address) as client:
        labels = {"rpc": "GetCheckpoint", "via": "session"}
        before = told.value("checkpointd_rpc_seconds_count", **labels, code="OK")
        missed = told.value("checkpointd_rpc_seconds_count", **labels, code="NOT_FOUND")
        client.get_checkpoint(thread_id="t")
        with pytest.raises(NotFound):
            client.get_checkpoint(thread_id="nothing")
        assert told.value("checkpointd_rpc_seconds_count", **labels, code="OK") == before + 1
        assert told.value("checkpointd_rpc_seconds_count", **labels, code="NOT_FOUND") == missed + 1


def test_bytes_are_those_of_the_messages(told: Told) -> None:
    request = ListThreadsRequest(thread_id_prefix="t")
    with grpc.insecure_channel(told.server.address) as channel:
        taken, given = (
            told.value(f"checkpointd_{kind}_bytes_total", rpc="ListThreads") for kind in ("request", "response")
        )
        (answer,) = invoke(channel, "ListThreads", request)
        assert told.value("checkpointd_request_bytes_total", rpc="ListThreads") == taken + request.ByteSize()
        assert told.value("checkpointd_response_bytes_total", rpc="ListThreads") == given + answer.ByteSize()


def test_what_is_under_way_and_refused_is_counted(postgres: TestPostgres, tmp_path: Path) -> None:
    url = postgres.create_database()
    told = _told(tmp_path, "--database-url", url, "--max-streams", "1")
    with told.server, grpc.insecure_channel(told.server.address) as channel:
        stub = WatchesStub(channel)
        watch = stub.Watch(WatchRequest())
        next(watch)
        assert told.value("checkpointd_watches") == told.value("checkpointd_streams") == 1
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS"):
            next(stub.Watch(WatchRequest()))
        assert told.value("checkpointd_refused_total", limit="--max-streams") == 1
        watch.cancel()
        eventually("it is over", lambda: told.value("checkpointd_watches") == told.value("checkpointd_streams") == 0)
        assert told.value("checkpointd_requests_in_flight") == told.value("checkpointd_held_request_bytes") == 0
    postgres.drop_database(url)


def test_what_is_committed_is_counted(told: Told) -> None:
    before = told.value("checkpointd_batch_commits_sum")
    with Client(told.server.address) as client:
        client.put_checkpoint(thread_id="counted", checkpoint=checkpoint_put("c").checkpoint)
    assert told.value("checkpointd_batch_commits_sum") == before + 1
    assert told.value("checkpointd_batch_seconds_count") == told.value("checkpointd_batch_commits_count")
    assert told.value("checkpointd_pool_connections", pool="writes") == 2
    assert told.value("checkpointd_pool_connections", pool="reads") == 6


def test_paths(told: Told) -> None:
    assert told.get("/healthz") == (200, "alive\n")
    assert told.get("/readyz") == (200, "ready\n")
    status, text = told.get("/other")
    assert (status, text) == (404, "there are /metrics, /healthz and /readyz\n")


def _queries(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("expr", "query") and isinstance(value, str) and value != "prometheus":
                yield value
            else:
                yield from _queries(value)
    elif isinstance(node, list):
        for value in node:
            yield from _queries(value)


def test_the_dashboard_asks_for_what_there_is(told: Told) -> None:
    labels: dict[str, set[str]] = {}
    values: dict[tuple[str, str], set[str]] = {}
    for name, labelled in told.samples():
        labels.setdefault(name, {"job", "instance"}).update(key for key, _ in labelled)
        for key, value in labelled:
            values.setdefault((name, key), set()).add(value)
    queries = list(_queries(json.loads(DASHBOARD.read_text())))
    assert len(queries) > 25
    seen = set()
    for query in queries:
        found = re.findall(r"\b((?:checkpointd|process)_\w+)(?:\{([^}]*)\})?", query)
        assert found, query
        asked_by = set(re.findall(r"by \(([^)]*)\)", query))
        for name, selector in found:
            assert name in labels, (name, query)
            seen.add(name)
            asked = {part.split("=")[0].rstrip("!~") for part in selector.split(",") if part}
            assert asked <= labels[name], (asked, query)
            for group in asked_by:
                assert {part.strip() for part in group.split(",")} <= labels[name], (group, query)
        for key, value in re.findall(r'\b(via|pool)="([^"$]*)"', query):
            assert any(value in known for (_, label), known in values.items() if label == key), (key, value)
    ours = {name for name in labels if name.startswith("checkpointd_")}
    kinds = {re.sub(r"_(bucket|sum|count)$", "", name) for name in ours}
    assert kinds == {re.sub(r"_(bucket|sum|count)$", "", name) for name in seen if name.startswith("checkpointd_")}


def test_the_guide_lists_every_metric(told: Told) -> None:
    families = [
        family
        for family in text_string_to_metric_families(told.get("/metrics")[1])
        if family.name.startswith("checkpointd_")
    ]
    rows = dict(re.findall(r"^\| `(checkpointd_\w+)` \| (\w+) \|", GUIDE.read_text(), re.MULTILINE))
    assert rows == {family.name + ("_total" if family.type == "counter" else ""): family.type for family in families}


def test_logs_are_json_and_name_the_call(told: Told) -> None:
    with grpc.insecure_channel(told.server.address) as channel:
        invoke(channel, "GetThread", GetThreadRequest(thread_id="t"), (("x-request-id", "of-the-caller"),))
        invoke(channel, "GetThread", GetThreadRequest(thread_id="t"), (("x-request-id", "x" * 200),))
        invoke(channel, "GetThread", GetThreadRequest(thread_id="t"))
    lines = [json.loads(line) for line in told.server.log.read_text().splitlines()]
    calls = [line for line in lines if line["logger"] == "checkpointd.calls" and line["rpc"] == "GetThread"][-3:]
    assert calls[0]["request_id"] == "of-the-caller"
    assert len({line["request_id"] for line in calls}) == 3
    for line in calls:
        assert line.keys() >= {"time", "level", "message", "peer", "code", "seconds"}
        assert line["level"] == "debug"
        assert len(line["request_id"]) < 100


def test_health_is_that_of_the_database(tmp_path: Path) -> None:
    with running_postgres() as postgres:
        told = _told(tmp_path, "--database-url", postgres.create_database())
        with told.server, grpc.insecure_channel(told.server.address) as channel:
            watched = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=120)
            names = health_pb2.HealthCheckResponse.ServingStatus.Name
            assert names(next(watched).status) == "SERVING"
            postgres.stop()
            assert names(next(watched).status) == "NOT_SERVING"
            assert health(told.server.address) == "NOT_SERVING"
            status, text = told.get("/readyz")
            assert status == 503
            assert "the database" in text
            assert told.get("/healthz") == (200, "alive\n")
            assert told.value("checkpointd_ready") == 0
            postgres.start()
            assert names(next(watched).status) == "SERVING"
            eventually("it is ready", lambda: told.get("/readyz")[0] == 200)


def test_an_address_in_use(told: Told, database_url: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="did not start") as caught:
        ServerProcess(tmp_path / "log", "--database-url", database_url, "--metrics-listen", told.metrics)
    assert "choose another --metrics-listen" in str(caught.value)
