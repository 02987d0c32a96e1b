"""What it costs to make bytes of a state and a state of bytes: portable-json/1 beside LangGraph's own serialiser."""

from collections.abc import Callable, Iterator
from functools import partial

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from bench.pairs import in_turn, milliseconds, paired
from bench.row import Row, at_most
from bench.sides import Bench
from bench.text import Writer
from checkpointd.client.langgraph.portable import PortableSerializer

MESSAGES, LENGTH = 600, 480

_USAGE = {"input_tokens": 812, "output_tokens": 64, "total_tokens": 876}
_ABOUT = {"model_name": "a-model", "finish_reason": "stop"}


def encodings(bench: Bench) -> Iterator[Row]:
    """An agent's state of 600 messages, 350 KB, each way."""
    state = _state()
    ours, theirs = PortableSerializer(), JsonPlusSerializer()
    note = "ours: portable-json/1; theirs: msgpack, LangGraph's own; neither sends anything"
    yield _row(bench, "encode a state of 600 messages", partial(_encode, state), ours, theirs, note)
    yield _row(bench, "decode a state of 600 messages", partial(_decode, state), ours, theirs, note)


def _row(
    bench: Bench,
    name: str,
    act: Callable[[SerializerProtocol], Callable[[], object]],
    ours: SerializerProtocol,
    theirs: SerializerProtocol,
    note: str,
) -> Row:
    our_act, their_act = act(ours), act(theirs)
    pairs = in_turn(
        name,
        lambda: milliseconds(bench.effort.seconds, our_act),
        lambda: milliseconds(bench.effort.seconds, their_act),
        bench.effort,
        float,
    )
    return paired(name, "ms", pairs, at_most(1), note)


def _encode(state: list[AnyMessage], serde: SerializerProtocol) -> Callable[[], object]:
    return lambda: serde.dumps_typed(state)


def _decode(state: list[AnyMessage], serde: SerializerProtocol) -> Callable[[], object]:
    data = serde.dumps_typed(state)
    if serde.loads_typed(data) != state:
        raise AssertionError("a state is not the same when it is read again")
    return lambda: serde.loads_typed(data)


def _state() -> list[AnyMessage]:
    """Question, tool call, the tool's result, answer, over and over."""
    writer = Writer(seed=0)
    found: list[AnyMessage] = []
    for turn in range(MESSAGES // 4):
        call = {"name": "search", "args": {"query": writer.prose(40), "most": 5}, "id": f"call-{turn}"}
        found += [
            HumanMessage(writer.prose(LENGTH), id=f"human-{turn}"),
            AIMessage("", id=f"call-{turn}", tool_calls=[call], usage_metadata=_USAGE, response_metadata=_ABOUT),
            ToolMessage(writer.prose(LENGTH), id=f"tool-{turn}", name="search", tool_call_id=f"call-{turn}"),
            AIMessage(writer.prose(LENGTH), id=f"ai-{turn}", usage_metadata=_USAGE, response_metadata=_ABOUT),
        ]
    return found
