"""The ratios as a picture: how far each row is on the good or the bad side of its target. SVG, written by hand."""

from collections.abc import Sequence
from html import escape
from math import log10

from bench.row import Row

WIDTH, LEFT, RIGHT, LINE, TOP = 860, 330, 120, 24, 64
_DECADES = 1.6  # to each side of the target; what is further away ends there, and says its figure

_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600; font-size: 14px }
.faint { fill: #6e7781; font-size: 11px }
.axis { stroke: #8c959f; stroke-width: 1 }
.grid { stroke: #8c959f; stroke-width: 1; opacity: .25 }
.met { fill: #2da44e } .missed { fill: #cf222e } .failed { fill: #9a6700 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .faint { fill: #9198a1 } .met { fill: #3fb950 } .missed { fill: #f85149 }
  .failed { fill: #d29922 }
}
"""


def draw(rows: Sequence[Row], title: str) -> str:
    """A bar for each row with a target: to the right of the middle when it is met."""
    rows = [row for row in rows if row.error or row.target is not None]
    height = TOP + LINE * len(rows) + 34
    middle, scale = (LEFT + WIDTH - RIGHT) / 2, (WIDTH - RIGHT - LEFT) / 2 / _DECADES
    bottom = TOP + LINE * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(title)}">',
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="12" y="24">{escape(title)}</text>',
        '<text class="faint" x="12" y="44">Each bar: how many times better (right) or worse (left) than its target; '
        "the scale is logarithmic.</text>",
    ]
    for decade, label in ((-1.0, "10x worse"), (0.0, "target"), (1.0, "10x better")):
        x = middle + decade * scale
        line = "axis" if decade == 0 else "grid"
        parts.append(
            f'<line class="{line}" x1="{x:.0f}" y1="{TOP - 4}" x2="{x:.0f}" y2="{bottom}"/>'
            f'<text class="faint" x="{x:.0f}" y="{bottom + 18}" text-anchor="middle">{label}</text>'
        )
    for place, row in enumerate(rows):
        parts += _bar(row, TOP + LINE * place, middle, scale)
    return "\n".join([*parts, "</svg>", ""])


def _bar(row: Row, top: float, middle: float, scale: float) -> list[str]:
    y = top + 15
    name = f'<text x="{LEFT - 12}" y="{y}" text-anchor="end">{escape(row.name)}</text>'
    if row.error or row.target is None or row.judged is None:
        return [
            name,
            f'<text class="failed" x="{middle + 6}" y="{y}">{"failed" if row.error else "not measured"}</text>',
        ]
    margin = row.target.margin(row.judged)
    exponent = max(-_DECADES, min(_DECADES, log10(margin) if margin else -_DECADES))
    length = max(2.0, abs(exponent) * scale)  # what is right at its target can be seen too
    x = middle if exponent >= 0 else middle - length
    unit = "x" if row.target.of == "ratio" else f" {row.unit}"
    said = f"{row.judged:.3g}{unit} (target {row.target.limit:.3g})"
    return [
        name,
        f'<rect class="{"met" if row.met else "missed"}" x="{x:.1f}" y="{top + 4}" width="{length:.1f}" height="15" '
        f'rx="2"><title>{escape(f"{row.name}: {said}")}</title></rect>',
        f'<text class="faint" x="{WIDTH - RIGHT + 8}" y="{y}">{escape(said)}</text>',
    ]
