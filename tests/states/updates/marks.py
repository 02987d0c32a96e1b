"""Updates that are no node's: the end of a superstep, input, copies."""

from __future__ import annotations

from tests.states.corpus.flow import deferred, joined, narrowed, sequential, side_by_side
from tests.states.corpus.folding import changing
from tests.states.corpus.mapping import map_reduce
from tests.states.corpus.pauses import asking, asking_together, failing, stopping
from tests.states.corpus.playing import Play
from tests.states.corpus.shapes import bare_list, modelled
from tests.states.updates.cases import Told, before, case, head, invoked, nothing, one, steps
from tests.states.updates.plain import RUN, RUN_TWICE

case("an end of what is at its end", sequential, RUN, one(None, "__end__"))
case("an end before b", sequential, invoked({"log": []}, interrupt_before=["b"]), one(None, "__end__"))
case("an end of a thread without checkpoints", sequential, nothing, one(None, "__end__"))
case("an end with values", sequential, RUN, one({"log": ["put"]}, "__end__"), refused="INVALID_UPDATE")
case("an end with siblings that have finished", asking_together, invoked({"log": []}), one(None, "__end__"))
case("an end with siblings that lead on", failing, lambda play: play.breaks({"log": []}), one(None, "__end__"))
case("an end of a fork", side_by_side, RUN, one(None, "__end__", at=before("b", "c", "d")))
case("an end after which a join waits", joined, invoked({"log": []}, interrupt_before=["bb"]), one(None, "__end__"))
case("an end of a full join", joined, invoked({"log": []}, interrupt_before=["d"]), one(None, "__end__"))
case("an end with a deferred node", deferred, invoked({"log": []}, interrupt_before=["bb"]), one(None, "__end__"))
case("an end with tasks sent", map_reduce, invoked({"words": ["a", "ask", "bb"]}), one(None, "__end__"))
case("an end with a question", asking, invoked({"log": []}), one(None, "__end__"))
case("an end while input waits", sequential, invoked({"log": ["in"]}, interrupt_before="*"), one(None, "__end__"))
case(
    "an end of changes",
    changing,
    invoked({"log": ["in"], "plain": ["p"]}, interrupt_before=["b"]),
    one(None, "__end__"),
)
case(
    "an end of changes that wait",
    changing,
    invoked({"log": ["in"], "stop": True}),
    one(None, "__end__"),
    refused="NEEDS_CODE",
    stricter="opaque delta",
)


def answered_beside(play: Play) -> None:
    """One of two questions is answered together with a change that belongs to no task."""
    play.invoke({"log": []})
    play.graph.update_state(play.thread, {"log": ["x"]}, "x")
    play.update({"log": ["again"]}, "a")
    play.invoke(None)


case("an end with questions after updates", asking_together, answered_beside, one(None, "__end__"))

case("input at the end", sequential, RUN, one({"log": ["put"], "count": 2}, "__input__"))
case("input of a thread without checkpoints", sequential, nothing, one({"log": ["put"]}, "__input__"))
case(
    "input while b waits", sequential, invoked({"log": []}, interrupt_before=["b"]), one({"log": ["put"]}, "__input__")
)
case(
    "input while input waits", sequential, invoked({"log": []}, interrupt_before="*"), one({"log": ["x"]}, "__input__")
)
case("input while a question waits", asking_together, invoked({"log": []}), one({"log": ["put"]}, "__input__"))
case("input to a fork", sequential, RUN_TWICE, one({"log": ["put"]}, "__input__", at=before("c")))
case("input to the head by its id", sequential, RUN, one({"log": ["put"]}, "__input__", at=head))
case(
    "input with keys that it does not take",
    narrowed,
    invoked({"question": "?"}),
    one({"question": "put", "notes": ["n"], "unknown": 1}, "__input__"),
)
case("input that is nothing", sequential, RUN, one(None, "__input__"), refused="INVALID_UPDATE")
case(
    "input beside another update",
    sequential,
    RUN,
    steps([Told({"log": []}, "__input__"), Told({}, "b")]),
    refused="INVALID_UPDATE",
)
case("input of one bare value", bare_list, invoked(["in"]), one(["put"], "__input__"))
case("input of a model", modelled, invoked({"title": "in"}), one({"title": "put"}, "__input__"))
case("input of changes", changing, invoked({"log": ["in"]}), one({"log": ["put"], "plain": ["put"]}, "__input__"))
case("input with a stop", stopping, invoked({"log": []}), one({"log": ["put"]}, "__input__"))

case("a copy of the head", sequential, RUN, one(None, "__copy__"))
case("a copy of an older checkpoint", sequential, RUN_TWICE, one(None, "__copy__", at=before("b")))
case("a copy of the first checkpoint", sequential, RUN, one(None, "__copy__", at=before("__start__")))
case("a copy of nothing", sequential, nothing, one(None, "__copy__"), refused="NOTHING_TO_COPY")
case(
    "a copy beside another update",
    sequential,
    RUN,
    steps([Told(None, "__copy__"), Told({}, "b")]),
    refused="INVALID_UPDATE",
)
case(
    "a copy whose values mean nothing",
    sequential,
    RUN,
    one({"log": ["put"]}, "__copy__"),
    refused="INVALID_UPDATE",
    stricter="values of a copy",
)
case("a copy of what waits for an answer", asking, invoked({"log": []}), one(None, "__copy__"))
case("a copy of what has finished siblings", asking_together, invoked({"log": []}), one(None, "__copy__"))
case(
    "a copy of changes",
    changing,
    invoked({"log": ["in"], "plain": ["p"]}),
    one(None, "__copy__", at=before("b", "c", "ask")),
)
case("a copy and an update", sequential, RUN, one([({"log": ["put"]}, "a")], "__copy__", at=before("b")))
case("a copy and what ran next otherwise", sequential, RUN, one([({"log": ["put"]}, "b")], "__copy__", at=before("b")))
case(
    "a copy and several updates",
    side_by_side,
    RUN,
    one([({"log": ["c"]}, "c"), ({"log": ["b"]}, "b"), ({"log": ["c2"]}, "c")], "__copy__", at=before("b", "c", "d")),
)
case(
    "a copy and updates of tasks that were sent",
    map_reduce,
    invoked({"words": ["a", "bb", "ccc"]}),
    one(
        [({"lengths": [7]}, "measure"), ({"lengths": [8]}, "measure")],
        "__copy__",
        at=before("measure", "measure", "measure"),
    ),
)
case(
    "a copy and an update without a node", sequential, RUN, one([({"log": ["put"]}, None)], "__copy__", at=before("b"))
)
case(
    "a copy and an update that is refused",
    sequential,
    RUN,
    one([({"log": ["put"]}, "nobody")], "__copy__"),
    refused="INVALID_UPDATE",
)
case(
    "a copy and then a superstep",
    sequential,
    RUN,
    steps([Told(None, "__copy__")], [Told({"log": ["put"]}, "b")], at=before("b")),
)
case(
    "a copy with updates and then a superstep",
    sequential,
    RUN,
    steps([Told([({"log": ["1"]}, "b")], "__copy__")], [Told({"log": ["2"]}, "c")], at=before("b")),
)
case("a copy of a copy", sequential, RUN, steps([Told(None, "__copy__")], [Told(None, "__copy__")]))
