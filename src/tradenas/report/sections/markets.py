"""Of a study of several markets: what the champion did in each of them, beside the portfolio that was judged."""

from __future__ import annotations

from tradenas.report.figures.forest import estimate
from tradenas.report.figures.markets import markets as drawn
from tradenas.report.markup import Markup, el, join
from tradenas.report.record import RunRecord
from tradenas.report.schema import Interval, MarketScores, Strategy
from tradenas.report.sections.parts import Section, absent, figure, note, table
from tradenas.report.wording import DASH, count, decimal, interval, percent

__all__ = ["markets", "markets_words", "sharing_words"]


def sharing_words(record: RunRecord) -> str:
    """How capital is shared, in a sentence; empty for a study of one market."""
    sharing = record.data.portfolio
    if sharing is None:
        return ""
    num = count(len(record.data.markets))
    if sharing.weights == "equal":
        return f"Each of {num} markets has the same share of the capital; that of a market without candles lies idle."
    return (
        f"Capital is shared between {num} markets in proportion to 1 / volatility as known at the row, set anew every "
        f"{count(sharing.rebalance)} candles; what that changes in a position is traded and paid for."
    )


def markets_words(record: RunRecord) -> str:
    """How many markets there are, and in which the champion earned most and least; empty for a study of one."""
    if record.data.portfolio is None:
        return ""
    shares = "equal shares" if record.data.portfolio.weights == "equal" else "shares by 1 / volatility"
    said = f"{count(len(record.data.markets))}, {shares}"
    champion = record.champion
    told = champion.markets.zone(record.zone) if champion is not None and champion.markets is not None else ()
    known = sorted((m.total_net, m.symbol) for m in told if m.total_net is not None)
    if len(known) < 2:
        return said
    least, most = known[0], known[-1]
    return (
        f"{said}; the champion earned most in {most[1]} ({percent(most[0], 2, sign=True)}), "
        f"least in {least[1]} ({percent(least[0], 2, sign=True)})"
    )


def markets(record: RunRecord) -> Section | None:
    """A table and a figure of markets; nothing where the study has one market."""
    if record.data.portfolio is None:
        return None
    champion = record.champion
    told = champion.markets.zone(record.zone) if champion is not None and champion.markets is not None else ()
    if champion is None or not told:
        body: Markup = absent("Nothing has been traded yet.")
    else:
        caption = (
            f"Net Sharpe of {champion.name} in the {record.zone} zone, of its part in each market and of the whole, "
            "with bootstrap intervals. One market in many does well by luck: the verdict is on the portfolio alone."
        )
        body = join([
            note(sharing_words(record)),
            figure(record, drawn, caption=caption),
            _table(record, champion, told),
            note(
                "Nets and turnovers add up to the portfolio's; Sharpe ratios do not. IC and accuracy of the portfolio "
                "are means over the markets, by their rows. Markets were not chosen by these figures."
            ),
        ])  # fmt: skip
    return Section(name="markets", short="Markets", title="Markets of the portfolio", body=body)


def _table(record: RunRecord, champion: Strategy, told: tuple[MarketScores, ...]) -> Markup:
    header = ["market", "net Sharpe", "total net", "gross", "IC", "rank IC", "accuracy", "turnover a day", "days"]
    rows: list[list[object]] = [
        [
            m.symbol,
            interval(Interval(value=m.sharpe, low=m.sharpe_low, high=m.sharpe_high)) if m.days else DASH,
            percent(m.total_net, 2, sign=True),
            percent(m.total_gross, 2, sign=True),
            decimal(m.ic, 3),
            decimal(m.rank_ic, 3),
            percent(m.accuracy),
            decimal(m.turnover_per_day),
            count(m.days),
        ]
        for m in told
    ]
    whole = champion.zone(record.zone)
    if whole is not None:
        days = max((m.days for m in told if m.days is not None), default=None)
        rows.append([
            el("strong", "portfolio"),
            interval(estimate(champion, record.zone)),
            percent(whole.total_net, 2, sign=True),
            percent(whole.total_gross, 2, sign=True),
            decimal(whole.ic, 3),
            decimal(whole.rank_ic, 3),
            percent(whole.accuracy),
            decimal(whole.turnover_per_day),
            count(days),
        ])  # fmt: skip
    classes = [None] * len(told) + ["champion"]
    return table(f"{champion.name} in each market, {record.zone} zone", header, rows, classes=classes)
