"""Lines with intervals over one axis, as an SVG file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from tradenas.atomic import write_text

__all__ = ["Curve", "draw"]

WIDTH, HEIGHT, LEFT, TOP, RIGHT = 420, 300, 60, 44, 290
COLOURS = ("#b5482a", "#4878a8", "#3f7f4f", "#8a5aa8", "#c9952c", "#7a7a7a", "#2a9d9a", "#a83f6b")


@dataclass(frozen=True)
class Curve:
    """One line: its points, and the ends of their intervals."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def draw(path: Path, title: str, axis: str, curves: Sequence[Curve], *, line: float, line_text: str) -> None:
    """Writes the picture: shares from 0 to 1 upwards, a dashed line at `line`, whiskers beside each other."""
    right = max(max(c.x) for c in curves) or 1.0

    def x(value: float, shift: float = 0.0) -> float:
        return LEFT + WIDTH * value / right + shift

    def y(value: float) -> float:
        return TOP + HEIGHT * (1.0 - value)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + RIGHT} {TOP + HEIGHT + 50}" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#222">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="16" y="20" font-size="14">{escape(title)}</text>',
        f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 40}" text-anchor="middle" fill="#666">{escape(axis)}</text>',
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(f'<path d="M{LEFT} {y(share):.1f}H{LEFT + WIDTH}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(share) + 4:.1f}" text-anchor="end">{100 * share:g} %</text>')
    low = TOP + HEIGHT + 18
    parts += [
        f'<text x="{x(at):.1f}" y="{low}" text-anchor="middle" font-size="10">{at:g}</text>' for at in curves[0].x
    ]
    parts.append(f'<path d="M{LEFT} {y(line):.1f}H{LEFT + WIDTH}" stroke="#222" stroke-dasharray="4 3"/>')
    parts.append(f'<text x="{LEFT + WIDTH + 6}" y="{y(line) + 4:.1f}" fill="#666">{escape(line_text)}</text>')
    for i, curve in enumerate(curves):
        colour, shift = COLOURS[i % len(COLOURS)], 2.0 * (i - len(curves) / 2)
        points = "L".join(f"{x(a, shift):.1f} {y(b):.1f}" for a, b in zip(curve.x, curve.y, strict=True))
        parts.append(f'<path d="M{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for a, b, c in zip(curve.x, curve.low, curve.high, strict=True):
            parts.append(f'<path d="M{x(a, shift):.1f} {y(b):.1f}V{y(c):.1f}" stroke="{colour}" opacity="0.5"/>')
        down = TOP + 16 * i
        parts.append(f'<path d="M{LEFT + WIDTH + 36} {down}h18" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{LEFT + WIDTH + 58}" y="{down + 4}">{escape(curve.name)}</text>')
    parts.append("</svg>")
    write_text(path, "\n".join(parts) + "\n")
