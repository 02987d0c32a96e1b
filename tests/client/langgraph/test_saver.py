"""RemoteSaver on a real server, beside LangGraph's InMemorySaver where both must do the same."""

import asyncio
import inspect
import operator
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint, CheckpointTuple, empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import START, StateGraph

from checkpointd.client import AlreadyExists, ClientClosed, InvalidRequest, NotFound, UnreadableValue
from checkpointd.client.langgraph import RemoteSaver
from tests.server_process import ServerProcess


@pytest.fixture
def saver(server: ServerProcess, tenant: str) -> Iterator[RemoteSaver]:
    with RemoteSaver(server.address, tenant=tenant) as saver:
        yield saver


class Either:
    """A saver's methods, or their async twins."""

    def __init__(self, saver: BaseCheckpointSaver[str], prefix: str) -> None:
        self.saver = saver
        self._prefix = prefix

    async def call(self, name: str, *arguments: Any, **parameters: Any) -> Any:
        result = getattr(self.saver, self._prefix + name)(*arguments, **parameters)
        return await result if inspect.isawaitable(result) else result

    async def every(self, *arguments: Any, **parameters: Any) -> list[CheckpointTuple]:
        found = getattr(self.saver, f"{self._prefix}list")(*arguments, **parameters)
        return [one async for one in found] if hasattr(found, "__aiter__") else list(found)


@pytest.fixture(params=["", "a"], ids=["sync", "async"])
def either(request: pytest.FixtureRequest, saver: RemoteSaver) -> Either:
    return Either(saver, request.param)


def config(thread_id: Any = "t", checkpoint_ns: str = "", **more: Any) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": checkpoint_ns, **more}}


def checkpoint(**values: Any) -> Checkpoint:
    made = empty_checkpoint()
    made["channel_values"] = values
    made["channel_versions"] = dict.fromkeys(values, f"v-{made['id']}")
    return made


async def put(saver: Either, parent: RunnableConfig, metadata: Any = None, **values: Any) -> RunnableConfig:
    made = checkpoint(**values)
    stored: RunnableConfig = await saver.call("put", parent, made, metadata or {}, made["channel_versions"])
    assert stored["configurable"]["checkpoint_id"] == made["id"]
    return stored


async def test_a_checkpoint_comes_back(either: Either) -> None:
    first = await put(either, config(), {"source": "input"}, x=[1, {"a": b"z"}], y=None)
    await either.call("put_writes", first, [("x", 5), ("__interrupt__", "stop")], "task", task_path="~1")
    second = await put(either, first, {"source": "loop"}, x="new")
    head = await either.call("get_tuple", config())
    assert head.config == second
    assert head.parent_config == first
    assert head.checkpoint["channel_values"] == {"x": "new"}
    assert head.metadata == {"source": "loop"}
    assert head.pending_writes == []
    named = await either.call("get_tuple", first)
    assert named.config == first
    assert named.parent_config is None
    assert named.checkpoint["channel_values"] == {"x": [1, {"a": b"z"}], "y": None}
    assert named.checkpoint["updated_channels"] is None
    assert named.checkpoint["pending_sends"] == []
    assert named.pending_writes == [("task", "__interrupt__", "stop"), ("task", "x", 5)]
    assert await either.call("get", config()) == head.checkpoint


async def test_what_does_not_exist_is_none(either: Either) -> None:
    assert await either.call("get_tuple", config("nowhere")) is None
    await put(either, config())
    assert await either.call("get_tuple", config(checkpoint_id="never")) is None
    assert await either.call("get_tuple", config(checkpoint_ns="other")) is None


async def test_ids_of_any_type_become_text(either: Either) -> None:
    stored = await put(either, config(7))
    assert stored["configurable"]["thread_id"] == "7"
    assert await either.call("get_tuple", config("7")) == await either.call("get_tuple", config(7))


@pytest.mark.parametrize(
    "bad", [{}, {"configurable": {}}, config(""), config(None), {"configurable": {"thread_id": None}}]
)
async def test_a_config_without_a_thread_is_refused(either: Either, bad: Any) -> None:
    for attempt in (
        either.call("get_tuple", bad),
        either.call("put", bad, checkpoint(), {}, {}),
        either.call("put_writes", bad, [], "task"),
        either.call("get_delta_channel_history", config=bad, channels=["x"]),
    ):
        with pytest.raises(InvalidRequest, match="the config names no thread"):
            await attempt
    if bad:
        with pytest.raises(InvalidRequest, match="the config names no thread"):
            await either.every(bad)


async def test_lists_are_filtered(either: Either) -> None:
    a1 = await put(either, config("a"), {"source": "input", "step": -1})
    a2 = await put(either, a1, {"source": "loop", "step": 0, "who": None})
    a3 = await put(either, a2, {"source": "loop", "step": 1})
    a4 = await put(either, config("a", "n"), {"source": "loop", "step": 0})
    b1 = await put(either, config("b"), {"source": "input", "step": -1})

    async def configs(*arguments: Any, **parameters: Any) -> list[RunnableConfig]:
        return [found.config for found in await either.every(*arguments, **parameters)]

    assert await configs(config("a")) == [a3, a2, a1]
    assert await configs({"configurable": {"thread_id": "a"}}) == [a4, a3, a2, a1]
    assert await configs(None) == [b1, a4, a3, a2, a1]
    assert await configs(config("a"), filter={"source": "loop"}) == [a3, a2]
    assert await configs(config("a"), filter={"source": "loop", "step": 1}) == [a3]
    assert await configs(None, filter={"step": -1}) == [b1, a1]
    assert await configs(config("a"), before=a3) == [a2, a1]
    assert await configs(config("a"), limit=2) == [a3, a2]
    assert await configs(config("a"), before=a3, limit=1) == [a2]
    assert await configs(config("a"), limit=0) == []
    assert await configs(a2) == [a2]
    assert await configs(config("c")) == []
    with pytest.raises(InvalidRequest, match="filter can't be sent"):
        await configs(None, filter={"x": object()})
    with pytest.raises(InvalidRequest, match="limit"):
        await configs(None, limit=-1)


async def test_copy_prune_and_delete(either: Either) -> None:
    first = await put(either, config("a"), {"run_id": "r1"}, x=1)
    last = await put(either, first, {"run_id": "r2"}, x=2)
    await either.call("copy_thread", "a", "b")
    assert [one.checkpoint["channel_values"] for one in await either.every(config("b"))] == [{"x": 2}, {"x": 1}]
    with pytest.raises(NotFound, match="there is no thread 'nowhere'"):
        await either.call("copy_thread", "nowhere", "c")
    await put(either, config("c"))
    with pytest.raises(AlreadyExists):
        await either.call("copy_thread", "a", "c")
    await either.call("prune", ["a", "nowhere"])
    assert [one.config for one in await either.every(config("a"))] == [last]
    await either.call("delete_for_runs", ["r2", "r3"])
    assert await either.every(config("a")) == []
    assert [one.checkpoint["channel_values"] for one in await either.every(config("b"))] == [{"x": 1}]
    await either.call("prune", ["b"], strategy="delete")
    await either.call("delete_thread", "c")
    await either.call("delete_thread", "nowhere")
    assert await either.every(None) == []


async def test_many_threads_are_pruned_in_requests_of_a_thousand(either: Either) -> None:
    await put(either, config("last"))
    await either.call("prune", [*(f"none-{n}" for n in range(2500)), "last"], strategy="delete")
    await either.call("delete_for_runs", [f"none-{n}" for n in range(1001)])
    await either.call("prune", [])
    assert await either.every(None) == []


async def test_arguments_that_would_delete_something_else_are_refused(either: Either) -> None:
    with pytest.raises(ValueError, match="unknown prune strategy 'all'; the known ones are 'keep_latest', 'delete'"):
        await either.call("prune", ["t"], strategy="all")
    with pytest.raises(TypeError, match=r"thread_ids is a sequence of ids, not one string; give it \['abc'\]"):
        await either.call("prune", "abc")
    with pytest.raises(TypeError, match="run_ids"):
        await either.call("delete_for_runs", "abc")


async def test_errors_of_the_server_say_where_and_why(either: Either, server: ServerProcess) -> None:
    with pytest.raises(InvalidRequest, match=f"thread_id .*INVALID_FIELD from {server.address}"):
        await put(either, config("x" * 300))
    with pytest.raises(InvalidRequest, match=r"channel 'x' can't be stored: .*; this call stored nothing"):
        await put(either, config(), x=object())
    assert await either.every(None) == []


async def test_tenants_share_nothing(server: ServerProcess, either: Either, tenant: str) -> None:
    await put(either, config(), x=1)
    with RemoteSaver(server.address, tenant=f"{tenant}-other") as other:
        assert other.get_tuple(config()) is None
        assert list(other.list(None)) == []


async def test_a_serialiser_of_ones_own(server: ServerProcess, tenant: str) -> None:
    class Rot13:
        def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
            return "rot13", bytes((byte + 13) % 256 for byte in plaintext)

        def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
            return bytes((byte - 13) % 256 for byte in ciphertext)

    with RemoteSaver(server.address, tenant=tenant, serde=EncryptedSerializer(Rot13())) as saver:
        await put(Either(saver, ""), config(), {"source": "input", "odd": {1, 2}}, x={"secret": 1})
        found = saver.get_tuple(config())
    assert found is not None
    assert found.checkpoint["channel_values"] == {"x": {"secret": 1}}
    assert found.metadata == {"source": "input", "odd": {1, 2}}
    with RemoteSaver(server.address, tenant=tenant) as plain, pytest.raises(UnreadableValue, match="rot13"):
        plain.get_tuple(config())


def test_a_clone_with_an_allowlist_shares_the_channel(server: ServerProcess, tenant: str) -> None:
    saver = RemoteSaver(server.address, tenant=tenant, serde=JsonPlusSerializer(allowed_msgpack_modules=None))
    clone = saver.with_allowlist([("tests", "Some")])
    assert isinstance(clone, RemoteSaver)
    assert clone is not saver
    made = checkpoint(x=1)
    clone.put(config(), made, {}, made["channel_versions"])
    assert saver.get_tuple(config()) == clone.get_tuple(config())
    clone.close()
    saver.close()
    for closed in (saver, clone):
        with pytest.raises(ClientClosed):
            closed.get_tuple(config())


async def test_one_object_is_both_kinds_of_context_manager(server: ServerProcess, tenant: str) -> None:
    for_both = RemoteSaver.from_conn_string(server.address, tenant=tenant)
    with for_both as saver:
        assert saver is for_both
        assert saver.get_tuple(config()) is None
    async with RemoteSaver.from_conn_string(server.address, tenant=tenant) as saver:
        assert await saver.aget_tuple(config()) is None
    with pytest.raises(ClientClosed, match=server.address):
        await saver.aget_tuple(config())


@pytest.mark.parametrize("current", [None, 4, "4", "00000000000000000000000000000004.0.25"])
def test_the_next_version_has_langgraphs_form(current: Any) -> None:
    with RemoteSaver() as saver:
        made, theirs = saver.get_next_version(current, None), InMemorySaver().get_next_version(current, None)
    assert made.split(".")[0] == theirs.split(".")[0]
    assert float("0." + made.split(".")[2]) < 1


class State(TypedDict):
    log: Annotated[list[str], operator.add]


def graph(saver: BaseCheckpointSaver[str]) -> Any:
    builder = StateGraph(State)
    builder.add_node("a", lambda state: {"log": [f"a{len(state['log'])}"]})
    builder.add_node("b", lambda state: {"log": [f"b{len(state['log'])}"]})
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    return builder.compile(checkpointer=saver)


def test_threads_and_event_loops_share_a_saver(saver: RemoteSaver) -> None:
    """Eight threads, half of them with a loop of their own, all at once."""
    app = graph(saver)
    together = threading.Barrier(8)

    async def run(number: int) -> None:
        await asyncio.gather(*(app.ainvoke({"log": []}, config(f"{number}-{n}")) for n in range(3)))

    def use(number: int) -> list[str]:
        together.wait()
        if number % 2:
            asyncio.run(run(number))
        else:
            for n in range(3):
                app.invoke({"log": []}, config(f"{number}-{n}"))
        return [log for n in range(3) for log in app.get_state(config(f"{number}-{n}")).values["log"]]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, range(8))) == [["a0", "b1"] * 3] * 8


async def test_sync_methods_work_in_the_thread_of_an_event_loop(saver: RemoteSaver) -> None:
    app = graph(saver)
    await app.ainvoke({"log": []}, config())
    assert app.get_state(config()).values == {"log": ["a0", "b1"]}
    assert app.invoke({"log": ["x"]}, config()) == {"log": ["a0", "b1", "x", "a3", "b4"]}
    assert (
        len(list(app.get_state_history(config()))) == len([one async for one in app.aget_state_history(config())]) == 8
    )
