"""graph_spec: the same for the same graph everywhere, and true to the graph."""

from __future__ import annotations

import hashlib
import json
import operator
import subprocess
import sys
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.channels import BinaryOperatorAggregate, EphemeralValue, LastValue, NamedBarrierValue, Topic
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.encrypted import EncryptedSerializer
from langgraph.graph import START, StateGraph
from langgraph.pregel import NodeBuilder, Pregel
from langgraph.pregel._write import ChannelWriteEntry

from checkpointd.client.langgraph import PortableSerializer, RemoteSaver, graph_spec
from checkpointd.v1 import graph_pb2 as specs
from tests.server_process import environment
from tests.states.graphs import GRAPHS

_SAY = "import json, tests.states.test_graph_spec as said; print(json.dumps(said.hashes()))"


def hashes() -> dict[str, str]:
    """What names the spec of each graph of the corpus."""
    return {name: digest(graph_spec(build(None))) for name, build in GRAPHS.items()}


def digest(spec: specs.GraphSpec) -> str:
    return hashlib.sha256(spec.SerializeToString(deterministic=True)).hexdigest()


def python(code: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment(**settings)
    )


def test_the_same_bytes_in_every_process() -> None:
    mine = hashes()
    assert len(set(mine.values())) > 30, "different graphs have different specs"
    for seed in ("0", "1", "2", "4242"):
        ran = python(_SAY, PYTHONHASHSEED=seed)
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout) == mine, f"PYTHONHASHSEED={seed}"


def test_the_same_whatever_the_saver_is() -> None:
    with RemoteSaver() as saver:
        strict = RemoteSaver(serde=EncryptedSerializer(_Cipher(), PortableSerializer()))
        for build in GRAPHS.values():
            plain = graph_spec(build(None))
            assert graph_spec(build(saver), serde=saver.serde) == plain
            assert graph_spec(build(InMemorySaver())) == plain
            assert graph_spec(build(None), serde=strict.serde) == plain


class _Cipher:
    """No two of its ciphertexts are the same."""

    def __init__(self) -> None:
        self._number = 0

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        self._number += 1
        return "counting", self._number.to_bytes(8) + plaintext

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        return ciphertext[8:]


def spec_of(name: str) -> specs.GraphSpec:
    return graph_spec(GRAPHS[name](None))


def channel(spec: specs.GraphSpec, name: str) -> specs.ChannelSpec:
    return next(channel for channel in spec.channels if channel.name == name)


def node(spec: specs.GraphSpec, name: str) -> specs.NodeSpec:
    return next(node for node in spec.nodes if node.name == name)


def test_nodes_in_compiled_order_and_the_rest_sorted() -> None:
    spec = spec_of("joined")
    assert [node.name for node in spec.nodes] == ["__start__", "e", "d", "c", "bb", "b", "a"]
    names = [channel.name for channel in spec.channels]
    assert names == sorted(names)
    assert [write.channel for write in node(spec, "a").static_writes] == ["branch:to:b", "branch:to:c"]
    assert {write.value.encoding for write in node(spec, "a").static_writes} == {"null"}


def test_joins() -> None:
    spec = spec_of("joined")
    assert list(channel(spec, "join:bb+c:d").barrier.names) == ["bb", "c"]
    assert not channel(spec, "join:bb+c:d").barrier.after_finish
    assert list(node(spec, "d").triggers) == ["branch:to:d", "join:bb+c:d"]
    (write,) = node(spec, "c").static_writes
    assert write.channel == "join:bb+c:d"
    assert PortableSerializer().loads_typed((write.value.encoding, write.value.data)) == "c"
    assert channel(spec_of("deferred"), "join:bb+c:both").barrier.after_finish
    assert channel(spec_of("deferred"), "branch:to:last").WhichOneof("kind") == "last_value_after_finish"
    assert not channel(spec, "branch:to:a").ephemeral.guard
    assert channel(spec, "__start__").ephemeral.guard


def test_branches() -> None:
    spec = spec_of("conditional")
    (free,), (bound,) = node(spec, "a").branches, node(spec, "c").branches
    assert (free.name, free.HasField("ends")) == ("where", False)
    assert (bound.name, list(bound.ends.names)) == ("whether", ["__end__", "d"])
    assert not any(node.opaque_writers for node in spec.nodes)


def test_a_graph_that_runs_elsewhere_has_no_nodes() -> None:
    called = node(spec_of("elsewhere"), "inside")
    assert called.HasField("subgraph")
    assert called.subgraph == specs.GraphSpec()
    assert node(node(spec_of("elsewhere_within"), "inside").subgraph, "inside").subgraph == specs.GraphSpec()


def test_inputs_and_managed_values() -> None:
    spec = spec_of("managed")
    assert list(spec.managed) == ["last", "left"]
    assert list(node(spec, "__start__").update.keys.names) == ["log"]
    assert list(node(spec, "first").update.keys.names) == ["hidden", "last", "left", "log"]
    assert list(spec.stream_channels.names) == ["log", "hidden"]
    narrowed = spec_of("narrowed")
    assert list(node(narrowed, "__start__").update.keys.names) == ["question"]
    assert narrowed.input_channels == specs.ChannelSelection(single=True, names=["__start__"])
    root = spec_of("bare_number")
    assert node(root, "double").update.root
    assert node(root, "double").input_single == "__root__"
    assert root.stream_channels == specs.ChannelSelection(single=True, names=["__root__"])


KINDS = {
    "strings": specs.REDUCER_KIND_ADD,
    "ratio": specs.REDUCER_KIND_MUL,
    "greatest": specs.REDUCER_KIND_MAX,
    "least": specs.REDUCER_KIND_MIN,
    "names": specs.REDUCER_KIND_OR,
    "common": specs.REDUCER_KIND_AND,
    "own": specs.REDUCER_KIND_OPAQUE,
}


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_reducers(name: str, kind: specs.ReducerKind.ValueType) -> None:
    reducer = channel(spec_of("folding"), name).binop.reducer
    assert (reducer.kind, reducer.ref) == (kind, "<lambda>" if name == "own" else "")


def test_reducers_of_messages() -> None:
    assert channel(spec_of("chatting"), "messages").binop.reducer.kind == specs.REDUCER_KIND_ADD_MESSAGES
    formatted = channel(spec_of("formatted"), "messages").binop.reducer
    assert (formatted.kind, formatted.format) == (specs.REDUCER_KIND_ADD_MESSAGES, "langchain-openai")
    changing = spec_of("changing")
    assert channel(changing, "messages").delta.reducer.kind == specs.REDUCER_KIND_MESSAGES_DELTA
    assert channel(changing, "messages").delta.snapshot_frequency == 100
    log = channel(changing, "log").delta
    assert (log.reducer.kind, log.reducer.ref, log.snapshot_frequency) == (specs.REDUCER_KIND_OPAQUE, "extend", 3)


def test_first_values() -> None:
    spec, serde = spec_of("folding"), PortableSerializer()
    firsts = {
        item.name: serde.loads_typed((item.binop.initial.encoding, item.binop.initial.data))
        for item in spec.channels
        if item.binop.HasField("initial")
    }
    lists, numbers = ("strings", "own", "needed"), ("number", "greatest", "least", "flags")
    assert firsts == {
        **{name: [] for name in lists},
        **dict.fromkeys(numbers, 0),
        **{"text": "", "ratio": 0.0, "names": set(), "common": set(), "table": {}},
    }
    assert not channel(spec, "maybe").binop.HasField("initial")


def test_subgraphs() -> None:
    outer = spec_of("two_levels_remembering")
    middle = node(outer, "inside").subgraph
    assert [item.name for item in middle.nodes] == ["__start__", "before", "inside", "after"]
    assert (outer.per_thread, middle.per_thread, node(middle, "inside").subgraph.per_thread) == (False, True, True)
    assert not node(outer, "before").HasField("subgraph")
    assert node(spec_of("called"), "inside").subgraph.nodes, "found in a function's closure"
    assert not node(spec_of("forgetting"), "inside").HasField("subgraph")


def test_graphs_made_by_hand() -> None:
    spec = spec_of("by_hand")
    four = node(spec, "four")
    assert four.update.passthrough.names == ["out"]
    assert four.update.skip_null == ["out"]
    assert four.opaque_writers, "it writes to `sum` what a function makes of its value"
    one = node(spec, "one")
    assert list(one.update.passthrough.names) == ["any", "topic", "all", "loose"]
    assert [write.channel for write in one.static_writes] == ["both", "sum"]
    assert one.input_single == "given"
    assert not node(spec, "three").HasField("input_single")
    assert list(channel(spec, "both").barrier.names) == ["one", "two"]
    assert (channel(spec, "all").topic.accumulate, channel(spec, "topic").topic.accumulate) == (True, False)
    assert channel(spec, "secret").untracked.guard
    assert channel(spec, "any").WhichOneof("kind") == "any_value"
    assert "__pregel_tasks" in spec.stream_channels.names, "without names, all channels are shown"


def test_functions() -> None:
    flow = node(spec_of("functional"), "flow")
    assert list(flow.update.passthrough.names) == ["__end__", "__previous__"]
    assert not flow.opaque_writers


class Own(LastValue):  # type: ignore[type-arg]
    """A channel of the user's own, if only by name."""


class Numbered(list[int]):
    """No two are the same."""

    made = 0

    def __init__(self) -> None:
        Numbered.made += 1
        super().__init__([Numbered.made])


@pytest.mark.parametrize(
    "channel",
    [
        Own(int),
        NamedBarrierValue(int, {1, 2}),
        BinaryOperatorAggregate(Numbered, operator.add),
        BinaryOperatorAggregate(lambda: {"a", "b"}, operator.or_),  # type: ignore[arg-type]
        BinaryOperatorAggregate(object, operator.add),
    ],
    ids=["subclass", "barrier of numbers", "another value each time", "a set", "nothing that can be serialised"],
)
def test_what_can_not_be_said_is_opaque(channel: Any) -> None:
    graph: Pregel[Any, Any, Any, Any] = Pregel(
        nodes={"a": NodeBuilder().subscribe_only("in").do(lambda given: given).write_to("odd")},
        channels={"in": EphemeralValue(int), "odd": channel},
        input_channels="in",
        output_channels="odd",
    )
    described = next(item for item in graph_spec(graph).channels if item.name == "odd")
    assert described.opaque.ref == type(channel).__name__


class _Joined:
    """A reducer without a hash."""

    __hash__ = None  # type: ignore[assignment]

    def __call__(self, old: list[int], new: list[int]) -> list[int]:
        return [*old, *new]


class _Odd(TypedDict):
    values: Annotated[list[int], _Joined()]


def test_reducers_without_a_hash_or_a_name() -> None:
    graph: StateGraph[Any] = StateGraph(_Odd)
    graph.add_node("a", lambda state: {})
    graph.add_edge(START, "a")
    reducer = channel(graph_spec(graph.compile()), "values").binop.reducer
    assert (reducer.kind, reducer.ref) == (specs.REDUCER_KIND_OPAQUE, "_Joined")


def test_a_writer_of_ones_own_is_opaque() -> None:
    graph: Pregel[Any, Any, Any, Any] = Pregel(
        nodes={"a": NodeBuilder().subscribe_only("in").write_to(ChannelWriteEntry("out", mapper=str))},
        channels={"in": EphemeralValue(int), "out": Topic(str)},
        input_channels="in",
        output_channels="out",
    )
    assert node(graph_spec(graph), "a").opaque_writers


def test_what_is_no_compiled_graph_is_refused() -> None:
    with pytest.raises(TypeError, match=r"StateGraph does not; call its compile\(\)"):
        graph_spec(StateGraph(_Odd))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a compiled graph has a spec, str does not"):
        graph_spec("graph")  # type: ignore[arg-type]


_IMPORTED = """
import sys
from checkpointd.client.langgraph import RemoteSaver, graph_spec
print(*(name for name in ("langgraph.pregel", "langgraph.graph", "langgraph.types") if name in sys.modules))
"""

_MISSING = """
import sys
sys.modules["langgraph.pregel"] = sys.modules["langgraph.types"] = None
from checkpointd.client.langgraph import RemoteSaver, graph_spec
for call in (lambda: graph_spec(None), lambda: RemoteSaver().register(None),
             lambda: RemoteSaver().get_state({"configurable": {"thread_id": "t"}})):
    try:
        call()
    except ImportError as error:
        print(error)
"""


def test_langgraph_is_imported_when_it_is_needed() -> None:
    ran = python(_IMPORTED)
    assert (ran.returncode, ran.stdout.strip()) == (0, ""), ran.stderr


def test_without_langgraph_it_says_what_to_install() -> None:
    ran = python(_MISSING)
    lines = ran.stdout.splitlines()
    assert len(lines) == 3, ran.stderr
    assert all("needs LangGraph 1.2 itself" in line and "pip install 'langgraph" in line for line in lines)
