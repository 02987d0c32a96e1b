"""Changes and held values with a real server: what travels, and that nobody can tell it from what is stored whole."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig

from checkpointd.client import calls
from checkpointd.client.langgraph import RemoteSaver
from checkpointd.client.langgraph import writers as writing
from checkpointd.client.langgraph.writers import Mode
from tests.client.langgraph.test_sending import CONFIG, Either, chat, checkpoint, either, graph, put, said
from tests.server_process import ServerProcess
from tests.server_proxy import proxy_of

__all__ = ["either"]


class Network:
    """A proxy between a saver and the server that counts what the server sends."""

    def __init__(self, server: ServerProcess) -> None:
        self.received = 0
        self.proxy = proxy_of(server, self._count)

    def _count(self, data: bytes) -> bytes:
        self.received += len(data)
        return data


@pytest.fixture
def network(server: ServerProcess) -> Iterator[Network]:
    network = Network(server)
    yield network
    network.proxy.close()


@pytest.fixture
def whole(server: ServerProcess, tenant: str) -> Iterator[RemoteSaver]:
    """A saver of the same tenant that sends and receives everything."""
    with RemoteSaver(server.address, tenant=tenant, value_cache=0) as saver:
        yield saver


@pytest.mark.parametrize("writers", ["fork", "refuse", "lease"])
async def test_a_turn_of_a_long_chat_costs_its_own_bytes(
    network: Network,
    whole: RemoteSaver,
    tenant: str,
    either: Either,
    writers: Mode,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[int] = []

    def counted(make: Callable[..., Any]) -> Callable[..., Any]:
        def counting(connection: Any, operation: Any) -> Any:
            sent.append(operation.request.ByteSize())
            return make(connection, operation)

        return counting

    monkeypatch.setattr(writing, "call", counted(calls.call))
    monkeypatch.setattr(writing, "acall", counted(calls.acall))
    with RemoteSaver(network.proxy.address, tenant=tenant, writers=writers) as saver:
        await either.call(graph(saver), "invoke", {"messages": chat(300)}, CONFIG)
        assert sum(sent) > 400_000
        for number in range(3):
            sent.clear()
            network.received = 0
            await either.call(graph(saver), "invoke", said(number), CONFIG)
            assert sum(sent) < 10_000
            assert network.received < 10_000
        # Somebody else goes on; then only what is new to this one is sent to it whole.
        await either.call(graph(whole), "invoke", said(3), CONFIG)
        sent.clear()
        await either.call(graph(saver), "invoke", said(4), CONFIG)
        assert sum(sent) < 10_000
        mine = await either.call(saver, "get_tuple", CONFIG)
        theirs = await either.call(whole, "get_tuple", CONFIG)
    assert mine == theirs
    assert len(mine.checkpoint["channel_values"]["messages"]) == 601 + 5 * 2


async def test_history_forks_and_updates(
    server: ServerProcess, whole: RemoteSaver, tenant: str, either: Either
) -> None:
    told: list[list[Any]] = []
    with RemoteSaver(server.address, tenant=tenant) as changing:
        for thread_id, saver in (("changing", changing), ("whole", whole)):
            made = graph(saver)
            config: RunnableConfig = {"configurable": {"thread_id": thread_id}}
            await either.call(made, "invoke", {"messages": chat(30)}, config)
            await either.call(made, "invoke", said(0), config)
            past = list(made.get_state_history(config))[2].config
            await either.call(made, "invoke", said(1), past)
            await either.call(made, "update_state", config, {"messages": [RemoveMessage(id="h3")]})
            longer = {"messages": [AIMessage("longer " * 300, id="a7")]}
            forked = await either.call(made, "update_state", past, longer)
            await either.call(made, "invoke", None, forked)
            await either.call(made, "invoke", said(2), config)
            histories = [list(graph(reader).get_state_history(config)) for reader in (changing, whole)]
            assert [one.values for one in histories[0]] == [one.values for one in histories[1]]
            for one in histories[0]:
                assert (await either.call(made, "get_state", one.config)).values == one.values
            told.append([(one.values, one.next, one.metadata["step"]) for one in histories[0]])
    assert told[0] == told[1]


@pytest.mark.parametrize("writers", ["fork", "refuse", "lease"])
async def test_a_base_that_is_gone_is_made_up_for(
    server: ServerProcess, whole: RemoteSaver, tenant: str, either: Either, writers: Mode
) -> None:
    """Somebody else deletes the thread, or prunes it, while it is gone on from."""
    with RemoteSaver(server.address, tenant=tenant, writers=writers) as saver:
        await put(either, saver, checkpoint("v0", messages=chat(20)))
        await put(either, saver, checkpoint("v0", messages=chat(20)), {"configurable": {"thread_id": "u"}})
        await either.call(whole, "delete_thread", "t")
        await put(either, saver, checkpoint("v1", messages=chat(21)))
        found = await either.call(whole, "get_tuple", CONFIG)
        assert found.checkpoint["channel_values"]["messages"] == chat(21)
        # Its values under the same versions, and others.
        await either.call(whole, "delete_thread", "t")
        await put(either, whole, checkpoint("v1", messages=chat(5)))
        found = await either.call(saver, "get_tuple", CONFIG)
        assert found.checkpoint["channel_values"]["messages"] == chat(5)


async def test_a_state_is_told_from_values_sent_as_changes(
    server: ServerProcess, whole: RemoteSaver, tenant: str, either: Either
) -> None:
    """The server reads them too, and the bases may go before what was made from them."""
    with RemoteSaver(server.address, tenant=tenant) as saver:
        made = graph(saver)
        saver.register(made, "chat")
        for number in range(6):
            given = {"messages": chat(30)} if number == 0 else said(number)
            await either.call(made, "invoke", given, CONFIG)
        expected = await either.call(made, "get_state", CONFIG)
        told = await either.call(saver, "get_state", CONFIG)
        assert told.values == expected.values
        await either.call(whole, "prune", ["t"])
        assert (await either.call(made, "get_state", CONFIG)).values == expected.values
        assert (await either.call(graph(whole), "get_state", CONFIG)).values == expected.values
        await either.call(made, "invoke", said(6), CONFIG)
        await either.call(whole, "copy_thread", "t", "copy")
        copied = await either.call(graph(whole), "get_state", {"configurable": {"thread_id": "copy"}})
        assert len(copied.values["messages"]) == len(expected.values["messages"]) + 2
