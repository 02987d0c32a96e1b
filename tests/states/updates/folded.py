"""Updates of keys that are folded: reducers, messages, Overwrites, states stored as changes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langgraph.channels import EphemeralValue, LastValue
from langgraph.channels.delta import DeltaChannel
from langgraph.graph import START, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES, _messages_delta_reducer
from langgraph.pregel import NodeBuilder, Pregel
from langgraph.types import Overwrite

from tests.states.corpus.folding import WRITES, changing, folding
from tests.states.corpus.playing import Graph, Play
from tests.states.corpus.shapes import chatting
from tests.states.updates.cases import Told, before, case, invoked, nothing, one, steps

KNOWN = {key: value for key, value in WRITES.items() if key != "own"}


def folded(play: Play) -> None:
    play.invoke(WRITES)
    play.resume("answered")


case("every reducer that is known", folding, folded, one(KNOWN, "left"))
case("every reducer that is known, for the first time", folding, nothing, one(KNOWN, "left"))
case("every reducer that is known, twice at once", folding, folded, steps([Told(KNOWN, "left"), Told(KNOWN, "right")]))
case(
    "every reducer that is known, twice in turn", folding, nothing, steps([Told(KNOWN, "left")], [Told(KNOWN, "left")])
)
case("reducers while siblings have finished", folding, invoked(WRITES), one(KNOWN, "ask"))
case(
    "other types that reducers take",
    folding,
    folded,
    one({"number": 2.5, "ratio": 2, "greatest": 7.5, "flags": True, "table": {}, "text": "", "names": set()}, "left"),
)
case(
    "a reducer of the user's own",
    folding,
    folded,
    one({"own": ["put"], "strings": ["put"]}, "left"),
    refused="NEEDS_CODE",
    stricter="opaque reducer",
)
case("a reducer of the user's own is left out", folding, folded, one({"strings": ["put"]}, "left"))
OVERWRITES: dict[str, Callable[[Any], Any]] = {
    "class": Overwrite,
    "object": lambda value: {"__overwrite__": value},
    "typed object": lambda value: {"type": "__overwrite__", "value": value},
}
for kind, over in OVERWRITES.items():
    case(
        f"an Overwrite, {kind}",
        folding,
        folded,
        one({"strings": over(["over"]), "number": over(1), "own": over(["mine"]), "table": over({})}, "left"),
    )
    case(
        f"an Overwrite for the first time, {kind}",
        folding,
        nothing,
        one({"strings": over(["over"]), "maybe": over(1)}, "left"),
    )
case(
    "two Overwrites of a key at once",
    folding,
    folded,
    steps([Told({"strings": Overwrite(["1"])}, "left"), Told({"strings": Overwrite(["2"])}, "right")]),
    refused="INVALID_UPDATE",
)
case(
    "an Overwrite after a write",
    folding,
    folded,
    steps([Told({"strings": ["1"], "number": 7}, "left"), Told({"strings": Overwrite(["2"])}, "right")]),
)
case(
    "a write after an Overwrite",
    folding,
    folded,
    steps([Told({"strings": Overwrite(["1"])}, "left"), Told({"strings": ["2"], "number": 7}, "right")]),
)
case("an Overwrite with nothing", folding, folded, one({"strings": Overwrite(None), "maybe": Overwrite(None)}, "left"))
for key, bad in {"strings": "text", "number": "text", "text": 1, "greatest": "x", "table": [1]}.items():
    case(
        f"a value that the reducer of {key} refuses", folding, folded, one({key: bad}, "left"), refused="INVALID_UPDATE"
    )
case("a set folded with a list", folding, folded, one({"names": [1]}, "left"), refused="NEEDS_CODE")
case(
    "a value that a reducer refuses beside others",
    folding,
    folded,
    one({"strings": ["put"], "number": "text", "table": {"a": 1}}, "left"),
    refused="INVALID_UPDATE",
)
case("nothing for reducers that refuse it", folding, folded, one({"number": None}, "left"), refused="INVALID_UPDATE")


def chat(play: Play) -> None:
    play.invoke({"messages": [HumanMessage("hello", id="human-1"), HumanMessage("again", id="human-2")]})
    play.resume("yes")


case("a message is added", chatting, chat, one({"messages": [HumanMessage("more", id="human-3")]}, "tool"))
case("a message alone is added", chatting, chat, one({"messages": HumanMessage("more", id="human-3")}, "ask"))
case(
    "a message without an id is added", chatting, chat, one({"messages": [HumanMessage("more"), AIMessage("!")]}, "ask")
)
case("a message is replaced", chatting, chat, one({"messages": [HumanMessage("other", id="human-1")]}, "ask"))
case(
    "a message is replaced by one of another kind",
    chatting,
    chat,
    one({"messages": [AIMessage("I", id="human-1")]}, "ask"),
)
case("a message is removed", chatting, chat, one({"messages": [RemoveMessage(id="human-1")]}, "ask"))
case(
    "a message is removed and added again",
    chatting,
    chat,
    one({"messages": [RemoveMessage(id="human-1"), HumanMessage("anew", id="human-1")]}, "ask"),
)
case(
    "a message is added twice",
    chatting,
    chat,
    one({"messages": [HumanMessage("1", id="new"), HumanMessage("2", id="new")]}, "ask"),
)
case("all messages are removed", chatting, chat, one({"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES)]}, "ask"))
case(
    "all messages are removed and some added",
    chatting,
    chat,
    one(
        {"messages": [HumanMessage("lost", id="l"), RemoveMessage(id=REMOVE_ALL_MESSAGES), AIMessage("x", id="x")]},
        "ask",
    ),
)
case(
    "a message that is not there is removed",
    chatting,
    chat,
    one({"messages": [RemoveMessage(id="no")]}, "ask"),
    refused="INVALID_UPDATE",
)
case("no messages", chatting, chat, one({"messages": []}, "ask"))
case("messages that are nothing", chatting, chat, one({"messages": None}, "ask"), refused="INVALID_UPDATE")
case(
    "messages on a thread without checkpoints",
    chatting,
    nothing,
    one({"messages": [HumanMessage("first")]}, "__start__"),
)
case(
    "messages of two at once",
    chatting,
    chat,
    steps([Told({"messages": [HumanMessage("1", id="1")]}, "ask"), Told({"messages": AIMessage("2")}, "ask")]),
)
case("messages are overwritten", chatting, chat, one({"messages": Overwrite([HumanMessage("only", id="o")])}, "ask"))
case(
    "a tool's call is changed",
    chatting,
    chat,
    one({"messages": [AIMessage("", id="ai-2", tool_calls=[{"name": "look", "args": {"at": 9}, "id": "c"}])]}, "model"),
)
case(
    "a message while a question waits",
    chatting,
    invoked({"messages": [HumanMessage("hello", id="human-1")]}),
    one({"messages": [HumanMessage("instead", id="human-2")]}, "ask"),
)


class Kept(TypedDict, total=False):
    messages: Annotated[list[AnyMessage], DeltaChannel(_messages_delta_reducer, snapshot_frequency=4)]
    plain: Annotated[list[str], operator.add]


def kept(saver: Any) -> Graph:
    """Messages stored as changes, by a reducer that is known, whole at every fourth."""

    def write(word: str) -> Any:
        def node(state: Kept) -> Kept:
            return {"messages": [HumanMessage(word, id=f"{word}-{len(state.get('plain', []))}")], "plain": [word]}

        return node

    graph: StateGraph[Any] = StateGraph(Kept)
    for name in "abc":
        graph.add_node(name, write(name))
    for start, end in ((START, "a"), ("a", "b"), ("b", "c")):
        graph.add_edge(start, end)
    return graph.compile(checkpointer=saver)


FIRST = {"messages": [HumanMessage("in", id="in")], "plain": ["in"]}


def say(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [HumanMessage(text, **more)]}


def put_twice(play: Play) -> None:
    play.invoke(FIRST)
    play.update(say("1", id="1"), "a")
    play.update(say("2", id="2"), "b")


case("a change at the head", kept, invoked(FIRST), one(say("put", id="put"), "a"))
case("a change without an id", kept, invoked(FIRST), one(say("put"), "b"))
case("a change of another key", kept, invoked(FIRST), one({"plain": ["put"]}, "a"))
case(
    "a change that replaces and removes",
    kept,
    invoked(FIRST),
    one({"messages": [HumanMessage("new", id="in"), RemoveMessage(id="a-1")]}, "b"),
)
case("a change on a thread without checkpoints", kept, nothing, one(say("put", id="put"), "a"))
case("a change of another key on a thread without checkpoints", kept, nothing, one({"plain": ["put"]}, "a"))
case("a change where changes wait", kept, invoked(FIRST, interrupt_before=["b"]), one(say("put", id="put"), "b"))
case("a change on a fork", kept, invoked(FIRST), one(say("put", id="put"), "a", at=before("b")))
case("a change of another key on a fork", kept, invoked(FIRST), one({"plain": ["put"]}, "a", at=before("b")))
case(
    "a change on the first checkpoint",
    kept,
    invoked(FIRST),
    one(say("put", id="put"), "__start__", at=before("__start__")),
)
case("changes are overwritten", kept, invoked(FIRST), one({"messages": Overwrite([HumanMessage("only", id="o")])}, "a"))
case(
    "changes are overwritten by an object",
    kept,
    invoked(FIRST),
    one({"messages": {"__overwrite__": [HumanMessage("only", id="o")]}}, "a"),
)
case("changes up to the whole", kept, invoked(FIRST), steps(*([Told(say(word, id=word), "a")] for word in "uvwxyz")))
case("changes of two at once", kept, invoked(FIRST), steps([Told(say("1", id="1"), "a"), Told(say("2", id="2"), "b")]))
case("a change that a run follows", kept, invoked(FIRST, then=invoked(FIRST)), one(say("put", id="put"), "a"))
case("a change after a copy", kept, invoked(FIRST), one([(say("put", id="put"), "b")], "__copy__", at=before("b")))
case("a change as input", kept, invoked(FIRST), one(say("put", id="put"), "__input__"))
case("a change as the start", kept, invoked(FIRST), one(say("put", id="put"), "__start__"))
case(
    "a change where an update has left changes",
    kept,
    put_twice,
    one(say("put", id="put"), "a"),
)


def changed_by_hand(saver: Any) -> Graph:
    """A graph made by hand, in which changes are what a node waits for."""

    def write(given: str) -> list[HumanMessage]:
        return [HumanMessage(given, id=given)]

    nodes: dict[str, Any] = {
        "write": NodeBuilder().subscribe_only("given").do(write).write_to("news"),
        "read": NodeBuilder().subscribe_to("news").do(lambda read: f"{len(read['news'])} read").write_to("out"),
    }
    delta: Any = _messages_delta_reducer
    channels: dict[str, Any] = {
        "given": EphemeralValue(str),
        "news": DeltaChannel(delta, list),
        "out": LastValue(str),
    }
    return Pregel(nodes=nodes, channels=channels, input_channels="given", output_channels="out", checkpointer=saver)


READ_TWICE = invoked("first", then=invoked("second"))

case("input, changes by hand", changed_by_hand, READ_TWICE, one("third", "__input__"))
case(
    "input to an older checkpoint, changes by hand",
    changed_by_hand,
    READ_TWICE,
    one("third", "__input__", at=before("write")),
)


def bumped(play: Play) -> None:
    READ_TWICE(play)
    play.update("third", "__input__", at=play.before("write"))


case("a stored whole does not say who is meant, changes by hand", changed_by_hand, bumped, one(FIRST["messages"]))
case(
    "a fork of a stored whole, changes by hand", changed_by_hand, bumped, one("fourth", "__input__", at=before("write"))
)
case("the end, changes by hand", changed_by_hand, READ_TWICE, one(None, "__end__", at=before("read")))
case("a copy, changes by hand", changed_by_hand, READ_TWICE, one(None, "__copy__", at=before("read")))

TURN = {"log": ["in"], "plain": ["p"], "messages": [HumanMessage("in", id="in")]}

case("a change of the user's own at the head", changing, invoked(TURN), one({"log": ["put"], "plain": ["x"]}, "a"))
case(
    "changes of the user's own up to the whole",
    changing,
    invoked(TURN),
    steps(*([Told({"log": [word]}, "a")] for word in "uvwx")),
)
case("a change of the user's own, overwritten", changing, invoked(TURN), one({"log": Overwrite(["over"])}, "a"))
case("no change of the user's own", changing, invoked(TURN), one({"plain": ["x"], **say("put", id="put")}, "b"))
case(
    "changes while one asks",
    changing,
    invoked({**TURN, "stop": True}),
    one(say("put", id="put"), "ask"),
    refused="NEEDS_CODE",
    stricter="opaque delta",
)
