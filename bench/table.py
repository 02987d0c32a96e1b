"""The rows as a table for people, as Markdown for the documentation, and as JSON for later."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bench.row import Row

HEADINGS = ("what", "ours", "theirs", "ratio", "target", "met")


def as_text(rows: Sequence[Row]) -> str:
    """Columns side by side, and below them what has to be said of single rows."""
    lines = [HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(HEADINGS))]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place in (0, 4, 5) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def as_markdown(rows: Sequence[Row]) -> str:
    """The same with notes."""
    lines: list[tuple[str, ...]] = [(*HEADINGS, "note"), ("---", "---:", "---:", "---:", "---", "---", "---")]
    lines += [(*_cells(row), row.note.replace("|", "\\|")) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def notes(rows: Sequence[Row]) -> str:
    """What each row has to say besides its figures; of failed ones, the whole error."""
    return "\n".join(f"{row.name}: {row.error or row.note}" for row in rows if row.error or row.note)


def as_json(row: Row) -> dict[str, Any]:
    """A row as it is kept."""
    return asdict(row) | {"met": row.met}


def _cells(row: Row) -> tuple[str, ...]:
    if row.error:
        last = row.error.strip().splitlines()[-1]
        return row.name, "", "", "", "", f"failed: {last[:80]}"
    target = ""
    if row.target is not None:
        unit = "x" if row.target.of == "ratio" else f" {row.unit}".rstrip()
        target = f"{row.target.sense} {_number(row.target.limit)}{unit}"
    met = {True: "yes", False: "NO", None: ""}[row.met]
    ratio = "" if row.ratio is None else f"{_number(row.ratio)}x"
    return row.name, _figure(row.ours, row.unit), _figure(row.theirs, row.unit), ratio, target, met


def _figure(value: float | None, unit: str) -> str:
    return "" if value is None else f"{_number(value)} {unit}".rstrip()


def _number(value: float) -> str:
    """Three digits that count."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
