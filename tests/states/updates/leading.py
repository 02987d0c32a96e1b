"""Updates of nodes that lead somewhere: by edges, joins, conditions, commands, tasks sent; deferred nodes."""

from __future__ import annotations

from langgraph.graph import END
from langgraph.types import Command, Send

from tests.states.corpus.flow import commanding, conditional, deferred, joined, managed, side_by_side
from tests.states.corpus.mapping import map_reduce, sent_by_command
from tests.states.corpus.playing import Play
from tests.states.updates.cases import Told, before, case, invoked, nothing, one, steps
from tests.states.updates.plain import RUN

WORDS = {"words": ["a", "bb", "ccc"]}


def send(word: str) -> Send:
    return Send("measure", {"word": word})


case(
    "a command to one node", commanding, invoked({"last": "one"}), one(Command(update={"log": ["put"]}, goto="c"), "b")
)
case("a command to one node beside an edge", commanding, RUN, one(Command(update={"log": ["put"]}, goto="b"), "a"))
case("a command to several nodes", commanding, RUN, one(Command(goto=["b", "c"]), "a"))
case("a command to the node that an edge leads to", commanding, RUN, one(Command(goto="d"), "a"))
case("a command to the end", commanding, RUN, one(Command(update={"log": ["put"]}, goto=END), "b"))
case("a command to nowhere", commanding, RUN, one(Command(update={"log": ["put"]}), "b"))
case("a command to itself", commanding, RUN, one(Command(goto="b"), "b"))
case("a command on a thread without checkpoints", commanding, nothing, one(Command(goto=["b", "c"]), "a"))
case("a command on a fork", commanding, invoked({"last": "two"}), one(Command(goto="c"), "a", at=before("b", "c", "d")))
case("a command that sends", sent_by_command, invoked({"words": []}), one(Command(goto=send("xyz")), "other"))
case(
    "a command that sends several",
    sent_by_command,
    invoked({"words": []}),
    one(Command(goto=[send("x"), Send("other", {"total": 3}), send("xx")], update={"total": 5}), "other"),
)
case(
    "a command that sends and leads on",
    sent_by_command,
    invoked({"words": []}),
    one(Command(goto=[send("x"), "other", send("ask")]), "start"),
)
case(
    "commands at once",
    sent_by_command,
    invoked({"words": []}),
    steps(
        [
            Told(Command(goto=[send("1"), "other"]), "start"),
            Told(Command(goto=send("22")), "other"),
            Told(None, "measure"),
        ]
    ),
)
case(
    "a command to the parent graph",
    commanding,
    RUN,
    one(Command(graph=Command.PARENT, goto="b"), "a"),
    refused="INVALID_UPDATE",
)

case("conditions that choose one", conditional, invoked({"count": 0}), one({"count": 1}, "a", goto=["b"]))
case("conditions that choose two", conditional, invoked({"count": 0}), one({"count": 2}, "a", goto=["b", "c"]))
case("conditions that choose the end", conditional, invoked({"count": 0}), one({"count": 9}, "a", goto=[END]))
case(
    "conditions that see what was there",
    conditional,
    invoked({"count": 0}, interrupt_before=["b"]),
    one({"log": ["put"]}, "a", goto=["b"]),
)
case("conditions with their ends", conditional, invoked({"count": 0}), one({"count": 5}, "c", goto=["d"]))
case(
    "conditions with their ends, of which none", conditional, invoked({"count": 0}), one({"count": 1}, "c", goto=[END])
)
case(
    "conditions, and the command beside them",
    conditional,
    invoked({"count": 0}),
    one(Command(update={"count": 1}, goto="d"), "a", goto=["b"]),
)
case(
    "conditions on a fork", conditional, invoked({"count": 1}), one({"count": 3}, "a", goto=["c"], at=before("b", "c"))
)
case(
    "conditions of two at once",
    conditional,
    invoked({"count": 0}),
    steps([Told({"count": 5}, "a", goto=[END]), Told({"log": ["c"]}, "c", goto=["d"])]),
)
case("conditions without values", conditional, invoked({"count": 0}), one(None, "c", goto=["d"]))
case("conditions on a thread without checkpoints", conditional, nothing, one({"count": 1}, "a", goto=["b"]))
case(
    "conditions that send",
    map_reduce,
    invoked(WORDS),
    one({"total": 1}, "start", goto=[send(word) for word in WORDS["words"]]),
)
case(
    "conditions that send what was put",
    map_reduce,
    invoked(WORDS),
    one({"words": ["x", "ask"]}, "start", goto=[send("x"), send("ask")]),
)
case("conditions that send nothing", map_reduce, invoked(WORDS), one({"words": []}, "start", goto=[]))

case(
    "tasks sent are replaced", map_reduce, invoked(WORDS, interrupt_before=["measure"]), one({"lengths": [9]}, "finish")
)
case(
    "tasks sent are replaced by one of them",
    map_reduce,
    invoked(WORDS, interrupt_before=["measure"]),
    one({"lengths": [9]}, "measure"),
)
case(
    "tasks sent are all made by hand",
    map_reduce,
    invoked(WORDS, interrupt_before=["measure"]),
    steps([Told({"lengths": [number]}, "measure") for number in range(3)]),
)
case(
    "more tasks than were sent are made by hand",
    map_reduce,
    invoked(WORDS, interrupt_before=["measure"]),
    steps([Told({"lengths": [number]}, "measure") for number in range(5)]),
)
case(
    "tasks sent, some of which wait",
    map_reduce,
    invoked({"words": ["a", "ask", "bb"]}),
    one({"lengths": [9]}, "measure"),
)
case(
    "tasks sent, one of which broke",
    map_reduce,
    lambda play: play.breaks({"words": ["a", "break"]}),
    one({"lengths": [9]}, "measure"),
)
case(
    "tasks sent before a fork",
    map_reduce,
    invoked(WORDS),
    one({"lengths": [9]}, "measure", at=before("measure", "measure", "measure")),
)
case(
    "tasks sent by command are replaced",
    sent_by_command,
    invoked({"words": []}, interrupt_before=["measure"]),
    one({"lengths": [9]}, "other"),
)

case("one arm of a join", joined, invoked({"log": []}, interrupt_before=["b"]), one({"log": ["put"]}, "c"))
case("the other arm of a join", joined, invoked({"log": []}, interrupt_before=["b"]), one({"log": ["put"]}, "bb"))
case(
    "both arms of a join at once",
    joined,
    invoked({"log": []}, interrupt_before=["b"]),
    steps([Told({"log": ["c"]}, "c"), Told({"log": ["bb"]}, "bb")]),
)
case(
    "both arms of a join in turn",
    joined,
    invoked({"log": []}, interrupt_before=["b"]),
    steps([Told({"log": ["c"]}, "c")], [Told({"log": ["bb"]}, "bb")]),
)
case(
    "an arm of a join whose other one has run",
    joined,
    invoked({"log": []}, interrupt_before=["bb"]),
    one({"log": ["put"]}, "bb"),
)
case("an arm of a join that has run", joined, invoked({"log": []}, interrupt_before=["bb"]), one({"log": ["put"]}, "c"))
case("a full join stays", joined, invoked({"log": []}, interrupt_before=["d"]), one({"log": ["put"]}, "a"))
case(
    "a full join stays while the node after it is updated",
    joined,
    invoked({"log": []}, interrupt_before=["d"]),
    one({"log": ["put"]}, "d"),
)
case("a full join of an older checkpoint", joined, RUN, one({"log": ["put"]}, "e", at=before("d")))
case(
    "arms of a join on a thread without checkpoints",
    joined,
    nothing,
    steps([Told({"log": ["c"]}, "c"), Told({"log": ["bb"]}, "bb")]),
)
case("a join of three", side_by_side, RUN, steps([Told({"log": [side]}, side) for side in "bcd"]))


def half_joined(play: Play) -> None:
    play.invoke({"log": []})
    play.update({"log": ["as c"]}, "c")


case("a join that an update has begun", joined, half_joined, one({"log": ["put"]}, "bb"))

case("a deferred node is told to run", deferred, RUN, one({"log": ["put"]}, "a"))
case(
    "a deferred node runs at once when nothing else does",
    deferred,
    invoked({"log": []}, interrupt_before=["bb"]),
    one({"log": ["put"]}, "last"),
)
case(
    "a deferred node waits for what the update leads to",
    deferred,
    invoked({"log": []}, interrupt_before=["b"]),
    one({"log": ["put"]}, "b"),
)
case("a deferred join by one arm", deferred, invoked({"log": []}, interrupt_before=["b"]), one({"log": ["put"]}, "c"))
case(
    "a deferred join by both arms",
    deferred,
    invoked({"log": []}, interrupt_before=["b"]),
    steps([Told({"log": ["c"]}, "c"), Told({"log": ["bb"]}, "bb")]),
)
case(
    "a deferred node that was to run next",
    deferred,
    invoked({"log": []}, interrupt_before=["last"]),
    one({"log": ["put"]}, "bb"),
)
case(
    "a deferred node that was to run next is updated",
    deferred,
    invoked({"log": []}, interrupt_before=["last"]),
    one({"log": ["put"]}, "last"),
)
case("deferred nodes on a thread without checkpoints", deferred, nothing, one({"log": ["put"]}, "a"))

case(
    "values that LangGraph makes are not written",
    managed,
    invoked({"log": []}),
    one({"log": ["put"], "left": 3, "last": True, "hidden": "h"}, "first"),
)
case("a key that one node alone reads", managed, invoked({"log": []}), one({"hidden": "put"}, "second"))
