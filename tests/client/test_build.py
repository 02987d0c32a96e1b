"""What can't be put into a message is refused here, by the name of its field, and nothing is sent."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.client import InvalidRequest
from checkpointd.client.build import build
from checkpointd.v1 import checkpoints_pb2 as checkpoints
from tests.client.conftest import Either
from tests.client.scripted_server import ScriptedServer


@pytest.mark.parametrize(
    ("name", "parameters", "field"),
    [
        ("get_thread", {"thread_id": "\ud800"}, "thread_id"),
        ("get_thread", {"thread_id": 3}, "thread_id"),
        ("get_checkpoint", {"thread_id": "t", "checkpoint_ns": "a\udfff"}, "checkpoint_ns"),
        ("put_checkpoint", {"thread_id": "t", "checkpoint": "c"}, "checkpoint"),
        ("put_writes", {"thread_id": "t", "checkpoint_id": "c", "task_id": "k", "writes": ["w"]}, "writes"),
        ("commit", {"thread_id": "t", "ops": [3]}, "ops"),
        ("get_channel_history", {"thread_id": "t", "channels": ["x", "\udc00"]}, "channels"),
        ("prune_threads", {"thread_ids": ["t"], "strategy": "keep_latest!"}, "strategy"),
        ("delete_runs", {"run_ids": [None]}, "run_ids"),
    ],
)
async def test_a_call_with_a_field_that_cannot_be_sent(
    scripted: ScriptedServer, either: Either, name: str, parameters: Any, field: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"{field} can't be sent: .*; this call stored nothing") as refused:
        await either.call(name, **parameters)
    assert (refused.value.reason, refused.value.metadata) == ("INVALID_FIELD", {"field": field})
    assert isinstance(refused.value, ValueError)
    assert scripted.calls == []


@pytest.mark.parametrize(("field", "value"), [("limit", 2**63), ("limit", 1.5), ("metadata_filter", {"a": 1})])
async def test_a_list_with_a_field_that_cannot_be_sent(
    scripted: ScriptedServer, either: Either, field: str, value: Any
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await either.every("list_checkpoints", **{field: value})
    assert refused.value.metadata == {"field": field}
    assert scripted.calls == []


@given(st.text(st.characters(codec=None)))
def test_text_is_sent_as_it_is_or_refused(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        with pytest.raises(InvalidRequest, match="thread_id"):
            build(checkpoints.GetCheckpointRequest, thread_id=text)
    else:
        built = build(checkpoints.GetCheckpointRequest, thread_id=text)
        assert checkpoints.GetCheckpointRequest.FromString(built.SerializeToString()).thread_id == text
