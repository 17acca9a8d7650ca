"""What the latency table said, and what the clock said."""

from __future__ import annotations

from tradenas.report.markup import Markup
from tradenas.report.record import RunRecord
from tradenas.report.svg import Scale, Sheet, ticks
from tradenas.report.wording import amount, percent

__all__ = ["hover_latency", "latency", "mean_error"]


def mean_error(record: RunRecord) -> float | None:
    """Mean of |predicted / measured - 1|; None where nothing was timed."""
    found = record.latency
    if found is None or not found.points:
        return None
    return sum(abs(p.predicted_us / p.measured_us - 1.0) for p in found.points) / len(found.points)


def latency(record: RunRecord, *, width: int) -> Markup | None:
    """A dot a network: predicted across, measured upwards; on the line both agree, dashed is 10 % off."""
    found, error = record.latency, mean_error(record)
    if found is None or error is None:
        return None
    size = float(min(width, 460))
    ends = [v for p in found.points for v in (p.predicted_us, p.measured_us)]
    if found.limit_us is not None and found.limit_us < 2.0 * max(ends):
        ends.append(found.limit_us)
    low, high = 0.92 * min(ends), 1.08 * max(ends)
    sheet = Sheet(size, size - 10,
                  f"Predicted against measured latency of {len(found.points)} networks: "
                  f"{percent(error)} apart on average.")  # fmt: skip
    x, y = Scale(low, high, 58.0, size - 12), Scale(low, high, size - 60, 8.0)
    sheet.axes(x, y)
    sheet.add("rect", x=x.start, y=y.stop, width=x.stop - x.start, height=y.start - y.stop, class_="frame")
    for value in ticks(low, high, 4):
        sheet.text(x(value), y.start + 17, amount("latency_us", value), "tick", "middle")
        sheet.text(x.start - 7, y(value) + 4, amount("latency_us", value), "tick", "end")
    sheet.line(x(low), y(low), x(high), y(high), "zero")
    for factor in (0.9, 1.1):
        a, b = max(low, low / factor), min(high, high / factor)
        sheet.line(x(a), y(a * factor), x(b), y(b * factor), "reference")
    sheet.text((x.start + x.stop) / 2, y.start + 38, "predicted by the table", "axis-name", "middle")
    middle = (y.start + y.stop) / 2
    sheet.add("text", "measured", x=12, y=middle, class_="axis-name", text_anchor="middle",
              transform=f"rotate(-90 12 {middle:.1f})")  # fmt: skip
    champion = record.champion.digest if record.champion is not None else None
    if found.limit_us is not None and low <= found.limit_us <= high:
        sheet.line(x.start, y(found.limit_us), x.stop, y(found.limit_us), "reference baseline")
        sheet.text(x.start + 6, y(found.limit_us) - 5, "limit", "label baseline")
    for point in found.points:
        mine = champion is not None and point.digest == champion
        sheet.add("circle", cx=x(point.predicted_us), cy=y(point.measured_us), r=6.0 if mine else 4.0,
                  class_=f"dot {'champion' if mine else 'plain'}")  # fmt: skip
    return sheet.svg()


def hover_latency(record: RunRecord) -> dict[str, object]:
    """What the page's script reads out for each dot."""
    found = record.latency
    assert found is not None
    told = [
        [
            p.name,
            f"predicted {amount('latency_us', p.predicted_us)}",
            f"measured {amount('latency_us', p.measured_us)}",
            f"{percent(p.predicted_us / p.measured_us - 1.0, sign=True)} predicted against measured",
        ]
        for p in found.points
    ]
    return {"x": [p.predicted_us for p in found.points], "y": [p.measured_us for p in found.points], "text": told}
