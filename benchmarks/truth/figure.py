"""How well methods order the architectures of a market, as bars under the ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from tradenas.atomic import write_text
from truth.measures import Measured

__all__ = ["draw"]

ROW, LEFT, WIDTH, RIGHT, TOP = 22, 250, 420, 150, 54


def draw(path: Path, world: str, metric: str, measured: Sequence[Measured], *, ceiling: float) -> None:
    """Writes an SVG: one bar for each method, best first, with its interval, and a line at the ceiling."""
    rows = sorted(measured, key=lambda m: -m.tau)
    low = min(0.0, *(m.tau for m in rows)) - 0.02
    high = max(ceiling, *(m.tau + (m.spread if m.spread == m.spread else 0.0) for m in rows)) + 0.02

    def x(value: float) -> float:
        return LEFT + WIDTH * (min(max(value, low), high) - low) / (high - low)

    height = TOP + ROW * len(rows) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + RIGHT} {height}" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#222">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        '<text x="16" y="20" font-size="14">Kendall tau with the trainings of all 1,248 architectures: '
        f"{escape(world)}, {escape(metric)}</text>",
        '<text x="16" y="38" fill="#666">mean over seeds with its 95 % interval; right: cost of one order in '
        "trainings</text>",
    ]
    for i, one in enumerate(rows):
        y = TOP + ROW * i
        left, right = sorted((x(0.0), x(one.tau)))
        parts.append(f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(one.method)}</text>')
        parts.append(f'<rect x="{left:.1f}" y="{y + 4}" width="{right - left:.1f}" height="14" fill="#4878a8"/>')
        if one.spread == one.spread:
            a, b = x(one.tau - one.spread), x(one.tau + one.spread)
            parts.append(f'<path d="M{a:.1f} {y + 11}H{b:.1f}" stroke="#222"/>')
        label = f"{one.tau:.2f}   {one.trainings:.0f}"
        parts.append(f'<text x="{LEFT + WIDTH + 12}" y="{y + 14}" xml:space="preserve">{label}</text>')
    at, bottom = x(ceiling), TOP + ROW * len(rows)
    parts.append(f'<path d="M{at:.1f} {TOP}V{bottom}" stroke="#b5482a" stroke-dasharray="4 3"/>')
    parts.append(
        f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle" fill="#b5482a">ceiling {ceiling:.2f}</text>'
    )
    parts.append("</svg>")
    write_text(path, "\n".join(parts) + "\n")
