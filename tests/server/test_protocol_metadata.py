"""Metadata and filters: JSON that is none, or that a database can't take, is refused before it does harm."""

import json

import pytest

from checkpointd.v1.checkpoints_pb2 import GetCheckpointRequest, ListCheckpointsRequest
from checkpointd.v1.checkpoints_pb2_grpc import CheckpointsStub
from checkpointd.v1.threads_pb2 import GetThreadRequest, PruneStrategy, PruneThreadsRequest
from checkpointd.v1.threads_pb2_grpc import ThreadsStub
from tests.messages import put_checkpoint
from tests.server.wire import ids, invalid

pytestmark = pytest.mark.usefixtures("stays_well")

_MEBIBYTE = 1 << 20

_BAD = {
    "no JSON": "x",
    "half": '{"a": 1',
    "two": "{} {}",
    "trailing comma": '{"a": 1,}',
    "single quotes": "{'a': 1}",
    "only space": " ",
    "byte order mark": "\ufeff{}",
    "list": "[]",
    "string": '"a"',
    "number": "1",
    "null": "null",
    "NaN": '{"a": NaN}',
    "Infinity": '{"a": Infinity}',
    "-Infinity": '{"a": -Infinity}',
    "too large": '{"a": 1e999}',
    "too small": '{"a": -1e999}',
    "more digits than a database holds": '{"a": 0.' + "1" * 20_000 + "}",
    "smaller than a database holds": '{"a": 1e-99999}',
    "zero with an absurd exponent": '{"a": 0e99999999999999999999}',
    "many digits": '{"a": ' + "1" * 500_000 + "}",
    "NUL in a value": r'{"a": "\u0000"}',
    "NUL in a key": r'{"\u0000": 1}',
    "NUL far down": r'{"a": [{"b": ["x\u0000y"]}]}',
    "raw control character": '{"a": "\n"}',
    "high surrogate": r'{"a": "\ud800"}',
    "low surrogate": r'{"a": "\udc00x"}',
    "surrogates in the wrong order": r'{"a": "\udc00\ud800"}',
    "surrogate in a key": r'{"\ud800": 1}',
    "bad escape": r'{"a": "\x"}',
    "deep lists": '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "deep objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "deep with escapes": r'{"b": "\u0041", "a": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "a byte too long": '{"a": "' + "x" * (_MEBIBYTE - 8) + '"}',
    "too long in bytes": '{"a": "' + "é" * (_MEBIBYTE // 2) + '"}',
}

_GOOD = {
    "empty": "",
    "empty object": "{}",
    "space around": ' \n\t{"a" : 1 }\r\n',
    "duplicate keys": '{"a": 2, "a": 1}',
    "pair of surrogates": r'{"a": 1, "b": "\ud83d\ude00"}',
    "escaped backslash": r'{"a": 1, "b": "\\u0000 \\ud800"}',
    "not ASCII": '{"a": 1, "é\U0001f600": "\uffff"}',
    "large and small numbers": '{"a": 1, "b": [1e308, -1e308, 1e-300, 123456789012345678901234567890, 0.1, -0]}',
    "a hundred deep": '{"a": 1, "b": ' + "[" * 100 + "]" * 100 + "}",
    "at the limit": '{"a": 1, "b": "' + "x" * (_MEBIBYTE - 17) + '"}',
}


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[CheckpointsStub]:
    return CheckpointsStub


@pytest.mark.parametrize("source", _BAD.values(), ids=_BAD.keys())
def test_bad_metadata_is_refused(grpc_stub: CheckpointsStub, source: str) -> None:
    request = put_checkpoint("t", "c")
    request.put.metadata.json = source
    with invalid("metadata.json"):
        grpc_stub.PutCheckpoint(request)
    assert not ids(grpc_stub.ListCheckpoints(ListCheckpointsRequest()))


@pytest.mark.parametrize("source", _BAD.values(), ids=_BAD.keys())
def test_a_bad_filter_is_refused(grpc_stub: CheckpointsStub, source: str) -> None:
    grpc_stub.PutCheckpoint(put_checkpoint("t", "c"))
    with invalid("metadata_filter"):
        list(grpc_stub.ListCheckpoints(ListCheckpointsRequest(metadata_filter=source)))


@pytest.mark.parametrize("source", _GOOD.values(), ids=_GOOD.keys())
def test_good_metadata_comes_back_as_it_came_and_is_found(
    grpc_stub: CheckpointsStub, threads: ThreadsStub, source: str
) -> None:
    for namespace in ("", "sub:1"):
        for name in ("c1", "c2"):
            request = put_checkpoint("t", name, ns=namespace)
            request.put.metadata.json = source
            grpc_stub.PutCheckpoint(request)
    found = grpc_stub.GetCheckpoint(GetCheckpointRequest(thread_id="t")).checkpoint_tuple.metadata
    assert found.json == (source or "{}")
    wanted = '{"a": 1}' if "a" in json.loads(source or "{}") else '{"a": null}'
    for thread_id in ("", "t"):
        request_ = ListCheckpointsRequest(thread_id=thread_id, metadata_filter=wanted)
        assert len(ids(grpc_stub.ListCheckpoints(request_))) == 4
    threads.PruneThreads(PruneThreadsRequest(thread_ids=["t"], strategy=PruneStrategy.PRUNE_STRATEGY_KEEP_LATEST))
    assert [head.checkpoint_id for head in threads.GetThread(GetThreadRequest(thread_id="t")).heads] == ["c2", "c2"]


@pytest.mark.parametrize("source", _GOOD.values(), ids=_GOOD.keys())
def test_a_good_filter_finds_its_equal(grpc_stub: CheckpointsStub, source: str) -> None:
    request = put_checkpoint("t", "c")
    request.put.metadata.json = source
    grpc_stub.PutCheckpoint(request)
    assert ids(grpc_stub.ListCheckpoints(ListCheckpointsRequest(metadata_filter=source))) == ["c"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("{}", ["both", "null", "one", "none"]),
        ('{"a": 1}', ["both", "one"]),
        ('{"a": 1.0}', ["both", "one"]),
        ('{"a": "1"}', []),
        ('{"a": true}', []),
        ('{"a": 1, "b": {"c": [1, {"d": null}]}}', ["both"]),
        ('{"b": {"c": [1]}}', []),
        ('{"b": {}}', []),
        ('{"a": null}', ["null", "none"]),
        ('{"b": null}', ["null", "one", "none"]),
        ('{"": null}', ["both", "null", "one", "none"]),
        ('{"$.a": 1}', []),
    ],
)
def test_filters(grpc_stub: CheckpointsStub, wanted: str, found: list[str]) -> None:
    grpc_stub.PutCheckpoint(put_checkpoint("t", "none"))
    grpc_stub.PutCheckpoint(put_checkpoint("t", "one", metadata={"a": 1, "x": 5}))
    grpc_stub.PutCheckpoint(put_checkpoint("t", "null", metadata={"a": None}))
    grpc_stub.PutCheckpoint(put_checkpoint("t", "both", metadata={"a": 1, "b": {"c": [1, {"d": None}]}}))
    request = ListCheckpointsRequest(thread_id="t", metadata_filter=wanted)
    assert ids(grpc_stub.ListCheckpoints(request)) == found


@pytest.mark.parametrize("size", [255, 256])
def test_run_ids_in_metadata(grpc_stub: CheckpointsStub, size: int) -> None:
    request = put_checkpoint("t", "c", metadata={"run_id": "x" * size})
    if size > 255:
        with invalid("run_id"):
            grpc_stub.PutCheckpoint(request)
    else:
        grpc_stub.PutCheckpoint(request)


@pytest.mark.parametrize("run_id", [5, None, True, ["x"], {"x": 1}, ""])
def test_a_run_id_that_is_none_is_kept_as_it_came(grpc_stub: CheckpointsStub, run_id: object) -> None:
    grpc_stub.PutCheckpoint(put_checkpoint("t", "c", metadata={"run_id": run_id}))
    found = grpc_stub.GetCheckpoint(GetCheckpointRequest(thread_id="t")).checkpoint_tuple.metadata
    assert json.loads(found.json) == {"run_id": run_id}


def test_native_metadata_comes_back(grpc_stub: CheckpointsStub) -> None:
    request = put_checkpoint("t", "c", metadata={"a": 1})
    request.put.metadata.native.encoding = "msgpack"
    request.put.metadata.native.data = b"\0\xff"
    grpc_stub.PutCheckpoint(request)
    found = grpc_stub.GetCheckpoint(GetCheckpointRequest(thread_id="t")).checkpoint_tuple.metadata
    assert found == request.put.metadata
