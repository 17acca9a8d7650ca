"""In which state the market was in each zone, and routing against one architecture for all states."""

from __future__ import annotations

from tradenas.report.figures.forest import estimate
from tradenas.report.figures.intervals import Row, intervals
from tradenas.report.markup import Markup, el
from tradenas.report.record import RunRecord
from tradenas.report.schema import RegimeZone
from tradenas.report.svg import Sheet, text_width
from tradenas.report.wording import percent

__all__ = ["ZONES", "against_single", "plain_name", "share_bars"]

#: Zones in time, as they are called on the page.
ZONES = {"train": "search: trained on", "rank": "search: ranked on", "selection": "selection", "vault": "vault"}


def plain_name(regime: str) -> str:
    """A regime in words."""
    return {"unknown": "not known"}.get(regime, regime.replace("_", "-"))


def share_bars(record: RunRecord, *, width: int) -> Markup | None:
    """A bar for each zone, divided by regime."""
    found = record.regimes
    if found is None:
        return None
    zones = [(words, found.zones[name]) for name, words in ZONES.items() if name in found.zones]
    names = [*found.names, *(["unknown"] if any(zone.shares.get("unknown") for _, zone in zones) else [])]
    wide = width > 600
    left, step = (160.0, 34.0) if wide else (0.0, 48.0)
    top = _legend_height(names, width)
    said = "; ".join(f"{words} {_said(zone, names)}" for words, zone in zones)
    sheet = Sheet(width, top + step * len(zones), f"Share of rows in each regime. {said}.")
    _legend(sheet, names, width)
    for i, (words, zone) in enumerate(zones):
        y = top + step * i
        sheet.text(0, y + (17 if wide else 12), words, "row-name")
        x, bar = left, y if wide else y + 18
        for name in names:
            part = zone.shares.get(name, 0.0)
            size = part * (width - left)
            marks = [
                el("title", f"{words}: {plain_name(name)} {percent(part)}"),
                el("rect", x=x, y=bar, width=max(0.0, size - 1.5), height=25.0, class_=f"share {name}"),
            ]
            text = percent(part, 0)
            if size > text_width(text) + 10:
                marks.append(
                    el("text", text, x=x + size / 2, y=bar + 17, class_=f"share-text {name}", text_anchor="middle")
                )
            sheet.add("g", *marks)
            x += size
    return sheet.svg()


def _said(zone: RegimeZone, names: list[str]) -> str:
    return ", ".join(f"{plain_name(name)} {percent(zone.shares.get(name, 0.0), 0)}" for name in names)


def _places(names: list[str], width: int) -> list[tuple[float, float]]:
    places, x, y = [], 0.0, 12.0
    for name in names:
        size = 22 + text_width(plain_name(name), 13.0) + 14
        if x and x + size > width:
            x, y = 0.0, y + 20.0
        places.append((x, y))
        x += size
    return places


def _legend_height(names: list[str], width: int) -> float:
    return _places(names, width)[-1][1] + 14.0


def _legend(sheet: Sheet, names: list[str], width: int) -> None:
    for name, (x, y) in zip(names, _places(names, width), strict=True):
        sheet.add("rect", x=x, y=y - 10, width=14.0, height=12.0, class_=f"share {name}")
        sheet.text(x + 20, y, plain_name(name), "row-name")


def against_single(record: RunRecord, *, width: int) -> Markup | None:
    """Net Sharpe ratios of the router and of the best single architecture, and their difference, in the last zone."""
    found = record.regimes
    zone = None if found is None else found.zones.get(record.zone)
    if found is None or zone is None or zone.comparison is None:
        return None
    single = record.strategy(found.single)
    routed = next((s for s in record.strategies or () if s.kind == "routed"), None)
    rows: list[Row] = []
    for strategy, cls in ((routed, "champion"), (single, "finalist")):
        known = estimate(strategy, record.zone) if strategy is not None else None
        if strategy is not None and known is not None:
            words = strategy.name if strategy.kind == "routed" else f"best single: {strategy.name}"
            rows.append((words, cls, known))
    rows.append(("difference", "difference", zone.comparison.difference))
    return intervals(rows, what=f"Net Sharpe ratio in the {record.zone}", width=width)
