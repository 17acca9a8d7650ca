"""Horizontal bars with intervals and a line to hold them against, as an SVG file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from tradenas.atomic import write_text

__all__ = ["Bar", "draw"]

ROW, LEFT, WIDTH, RIGHT, TOP = 22, 250, 420, 150, 54


@dataclass(frozen=True)
class Bar:
    """One row: a bar from the line's or from zero's place to `value`, whiskers from `low` to `high`, a text behind."""

    name: str
    value: float
    low: float | None
    high: float | None
    text: str


def draw(
    path: Path, title: str, subtitle: str, bars: Sequence[Bar], *, line: float, line_text: str, start: float = 0.0
) -> None:
    """Writes the picture.

    Args:
        line: where the dashed line stands.
        start: where bars begin.
    """
    seen = [start, line, *(v for b in bars for v in (b.value, b.low, b.high) if v is not None)]
    margin = 0.03 * (max(seen) - min(seen))
    low, high = min(seen) - margin, max(seen) + margin

    def x(value: float) -> float:
        return LEFT + WIDTH * (value - low) / (high - low)

    height = TOP + ROW * len(bars) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + RIGHT} {height}" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#222">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="16" y="20" font-size="14">{escape(title)}</text>',
        f'<text x="16" y="38" fill="#666">{escape(subtitle)}</text>',
    ]
    for i, bar in enumerate(bars):
        y = TOP + ROW * i
        left, right = sorted((x(start), x(bar.value)))
        parts.append(f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(bar.name)}</text>')
        parts.append(f'<rect x="{left:.1f}" y="{y + 4}" width="{right - left:.1f}" height="14" fill="#4878a8"/>')
        if bar.low is not None and bar.high is not None:
            parts.append(f'<path d="M{x(bar.low):.1f} {y + 11}H{x(bar.high):.1f}" stroke="#222"/>')
        parts.append(f'<text x="{LEFT + WIDTH + 12}" y="{y + 14}" xml:space="preserve">{escape(bar.text)}</text>')
    at, bottom = x(line), TOP + ROW * len(bars)
    parts.append(f'<path d="M{at:.1f} {TOP}V{bottom}" stroke="#b5482a" stroke-dasharray="4 3"/>')
    parts.append(f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle" fill="#b5482a">{escape(line_text)}</text>')
    parts.append("</svg>")
    write_text(path, "\n".join(parts) + "\n")
