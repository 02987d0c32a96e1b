"""Values without parts: numbers that plain JSON can't say, bytes, times, ids. Each as its tag writes and reads it."""

import base64
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Context, Decimal
from math import isfinite, isnan
from typing import Any
from uuid import UUID

# A tag and its content, before what is in it is written.
Form = dict[str, Any]

MAX_SAFE = 2**53 - 1
_TOO_MANY_DIGITS = 10**4000

# Writes a Decimal as `str` does, whatever the context of the thread is.
_PLAIN = Context(capitals=1)

_INT = re.compile(r"0|-?[1-9][0-9]{0,3999}")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = (
    r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{6})?)?)?"
)
_DATE_ONLY, _TIME_ONLY, _DATE_TIME = (re.compile(pattern) for pattern in (_DATE, _TIME, _DATE + "T" + _TIME))
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class Malformed(Exception):
    """A tag's content is not as the encoding says, or is not to be made here."""


def text(content: Any) -> str:
    """Content that has to be text. Raises Malformed."""
    if content.__class__ is not str:
        raise Malformed
    found: str = content
    return found


def _matching(pattern: re.Pattern[str], content: Any) -> str:
    found = text(content)
    if pattern.fullmatch(found) is None:
        raise Malformed
    return found


def int_form(number: int) -> Form:
    """Of a whole number beyond 53 bits. Raises ValueError when it has more than 4000 digits."""
    if not -_TOO_MANY_DIGITS < number < _TOO_MANY_DIGITS:
        raise ValueError("a whole number has more than 4000 digits")
    return {"$": "int", "v": str(number)}


def read_int(content: Any) -> int:
    return int(_matching(_INT, content))


def float_form(number: float) -> Form:
    """Of a float that is not finite."""
    return {"$": "float", "v": "NaN" if isnan(number) else "Infinity" if number > 0 else "-Infinity"}


def read_float(content: Any) -> float:
    if text(content) in _NOT_FINITE:
        return _NOT_FINITE[content]
    number = float(_matching(_NUMBER, content))
    if not isfinite(number):
        raise Malformed
    return number


def bytes_form(data: bytes | bytearray | memoryview) -> Form:
    return {"$": "bytes", "v": base64.b64encode(data).decode()}


def read_bytes(content: Any) -> bytes:
    data = base64.b64decode(text(content), validate=True)
    # Bits behind the last byte are not looked at by the decoder.
    if base64.b64encode(data).decode() != content:
        raise Malformed
    return data


def datetime_form(moment: datetime) -> Form:
    # The base class's own, for a subclass may say more than microseconds.
    return {"$": "datetime", "v": datetime.isoformat(moment)}


def read_datetime(content: Any) -> datetime:
    return datetime.fromisoformat(_matching(_DATE_TIME, content))


def date_form(day: date) -> Form:
    return {"$": "date", "v": day.isoformat()}


def read_date(content: Any) -> date:
    return date.fromisoformat(_matching(_DATE_ONLY, content))


def time_form(moment: time) -> Form | None:
    """None when the text does not say all of it: a zone with a name, the second of two equal hours."""
    if moment.fold or not (moment.tzinfo is None or moment.tzinfo.__class__ is timezone):
        return None
    return {"$": "time", "v": moment.isoformat()}


def read_time(content: Any) -> time:
    return time.fromisoformat(_matching(_TIME_ONLY, content))


def duration_form(duration: timedelta) -> Form:
    return {"$": "duration", "v": duration // timedelta(microseconds=1)}


def read_duration(content: Any) -> timedelta:
    if content.__class__ is not int:
        raise Malformed
    return timedelta(microseconds=content)


def uuid_form(uuid: UUID) -> Form:
    return {"$": "uuid", "v": str(uuid)}


def read_uuid(content: Any) -> UUID:
    return UUID(_matching(_UUID, content))


def decimal_form(number: Decimal) -> Form:
    return {"$": "decimal", "v": _PLAIN.to_sci_string(number)}


def read_decimal(content: Any) -> Decimal:
    number = Decimal(text(content))
    if _PLAIN.to_sci_string(number) != content:
        raise Malformed
    return number


# By their tags; all but `duration`, whose number may itself be tagged.
READ: dict[str, Callable[[Any], Any]] = {
    "int": read_int,
    "float": read_float,
    "bytes": read_bytes,
    "datetime": read_datetime,
    "date": read_date,
    "time": read_time,
    "uuid": read_uuid,
    "decimal": read_decimal,
}

# By their classes, of which a subclass is something else.
WRITE: dict[type, Callable[[Any], Form | None]] = {
    bytes: bytes_form,
    bytearray: bytes_form,
    memoryview: bytes_form,
    datetime: datetime_form,
    date: date_form,
    time: time_form,
    timedelta: duration_form,
    UUID: uuid_form,
    Decimal: decimal_form,
}
