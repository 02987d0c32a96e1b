"""What a real graph stores reads the same from RemoteSaver as from LangGraph's own InMemorySaver."""

import operator
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, interrupt

from checkpointd.client.langgraph import RemoteSaver
from tests.server_process import ServerProcess

CONFIG: RunnableConfig = {"configurable": {"thread_id": "t"}}
NO_CHECKPOINT: RunnableConfig = {"configurable": {"thread_id": "t", "checkpoint_id": "never"}}
DELTA_CHANNELS = ["often", "seldom"]
CHANNELS = [*DELTA_CHANNELS, "plain", "none such"]


class Both(InMemorySaver):
    """Stores everything in memory and on the server, and reads it from memory."""

    def __init__(self, remote: RemoteSaver) -> None:
        super().__init__()
        self.remote = remote

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        stored = self.remote.put(config, checkpoint, metadata, new_versions)
        assert super().put(config, checkpoint, metadata, new_versions) == stored
        return stored

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self.remote.put_writes(config, writes, task_id, task_path)
        super().put_writes(config, writes, task_id, task_path)


def extend(state: list[str], writes: Sequence[list[str]]) -> list[str]:
    return [*state, *(item for write in writes for item in write)]


class State(TypedDict):
    plain: Annotated[list[str], operator.add]
    often: Annotated[list[str], DeltaChannel(extend, snapshot_frequency=3)]
    seldom: Annotated[list[str], DeltaChannel(extend, snapshot_frequency=1000)]


def write(text: str) -> dict[str, list[str]]:
    return {"plain": [text], "often": [text, text], "seldom": [text]}


def run(saver: InMemorySaver) -> None:
    """Parallel nodes, a subgraph, an interrupt, an update by hand and a fork."""
    inner = StateGraph(State)
    inner.add_node("deep", lambda state: write("deep"))
    inner.add_node("deeper", lambda state: write("deeper"))
    inner.add_edge(START, "deep")
    inner.add_edge("deep", "deeper")
    outer = StateGraph(State)
    outer.add_node("fan", lambda state: write("fan"))
    outer.add_node("leaf", lambda state: write(f"leaf{state['n']}"))
    outer.add_node("inner", inner.compile())
    outer.add_node("ask", lambda state: write(interrupt("and?")))
    outer.add_edge(START, "fan")
    outer.add_conditional_edges("fan", lambda state: [Send("leaf", {"n": n}) for n in range(3)], ["leaf"])
    outer.add_edge("leaf", "inner")
    outer.add_edge("inner", "ask")
    app = outer.compile(checkpointer=saver)
    for round_number in range(3):
        app.invoke(State(plain=["in"], often=["in"], seldom=[]), CONFIG)
        app.invoke(Command(resume=f"answer{round_number}"), CONFIG)
    app.update_state(CONFIG, write("by hand"), as_node="ask")
    app.invoke(None, list(app.get_state_history(CONFIG))[4].config)


@pytest.fixture(scope="module")
def both(server: ServerProcess) -> Iterator[Both]:
    with RemoteSaver(server.address, tenant="same-as-in-memory") as remote:
        saver = Both(remote)
        run(saver)
        yield saver


def everything(both: Both) -> list[CheckpointTuple]:
    return list(both.list(CONFIG))


def test_the_run_stored_what_there_is_to_compare(both: Both) -> None:
    found = everything(both)
    assert len({one.config["configurable"]["checkpoint_ns"] for one in found}) > 2
    assert sum(bool(one.pending_writes) for one in found) > 20


def test_every_checkpoint_is_the_same(both: Both) -> None:
    for expected in everything(both):
        found = both.remote.get_tuple(expected.config)
        assert found == expected
        assert found is not None
        assert list(map(type, found)) == list(map(type, expected))


def test_the_list_has_the_same_checkpoints(both: Both) -> None:
    namespaces = {one.config["configurable"]["checkpoint_ns"] for one in everything(both)}
    for checkpoint_ns in namespaces:
        config: RunnableConfig = {"configurable": {"thread_id": "t", "checkpoint_ns": checkpoint_ns}}
        assert list(both.remote.list(config)) == list(both.list(config))
        for source in ("loop", "input", "update", "fork"):
            assert list(both.remote.list(config, filter={"source": source})) == list(
                both.list(config, filter={"source": source})
            )


def test_every_history_of_a_delta_channel_is_the_same(both: Both) -> None:
    seeds = 0
    for one in everything(both):
        expected = both.get_delta_channel_history(config=one.config, channels=CHANNELS)
        assert both.remote.get_delta_channel_history(config=one.config, channels=CHANNELS) == expected
        seeds += sum("seed" in history for history in expected.values())
    assert seeds > 0
    for config in (CONFIG, NO_CHECKPOINT):
        expected = both.get_delta_channel_history(config=config, channels=CHANNELS)
        assert both.remote.get_delta_channel_history(config=config, channels=CHANNELS) == expected
    assert both.remote.get_delta_channel_history(config=CONFIG, channels=[]) == {}


def test_a_pruned_thread_keeps_the_histories_of_its_heads(both: Both) -> None:
    both.remote.copy_thread("t", "pruned")
    both.remote.prune(["pruned"])
    pruned: RunnableConfig = {"configurable": {"thread_id": "pruned"}}
    heads = list(both.remote.list(pruned))
    assert heads
    for head in heads:
        place = {**head.config["configurable"], "thread_id": "t"}
        found = both.remote.get_delta_channel_history(config=head.config, channels=DELTA_CHANNELS)
        assert found == both.get_delta_channel_history(config={"configurable": place}, channels=DELTA_CHANNELS)
