"""Rows as one binary parameter each: arrays of the schema's composite types.

A statement that takes four arrays of rows costs a fraction of one that takes an array a column, and packing them here
costs a fraction of the driver's adapters. The format is PostgreSQL's array_recv and record_recv.
"""

from collections.abc import Sequence
from struct import Struct

from psycopg import AsyncConnection
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

Cell = bytes | None

INT2 = Struct("!h").pack
INT4 = Struct("!i").pack
INT8 = Struct("!q").pack
UINT8 = Struct("!Q").pack
_ARRAY_HEADER = Struct("!iiIii").pack
_CELL_HEADER = Struct("!Ii").pack
_NULL_CELL = Struct("!Ii").pack
_ROW_HEADER = Struct("!ii").pack

_INT2, _INT4, _INT8, _TEXT, _BYTEA = 21, 23, 20, 25, 17


def cells(types: Sequence[int], values: Sequence[Cell]) -> list[bytes]:
    """The binary cells of a row, or of a part of one: each with its type and length in front."""
    parts: list[bytes] = []
    for oid, value in zip(types, values, strict=True):
        if value is None:
            parts.append(_NULL_CELL(oid, -1))
        else:
            parts += (_CELL_HEADER(oid, len(value)), value)
    return parts


class Rows:
    """An array of one composite type: the base of those that a commit takes."""

    type_name: str
    columns: tuple[int, ...]

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.count = 0

    def add(self, row: Sequence[bytes]) -> None:
        """Add a row, given as the parts that `cells` made, for all columns."""
        self.parts.append(_ROW_HEADER(sum(map(len, row)) + 4, len(self.columns)))
        self.parts += row
        self.count += 1

    def packed(self, element: int) -> bytes:
        """The array in PostgreSQL's binary format, `element` being the composite type's oid."""
        if not self.count:
            return _ARRAY_HEADER(0, 0, element, 0, 0)[:12]
        return b"".join((_ARRAY_HEADER(1, 0, element, self.count, 1), *self.parts))


class ThreadRows(Rows):
    type_name = "checkpointd.thread_row_v3"
    columns = (_TEXT, _TEXT, _INT8, _TEXT, _INT8)


class CheckpointRows(Rows):
    type_name = "checkpointd.checkpoint_row_v1"
    columns = (_INT4, _INT8, _TEXT, _TEXT, _TEXT, _TEXT, _TEXT, _TEXT, _BYTEA, _BYTEA)


class ValueRows(Rows):
    type_name = "checkpointd.value_row_v2"
    columns = (_INT4, _TEXT, _TEXT, _TEXT, _TEXT, _BYTEA, _TEXT, _INT8, _BYTEA, _INT2, _INT8)


class WriteRows(Rows):
    type_name = "checkpointd.write_row_v2"
    columns = (_INT4, _INT8, _TEXT, _TEXT, _TEXT, _INT4, _TEXT, _TEXT, _TEXT, _BYTEA, _INT8)


class ConditionRows(Rows):
    type_name = "checkpointd.condition_row_v1"
    columns = (_INT4, _TEXT, _TEXT, _INT8)


ROWS = (ThreadRows, CheckpointRows, ValueRows, WriteRows, ConditionRows)

Oids = dict[type[Rows], tuple[int, int]]
"""The oids of each row type and of its array."""


async def register(connection: AsyncConnection) -> Oids:
    """Teach a connection's driver the row types of this database, and return their oids."""
    oids: Oids = {}
    for rows in ROWS:
        cursor = await connection.execute(
            "SELECT oid::int8, typarray::int8 FROM pg_type WHERE oid = %s::regtype", (rows.type_name,)
        )
        found = await cursor.fetchone()
        assert found is not None
        oids[rows] = found[0], found[1]
        connection.adapters.register_dumper(rows, _dumper(*found))
    return oids


def _dumper(element: int, array: int) -> type[Dumper]:
    class RowsDumper(Dumper):
        format = Format.BINARY
        oid = array

        def dump(self, obj: Rows) -> Buffer:
            return obj.packed(element)

    return RowsDumper
