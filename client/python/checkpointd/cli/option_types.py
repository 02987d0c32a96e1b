"""What a word of a command line may be. Each raises ValueError, of which argparse makes a message with its name."""

import math

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise ValueError
    return number


def length(text: str) -> float:
    unit = _UNITS.get(text[-1:])
    return seconds(text) if unit is None else unit * seconds(text[:-1])


def label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ValueError
    return key, value


def count(text: str) -> int:
    number = int(text)
    if not 0 < number < 1 << 31:
        raise ValueError
    return number


# How argparse names them where it says that a value is none.
seconds.__name__ = "number of seconds"
count.__name__ = "count"
label.__name__ = "label, which is KEY=VALUE"
length.__name__ = "length of time, such as 90d, 12h, 30m or 45s"


def limit(text: str) -> int | None:
    """A limit: `none`, or a number, perhaps of KiB, MiB, GiB or TiB."""
    if text == "none":
        return None
    number, factor = text, 1
    for power, unit in enumerate(("KiB", "MiB", "GiB", "TiB"), start=1):
        if text.endswith(unit):
            number, factor = text.removesuffix(unit), 1 << 10 * power
    if not (number.isascii() and number.isdecimal() and len(number) < 20):
        raise ValueError
    return int(number) * factor


limit.__name__ = "limit"
