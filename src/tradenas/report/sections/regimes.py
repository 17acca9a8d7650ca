"""States of the market: how often, who was best in each, and whether routing between them paid."""

from __future__ import annotations

from tradenas.report.describe import describe
from tradenas.report.figures.regimes import against_single, plain_name, share_bars
from tradenas.report.markup import Markup, el, join
from tradenas.report.record import RunRecord
from tradenas.report.schema import RegimeRecord, RegimeScores
from tradenas.report.sections.parts import Section, absent, figure, note, table
from tradenas.report.wording import DASH, count, decimal

__all__ = ["regimes"]

SHARES = (
    "Share of candles in each state. Thresholds come from the search zone alone, and each candle is labelled from what "
    "was known when it closed: where later zones look different, the market has changed."
)
ROUTED = (
    "Bars are 95 % bootstrap intervals. Both strategies are resampled on the same days, so the difference is surer "
    "than the two bars above it suggest; routing paid where all of its interval lies above zero."
)
CELLS = "Traded on the rows of the regime and flat elsewhere, net of costs; the figure in brackets is the IC there."


def regimes(record: RunRecord) -> Section | None:
    """The section; `None` for a study without regimes."""
    found = record.regimes
    if found is None:
        return None
    body = [
        el("p", " ".join(found.words)),
        figure(record, against_single, caption=ROUTED) or absent("The router has not been traded yet."),
        el("h3", "How often"),
        figure(record, share_bars, caption=SHARES),
        el("h3", "Who speaks when"),
        _speakers(record, found),
        el("h3", "Strategy by regime"),
        _scores(record, found),
        note(CELLS),
    ]
    return Section(
        name="regimes", short="Regimes", title="Regimes and routing", body=join(part for part in body if part)
    )


def _speakers(record: RunRecord, found: RegimeRecord) -> Markup:
    rows: list[list[object]] = []
    for regime in (*found.names, "unknown"):
        name = found.router.get(regime, DASH)
        strategy = record.strategy(name)
        own = strategy is not None and strategy.kind == "specialist"
        rows.append(
            [
                plain_name(regime),
                name,
                el("span", describe(strategy.architecture), class_="recipe") if strategy is not None else DASH,
                decimal(strategy.supernet_score, 3) if strategy is not None and own else DASH,
                count(strategy.params) if strategy is not None and strategy.params is not None else DASH,
            ]
        )
    header = ["regime", "speaker", "architecture", f"{found.metric.replace('_', ' ')} in the search", "params"]
    return table(
        "The specialist of each regime; where none is known, the best finalist speaks", header, rows, text=(0, 1, 2)
    )


def _scores(record: RunRecord, found: RegimeRecord) -> Markup:
    zone = found.zones.get(record.zone)
    if zone is None or not zone.scores:
        return absent("Nothing has been scored by regime yet.")
    best = record.best_baseline.name if record.best_baseline is not None else None
    scored = [s for s in record.strategies or () if s.name in zone.scores]
    order = [s.name for kind in ("routed", "finalist", "specialist") for s in scored if s.kind == kind]
    order += [s.name for s in scored if s.name == best and s.name not in order]
    champion = record.champion.name if record.champion is not None else None
    return table(
        f"Net Sharpe ratio in the {record.zone}, by regime",
        ["strategy", *(plain_name(name) for name in found.names)],
        [[name, *(_cell(zone.scores[name].get(regime)) for regime in found.names)] for name in order],
        classes=["champion" if name == champion else None for name in order],
    )


def _cell(scores: RegimeScores | None) -> str:
    if scores is None or scores.sharpe is None:
        return DASH
    return decimal(scores.sharpe) + (f" ({decimal(scores.ic, 3)})" if scores.ic is not None else "")
