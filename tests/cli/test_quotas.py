"""`checkpointd quotas`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from checkpointd.client import Client
from checkpointd.v1.core_pb2 import Checkpoint
from tests.cli.running import Answer
from tests.server_process import eventually

Run = Callable[..., Answer]


@pytest.fixture(autouse=True)
def _without_afterwards(client: Client) -> Iterator[None]:
    yield
    client.set_quota()


def test_what_is_given_is_set_and_the_rest_stays(run: Run, tenant: str) -> None:
    set_ = run("quotas", "set", "--threads", "5", "--bytes", "2GiB", "--json").document
    assert set_ == {
        "tenant": tenant,
        "max_threads": 5,
        "max_bytes": 2 << 30,
        "max_ops_per_second": None,
        "threads": None,
        "bytes": None,
        "counted_at": None,
    }
    run("quotas", "set", "--ops", "1000", "--bytes", "none")
    shown = run("quotas", "show", "--json").document
    assert [shown[name] for name in ("max_threads", "max_bytes", "max_ops_per_second")] == [5, None, 1000]


def test_what_is_used(run: Run, client: Client, tenant: str) -> None:
    client.put_checkpoint(thread_id="t", checkpoint=Checkpoint(id="c1"))
    client.set_quota(max_threads=5)
    eventually("it is counted", lambda: client.get_quota().HasField("usage"))
    header, row = run("quotas", "show").lines
    assert header.split() == ["tenant", "threads", "of", "bytes", "of", "requests/s", "counted"]
    assert row.split()[:3] == [tenant, "1", "5"]
    assert "no limit" in row


def test_all_tenants(run: Run, client: Client, tenant: str) -> None:
    client.set_quota(max_threads=0)
    assert any(line.split()[0] == tenant for line in run("quotas").lines)
    documents = {document["tenant"]: document for document in run("quotas", "list", "--json").documents}
    assert documents[tenant]["max_threads"] == 0


@pytest.mark.parametrize(
    "words",
    [("set",), ("show", "--threads", "5"), ("--ops", "5"), ("set", "--bytes", "much"), ("set", "--threads", "-1")],
)
def test_what_makes_no_sense(run: Run, words: tuple[str, ...]) -> None:
    answer = run("quotas", *words)
    assert (answer.code, answer.out) == (2, "")


def test_over_the_quota(run: Run, client: Client) -> None:
    client.set_quota(max_ops_per_second=0)
    answer = run("threads")
    assert answer.code == 1
    assert "0 requests a second" in answer.err
    assert "QUOTA_EXCEEDED" in answer.err
