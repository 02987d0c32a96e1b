"""What verifying a database finds: nothing in a healthy one, and each thing that was damaged, at its place."""

from collections.abc import Iterator
from math import log2
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.engine import Database, Engine
from checkpointd.engine.errors import ValueDamaged
from checkpointd.engine.value_trees import order
from checkpointd.engine.verify import Counts, Fault, Verification, connect
from checkpointd.v1.checkpoints_pb2 import GetChannelHistoryRequest, GetCheckpointRequest, ListCheckpointsRequest
from tests.engine.stored_kinds import GROWING, IN_ROOT, VERSIONS, filled_database
from tests.postgres import TestPostgres


@pytest.fixture(scope="module")
def filled(postgres: TestPostgres) -> Iterator[str]:
    with filled_database(postgres) as name:
        yield name


@pytest.fixture
def url(postgres: TestPostgres, filled: str) -> Iterator[str]:
    """A database with rows of all kinds, all as they were stored."""
    copied = postgres.create_database(filled)
    yield copied
    postgres.drop_database(copied)


def _verify(url: str, tenant: str = "", thread_id: str = "") -> tuple[list[Fault], Counts]:
    with connect(url) as connection:
        verification = Verification(connection, tenant, thread_id)
        return list(verification.run()), verification.counts


def _damage(url: str, *statements: str) -> None:
    """Execute statements that each change something."""
    with psycopg.connect(url) as connection:
        for statement in statements:
            assert connection.execute(statement.encode()).rowcount > 0, statement


def test_a_healthy_database_has_no_faults(url: str) -> None:
    faults, counts = _verify(url)
    assert faults == []
    assert counts.threads == 6
    assert counts.checkpoints == 3 * VERSIONS + 2 + 4
    assert counts.hidden == 3
    assert counts.changes == 3 * (VERSIONS - 2) + 5
    assert counts.values == 3 * 3 * VERSIONS + 6 + 1 + 4
    assert counts.unused == 2
    assert counts.writes == 3 * 2 * VERSIONS + 4
    assert counts.unhashed == 0
    with psycopg.connect(url) as connection:
        (stored,) = (
            connection.execute("SELECT sum(octet_length(data)) FROM checkpointd.channel_values").fetchone() or ()
        )
    assert counts.bytes > 3 * stored


@pytest.mark.parametrize(
    ("tenant", "thread_id", "threads"),
    [("a", "", 4), ("b", "", 2), ("", "long", 2), ("b", "long", 1), ("b", "copy", 0), ("c", "", 0), ("", "nothing", 0)],
)
def test_a_part_of_it(url: str, tenant: str, thread_id: str, threads: int) -> None:
    faults, counts = _verify(url, tenant, thread_id)
    assert faults == []
    assert counts.threads == threads


def test_rows_of_older_versions_are_counted(url: str) -> None:
    _damage(
        url,
        "UPDATE checkpointd.channel_values SET hash = NULL WHERE tenant = 'a' AND data IS NOT NULL",
        "UPDATE checkpointd.writes SET hash = NULL WHERE tenant = 'b'",
    )
    faults, counts = _verify(url)
    assert faults == []
    assert counts.unhashed == 2 * (2 * VERSIONS + 2) + 2 + 2 + 2 * VERSIONS


_ONE = "WHERE tenant = 'a' AND thread_id = 'long' AND checkpoint_ns = ''"
_VALUE = f"UPDATE checkpointd.channel_values SET {{}} {_ONE} AND channel = '{{}}' AND version = '{{}}'"
_CHECKPOINT = f"UPDATE checkpointd.checkpoints SET {{}} {_ONE} AND checkpoint_id = 'c07'"
_WRITE = f"UPDATE checkpointd.writes SET {{}} {_ONE} AND checkpoint_id = 'c07' AND idx = -1"

_FLIPPED = "{0} = set_byte({0}, {1}, get_byte({0}, {1}) # 1)"
_LAST_CHANGE = f"vc{IN_ROOT - 1}"  # of which no other one is made


def _at(channel: str, version: str) -> dict[str, Any]:
    return {"checkpoint_ns": "", "channel": channel, "version": version}


@pytest.mark.parametrize(
    ("statement", "place", "problem"),
    [
        (_VALUE.format(_FLIPPED.format("data", 100), "whole", "vc07"), _at("whole", "vc07"), "hash"),
        (_VALUE.format("data = ''", "step", "vc07"), _at("step", "vc07"), "hash"),
        (_VALUE.format("hash = hash # 1", "step", "vc07"), _at("step", "vc07"), "hash"),
        (_VALUE.format("data = NULL", "step", "vc07"), _at("step", "vc07"), "neither"),
        (_VALUE.format("hash = hash # 1", GROWING, "vc07"), _at(GROWING, "vc07"), "hash"),
        (_VALUE.format("hash = NULL", GROWING, "vc07"), _at(GROWING, "vc07"), "missing"),
        (_VALUE.format("hash = hash # (1::bigint << 63)", GROWING, "vc07"), _at(GROWING, "vc07"), "hash"),
        (
            _VALUE.format("pieces = substr(pieces, 1, 3)", GROWING, _LAST_CHANGE),
            _at(GROWING, _LAST_CHANGE),
            "can't be read",
        ),
        (_VALUE.format("pieces = ''", GROWING, _LAST_CHANGE), _at(GROWING, _LAST_CHANGE), "hash"),
        (_VALUE.format("pieces = NULL", GROWING, _LAST_CHANGE), _at(GROWING, _LAST_CHANGE), "neither"),
        (_VALUE.format("data = 'x'", GROWING, _LAST_CHANGE), _at(GROWING, _LAST_CHANGE), "neither"),
        (
            _VALUE.format("pieces = '\\x2207087f10ffffff7f'", GROWING, _LAST_CHANGE),
            _at(GROWING, _LAST_CHANGE),
            "can't be applied: piece 1",
        ),
        (
            _VALUE.format(_FLIPPED.format("pieces", "octet_length(pieces) - 1"), GROWING, _LAST_CHANGE),
            _at(GROWING, _LAST_CHANGE),
            "hash",
        ),
        (
            _VALUE.format("base_version = 'gone'", GROWING, _LAST_CHANGE),
            _at(GROWING, _LAST_CHANGE),
            "version 'gone', is not there",
        ),
        (
            _VALUE.format("base_version = version", GROWING, _LAST_CHANGE),
            _at(GROWING, _LAST_CHANGE),
            "leads back to itself",
        ),
        (_CHECKPOINT.format("body = '\\x08'"), {"checkpoint_ns": "", "checkpoint_id": "c07"}, "its body can't be read"),
        (
            _CHECKPOINT.format("native_metadata = '\\x0a05ff'"),
            {"checkpoint_ns": "", "checkpoint_id": "c07"},
            "its native metadata can't be read",
        ),
        (_CHECKPOINT.format("metadata = '{'"), {"checkpoint_ns": "", "checkpoint_id": "c07"}, "its metadata is not"),
        (_CHECKPOINT.format("metadata = '[1]'"), {"checkpoint_ns": "", "checkpoint_id": "c07"}, "its metadata is not"),
        (
            _CHECKPOINT.format("metadata = '', body = '\\x08'"),
            {"checkpoint_ns": "", "checkpoint_id": "c07"},
            "its body can't be read; its metadata is not",
        ),
        (
            _CHECKPOINT.format("channel_versions = channel_versions || '{\"step\": 7}'"),
            {"checkpoint_ns": "", "checkpoint_id": "c07"},
            "its channel versions are not",
        ),
        (
            _CHECKPOINT.format("channel_versions = '[\"step\"]'"),
            {"checkpoint_ns": "", "checkpoint_id": "c07"},
            "its channel versions are not",
        ),
        (
            _WRITE.format("data = 'another'"),
            {"checkpoint_ns": "", "checkpoint_id": "c07", "task_id": "task", "idx": -1},
            "hash",
        ),
        (
            _WRITE.format("hash = 0"),
            {"checkpoint_ns": "", "checkpoint_id": "c07", "task_id": "task", "idx": -1},
            "hash",
        ),
        ("DELETE FROM checkpointd.threads WHERE tenant = 'a' AND thread_id = 'long'", {}, "the thread is not"),
    ],
)
def test_what_is_damaged_is_reported_once_with_its_place(
    url: str, statement: str, place: dict[str, Any], problem: str
) -> None:
    _damage(url, statement)
    faults, counts = _verify(url)
    assert [fault._replace(problem="") for fault in faults] == [Fault("a", "long", "", **place)]
    assert problem in faults[0].problem
    assert counts.faults == 1


@pytest.mark.parametrize(
    ("statement", "first", "problem", "others"),
    [
        (f"DELETE FROM checkpointd.channel_values {_ONE} AND version = 'vc20'", "vc21", "'vc20', is not there", 10),
        (_VALUE.format(_FLIPPED.format("data", 5), GROWING, "vc00"), "vc00", "hash", IN_ROOT - 1),
        (_VALUE.format("base_version = 'vc30'", GROWING, "vc20"), "vc20", "'vc30', leads back", 11),
        (_VALUE.format("pieces = 'x'", GROWING, "vc20"), "vc20", "can't be read", 11),
    ],
)
def test_what_is_made_of_something_damaged_is_reported_too(
    url: str, statement: str, first: str, problem: str, others: int
) -> None:
    _damage(url, statement)
    faults, _ = _verify(url)
    assert len({fault.version for fault in faults}) == len(faults) == 1 + others
    assert {(fault.tenant, fault.thread_id, fault.checkpoint_ns, fault.channel) for fault in faults} == {
        ("a", "long", "", GROWING)
    }
    by_version = {fault.version: fault.problem for fault in faults}
    assert problem in by_version.pop(first)
    assert all("what it is made of, version 'vc" in each for each in by_version.values())


async def test_a_damaged_value_is_never_read_as_another_one(url: str) -> None:
    """Those that are built from others. Each way to read it is refused with what it is, and the others are read."""
    _damage(url, _VALUE.format(_FLIPPED.format("pieces", "octet_length(pieces) - 1"), GROWING, "vc20"))
    await _refused(url, "c20", "c31")


@pytest.mark.parametrize(
    ("change", "first"),
    [
        ("pieces = NULL", "c20"),
        ("pieces = substr(pieces, 1, 3)", "c20"),
        ("pieces = '\\x2207087f10ffffff7f'", "c20"),
        ("base_version = NULL", "c20"),
        ("base_version = NULL, pieces = NULL", "c20"),
        ("base_version = 'vc30'", "c20"),
        ("base_version = version", "c20"),
        ("base_version = 'gone'", "c20"),
        ("hash = NULL", "c20"),
    ],
)
async def test_rows_that_are_no_change_any_more_are_refused(url: str, change: str, first: str) -> None:
    _damage(url, _VALUE.format(change, GROWING, "vc20"))
    await _refused(url, first, "c31" if change != "hash = NULL" else first)


async def _refused(url: str, first: str, last: str) -> None:
    """The value in these checkpoints is refused as damaged, and those before and after them are not."""
    engine = Engine(Database(url))
    await engine.open()
    try:
        for number in range(IN_ROOT):
            checkpoint_id = f"c{number:02}"
            asked = GetCheckpointRequest(thread_id="long", checkpoint_id=checkpoint_id)
            history = GetChannelHistoryRequest(thread_id="long", checkpoint_id=f"c{number + 1:02}", channels=[GROWING])
            listed = ListCheckpointsRequest(thread_id="long", checkpoint_ns="", checkpoint_id=checkpoint_id)
            if first <= checkpoint_id <= last:
                with pytest.raises(ValueDamaged):
                    await engine.checkpoints.get_checkpoint("a", asked)
                with pytest.raises(ValueDamaged):
                    await engine.checkpoints.get_channel_history("a", history)
                with pytest.raises(ValueDamaged):
                    [_ async for _ in engine.checkpoints.list_checkpoints("a", listed)]
            else:
                await engine.checkpoints.get_checkpoint("a", asked)
    finally:
        await engine.close()


def test_beside_who_deletes(url: str) -> None:
    """A thread that goes while another one is looked at is not missed, and each is seen as of one moment."""

    def delete() -> None:
        with psycopg.connect(url) as other:
            for table in ("threads", "checkpoints", "channel_values", "writes"):
                other.execute(f"DELETE FROM checkpointd.{table} WHERE thread_id IN ('copy', 'plain')".encode())

    with connect(url) as connection:
        verification = Verification(connection, on_progress=delete)
        assert list(verification.run()) == []
    # It was deleted in the middle of the first thread, which is seen whole for all that.
    assert verification.counts.threads == 1 + 3
    assert verification.counts.values == 3 * 3 * VERSIONS + 6 + 1


@st.composite
def _bases(draw: st.DrawFn) -> dict[str, str | None]:
    """Versions with what each is a change of, in any order; some of something that is not there, some in loops."""
    count = draw(st.integers(0, 60))
    versions = [str(number) for number in range(count)]
    bases = {
        version: draw(st.none() | st.sampled_from([*versions[: number + draw(st.sampled_from([0, 0, 0, 3]))], "gone"]))
        for number, version in enumerate(versions)
    }
    return dict(draw(st.permutations(list(bases.items()))))


@given(_bases())
def test_values_are_built_with_few_in_memory(bases: dict[str, str | None]) -> None:
    ordered, circular = order(bases)
    assert sorted(ordered + circular) == sorted(bases)
    left = {version: sum(base == version for base in bases.values()) for version in bases}
    held: set[str] = set()
    for version in ordered:
        base = bases[version]
        if base in bases:
            assert base in held
            left[str(base)] -= 1
            if not left[str(base)]:
                held.remove(str(base))
        if left[version]:
            held.add(version)
        assert len(held) <= 1 + log2(len(bases))
    for version in circular:
        step, seen = bases[version], {version}
        while step is not None and step in bases and step not in seen:
            seen.add(step)
            step = bases[step]
        assert step in seen
