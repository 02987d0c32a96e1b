"""What the contract's limits let through is what PostgreSQL takes."""

import json
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.engine import validate
from checkpointd.engine.errors import InvalidField
from tests.postgres import TestPostgres

# Bits that make JSON, good and bad, once put together.
_PLAIN = """{ } [ ] : , "a" "b" 1 -0 1.5e3 1e400 NaN Infinity null true 01 'a' "é" """
_ESCAPED = r""" "\u0000" "\ud800" "\ud83d\ude00" "\\u0000" """
_BITS = st.sampled_from(_PLAIN.split() + _ESCAPED.split())
_NEAR_JSON = st.lists(_BITS, max_size=9).map("".join)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
)


def _postgres_takes(connection: psycopg.Connection, source: str) -> bool:
    try:
        row = connection.execute("SELECT jsonb_typeof(%s::jsonb)", (source,)).fetchone()
    except (psycopg.DataError, UnicodeEncodeError):
        return False
    return row == ("object",)


@pytest.fixture(scope="module")
def connection(postgres: TestPostgres) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres.create_database(), autocommit=True) as connected:
        yield connected


_OBJECTS = st.dictionaries(st.text(), _JSON, max_size=3).map(json.dumps)


@given(source=_OBJECTS | _NEAR_JSON.map(lambda bits: f'{{"k":{bits}}}'))
def test_metadata_that_passes_is_metadata_that_jsonb_takes(connection: psycopg.Connection, source: str) -> None:
    try:
        validate.json_object("field", source)
        passes = True
    except InvalidField:
        passes = False
    if passes:
        assert _postgres_takes(connection, source)
    else:
        # The other way round, only numbers beyond double precision may be refused that PostgreSQL would take.
        assert not _postgres_takes(connection, source) or "1e400" in source


@pytest.mark.parametrize("length", [255, 256])
@pytest.mark.parametrize("character", ["a", "é", "\U0001f600"])
def test_lengths_are_bytes(length: int, character: str) -> None:
    size = len(character.encode())
    given_id = character * (length // size)
    if len(given_id.encode()) <= 255:
        validate.thread_id(given_id)
        given_id += character
    with pytest.raises(InvalidField, match="at most 255"):
        validate.thread_id(given_id)


@pytest.mark.parametrize("name", ["", "a" * 65, "a/b", "a b", "é", "a\n", "a\0"])
def test_tenant_names_that_are_refused(name: str) -> None:
    with pytest.raises(InvalidField, match="tenant"):
        validate.tenant(name)
