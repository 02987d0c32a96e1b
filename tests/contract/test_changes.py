"""Values said by what differs: what is found gives the value again, is small where it can be, and ends early."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph.message import add_messages

from checkpointd.changes import apply, change, finding, hash_of
from checkpointd.v1.core_pb2 import Piece

MIB = 1 << 20
# What the pieces may take beside the bytes that are new.
FRAME = 64

blocks = st.one_of(
    st.binary(max_size=300),
    st.builds(bytes.__mul__, st.binary(min_size=1, max_size=40), st.integers(0, 200)),
    # A seed makes long bytes that hypothesis need not draw one by one.
    st.builds(lambda seed, size: random.Random(seed).randbytes(size), st.integers(0, 9), st.integers(0, 5000)),
)
values = st.lists(blocks, max_size=6).map(b"".join)
splices = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1), st.integers(0, 600), blocks), max_size=6)


def spliced(base: bytes, cuts: list[tuple[float, float, int, bytes]]) -> bytes:
    """The base with parts replaced, left out, put in, and taken from elsewhere."""
    for at, source, length, new in cuts:
        start, copied = int(at * len(base)), int(source * len(base))
        base = base[:start] + new + base[copied : copied + length // 2] + base[start + length :]
    return base


def size(pieces: list[Piece]) -> int:
    """What the pieces take in a message."""
    return sum(2 + piece.ByteSize() for piece in pieces)


def messages(number: int, seed: int = 0) -> list[Any]:
    """A chat of so many messages of 500 to 1000 characters."""
    chosen = random.Random(seed)
    words = ["".join(chosen.choices("abcdefghijklmnopqrstuvwxyz", k=chosen.randint(2, 9))) for _ in range(500)]
    made: list[Any] = []
    for place in range(number):
        text = " ".join(chosen.choices(words, k=chosen.randint(80, 150)))
        name = f"{chosen.getrandbits(128):032x}"
        made.append(AIMessage(text, id=name) if place % 2 else HumanMessage(text, id=name))
    return made


def dumped(value: object) -> bytes:
    return JsonPlusSerializer().dumps_typed(value)[1]


CHAT = messages(600)
BASE = dumped(CHAT)


def test_the_hash_is_xxh64() -> None:
    """The known value of no bytes, and that of LangGraph-sized ones is a fixed64."""
    assert hash_of(b"") == 0xEF46DB3751D8E999
    assert 0 <= hash_of(BASE) < 1 << 64


@given(values, splices)
def test_a_change_of_related_values_gives_the_value(base: bytes, cuts: list[tuple[float, float, int, bytes]]) -> None:
    data = spliced(base, cuts)
    found = change(base, data, len(data) + MIB)
    if found is not None:
        assert apply(base, found, len(data)) == data


@given(values, splices, st.none() | st.integers(0, 5000))
def test_a_change_takes_no_more_than_it_may(
    base: bytes, cuts: list[tuple[float, float, int, bytes]], most: int | None
) -> None:
    data = spliced(base, cuts)
    found = change(base, data, most)
    if found is not None:
        assert apply(base, found, len(data)) == data
        assert size(found) <= (len(data) // 4 if most is None else most)
        assert len(found) <= 64


@given(values, values)
def test_a_change_of_unrelated_values_gives_the_value(base: bytes, data: bytes) -> None:
    found = change(base, data, len(data) + MIB)
    if found is not None:
        assert apply(base, found, len(data)) == data


@pytest.mark.parametrize("data", [b"", b"a", BASE], ids=["nothing", "a byte", "a chat"])
def test_the_same_value_is_one_piece_at_most(data: bytes) -> None:
    found = change(data, data, FRAME)
    assert found is not None
    assert len(found) == (1 if data else 0)
    assert apply(data, found, len(data)) == data


@pytest.mark.parametrize("number", [10, 14, 15, 16, 100, 599])
def test_an_appended_message_costs_its_bytes(number: int) -> None:
    """Whether the array's header stays, changes, or becomes longer."""
    before, after = dumped(CHAT[:number]), dumped(CHAT[: number + 1])
    found = change(before, after)
    assert found is not None
    assert apply(before, found, MIB) == after
    assert size(found) <= len(after) - len(before) + FRAME


def test_a_header_of_five_bytes() -> None:
    before, after = dumped(list(range(65535))), dumped(list(range(65536)))
    found = change(before, after)
    assert found is not None
    assert size(found) <= FRAME
    assert apply(before, found, MIB) == after


def test_lists_in_a_state() -> None:
    """The headers of what is around the list say its length too."""
    before = dumped({"messages": CHAT, "seen": [1]})
    after = dumped({"messages": [*CHAT, HumanMessage("new", id="new")], "seen": [1, 2]})
    found = change(before, after)
    assert found is not None
    assert size(found) <= 400 + FRAME
    assert apply(before, found, MIB) == after


def edits() -> Iterator[tuple[str, object, int]]:
    """What a chat becomes, and how many bytes of it are new, about."""
    long: list[Any] = [HumanMessage("x" * 3000, id=CHAT[300].id)]
    yield "one replaced by a longer one", add_messages(list(CHAT), long), 3300
    some: list[Any] = [AIMessage(f"{place} " * 400, id=CHAT[place].id) for place in (7, 8, 100, 333, 590)]
    yield "several replaced", add_messages(list(CHAT), [*some, HumanMessage("new", id="new")]), 12000
    removal: list[Any] = [RemoveMessage(id=str(CHAT[200].id)), *messages(1, 1)]
    yield "one removed", add_messages(list(CHAT), removal), 1300
    yield "the oldest removed", [*CHAT[2:], *messages(2, 1)], 2600
    yield "a sixth trimmed", [*CHAT[100:], *messages(2, 1)], 2600
    yield "truncated", CHAT[:400], 0
    yield "three put in", [*CHAT[:200], *messages(3, 1), *CHAT[200:], *messages(1, 2)], 5500
    yield "three put in front", [*messages(3, 1), *CHAT], 4000


EDITS = list(edits())


@pytest.mark.parametrize(("data", "new"), [edit[1:] for edit in EDITS], ids=[edit[0] for edit in EDITS])
def test_edits_cost_about_what_is_new(data: object, new: int) -> None:
    after = dumped(data)
    found = change(BASE, after)
    assert found is not None
    assert size(found) <= new + FRAME
    assert apply(BASE, found, MIB) == after


ZEROS = bytes(MIB)
AWKWARD = (b"\0" * 16 + b"\1" + b"\0" * 15) * (MIB // 32)


@pytest.mark.parametrize(
    ("base", "data"),
    [
        (random.Random(1).randbytes(MIB), random.Random(2).randbytes(MIB)),
        (BASE, dumped(messages(600, 1))),
        (ZEROS, AWKWARD),
        (AWKWARD, ZEROS),
        (ZEROS, bytes(random.Random(1).choices(b"\0\0\0\0\0\0\0\0\0\1", k=MIB))),
        (bytes(random.Random(1).choices(b"ab", k=MIB)), bytes(random.Random(2).choices(b"ab", k=MIB))),
    ],
    ids=["random", "another chat", "zeros", "zeros left", "thin", "two letters"],
)
def test_who_has_little_in_common_is_given_up_early(base: bytes, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in bytes that are looked through and compared, whatever a machine takes for each."""
    looked: list[int] = []
    run_at, alike = finding._Change._run_at, finding._Change._alike

    def counted_run_at(self: finding._Change, at: int, reach: int) -> object:
        before = self._patience
        found = run_at(self, at, reach)
        looked.append(before - self._patience)
        return found

    def counted_alike(self: finding._Change, base: int, data: int) -> int:
        length = alike(self, base, data)
        looked.append(length)
        return length

    monkeypatch.setattr(finding._Change, "_run_at", counted_run_at)
    monkeypatch.setattr(finding._Change, "_alike", counted_alike)
    assert change(base, data) is None
    assert sum(looked) <= 2 * len(base)
    assert len(looked) <= 5000


def test_one_byte_in_many_that_are_the_same() -> None:
    data = ZEROS[:500_000] + b"\1" + ZEROS[500_000:]
    found = change(ZEROS, data)
    assert found is not None
    assert size(found) <= FRAME
    assert apply(ZEROS, found, 2 * MIB) == data


def test_what_may_take_everything_is_found_nevertheless() -> None:
    """Few bytes in common are worth something to who has room."""
    base, data = random.Random(1).randbytes(5000), random.Random(2).randbytes(5000)
    found = change(base, data, 6000)
    assert found is not None
    assert apply(base, found, 5000) == data


@pytest.mark.parametrize(
    ("piece", "said"),
    [
        (Piece(offset=5, length=6), "takes 6 bytes from 5 on, of a base that has 10 bytes"),
        (Piece(offset=11, length=0), "takes 0 bytes from 11 on"),
        (Piece(offset=(1 << 64) - 1, length=2), "of a base that has 10 bytes"),
        (Piece(offset=0, length=(1 << 64) - 1), "of a base that has 10 bytes"),
    ],
    ids=["beyond the end", "empty beyond the end", "great offset", "great length"],
)
def test_pieces_outside_of_the_base_are_refused(piece: Piece, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        apply(b"0123456789", [Piece(length=10), piece], 1000)


def test_no_piece_may_name_what_is_no_number() -> None:
    """Below 0 or above 64 bits there is no piece at all."""
    with pytest.raises(ValueError, match="range"):
        Piece(offset=-1)
    with pytest.raises(ValueError, match="range"):
        Piece(length=1 << 64)


def test_too_many_pieces_are_refused() -> None:
    assert apply(b"", [Piece(literal=b"a")] * 1000, 1000) == b"a" * 1000
    with pytest.raises(ValueError, match="more than 1000 pieces"):
        apply(b"", [Piece()] * 1001, 1000)


def test_too_large_a_value_is_refused_before_it_is_built() -> None:
    """1000 times 64 MiB would not fit here."""
    base = bytes(64 * MIB)
    with pytest.raises(ValueError, match=f"more than {64 * MIB} bytes"):
        apply(base, [Piece(length=len(base))] * 1000, 64 * MIB)
    assert len(apply(base, [Piece(length=len(base))], 64 * MIB)) == 64 * MIB
    with pytest.raises(ValueError, match="more than 9 bytes"):
        apply(b"01234", [Piece(length=5, literal=b"56789")], 9)
