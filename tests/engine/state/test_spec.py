"""Descriptions of graphs: what is wrong with one is said by its path, and the same graph has one name."""

from collections.abc import Callable

import pytest

from checkpointd.engine.errors import InvalidField
from checkpointd.engine.state import namespaces
from checkpointd.engine.state.spec import MAX_BYTES, MAX_DEPTH, canonical, check, graph_hash
from checkpointd.v1.core_pb2 import ChannelNames, Value
from checkpointd.v1.graph_pb2 import Branch, ChannelSpec, Delta, GraphSpec, NodeUpdate, Reducer, StaticWrite
from tests.engine.state.kinds import KINDS, folded, graph_spec, last_value, node, opaque, trigger
from tests.engine.state.langgraph_values import dumped


def _whole() -> GraphSpec:
    """A description with some of everything."""
    channels = {**{name: kind.spec for name, kind in KINDS.items()}, "opaque": opaque(), "to:b": trigger()}
    first = node("a", "last_value", input_single="last_value")
    first.static_writes.add(channel="to:b", value=dumped(None))
    first.static_writes.add(channel="barrier", value=dumped("a"))
    first.branches.add(name="choose", ends=ChannelNames(names=["b", "__end__"]))
    first.update.keys.names.extend(["last_value", "managed"])
    second = node("b", "to:b", "barrier")
    second.update.CopyFrom(NodeUpdate(passthrough=ChannelNames(names=["last_value"]), skip_null=["last_value"]))
    second.subgraph.CopyFrom(graph_spec({"x": last_value()}, [node("inner", "x")]))
    spec = graph_spec(channels, [first, second], ["last_value", "binop"])
    spec.managed.append("managed")
    spec.input_channels.single = True
    spec.input_channels.names.append("last_value")
    return spec


def test_a_whole_description_is_taken() -> None:
    check("spec", _whole())


def test_a_subgraph_may_be_of_another_kind_and_not_described() -> None:
    spec = graph_spec({}, [node("a")])
    spec.nodes[0].subgraph.SetInParent()
    check("spec", spec)


_BAD: dict[str, tuple[Callable[[GraphSpec], object], str, str]] = {
    "no nodes": (lambda s: s.ClearField("nodes"), "spec.nodes", "is empty"),
    "node without a name": (lambda s: s.nodes.add(), "spec.nodes[2]", "is empty"),
    "node twice": (lambda s: s.nodes.add(name="a"), "spec.nodes[2]", "second time"),
    "node with NUL": (lambda s: s.nodes.add(name="a\0"), "spec.nodes[2]", "NUL"),
    "channel without a name": (lambda s: s.channels.add(opaque=opaque().opaque), "spec.channels[16]", "is empty"),
    "channel twice": (lambda s: s.channels.append(s.channels[0]), "spec.channels[16]", "second time"),
    "long name": (lambda s: s.channels.add(name="x" * 1025), "spec.channels[16]", "at most 1024"),
    "channel without a kind": (lambda s: s.channels.add(name="x"), "spec.channels[16].kind", "is missing"),
    "managed twice": (lambda s: s.managed.append("managed"), "spec.managed[1]", "second time"),
    "managed that is a channel": (lambda s: s.managed.append("binop"), "spec.managed", "'binop', which is a channel"),
    "unknown trigger": (lambda s: s.nodes[0].triggers.append("x"), "spec.nodes[0].triggers[1]", "no channel"),
    "unknown input": (
        lambda s: setattr(s.nodes[0], "input_single", "x"),
        "spec.nodes[0].input_single",
        "no channel",
    ),
    "unknown key": (
        lambda s: s.nodes[0].update.keys.names.append("x"),
        "spec.nodes[0].update.keys.names[2]",
        "no channel",
    ),
    "unknown passthrough": (
        lambda s: s.nodes[1].update.passthrough.names.append("x"),
        "spec.nodes[1].update.passthrough.names[1]",
        "no channel",
    ),
    "null skipped elsewhere": (
        lambda s: s.nodes[1].update.skip_null.append("binop"),
        "spec.nodes[1].update.skip_null[1]",
        "no passthrough channel",
    ),
    "root without its channel": (
        lambda s: setattr(s.nodes[0].update, "root", True),
        "spec.nodes[0].update.root",
        "'__root__'",
    ),
    "static write to nowhere": (
        lambda s: s.nodes[0].static_writes.append(StaticWrite(channel="x", value=dumped(1))),
        "spec.nodes[0].static_writes[2].channel",
        "no channel",
    ),
    "static write of nothing": (
        lambda s: s.nodes[0].static_writes.append(StaticWrite(channel="to:b")),
        "spec.nodes[0].static_writes[2].value.encoding",
        "is empty",
    ),
    "branch twice": (
        lambda s: s.nodes[0].branches.append(Branch(name="choose")),
        "spec.nodes[0].branches[1]",
        "second time",
    ),
    "name in a barrier twice": (
        lambda s: next(c for c in s.channels if c.name == "barrier").barrier.names.append("a"),
        "barrier.names[2]",
        "second time",
    ),
    "no reducer": (lambda s: s.channels.add(name="x").binop.SetInParent(), "binop.reducer.kind", "is missing"),
    "unknown reducer": (
        lambda s: s.channels.add(name="x").binop.reducer.MergeFrom(Reducer(kind=99)),  # type: ignore[arg-type]
        "binop.reducer.kind",
        "does not know",
    ),
    "initial value that is none": (
        lambda s: s.channels.add(name="x", binop=folded().binop).binop.initial.CopyFrom(
            Value(encoding="msgpack", data=b"\xc1")
        ),
        "binop.initial",
        "not msgpack",
    ),
    "no snapshots": (
        lambda s: s.channels.append(ChannelSpec(name="x", delta=Delta(reducer=folded().binop.reducer))),
        "delta.snapshot_frequency",
        "is 0",
    ),
    "unknown stream channel": (
        lambda s: s.stream_channels.names.append("x"),
        "spec.stream_channels.names[2]",
        "no channel",
    ),
    "two single channels": (
        lambda s: s.input_channels.names.append("binop"),
        "spec.input_channels.names",
        "has 2 entries",
    ),
    "unknown version style": (
        lambda s: setattr(s, "version_style", 99),
        "spec.version_style",
        "does not know",
    ),
    "within a subgraph": (
        lambda s: s.nodes[1].subgraph.nodes[0].triggers.append("y"),
        "spec.nodes[1].subgraph.nodes[0].triggers[1]",
        "no channel",
    ),
    "too large": (
        lambda s: s.channels.add(name="x", opaque=opaque().opaque).opaque.MergeFrom(
            type(opaque().opaque)(ref="x" * MAX_BYTES)
        ),
        "spec",
        f"at most {MAX_BYTES}",
    ),
}


@pytest.mark.parametrize("what", _BAD)
def test_a_malformed_description_is_refused(what: str) -> None:
    spoil, field, problem = _BAD[what]
    spec = _whole()
    spoil(spec)
    with pytest.raises(InvalidField) as caught:
        check("spec", spec)
    assert caught.value.metadata["field"].endswith(field)
    assert problem in caught.value.message


def _nested(depth: int) -> GraphSpec:
    spec = graph_spec({}, [node("n")])
    for _ in range(depth - 1):
        spec = graph_spec({}, [node("n", subgraph=spec)])
    return spec


def test_a_description_of_very_many_names_is_taken() -> None:
    """What is looked up in lists would take a server minutes here."""
    names = [f"{number:x}" for number in range(20_000)]
    waiting = graph_spec({name: last_value() for name in names}, [node(name, names[-1]) for name in names[:5_000]], [])
    for described in waiting.nodes:
        described.input_single = names[-1]
    check("spec", waiting)
    writing = graph_spec({name: last_value() for name in names}, [node("a", names[-1])], [])
    writing.nodes[0].update.CopyFrom(NodeUpdate(passthrough=ChannelNames(names=names), skip_null=names[::-1]))
    check("spec", writing)


def test_graphs_within_graphs_have_an_end() -> None:
    check("spec", _nested(MAX_DEPTH))
    with pytest.raises(InvalidField, match=f"more than {MAX_DEPTH} graphs deep"):
        check("spec", _nested(MAX_DEPTH + 1))


def test_what_has_no_order_does_not_change_the_name() -> None:
    spec, other = _whole(), _whole()
    other.channels.reverse()
    other.nodes[0].static_writes.reverse()
    other.nodes[0].branches[0].ends.names.reverse()
    other.nodes[1].triggers.reverse()
    next(channel for channel in other.channels if channel.name == "barrier").barrier.names.reverse()
    assert spec != other
    assert graph_hash(canonical(spec)) == graph_hash(canonical(other))


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.nodes.reverse(),
        lambda s: s.stream_channels.names.reverse(),
        lambda s: setattr(s, "per_thread", True),
        lambda s: setattr(s.nodes[1].subgraph.nodes[0], "name", "other"),
    ],
)
def test_what_means_something_changes_the_name(change: Callable[[GraphSpec], object]) -> None:
    spec, other = _whole(), _whole()
    change(other)
    assert graph_hash(canonical(spec)) != graph_hash(canonical(other))


def _family() -> GraphSpec:
    """root -> a (call by call) -> c (per thread)"""
    leaf = graph_spec({"leaf": last_value()}, [node("n")])
    leaf.per_thread = True
    middle = graph_spec({"middle": last_value()}, [node("c", subgraph=leaf)])
    return graph_spec({"root": last_value()}, [node("a", subgraph=middle), node("b")])


@pytest.mark.parametrize(
    ("checkpoint_ns", "graph", "own"),
    [
        ("", "root", ""),
        ("a:1", "middle", "a:1"),
        ("a", "middle", "a"),
        ("a:1|c:2", "leaf", "a|c"),
        ("a|c", "leaf", "a|c"),
        ("a:1|3|c:2", "leaf", "a|3|c"),
        ("b:1", None, ""),
        ("x:1", None, ""),
        ("a:1|x:2", None, ""),
        ("|", None, ""),
    ],
)
def test_namespaces(checkpoint_ns: str, graph: str | None, own: str) -> None:
    found = namespaces.described(_family(), checkpoint_ns)
    assert (found and found.channels[0].name) == graph
    if found is not None:
        assert namespaces.own(found, checkpoint_ns) == own
