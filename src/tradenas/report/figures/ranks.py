"""Does the supernet rank architectures as training each of them alone does?"""

from __future__ import annotations

import numpy as np

from tradenas.report.markup import Markup
from tradenas.report.record import RunRecord
from tradenas.report.schema import Coupling, CouplingPoint, Interval
from tradenas.report.svg import Scale, Sheet, ticks
from tradenas.report.wording import DASH, decimal, interval
from tradenas.typing import FloatArray

__all__ = ["hover_points", "placed", "ranks", "tau_words"]


def placed(coupling: Coupling) -> tuple[list[CouplingPoint], FloatArray, FloatArray]:
    """The points that have both scores, and their ranks by each, 1 for the best; equal scores share a rank."""
    points = [p for p in coupling.points if p.supernet is not None and p.standalone is not None]
    supernet = np.asarray([p.supernet for p in points], dtype=np.float64)
    standalone = np.asarray([p.standalone for p in points], dtype=np.float64)
    sign = 1.0 if coupling.metric == "loss" else -1.0
    return points, _ranks(sign * supernet), _ranks(sign * standalone)


def _ranks(values_N: FloatArray) -> FloatArray:
    below_N = (values_N[None, :] < values_N[:, None]).sum(1)
    equal_N = (values_N[None, :] == values_N[:, None]).sum(1)
    return np.asarray(0.5 + below_N + 0.5 * equal_N, dtype=np.float64)


def tau_words(coupling: Coupling) -> str:
    """Kendall tau with its interval, and the ceiling that two standalone trainings reach."""
    tau = interval(Interval(value=coupling.tau, low=coupling.tau_low, high=coupling.tau_high))
    top = coupling.ceiling
    ceiling = interval(Interval(value=top.tau, low=top.tau_low, high=top.tau_high)) if top is not None else DASH
    return f"Kendall τ {tau}" + (f", ceiling {ceiling}" if ceiling != DASH else "")


def ranks(record: RunRecord, *, width: int) -> Markup | None:
    """A dot an architecture: its rank by the supernet across, its rank alone upwards; best is the upper right."""
    coupling = record.coupling
    if coupling is None:
        return None
    points, x_N, y_N = placed(coupling)
    if len(points) < 2:
        return None
    size = float(min(width, 460))
    num = len(points)
    sheet = Sheet(
        size, size - 10,
        f"Rank of {num} architectures by the supernet and by standalone training: {tau_words(coupling)}.",
    )  # fmt: skip
    x = Scale(num + 0.5, 0.5, 46.0, size - 10)
    y = Scale(num + 0.5, 0.5, size - 56, 8.0)
    sheet.axes(x, y)
    sheet.add("rect", x=x.start, y=y.stop, width=x.stop - x.start, height=y.start - y.stop, class_="frame")
    sheet.line(x(num + 0.5), y(num + 0.5), x(0.5), y(0.5), "reference")
    for value in sorted({1, *(int(t) for t in ticks(1, num, 5) if t >= 1 and t == int(t))}):
        sheet.text(x(value), y.start + 17, value, "tick", "middle")
        sheet.text(x.start - 7, y(value) + 4, value, "tick", "end")
    sheet.text((x.start + x.stop) / 2, y.start + 37, "rank by the supernet, best at the right", "axis-name", "middle")
    middle = (y.start + y.stop) / 2
    sheet.add("text", "rank trained alone, best at the top", x=12, y=middle, class_="axis-name", text_anchor="middle",
              transform=f"rotate(-90 12 {middle:.1f})")  # fmt: skip
    champion = record.champion.digest if record.champion is not None else None
    for point, a, b in zip(points, x_N, y_N, strict=True):
        mine = champion is not None and point.digest == champion
        sheet.add("circle", cx=x(a), cy=y(b), r=6.0 if mine else 4.0, class_=f"dot {'champion' if mine else 'plain'}")
    return sheet.svg()


def hover_points(coupling: Coupling) -> dict[str, object]:
    """What the page's script reads out for each dot."""
    points, x_N, y_N = placed(coupling)
    told = []
    for p, a, b in zip(points, x_N, y_N, strict=True):
        seeds = [s for s in p.seeds if s is not None]
        spread = f", {len(seeds)} seeds {decimal(min(seeds))} to {decimal(max(seeds))}" if len(seeds) > 1 else ""
        told.append([
            p.digest[:12],
            f"supernet {decimal(p.supernet, 3)}, rank {a:g}",
            f"alone {decimal(p.standalone, 3)}, rank {b:g}{spread}",
            *_among(p),
        ])  # fmt: skip
    return {"x": x_N.tolist(), "y": y_N.tolist(), "text": told}


def _among(point: CouplingPoint) -> list[str]:
    """Between which ranks of all candidates other supernets might have put it."""
    if point.rank_low is None or point.rank_high is None:
        return []
    return [f"{point.rank_low:.0f} to {point.rank_high:.0f} of all candidates"]
