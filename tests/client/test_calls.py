"""Every call of the contract, from both clients, on a real socket."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from checkpointd.client import AsyncClient, Client, ClientClosed, InvalidRequest
from checkpointd.client.build import duration
from checkpointd.v1 import checkpoints_pb2 as checkpoints
from checkpointd.v1 import core_pb2 as core
from checkpointd.v1 import graph_pb2 as graphs
from checkpointd.v1 import leases_pb2 as leases
from checkpointd.v1 import states_pb2 as states
from checkpointd.v1 import threads_pb2 as threads
from checkpointd.v1.core_pb2 import Precondition
from tests.client.conftest import Either
from tests.client.scripted_server import ScriptedServer, Waiting, found

CHECKPOINT = core.Checkpoint(id="c2")
WRITE = core.Write(idx=0, channel="x", value=core.Value(encoding="null"))
EXPECTING = Precondition(expected_head="", fencing_token=3)
SUPERSTEP = states.Superstep(updates=[states.StateUpdate(as_node="a")])
OP = checkpoints.CommitOp(put_writes=checkpoints.WritesPut(checkpoint_id="c1", task_id="task", writes=[WRITE]))


@pytest.mark.parametrize(
    ("name", "parameters", "rpc", "request_sent", "result"),
    [
        (
            "put_checkpoint",
            {
                "thread_id": "t",
                "checkpoint": CHECKPOINT,
                "parent_checkpoint_id": "c1",
                "checkpoint_ns": "n",
                "precondition": EXPECTING,
            },
            "PutCheckpoint",
            checkpoints.PutCheckpointRequest(
                thread_id="t",
                put=checkpoints.CheckpointPut(checkpoint_ns="n", checkpoint=CHECKPOINT, parent_checkpoint_id="c1"),
                precondition=EXPECTING,
            ),
            7,
        ),
        (
            "put_writes",
            {
                "thread_id": "t",
                "checkpoint_id": "c1",
                "task_id": "task",
                "task_path": "p",
                "writes": [WRITE],
                "precondition": EXPECTING,
            },
            "PutWrites",
            checkpoints.PutWritesRequest(
                thread_id="t",
                put=checkpoints.WritesPut(checkpoint_id="c1", task_id="task", task_path="p", writes=[WRITE]),
                precondition=EXPECTING,
            ),
            None,
        ),
        (
            "commit",
            {"thread_id": "t", "ops": [OP], "precondition": EXPECTING},
            "Commit",
            checkpoints.CommitRequest(thread_id="t", ops=[OP], precondition=EXPECTING),
            [1, 2],
        ),
        (
            "get_checkpoint",
            {"thread_id": "t", "checkpoint_ns": "n", "checkpoint_id": "c1"},
            "GetCheckpoint",
            checkpoints.GetCheckpointRequest(thread_id="t", checkpoint_ns="n", checkpoint_id="c1"),
            core.CheckpointTuple(checkpoint=core.Checkpoint(id="c1")),
        ),
        (
            "get_channel_history",
            {"thread_id": "t", "channels": ["x", "y"]},
            "GetChannelHistory",
            checkpoints.GetChannelHistoryRequest(thread_id="t", channels=["x", "y"]),
            {},
        ),
        (
            "get_thread",
            {"thread_id": "t"},
            "GetThread",
            threads.GetThreadRequest(thread_id="t"),
            threads.GetThreadResponse(thread=threads.Thread(thread_id="t")),
        ),
        (
            "delete_thread",
            {"thread_id": "t", "request_id": "r"},
            "DeleteThread",
            threads.DeleteThreadRequest(thread_id="t", request_id="r"),
            None,
        ),
        (
            "copy_thread",
            {"source_thread_id": "s", "target_thread_id": "t", "request_id": "r"},
            "CopyThread",
            threads.CopyThreadRequest(source_thread_id="s", target_thread_id="t", request_id="r"),
            None,
        ),
        (
            "prune_threads",
            {"thread_ids": ["s", "t"], "strategy": threads.PRUNE_STRATEGY_DELETE, "request_id": "r"},
            "PruneThreads",
            threads.PruneThreadsRequest(thread_ids=["s", "t"], strategy=threads.PRUNE_STRATEGY_DELETE, request_id="r"),
            3,
        ),
        (
            "delete_runs",
            {"run_ids": ["r"], "request_id": "r"},
            "DeleteRuns",
            threads.DeleteRunsRequest(run_ids=["r"], request_id="r"),
            4,
        ),
        (
            "register_graph",
            {"graph_name": "g", "spec": graphs.GraphSpec(per_thread=True)},
            "RegisterGraph",
            states.RegisterGraphRequest(graph_name="g", spec=graphs.GraphSpec(per_thread=True)),
            states.RegisterGraphResponse(version=1),
        ),
        (
            "get_state",
            {"thread_id": "t", "checkpoint_id": "", "subgraphs": True, "graph": states.GraphRef(hash="h")},
            "GetState",
            states.GetStateRequest(thread_id="t", checkpoint_id="", subgraphs=True, graph=states.GraphRef(hash="h")),
            states.StateSnapshot(),
        ),
        (
            "update_state",
            {
                "thread_id": "t",
                "checkpoint_ns": "n",
                "checkpoint_id": "c1",
                "supersteps": [SUPERSTEP],
                "metadata": "{}",
                "graph": states.GraphRef(name="g"),
                "precondition": EXPECTING,
                "request_id": "r",
            },
            "UpdateState",
            states.UpdateStateRequest(
                thread_id="t",
                checkpoint_ns="n",
                checkpoint_id="c1",
                supersteps=[SUPERSTEP],
                metadata="{}",
                graph=states.GraphRef(name="g"),
                precondition=EXPECTING,
                request_id="r",
            ),
            states.UpdateStateResponse(config=states.StateConfig(thread_id="t")),
        ),
        (
            "acquire_lease",
            {"thread_id": "t", "holder": "h", "ttl": 1.5, "wait": 2},
            "AcquireLease",
            leases.AcquireLeaseRequest(thread_id="t", holder="h", ttl=duration("ttl", 1.5), wait=duration("wait", 2)),
            leases.Lease(fencing_token=5, holder="h"),
        ),
        (
            "renew_lease",
            {"thread_id": "t", "holder": "h", "fencing_token": 7, "ttl": 1.5},
            "RenewLease",
            leases.RenewLeaseRequest(thread_id="t", holder="h", fencing_token=7, ttl=duration("ttl", 1.5)),
            leases.Lease(fencing_token=7, holder="h"),
        ),
        (
            "release_lease",
            {"thread_id": "t", "holder": "h", "fencing_token": 7},
            "ReleaseLease",
            leases.ReleaseLeaseRequest(thread_id="t", holder="h", fencing_token=7),
            None,
        ),
    ],
)
async def test_a_call_sends_its_parameters_and_returns_what_counts(
    scripted: ScriptedServer, either: Either, name: str, parameters: Any, rpc: str, request_sent: Any, result: Any
) -> None:
    assert await either.call(name, **parameters) == result
    assert scripted.calls == [(rpc, request_sent, "team-a")]


async def test_a_list_of_checkpoints_sends_its_parameters(scripted: ScriptedServer, either: Either) -> None:
    scripted.answers["ListCheckpoints"] = found("c3", "c2")
    listed = await either.every(
        "list_checkpoints",
        thread_id="t",
        checkpoint_ns="",
        before_checkpoint_id="c4",
        metadata_filter="{}",
        limit=2,
        view=checkpoints.CHECKPOINT_VIEW_METADATA,
    )
    assert [one.checkpoint.id for one in listed] == ["c3", "c2"]
    sent = scripted.calls[0].request
    assert sent == checkpoints.ListCheckpointsRequest(
        thread_id="t",
        checkpoint_ns="",
        before_checkpoint_id="c4",
        metadata_filter="{}",
        limit=2,
        view=checkpoints.CHECKPOINT_VIEW_METADATA,
    )
    assert sent.HasField("checkpoint_ns")


async def test_a_list_of_everything_leaves_out_what_is_optional(scripted: ScriptedServer, either: Either) -> None:
    assert await either.every("list_checkpoints") == []
    sent = scripted.calls[0].request
    assert not sent.HasField("checkpoint_ns")
    assert not sent.HasField("limit")


async def test_a_list_of_threads_reads_page_after_page(scripted: ScriptedServer, either: Either) -> None:
    pages = {"": (["a", "b"], "second"), "second": ([], "third"), "third": (["c"], "")}

    def answer(request: threads.ListThreadsRequest, _: object) -> threads.ListThreadsResponse:
        ids, token = pages[request.page_token]
        return threads.ListThreadsResponse(threads=[threads.Thread(thread_id=i) for i in ids], next_page_token=token)

    scripted.answers["ListThreads"] = answer
    listed = await either.every("list_threads", thread_id_prefix="p", page_size=2, order=threads.THREAD_ORDER_UPDATED)
    assert [thread.thread_id for thread in listed] == ["a", "b", "c"]
    assert [call.request.page_token for call in scripted.calls] == ["", "second", "third"]
    assert {(call.request.thread_id_prefix, call.request.page_size, call.request.order) for call in scripted.calls} == {
        ("p", 2, threads.THREAD_ORDER_UPDATED)
    }


def test_many_threads_share_a_client(scripted: ScriptedServer, client: Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: client.get_checkpoint(thread_id="t", checkpoint_id=f"c{n}"), range(100)))
    assert [one.checkpoint.id for one in found] == [f"c{n}" for n in range(100)]


def test_event_loops_in_many_threads_share_a_client(scripted: ScriptedServer) -> None:
    client = AsyncClient(scripted.target)
    together = threading.Barrier(4)

    async def use(name: str) -> list[str]:
        together.wait()
        tasks = [client.get_checkpoint(thread_id=name, checkpoint_id=f"{name}{n}") for n in range(25)]
        return [one.checkpoint.id for one in await asyncio.gather(*tasks)]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda name: asyncio.run(use(name)), "abcd"))
    assert results == [[f"{name}{n}" for n in range(25)] for name in "abcd"]
    asyncio.run(client.close())


async def test_a_client_for_threads_may_be_called_in_the_thread_of_an_event_loop(client: Client) -> None:
    assert client.get_checkpoint(thread_id="t").checkpoint.id == "head"


async def test_cancelling_a_task_cancels_its_call(scripted: ScriptedServer, async_client: AsyncClient) -> None:
    waiting = Waiting()
    scripted.script.append(waiting)
    task = asyncio.create_task(async_client.get_thread(thread_id="t"))
    assert await asyncio.to_thread(waiting.entered.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(waiting.over.wait, 30)
    assert (await async_client.get_thread(thread_id="t")).thread.thread_id == "t"


async def test_a_waiting_call_leaves_the_event_loop_free(scripted: ScriptedServer, async_client: AsyncClient) -> None:
    waiting = Waiting(then=checkpoints.GetCheckpointResponse())
    scripted.script.append(waiting)
    task = asyncio.create_task(async_client.get_checkpoint(thread_id="t"))
    assert await asyncio.to_thread(waiting.entered.wait, 30)
    assert (await async_client.get_checkpoint(thread_id="t", checkpoint_id="other")).checkpoint.id == "other"
    assert not task.done()
    waiting.let_go()
    await task


async def test_a_closed_client_says_so(either: Either, scripted: ScriptedServer) -> None:
    await either.call("get_thread", thread_id="t")
    await either.close()
    await either.close()
    with pytest.raises(ClientClosed, match=f"the client is closed .*{scripted.target}"):
        await either.call("get_thread", thread_id="t")
    with pytest.raises(ClientClosed):
        await either.every("list_checkpoints", thread_id="t")


def test_closing_ends_a_call_under_way(scripted: ScriptedServer, client: Client) -> None:
    waiting = Waiting()
    scripted.script.append(waiting)
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(client.get_checkpoint, thread_id="t")
        assert waiting.entered.wait(30)
        client.close()
        with pytest.raises(ClientClosed):
            under_way.result()


def test_closing_ends_the_wait_for_a_server_that_is_down(scripted: ScriptedServer) -> None:
    scripted.stop()
    client = Client(scripted.target, timeout=None)
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(client.get_checkpoint, thread_id="t")
        client.close()
        with pytest.raises(ClientClosed):
            under_way.result()


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"target": ""}, "target"),
        ({"target": 50051}, "target"),
        ({"tenant": ""}, "tenant"),
        ({"tenant": 3}, "tenant"),
        ({"tenant": "a b"}, "tenant"),
        ({"tenant": "x" * 65}, "tenant"),
        ({"tenant": "ä"}, "tenant"),
        ({"tenant": "a\n"}, "tenant"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": -1.0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"timeout": "3"}, "timeout"),
    ],
)
def test_a_client_refuses_arguments_that_are_not_of_their_form(kind: Any, arguments: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        kind(**arguments)
    assert refused.value.metadata["field"] == field


def test_making_a_client_sends_nothing() -> None:
    Client("127.0.0.1:1").close()
