"""Graphs made by hand (Pregel): channels and nodes that a StateGraph has not."""

from __future__ import annotations

import operator
from typing import Any

from langgraph.channels import (
    AnyValue,
    BinaryOperatorAggregate,
    EphemeralValue,
    LastValue,
    NamedBarrierValue,
    Topic,
    UntrackedValue,
)
from langgraph.pregel import NodeBuilder, Pregel
from langgraph.pregel._write import ChannelWriteEntry
from langgraph.types import interrupt

from tests.states.corpus.playing import Graph, Play, scenario


def channels() -> dict[str, Any]:
    return {
        "given": EphemeralValue(str),
        "other": LastValue(str),
        "any": AnyValue(str),
        "loose": EphemeralValue(str, guard=False),
        "topic": Topic(str),
        "all": Topic(str, accumulate=True),
        "sum": BinaryOperatorAggregate(int, operator.add),
        "secret": UntrackedValue(str),
        "both": NamedBarrierValue(str, {"one", "two"}),
        "out": LastValue(str),
    }


def nodes() -> dict[str, Any]:
    """one and two write most channels; three reads a topic, four waits for both, five asks."""

    def shout(given: str) -> str:
        return given.upper()

    def count(given: dict[str, Any]) -> str:
        return f"{sorted(given)}"

    def ask(given: str) -> str:
        return str(interrupt(given))

    return {
        "one": NodeBuilder()
        .subscribe_only("given")
        .do(shout)
        .write_to("any", "topic", "all", "loose", sum=1, both="one"),
        "two": NodeBuilder().subscribe_only("given").do(shout).write_to("topic", "all", "secret", sum=2, both="two"),
        "three": NodeBuilder().subscribe_to("topic").read_from("any", "sum", "out").do(count).write_to("other", "all"),
        "four": NodeBuilder()
        .subscribe_to("both", read=False)
        .read_from("sum")
        .do(count)
        .write_to(ChannelWriteEntry("out", skip_none=True), sum=len),
        "five": NodeBuilder().subscribe_only("other").do(ask).write_to("out"),
    }


def by_hand(saver: Any) -> Graph:
    """Its state is all of its channels."""
    return Pregel(nodes=nodes(), channels=channels(), input_channels="given", output_channels="out", checkpointer=saver)


def by_hand_single(saver: Any) -> Graph:
    """Its state is one channel."""
    return Pregel(
        nodes=nodes(),
        channels=channels(),
        input_channels="given",
        output_channels="out",
        stream_channels="all",
        checkpointer=saver,
    )


def by_hand_several(saver: Any) -> Graph:
    """It takes two channels and shows some."""
    return Pregel(
        nodes=nodes(),
        channels=channels(),
        input_channels=["given", "other"],
        output_channels=["out", "sum"],
        stream_channels=["sum", "any", "topic", "secret", "loose", "out"],
        checkpointer=saver,
    )


@scenario(by_hand)
@scenario(by_hand_single)
def runs(play: Play) -> None:
    play.invoke("hello")
    play.resume("answered")
    play.invoke("again")


@scenario(by_hand_several)
def takes_two(play: Play) -> None:
    play.invoke({"given": "hello"})
    play.invoke({"given": "again", "other": "asked at once"})
    play.resume("answered")
