"""The rows as a table for people, as Markdown for the documentation, and as JSON for later."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.pairs import BUSY
from bench.row import Row

HEADINGS = ("what", "ours", "theirs", "ratio", "target", "met", "a commit")


def as_text(rows: Sequence[Row], before: Mapping[str, float]) -> str:
    """Columns side by side. `before` is what the figure that the target is for was in the run before."""
    lines: list[tuple[str, ...]] = [(*HEADINGS, "before")]
    for row in rows:
        last = before.get(row.name)
        lines.append((*_cells(row), "" if last is None else _judged(row, last)))
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place in (0, 4, 5) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def as_markdown(rows: Sequence[Row]) -> str:
    """The same for the documentation, with what has to be said of single rows."""
    lines: list[tuple[str, ...]] = [(*HEADINGS, "note"), ("---", "---:", "---:", "---:", "---", "---", "---:", "---")]
    lines += [(*_cells(row), (_last_line(row.error) or row.note).replace("|", "\\|")) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def summary(rows: Sequence[Row], quickest: float) -> str:
    """How many targets are met, and which rows to measure again."""
    judged = [row for row in rows if row.met is not None]
    text = f"{sum(row.met is True for row in judged)} of {len(judged)} targets are met."
    # What is counted, on a disk however busy, has no ratios of pairs.
    busy = [row.name for row in rows if row.ratios and (row.commit_ms or 0) > BUSY * quickest]
    if busy:
        text += (
            f" A small commit took {quickest:.2f} ms when the disk was quiet. It was busy, which helps who commits "
            f"less often, during: {'; '.join(busy)}."
        )
    return text


def as_json(row: Row) -> dict[str, Any]:
    """A row as it is kept: of an error without the traceback, which names files of this machine."""
    return asdict(row) | {"error": _last_line(row.error), "judged": row.judged, "met": row.met}


def _cells(row: Row) -> tuple[str, ...]:
    if row.error:
        return row.name, "", "", "", "", "failed", ""
    target = "" if row.target is None else f"{row.target.sense} {_judged(row, row.target.limit)}"
    met = {True: "yes", False: "NO", None: ""}[row.met]
    commit = "" if row.commit_ms is None else f"{row.commit_ms:.2f} ms"
    ratio = "" if row.ratio is None else f"{_number(row.ratio)}x"
    return row.name, _figure(row.ours, row.unit), _figure(row.theirs, row.unit), ratio, target, met, commit


def _judged(row: Row, value: float) -> str:
    """A value of what the row is held to."""
    if row.target is None or row.target.of == "ratio":
        return f"{_number(value)}x"
    return _figure(value, row.unit)


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]


def _figure(value: float | None, unit: str) -> str:
    return "" if value is None else f"{_number(value)} {unit}".rstrip()


def _number(value: float) -> str:
    """Three digits that count."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
