"""Every kind of channel does what LangGraph's does, move by move."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph._internal._typing import MISSING
from langgraph.channels import BaseChannel, DeltaChannel
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.errors import InvalidUpdateError
from langgraph.types import Overwrite

from checkpointd.engine.state.channels import Channel
from checkpointd.engine.state.errors import Opaque, Refused
from checkpointd.engine.state.folded import DeltaValue
from checkpointd.engine.state.hydrate import channel
from checkpointd.v1.core_pb2 import Value
from checkpointd.v1.graph_pb2 import ChannelSpec, Delta, Reducer, ReducerKind
from tests.engine.state.kinds import KINDS, Kind, folded, opaque
from tests.engine.state.langgraph_values import dumped, loaded

_LISTS = st.lists(st.integers(0, 3), max_size=2)
_OVERWRITES = _LISTS.flatmap(
    lambda given: st.sampled_from(
        [Overwrite(given), {"__overwrite__": given}, {"type": "__overwrite__", "value": given}]
    )
)
_ANY = st.none() | st.integers(0, 3) | _LISTS | st.just({"a": [1]})


def _moves(kind: Kind) -> st.SearchStrategy[list[tuple[str, list[Any]]]]:
    if kind.of_names:
        writes: st.SearchStrategy[Any] = st.sampled_from(["a", "b", "a", "b", "c"])
    else:
        writes = _LISTS | _LISTS | _OVERWRITES if kind.of_lists else _ANY
    update = st.tuples(st.just("update"), st.lists(writes, max_size=3))
    others: st.SearchStrategy[tuple[str, list[Any]]] = st.tuples(
        st.sampled_from(["consume", "finish", "reload"]), st.just([])
    )
    return st.lists(update | others, max_size=6)


def _move(theirs: BaseChannel[Any, Any, Any], ours: Channel, move: str, writes: list[Any]) -> tuple[Any, Any]:
    """What a move gives on both sides: whether it changed something, or that it was refused."""
    given = [loaded(dumped(write)) for write in writes]
    try:
        expected: Any = theirs.update(given) if move == "update" else getattr(theirs, move)()
    except (InvalidUpdateError, TypeError):
        expected = Refused
    try:
        actual: Any = ours.update([dumped(write) for write in writes]) if move == "update" else getattr(ours, move)()
    except Refused:
        actual = Refused
    return expected, actual


def _held(ours: Channel) -> Any:
    return loaded(ours.value()) if ours.available() else MISSING


def _stored(ours: Channel) -> Any:
    stored = ours.stored()
    return MISSING if stored is None else loaded(stored)


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
def test_a_channel_does_what_langgraphs_does(name: str, data: st.DataObject) -> None:
    kind = KINDS[name]
    theirs, ours = kind.make(), channel(kind.spec, None)
    for move, writes in data.draw(_moves(kind)):
        if move == "reload":
            # A delta channel stores a snapshot when it stores something.
            is_delta = isinstance(theirs, DeltaChannel)
            kept = _DeltaSnapshot(theirs.get()) if is_delta else theirs.checkpoint()
            stored = None if kept is MISSING else dumped(kept)
            theirs = kind.make().from_checkpoint(MISSING if stored is None else loaded(stored))
            ours = channel(kind.spec, stored if is_delta else ours.stored())
        else:
            expected, actual = _move(theirs, ours, move, writes)
            assert actual == expected
            if expected is Refused:
                return
        assert ours.available() == theirs.is_available()
        assert _held(ours) == (theirs.get() if theirs.is_available() else MISSING)
        kept = theirs.checkpoint()
        assert _stored(ours) == (MISSING if kept is MISSING else loaded(dumped(kept)))
        assert not ours.unresolved


@given(writes=st.lists(_LISTS | _OVERWRITES, max_size=6))
def test_a_delta_channel_replays_as_langgraphs_does(writes: list[Any]) -> None:
    theirs, ours = KINDS["delta"].make(), channel(KINDS["delta"].spec, None)
    assert isinstance(theirs, DeltaChannel)
    assert isinstance(ours, DeltaValue)
    theirs.replay_writes([("task", "channel", loaded(dumped(write))) for write in writes])
    ours.replay([dumped(write) for write in writes])
    assert _held(ours) == theirs.get()


def _folds(made: Channel, *steps: list[Any]) -> tuple[Any, list[Any]]:
    """What a channel holds after these steps, and what it could not fold."""
    for step in steps:
        made.update([dumped(write) for write in step])
    return _held(made), [loaded(write) for write in made.unresolved]


def test_what_takes_the_users_reducer_is_kept() -> None:
    def made() -> Channel:
        return channel(folded("OPAQUE", initial=[0]), None)

    assert _folds(made(), [[1]], [[2], [3]]) == ([0], [[1], [2], [3]])
    assert _folds(made(), []) == ([0], [])
    assert _folds(made(), [[1]], [[2], Overwrite([3]), [4]]) == ([3], [])
    assert _folds(made(), [[1]], [Overwrite([3])], [[4]]) == ([3], [[4]])
    assert _folds(channel(folded("OPAQUE"), None), [[1]]) == ([1], [])
    assert _folds(channel(folded("OPAQUE"), None), [[1], [2]], [[3]]) == ([1], [[2], [3]])


def test_what_stands_before_an_overwrite_is_folded_first() -> None:
    made = channel(folded("ADD", initial=[0]), None)
    with pytest.raises(Refused, match="list \\+ int"):
        made.update([dumped(1), dumped(Overwrite([2]))])
    assert (_held(made), made.unresolved) == ([0], [])
    # What takes code that the server does not have is replaced, whatever it would have come to.
    made.update([Value(encoding="pickle", data=b""), dumped(Overwrite([2])), dumped(3)])
    assert (_held(made), made.unresolved) == ([2], [])


def test_nothing_is_folded_into_an_overwrite_that_was_the_first_write() -> None:
    made = channel(folded("ADD"), None)
    made.update([dumped(Overwrite([1]))])
    for step in ([dumped([2])], [dumped([2]), dumped(Overwrite([3]))]):
        with pytest.raises(Refused, match="holds an Overwrite"):
            made.update(step)
    made.update([dumped(Overwrite([3]))])
    assert _held(made) == [3]


def test_what_could_be_folded_stays_behind_what_could_not() -> None:
    made = channel(folded("ADD", initial=[0]), None)
    made.update([Value(encoding="pickle", data=b"[1]")])
    made.update([dumped([2])])
    assert _held(made) == [0]
    assert [write.encoding for write in made.unresolved] == ["pickle", "msgpack"]


def test_a_delta_channel_of_the_users_reducer_keeps_its_writes() -> None:
    reducer = Reducer(kind=ReducerKind.REDUCER_KIND_OPAQUE)
    spec = ChannelSpec(delta=Delta(reducer=reducer, initial=dumped([]), snapshot_frequency=1))
    made = channel(spec, dumped(_DeltaSnapshot([0])))
    assert isinstance(made, DeltaValue)
    made.replay([dumped([1]), dumped(Overwrite([2])), dumped([3])])
    assert (_held(made), [loaded(write) for write in made.unresolved]) == ([2], [[3]])
    made.replay([dumped(Overwrite(None))])
    assert (_held(made), made.unresolved) == ([], [])


def test_a_channel_of_the_users_class_shows_what_it_stores() -> None:
    made = channel(opaque(), dumped({"own": 1}))
    assert _folds(made, [1], []) == ({"own": 1}, [1])


def test_a_channel_that_was_a_delta_channel_reads_its_snapshot() -> None:
    assert _held(channel(folded("ADD", initial=[]), dumped(_DeltaSnapshot([1])))) == [1]


def test_a_topic_of_json_stays_json() -> None:
    made = channel(KINDS["topic_accumulate"].spec, Value(encoding="json", data=b"[1]"))
    made.update([Value(encoding="json", data=b"[2, 3]"), Value(encoding="json", data=b'"x"')])
    assert made.value() == Value(encoding="json", data=b'[1,2,3,"x"]')


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("after_finish", dumped(1)),
        ("after_finish", dumped([1, 2])),
        ("barrier", dumped(1)),
        ("barrier", dumped({"a": 1})),
        ("barrier_after_finish", dumped({"a"})),
        ("topic", dumped("x")),
        ("topic", Value(encoding="msgpack", data=b"\xc1")),
        ("topic", Value(encoding="pickle", data=b"x")),
    ],
)
def test_what_a_kind_does_not_store_is_opaque(name: str, stored: Value) -> None:
    with pytest.raises(Opaque):
        channel(KINDS[name].spec, stored)
