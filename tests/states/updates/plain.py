"""Updates as a node, here and there in a thread: whose they are, what they keep, where they are put."""

from __future__ import annotations

from typing import Any

from langgraph.graph import START

from tests.states.corpus.flow import graph_of, narrowed, say, sequential, side_by_side
from tests.states.corpus.pauses import asking, asking_together, colliding, failing, handled, stopping
from tests.states.corpus.playing import Graph, Play
from tests.states.updates.cases import Told, before, case, head, invoked, nothing, one, steps

RUN = invoked({"log": ["in"]})
RUN_TWICE = invoked({"log": ["one"]}, then=invoked({"log": ["two"], "count": 2}))


def alone(saver: Any) -> Graph:
    """A graph of a single node."""
    return graph_of({"a": say("a")}, [(START, "a")]).compile(checkpointer=saver)


case("values at the head", sequential, RUN, one({"log": ["put"], "last": None}, "a"))
case("values at the head of a thread that ran twice", sequential, RUN_TWICE, one({"log": ["put"]}, "b"))
case("no values at the head", sequential, RUN, one(None, "a"))
case("an empty object", sequential, RUN, one({}, "b"))
case("only keys that the state does not have", sequential, RUN, one({"unknown": 1, "other": [2]}, "a"))
case("keys that the state does not have beside one that it has", sequential, RUN, one({"no": 1, "count": 3}, "b"))
case("the last node, after which nothing runs", sequential, RUN, one({"log": ["put"]}, "c"))
case("the first node of several in order", sequential, RUN, one({"count": 1}, "__start__"))
case("a node that is no node", sequential, RUN, one({"log": []}, "nobody"), refused="INVALID_UPDATE")
case("what is no object", sequential, RUN, one(["log"], "a"), refused="INVALID_UPDATE")
case("more of a text", sequential, RUN, one("log", "a"), refused="INVALID_UPDATE")
case("pairs instead of an object", sequential, RUN, one([{"log": ["1"]}, {"count": 1}], "a"), refused="INVALID_UPDATE")
case(
    "a schema with a key that the update nulls", narrowed, invoked({"question": "why"}), one({"nothing": None}, "reply")
)
case("a key of the state that is no input", narrowed, invoked({"question": "why"}), one({"notes": ["n"]}, "think"))
case("a key that is no input, as the start", narrowed, invoked({"question": "?"}), one({"notes": ["n"]}, "__start__"))

case("the node that ran last is meant", sequential, RUN, one({"log": ["put"]}))
case("the node before a stop is meant", stopping, invoked({"log": []}), one({"log": ["put"]}))
case("the node after which it stopped is meant", stopping, invoked({"log": []}, then=invoked(None)), one({"count": 1}))
case(
    "one of several that ran last is meant",
    side_by_side,
    invoked({}, interrupt_before=["e"]),
    one({"log": ["x"]}),
    refused="INVALID_UPDATE",
)
case("the only node is meant", alone, RUN, one({"log": ["put"]}))
case("the only node of an empty thread is meant", alone, nothing, one({"log": ["put"]}))
case("nothing has run and no node is named", sequential, nothing, one({"log": ["put"]}))
case(
    "only input was given and no node is named",
    sequential,
    invoked({"log": ["in"]}, interrupt_before="*"),
    one({"log": ["put"]}),
)


def updated_as_c(play: Play) -> None:
    play.invoke({"log": ["in"]}, interrupt_before=["b"])
    play.update({"log": ["as c"]}, "c")


def updated_as_b(play: Play) -> None:
    play.update({"count": 1}, "b")


case("an update before does not say who is meant", sequential, updated_as_c, one({"log": ["put"]}))
case(
    "an update alone does not say who is meant",
    sequential,
    updated_as_b,
    one({"log": ["put"]}),
)

case("a thread without checkpoints", sequential, nothing, one({"log": ["put"], "count": 1}, "a"))
case("a thread without checkpoints, as the start", sequential, nothing, one({"log": ["put"]}, "__start__"))
case("a thread without checkpoints, no values", sequential, nothing, one(None, "b"))
case("a thread whose input waits", sequential, invoked({"log": ["in"]}, interrupt_before="*"), one({"log": ["x"]}, "a"))

case("the head by its id", sequential, RUN, one({"log": ["put"]}, "a", at=head))
case("a fork before b", sequential, RUN, one({"log": ["put"]}, "a", at=before("b")))
case("a fork before b, of whom is not said", sequential, RUN, one({"log": ["put"]}, at=before("b")))
case("a fork before a, as the start", sequential, RUN_TWICE, one({"log": ["put"]}, "__start__", at=before("a")))
case("a fork as what had not run", sequential, RUN, one({"log": ["put"]}, "c", at=before("a")))
case("a fork beside several", side_by_side, RUN, one({"log": ["put"]}, "c", at=before("b", "c", "d")))


def forked(play: Play) -> None:
    play.invoke({"log": ["in"]})
    play.update({"log": ["forked"]}, at=play.before("b"))


case("a fork of a thread that was forked", sequential, forked, one({"log": ["put"]}, at=before("c")))
case("the head of a fork", sequential, forked, one({"log": ["put"]}))

case(
    "several updates at once",
    side_by_side,
    invoked({}, interrupt_before=["b", "c", "d"]),
    steps([Told({"log": ["as b"]}, "b"), Told({"log": ["as d"]}, "d"), Told({"log": ["as c"]}, "c")]),
)
case(
    "several updates of one node at once",
    side_by_side,
    invoked({}, interrupt_before=["b"]),
    steps([Told({"log": [f"as b {number}"]}, "b") for number in range(12)]),
)
case(
    "several updates at once on a thread without checkpoints",
    side_by_side,
    nothing,
    steps([Told({"log": ["as b"]}, "b"), Told({"log": ["as c"]}, "c")]),
)
case(
    "several updates at once of which one names no node",
    side_by_side,
    RUN,
    steps([Told({"log": ["as b"]}, "b"), Told({"log": ["as c"]})]),
    refused="INVALID_UPDATE",
)
case(
    "several updates at once of which one names no such node",
    side_by_side,
    RUN,
    steps([Told({"log": ["as b"]}, "b"), Told({"log": ["as c"]}, "nobody")]),
    refused="INVALID_UPDATE",
)
case(
    "two values at once for a key that takes one",
    sequential,
    RUN,
    steps([Told({"last": "b"}, "a"), Told({"last": "c"}, "b")]),
    refused="INVALID_UPDATE",
)
case(
    "a superstep with __end__ and more",
    sequential,
    RUN,
    steps([Told(None, "__end__"), Told({}, "b")]),
    refused="INVALID_UPDATE",
)

case(
    "supersteps one after another",
    sequential,
    RUN,
    steps([Told({"log": ["1"]}, "a")], [Told({"log": ["2"]}, "b")], [Told({"log": ["3"], "count": 3}, "c")]),
)
case(
    "supersteps on a thread without checkpoints",
    sequential,
    nothing,
    steps([Told({"log": ["0"]}, "__input__")], [Told({"log": ["1"]}, "__start__")], [Told({"log": ["2"]}, "a")]),
)
case(
    "supersteps on a fork", sequential, RUN, steps([Told({"log": ["1"]}, "a")], [Told({"log": ["2"]})], at=before("b"))
)
case(
    "supersteps of several updates",
    side_by_side,
    RUN,
    steps([Told({"log": ["1"]}, "a")], [Told({"log": ["2"]}, "b"), Told({"log": ["3"]}, "c")], [Told(None, "d")]),
)
case(
    "supersteps with an end and an input between them",
    sequential,
    RUN,
    steps([Told({"log": ["1"]}, "a")], [Told(None, "__end__")], [Told({"log": ["2"]}, "__input__")], [Told({}, "b")]),
)
case(
    "supersteps of which the last is refused",
    sequential,
    RUN,
    steps([Told({"log": ["1"]}, "a")], [Told({"log": ["2"]}, "b")], [Told({"log": 3}, "c")]),
    refused="INVALID_UPDATE",
)

case("a task of one's own", sequential, RUN, one({"log": ["put"]}, "a", "11111111-2222-3333-4444-555555555555"))
case(
    "a task that waits",
    sequential,
    invoked({"log": []}, interrupt_before=["b"]),
    lambda play: one({"log": ["put"]}, "b", play.state().tasks[0].id)(play),
)
case(
    "a task of another node",
    side_by_side,
    invoked({}, interrupt_before=["b"]),
    lambda play: one({"log": ["put"]}, "b", play.state().tasks[2].id)(play),
)
case(
    "tasks of one's own, of several",
    side_by_side,
    RUN,
    steps([Told({"log": ["1"]}, "b", "11111111-2222-3333-4444-555555555555"), Told({"log": ["2"]}, "b")]),
)
case("a task that has finished", asking_together, invoked({"log": []}), one({"log": ["put"]}, "z"))

case("metadata of the caller's", sequential, RUN, one({"log": ["put"]}, "a", by="Ada", times=2, fine=True, ratio=0.5))
case(
    "metadata that is not kept",
    sequential,
    RUN,
    one({"log": ["put"]}, "a", source="mine", step=99, parents="none", listed=[1], mapped={"a": 1}, none=None),
)
case(
    "metadata from what is configured",
    sequential,
    RUN,
    one({"log": ["put"]}, "a", at=lambda _: {"configurable": {"thread_id": "", "user": "Ada", "__own": 1, "no": []}}),
)
case("metadata of a fork", sequential, RUN, one({"log": ["put"]}, "a", at=before("b"), by="Ada"))
case(
    "metadata of several supersteps",
    sequential,
    RUN,
    steps([Told({"count": 1}, "a")], [Told(None, "__end__")], [Told({"log": ["2"]}, "__input__")], by="Ada"),
)
case("metadata of a copy", sequential, RUN, one(None, "__copy__", by="Ada"))

case("a question is passed over", asking, invoked({"log": []}), one({"log": ["put"]}, "a"))
case("a question is answered by hand", asking, invoked({"log": []}), one({"log": ["by hand"], "name": "A"}, "ask"))
case("a question is passed over by the node after it", asking, invoked({"log": []}), one({"log": ["put"]}, "b"))
case(
    "a question that was answered once",
    asking,
    invoked({"log": []}, then=lambda play: play.resume("Ada") and None),
    one({"log": ["put"]}),
)
case("what siblings have done is lost", asking_together, invoked({"log": []}), one({"log": ["put"]}, "a"))
case(
    "what siblings have done is lost, as one that waits",
    asking_together,
    invoked({"log": []}),
    one({"log": ["put"]}, "x"),
)


def one_is_answered(play: Play) -> None:
    play.invoke({"log": []})
    play.resume({play.asked()[0]: 1})


case("one of two questions is answered", asking_together, one_is_answered, one({"log": ["put"]}, "y"))
case(
    "two questions are answered by hand",
    asking_together,
    one_is_answered,
    steps([Told({"log": ["x"]}, "x"), Told({"log": ["y"]}, "y"), Told({"log": ["z"]}, "z")]),
)
case(
    "siblings that wrote the same key", colliding, invoked({"log": ["in"], "name": "left"}), one({"name": "x"}, "right")
)
case("a failure is passed over", failing, lambda play: play.breaks({"log": []}), one({"log": ["put"]}, "zz"))
case("a failure is helped", failing, lambda play: play.breaks({"log": []}), one({"allowed": True}, "a"))
case("a failure, of whom is not said", failing, lambda play: play.breaks({"log": []}), one({"allowed": True}))
case("a node that another takes care of", handled, invoked({"log": []}), one({"log": ["put"]}, "fail"))
case("stops before, as the node before", stopping, invoked({"log": []}), one({"log": ["put"]}, "a"))
case(
    "stops after, as the node that it stopped after",
    stopping,
    invoked({"log": []}, then=invoked(None)),
    one({"log": ["put"]}, "c"),
)
case("stored at the end only", sequential, invoked({"log": []}, durability="exit"), one({"log": ["put"]}, "a"))
