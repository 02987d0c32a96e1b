"""Rows as one binary parameter each: arrays of the schema's composite types.

A statement that takes four arrays of rows costs a fraction of one that takes an array a column, and packing them here
costs a fraction of the driver's adapters. The format is PostgreSQL's array_recv and record_recv.
"""

from functools import partial
from struct import Struct

from psycopg import AsyncConnection
from psycopg.adapt import Buffer, Dumper
from psycopg.pq import Format

from checkpointd.engine import binary

_INT2, _INT4, _INT8, _TEXT, _BYTEA = binary.INT2, binary.INT4, binary.INT8, binary.TEXT, binary.BYTEA

_ARRAY_HEADER = Struct("!iiIii").pack
_CELL_HEADER = Struct("!Ii").pack
_ROW_HEADER = Struct("!ii").pack
_NUMBERED_ROW_HEADER = Struct("!iiIii").pack
_SEQUENCED_ROW_HEADER = Struct("!iiIiiIiq").pack


class _Headers(dict[int, bytes]):
    """What stands in front of a cell, its type and its length, by the length. Those of short cells are made once, and
    that of NULL, whose length is -1."""

    def __init__(self, oid: int) -> None:
        super().__init__((length, _CELL_HEADER(oid, length)) for length in range(-1, 256))
        self._oid = oid

    def __missing__(self, length: int) -> bytes:
        return _CELL_HEADER(self._oid, length)


# What makes the cells of a row. A large one need not be copied: its header and its content may be given apart.
TEXT = _Headers(_TEXT)
BYTEA = _Headers(_BYTEA)
INT2 = partial(Struct("!Iih").pack, _INT2, 2)
INT4 = partial(Struct("!Iii").pack, _INT4, 4)
INT8 = partial(Struct("!Iiq").pack, _INT8, 8)
UINT8 = partial(Struct("!IiQ").pack, _INT8, 8)  # an unsigned number, in the bits of a signed one

NULL_TEXT = TEXT[-1]
NULL_BYTEA = BYTEA[-1]
NULL_INT8 = _CELL_HEADER(_INT8, -1)


def text(value: str) -> bytes:
    """The cell of a string."""
    encoded = value.encode()
    return TEXT[len(encoded)] + encoded


Cells = tuple[bytes, ...]
"""Cells one after the other, joined and split as it may be."""


class Rows:
    """An array of one composite type: the base of those that a commit takes."""

    type_name: str
    columns: int

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.count = 0

    def add(self, cells: Cells) -> None:
        """Add a row, given as the cells of all its columns."""
        self.parts.append(_ROW_HEADER(sum(map(len, cells)) + 4, self.columns))
        self.parts += cells
        self.count += 1

    def packed(self, element: int) -> bytes:
        """The array in PostgreSQL's binary format, `element` being the composite type's oid."""
        if not self.count:
            return _ARRAY_HEADER(0, 0, element, 0, 0)[:12]
        return b"".join((_ARRAY_HEADER(1, 0, element, self.count, 1), *self.parts))


class _NumberedRows(Rows):
    """Rows whose first column is the thread's number."""

    def add_numbered(self, thread_no: int, cells: Cells) -> None:
        """Add a row, given by what is in the first column and the cells of the others."""
        size = sum(map(len, cells)) + 16
        self.parts.append(_NUMBERED_ROW_HEADER(size, self.columns, _INT4, 4, thread_no))
        self.parts += cells
        self.count += 1


class _SequencedRows(Rows):
    """Rows whose first columns are the thread's number and seq_back."""

    def add_sequenced(self, thread_no: int, seq_back: int, cells: Cells) -> None:
        """Add a row, given by what is in the first two columns and the cells of the others."""
        size = sum(map(len, cells)) + 32
        self.parts.append(_SEQUENCED_ROW_HEADER(size, self.columns, _INT4, 4, thread_no, _INT8, 8, seq_back))
        self.parts += cells
        self.count += 1


class ThreadRows(Rows):
    type_name = "checkpointd.thread_row_v4"
    columns = 6  # text, text, int8, text, int8, bytea


class CheckpointRows(_SequencedRows):
    type_name = "checkpointd.checkpoint_row_v1"
    columns = 10  # int4, int8, text, text, text, text, text, text, bytea, bytea


class ValueRows(_NumberedRows):
    type_name = "checkpointd.value_row_v2"
    columns = 11  # int4, text, text, text, text, bytea, text, int8, bytea, int2, int8


class WriteRows(_SequencedRows):
    type_name = "checkpointd.write_row_v2"
    columns = 11  # int4, int8, text, text, text, int4, text, text, text, bytea, int8


class ConditionRows(Rows):
    type_name = "checkpointd.condition_row_v1"
    columns = 4  # int4, text, text, int8


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
