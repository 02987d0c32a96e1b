"""Large values travel as what changes in them, and arrive as if they had travelled whole."""

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

from checkpointd.client import HeadMoved
from checkpointd.client.langgraph import RemoteSaver
from checkpointd.client.langgraph.writers import Mode
from tests.client.langgraph.keeping_server import KeepingServer

CONFIG: RunnableConfig = {"configurable": {"thread_id": "t"}}


@pytest.fixture
def keeping() -> Iterator[KeepingServer]:
    with KeepingServer() as server:
        yield server


def text(number: int) -> str:
    """About 700 characters that no other number has."""
    return " ".join(f"{number}-{word * number % 9973}" for word in range(80))


def chat(turns: int) -> list[Any]:
    return [
        one
        for turn in range(turns)
        for one in (HumanMessage(text(2 * turn), id=f"h{turn}"), AIMessage(text(2 * turn + 1), id=f"a{turn}"))
    ]


def answer(state: MessagesState) -> dict[str, Any]:
    number = len(state["messages"])
    return {"messages": [AIMessage(text(number), id=f"answer-{number}")]}


def graph(saver: Any) -> Any:
    return StateGraph(MessagesState).add_node("answer", answer).add_edge(START, "answer").compile(checkpointer=saver)


def said(number: int) -> dict[str, Any]:
    return {"messages": [HumanMessage(text(10_000 + number), id=f"said-{number}")]}


class Either:
    """A saver's or a graph's methods, or their async twins."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    async def call(self, whose: Any, name: str, *arguments: Any, **parameters: Any) -> Any:
        result = getattr(whose, self._prefix + name)(*arguments, **parameters)
        return await result if inspect.isawaitable(result) else result


@pytest.fixture(params=["", "a"], ids=["sync", "async"])
def either(request: pytest.FixtureRequest) -> Either:
    return Either(request.param)


def checkpoint(version: str, **values: Any) -> Checkpoint:
    made = empty_checkpoint()
    made["channel_values"] = values
    made["channel_versions"] = dict.fromkeys(values, version)
    return made


async def put(either: Either, saver: RemoteSaver, made: Checkpoint, config: Any = CONFIG) -> None:
    config = {"configurable": {"checkpoint_ns": "", **config["configurable"]}}
    await either.call(saver, "put", config, made, {}, made["channel_versions"])


@pytest.mark.parametrize("writers", ["fork", "refuse", "lease"])
async def test_a_turn_of_a_long_chat_costs_its_own_bytes(keeping: KeepingServer, either: Either, writers: Mode) -> None:
    """300 turns are 420 KB, which went to the server twice in each further turn, and came back once."""
    with RemoteSaver(keeping.target, writers=writers) as saver, RemoteSaver(keeping.target, value_cache=0) as whole:
        await either.call(graph(saver), "invoke", {"messages": chat(300)}, CONFIG)
        for number in range(3):
            keeping.forget_traffic()
            await either.call(graph(saver), "invoke", said(number), CONFIG)
            sent, received = keeping.traffic
            assert sent < 10_000
            assert received < 5_000
        keeping.forget_traffic()
        await either.call(graph(whole), "invoke", said(3), CONFIG)
        assert min(keeping.traffic) > 400_000
        # The one with a cache goes on from what another one stored.
        await either.call(graph(saver), "invoke", said(4), CONFIG)
        state = await either.call(graph(whole), "get_state", CONFIG)
    expected = InMemorySaver()
    graph(expected).invoke({"messages": chat(300)}, CONFIG)
    for number in range(5):
        graph(expected).invoke(said(number), CONFIG)
    assert state.values == graph(expected).get_state(CONFIG).values


async def test_nothing_is_sent_as_a_change_before_the_server_says_that_it_takes_them(either: Either) -> None:
    """Also when an older server answers in between, which passes over what it does not know."""
    with KeepingServer(takes_changes=False) as keeping, RemoteSaver(keeping.target) as saver:
        for number in range(3):
            await put(either, saver, checkpoint(f"v{number}", messages=chat(20 + number)))
        assert not any(one.channel_changes for one in keeping.puts)
        keeping.takes_changes = True
        await put(either, saver, checkpoint("v3", messages=chat(23)))
        assert not keeping.puts[-1].channel_changes
        await put(either, saver, checkpoint("v4", messages=chat(24)))
        assert list(keeping.puts[-1].channel_changes) == ["messages"]
        assert not keeping.puts[-1].checkpoint.channel_values


async def test_an_older_server_loses_nothing(either: Either) -> None:
    """It was sent a change because another one behind the same address said that it takes them."""
    with KeepingServer() as keeping, RemoteSaver(keeping.target) as saver:
        await put(either, saver, checkpoint("v0", messages=chat(20)))
        keeping.takes_changes = False
        await put(either, saver, checkpoint("v1", messages=chat(21)))
        assert [bool(one.channel_changes) for one in keeping.puts] == [False, True, False]
        found = await either.call(saver, "get_tuple", CONFIG)
        assert found.checkpoint["channel_values"]["messages"] == chat(21)
        await put(either, saver, checkpoint("v2", messages=chat(22)))
        assert not keeping.puts[-1].channel_changes


@pytest.mark.parametrize("writers", ["fork", "refuse", "lease"])
@pytest.mark.parametrize("how", ["lose", "spoil"])
async def test_a_base_that_is_not_there_is_made_up_for(
    keeping: KeepingServer, either: Either, writers: Mode, how: str
) -> None:
    with RemoteSaver(keeping.target, writers=writers) as saver:
        await either.call(graph(saver), "invoke", {"messages": chat(50)}, CONFIG)
        run = graph(saver)
        before = await either.call(run, "get_state", CONFIG)
        keeping.forget_traffic()

        def act(state: MessagesState) -> dict[str, Any]:
            getattr(keeping, how)("t")
            return answer(state)

        made = StateGraph(MessagesState).add_node("answer", act).add_edge(START, "answer").compile(checkpointer=saver)
        await either.call(made, "invoke", said(0), CONFIG)
        after = await either.call(run, "get_state", CONFIG)
        assert after.values["messages"][:102] == [*before.values["messages"], *said(0)["messages"]]
        assert len(after.values["messages"]) == 103
    # The node acts before or after its input is stored.
    requests = [one for one in keeping.requests if hasattr(one, "put")]
    ids = [one.put.checkpoint.id for one in requests]
    (twice,) = {one for one in ids if ids.count(one) == 2}
    refused, stored = (one for one in requests if one.put.checkpoint.id == twice)
    assert refused.put.channel_changes
    assert not stored.put.channel_changes
    assert refused.precondition == stored.precondition
    assert stored.HasField("precondition") == (writers != "fork")


async def test_another_refusal_is_not_made_up_for(keeping: KeepingServer, either: Either) -> None:
    with RemoteSaver(keeping.target, writers="refuse") as saver, RemoteSaver(keeping.target) as other:
        await either.call(graph(saver), "invoke", {"messages": chat(20)}, CONFIG)

        def act(state: MessagesState) -> dict[str, Any]:
            graph(other).invoke(said(1), CONFIG)
            return answer(state)

        made = StateGraph(MessagesState).add_node("answer", act).add_edge(START, "answer").compile(checkpointer=saver)
        with pytest.raises(HeadMoved):
            await either.call(made, "invoke", said(0), CONFIG)


async def test_what_was_not_stored_is_not_built_upon(keeping: KeepingServer, either: Either) -> None:
    """The server has the first value. It refused the second one, whose config says that there is no checkpoint yet."""
    with RemoteSaver(keeping.target, writers="refuse") as saver:
        await put(either, saver, checkpoint("v0", messages=chat(20)))
        with pytest.raises(HeadMoved):
            await put(either, saver, checkpoint("v1", messages=chat(21)))
        assert saver._held.of("t", "")["messages"].version == "v0"


@pytest.mark.parametrize("writers", ["fork", "refuse", "lease"])
async def test_runs_that_save_at_their_end(keeping: KeepingServer, either: Either, writers: Mode) -> None:
    with RemoteSaver(keeping.target, writers=writers) as saver:
        for number in range(4):
            given = {"messages": chat(50)} if number == 0 else said(number)
            await either.call(graph(saver), "invoke", given, CONFIG, durability="exit")
        # What goes with others in one commit goes whole: its refusal would come when nobody can tell it anew.
        assert any(one.channel_changes for one in keeping.puts) == (writers == "fork")
        found = await either.call(saver, "get_tuple", CONFIG)
        assert len(found.checkpoint["channel_values"]["messages"]) == 101 + 3 * 2


async def test_two_savers_take_turns(keeping: KeepingServer, either: Either) -> None:
    """Each has what it sent last, and what it read last."""
    with RemoteSaver(keeping.target) as one, RemoteSaver(keeping.target) as other:
        await either.call(graph(one), "invoke", {"messages": chat(50)}, CONFIG)
        for number in range(6):
            await either.call(graph((other, one)[number % 2]), "invoke", said(number), CONFIG)
        assert len([put for put in keeping.puts if put.channel_changes]) >= 12
        found = [(await either.call(saver, "get_tuple", CONFIG)).checkpoint for saver in (one, other)]
        assert found[0] == found[1]
        assert [message.id for message in found[0]["channel_values"]["messages"]][101::2] == [
            f"said-{number}" for number in range(6)
        ]


async def test_history_forks_and_updates(keeping: KeepingServer, either: Either) -> None:
    """Beside a saver that sends and receives everything whole: the same states, in all the ways to get them."""
    told: list[list[Any]] = []
    for cache in (64 << 20, 0):
        with RemoteSaver(keeping.target, value_cache=cache) as saver:
            made = graph(saver)
            config: RunnableConfig = {"configurable": {"thread_id": f"t{cache}"}}
            await either.call(made, "invoke", {"messages": chat(30)}, config)
            await either.call(made, "invoke", said(0), config)
            past = list(made.get_state_history(config))[2].config
            await either.call(made, "invoke", said(1), past)
            await either.call(made, "update_state", config, {"messages": [RemoveMessage(id="h3")]})
            changed = {"messages": [AIMessage("longer " * 300, id="a7")]}
            forked = await either.call(made, "update_state", past, changed)
            await either.call(made, "invoke", None, forked)
            await either.call(made, "invoke", said(2), config)
            history = list(made.get_state_history(config))
            named = [await either.call(made, "get_state", one.config) for one in history]
            assert [one.values for one in named] == [one.values for one in history]
            told.append([(one.values, one.next, one.metadata["step"]) for one in history])
        if cache:
            assert any(one.channel_changes for one in keeping.puts)
            assert any(one.held_channels for one in keeping.sent if hasattr(one, "held_channels"))
    assert told[0] == told[1]


async def test_what_is_read_is_never_shared(keeping: KeepingServer, either: Either) -> None:
    with RemoteSaver(keeping.target) as saver:
        await put(either, saver, checkpoint("v0", messages=chat(20)))
        for _ in range(3):
            found = await either.call(saver, "get_tuple", CONFIG)
            messages = found.checkpoint["channel_values"]["messages"]
            assert messages == chat(20)
            messages[0].content = "changed by its reader"
            messages.clear()
        assert keeping.sent[-1].held_channels == ["messages"]


async def test_a_value_that_is_put_is_what_it_was_then(keeping: KeepingServer, either: Either) -> None:
    """Its owner goes on changing it."""
    with RemoteSaver(keeping.target) as saver:
        messages = chat(20)
        await put(either, saver, checkpoint("v0", messages=messages))
        messages[3].content = "changed by its owner"
        found = await either.call(saver, "get_tuple", CONFIG)
        assert found.checkpoint["channel_values"]["messages"] == chat(20)


async def test_a_server_that_has_another_value_sends_it(keeping: KeepingServer, either: Either) -> None:
    with RemoteSaver(keeping.target) as saver:
        await put(either, saver, checkpoint("v0", messages=chat(20), other="x" * 3000))
        for key, value in keeping.values.items():
            if key[2] == "other":
                value.data = value.data.replace(b"x", b"y")
        found = await either.call(saver, "get_tuple", CONFIG)
        assert found.checkpoint["channel_values"] == {"messages": chat(20), "other": "y" * 3000}
        assert keeping.sent[-1].held_channels == ["messages"]
        await either.call(saver, "get_tuple", CONFIG)
        assert sorted(keeping.sent[-1].held_channels) == ["messages", "other"]


async def test_an_entry_may_go_while_the_server_answers(
    keeping: KeepingServer, either: Either, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RemoteSaver(keeping.target) as saver:
        await put(either, saver, checkpoint("v0", messages=chat(20)))
        told = keeping._told

        def forgetful(*arguments: Any) -> Any:
            saver._held.forget("t")
            return told(*arguments)

        monkeypatch.setattr(keeping, "_told", forgetful)
        found = await either.call(saver, "get_tuple", CONFIG)
        assert keeping.sent[-1].held_channels == ["messages"]
        assert found.checkpoint["channel_values"]["messages"] == chat(20)


async def test_a_small_cache_holds_what_was_used_last(keeping: KeepingServer, either: Either) -> None:
    size = len(RemoteSaver().serde.dumps_typed(chat(20))[1])
    with RemoteSaver(keeping.target, value_cache=5 * size) as saver:
        places: list[Any] = [{"configurable": {"thread_id": f"t{number}"}} for number in range(6)]
        for place in places:
            await put(either, saver, checkpoint("v0", messages=chat(20)), place)
        for place in places:
            await either.call(saver, "get_tuple", place)
        assert saver._held.size <= 5 * size
        keeping.forget_traffic()
        for place in (places[5], places[4], places[0]):
            found = await either.call(saver, "get_tuple", place)
            assert found.checkpoint["channel_values"]["messages"] == chat(20)
        assert [len(one.held_values) for one in keeping.gets] == [1, 1, 0]


async def test_without_a_cache_everything_is_whole(keeping: KeepingServer, either: Either) -> None:
    with RemoteSaver(keeping.target, value_cache=0) as saver:
        for number in range(3):
            await put(either, saver, checkpoint(f"v{number}", messages=chat(20 + number)))
            found = await either.call(saver, "get_tuple", CONFIG)
            assert found.checkpoint["channel_values"]["messages"] == chat(20 + number)
        assert not any(one.channel_changes for one in keeping.puts)
        assert not any(one.held_values for one in keeping.gets)


async def test_a_deleted_thread_is_forgotten(keeping: KeepingServer, either: Either) -> None:
    with RemoteSaver(keeping.target) as saver:
        await put(either, saver, checkpoint("v0", messages=chat(20)))
        await either.call(saver, "delete_thread", "t")
        assert saver._held.size == 0
        assert await either.call(saver, "get_tuple", CONFIG) is None
        await put(either, saver, checkpoint("v0", messages=chat(21)))
        assert not keeping.puts[-1].channel_changes


async def test_namespaces_and_channels_have_values_of_their_own(keeping: KeepingServer, either: Either) -> None:
    with RemoteSaver(keeping.target) as saver:
        inner = {"configurable": {"thread_id": "t", "checkpoint_ns": "inner:1"}}
        await put(either, saver, checkpoint("v0", messages=chat(20)))
        await put(either, saver, checkpoint("v1", other=chat(21)))
        await put(either, saver, checkpoint("v1", messages=chat(21)), inner)
        assert not any(one.channel_changes for one in keeping.puts)
        await put(either, saver, checkpoint("v2", messages=chat(22), other=chat(22)), inner)
        assert list(keeping.puts[-1].channel_changes) == ["messages"]
        assert list(keeping.puts[-1].checkpoint.channel_values) == ["other"]


async def test_another_encoding_or_the_same_version_is_no_base(keeping: KeepingServer, either: Either) -> None:
    with RemoteSaver(keeping.target) as saver:
        await put(either, saver, checkpoint("v0", blob=b"a" * 5000))
        await put(either, saver, checkpoint("v1", blob="a" * 5000))
        await put(either, saver, checkpoint("v1", blob="a" * 5001))
        assert not any(one.channel_changes for one in keeping.puts)
        # What is stored under v1 is the first one: the last one is no base, and the server says so.
        await put(either, saver, checkpoint("v2", blob="a" * 5002))
        found = await either.call(saver, "get_tuple", CONFIG)
        assert found.checkpoint["channel_values"]["blob"] == "a" * 5002


async def test_a_clone_shares_what_is_held(keeping: KeepingServer, either: Either) -> None:
    """LangGraph makes one for each graph that has types of its own."""
    with RemoteSaver(keeping.target) as saver:
        clone: Any = saver.with_allowlist([("tests.client.langgraph.test_sending", "Either")])
        await put(either, saver, checkpoint("v0", messages=chat(20)))
        await put(either, clone, checkpoint("v1", messages=chat(21)))
        assert keeping.puts[-1].channel_changes


async def test_runs_at_the_same_time(keeping: KeepingServer) -> None:
    """On threads of their own and on one that they share."""
    with RemoteSaver(keeping.target) as saver:
        made = graph(saver)
        places: list[Any] = [{"configurable": {"thread_id": f"t{number % 4}"}} for number in range(8)]
        await asyncio.gather(*(made.ainvoke({"messages": chat(30)}, place) for place in places))
        await asyncio.gather(*(made.ainvoke(said(number), place) for number, place in enumerate(places)))
        with RemoteSaver(keeping.target, value_cache=0) as whole:
            for place in places[:4]:
                mine, theirs = await saver.aget_tuple(place), await whole.aget_tuple(place)
                assert mine is not None
                assert theirs is not None
                assert mine.checkpoint == theirs.checkpoint
                assert len(mine.checkpoint["channel_values"]["messages"]) >= 63
