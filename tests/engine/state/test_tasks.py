"""Tasks and their ids are LangGraph's, for any checkpoint."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.channels import BaseChannel, EphemeralValue, LastValue, Topic
from langgraph.checkpoint.base import Checkpoint
from langgraph.pregel._algo import prepare_next_tasks
from langgraph.pregel._read import PregelNode
from langgraph.types import Send

from checkpointd.client.langgraph.versions import encode_version
from checkpointd.engine.state.hydrate import channel
from checkpointd.engine.state.tasks import SENDS, next_tasks
from checkpointd.engine.state.versions import newer
from checkpointd.v1 import core_pb2 as core
from checkpointd.v1.graph_pb2 import ChannelSpec
from checkpointd.v1.graph_pb2 import Topic as TopicSpec
from tests.engine.state.kinds import graph_spec, last_value, node, trigger
from tests.engine.state.langgraph_values import dumped

_ID = "1f0b6b1e-5a3c-6b7a-8001-0123456789ab"
_NODES = {"a": ("to:a",), "b": ("to:b", "join"), "é": ("join",)}
_TRIGGERS = ("to:a", "to:b", "join")

_SPEC = graph_spec(
    {SENDS: ChannelSpec(topic=TopicSpec()), "single": last_value(), **{name: trigger() for name in _TRIGGERS}},
    [
        node("a", "to:a"),
        node("b", "to:b", "join", input_single="single"),
        node("é", "join"),
    ],
)


_NOTHING: Any = object()  # what a node runs; never called


def _langgraphs_nodes() -> dict[str, PregelNode]:
    return {
        name: PregelNode(
            channels="single" if name == "b" else ["single", "to:a"], triggers=list(triggers), bound=_NOTHING
        )
        for name, triggers in _NODES.items()
    }


_VERSIONS = {
    "text": st.sampled_from(["", "00000000000000000000000000000001.5", "00000000000000000000000000000002.1"]),
    "integer": st.integers(0, 12),
    "float": st.sampled_from([0.0, 1.5, 2.0, 12.0]),
}


@given(data=st.data(), style=st.sampled_from(sorted(_VERSIONS)), ns=st.sampled_from(["", "outer:1", "a:1|b:2"]))
def test_tasks_are_langgraphs(data: st.DataObject, style: str, ns: str) -> None:
    versions: dict[str, Any] = data.draw(st.dictionaries(st.sampled_from([*_TRIGGERS, "single"]), _VERSIONS[style]))
    seen: dict[str, dict[str, Any]] = data.draw(
        st.dictionaries(st.sampled_from("abé"), st.dictionaries(st.sampled_from(_TRIGGERS), _VERSIONS[style]))
    )
    held = data.draw(st.sets(st.sampled_from([*_TRIGGERS, "single"])))
    sends = data.draw(st.lists(st.sampled_from([Send("a", 1), Send("é", 2), Send("nobody", 3), "no send"]), max_size=4))
    step = data.draw(st.integers(-1, 3))

    theirs: dict[str, BaseChannel[Any, Any, Any]] = {name: EphemeralValue(object, False) for name in _TRIGGERS}
    theirs |= {"single": LastValue(object), SENDS: Topic(object)}
    ours = {described.name: channel(described, None) for described in _SPEC.channels}
    for name in held:
        theirs[name].update([1])
        ours[name].update([dumped(1)])
    theirs[SENDS].update(sends)
    ours[SENDS].update([dumped(send) for send in sends])

    saved = Checkpoint(
        v=4, id=_ID, ts="", channel_values={}, channel_versions=versions, versions_seen=seen, updated_channels=None
    )
    expected = prepare_next_tasks(
        saved,
        [],
        _langgraphs_nodes(),
        theirs,
        {},
        {"configurable": {"checkpoint_ns": ns}},
        step,
        step + 2,
        for_execution=False,
    )
    checkpoint = core.Checkpoint(v=4, id=_ID)
    checkpoint.channel_versions.update({name: encode_version(version) for name, version in versions.items()})
    for name, of_node in seen.items():
        checkpoint.versions_seen[name].versions.update({one: encode_version(two) for one, two in of_node.items()})
    actual = next_tasks(_SPEC, checkpoint, ours, ns, step)
    assert [(task.id, task.name, task.path) for task in actual] == [
        (task.id, task.name, task.path) for task in expected.values()
    ]


def test_known_ids() -> None:
    """As LangGraph 1.2.22 gave them."""
    ours = {described.name: channel(described, None) for described in _SPEC.channels}
    ours["to:a"].update([dumped(None)])
    ours[SENDS].update([dumped(Send("a", 1))])
    checkpoint = core.Checkpoint(v=4, id=_ID, channel_versions={"to:a": "#1"})
    assert [task.id for task in next_tasks(_SPEC, checkpoint, ours, "", 1)] == [
        "3d43625d-53b7-a0d0-6a65-73f864d15d31",
        "028876fd-b568-97a3-1b69-d3577bd2d739",
    ]
    checkpoint.v = 1
    assert [task.id for task in next_tasks(_SPEC, checkpoint, ours, "", 1)] == [
        "c6650543-ab50-d316-c793-8e7b66a61a27",
        "e39c8ba7-4fb3-6769-7882-534ad2a754d5",
    ]


def test_a_node_without_anything_to_run_is_no_task() -> None:
    spec = graph_spec({"to:a": trigger()}, [node("a", "to:a")])
    ours = {"to:a": channel(trigger(), dumped(1))}
    checkpoint = core.Checkpoint(v=4, id=_ID, channel_versions={"to:a": "#1"})
    assert [task.name for task in next_tasks(spec, checkpoint, ours, "", 1)] == ["a"]
    spec.nodes[0].runnable = False
    assert not next_tasks(spec, checkpoint, ours, "", 1)


@pytest.mark.parametrize("checkpoint_id", ["c", "not-hexadecimal", "1", "é"])
def test_a_checkpoint_id_that_is_not_langgraphs_leaves_tasks_without_an_id(checkpoint_id: str) -> None:
    spec = graph_spec({"to:a": trigger()}, [node("a", "to:a")])
    checkpoint = core.Checkpoint(v=4, id=checkpoint_id, channel_versions={"to:a": "#1"})
    (task,) = next_tasks(spec, checkpoint, {"to:a": channel(trigger(), dumped(1))}, "", 1)
    assert (task.name, task.id) == ("a", "")


@pytest.mark.parametrize(
    ("version", "seen", "expected"),
    [
        ("#2", "#1", True),
        ("#10", "#9", True),
        ("#1", "#1", False),
        ("#1", None, True),
        ("#0", None, False),
        ("#-1", None, False),
        ("#1.5", "#1", True),
        ("b", "a", True),
        ("", None, False),
        ("##2", "##1", True),
        (None, None, False),
        (None, "a", False),
        ("a", "#9", True),
        ("#9", "a", False),
        ("#x", "#y", False),
        ("#nan", "#1", False),
        ("#" + "9" * 250, "#1", True),
    ],
)
def test_versions_are_compared_as_what_they_stand_for(version: str | None, seen: str | None, expected: bool) -> None:
    assert newer(version, seen) == expected
