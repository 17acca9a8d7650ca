"""5 and 9: who was retrained and how they did; what the search saw."""

from __future__ import annotations

import statistics

from tradenas.report.describe import describe
from tradenas.report.figures.forest import estimate, forest, ordered
from tradenas.report.figures.trace import trace
from tradenas.report.formulas import term
from tradenas.report.markup import Markup, el, join
from tradenas.report.wording import DASH, count, decimal, elapsed, interval, percent
from tradenas.report.record import RunRecord
from tradenas.report.schema import SearchRecord, Strategy
from tradenas.report.sections.parts import Section, absent, figure, note, table

__all__ = ["candidates", "strategies"]

TOP = 20
FRACTIONS = frozenset({"accuracy", "turnover"})


def strategies(record: RunRecord) -> Section:
    """5: finalists, baselines and random architectures with intervals."""
    title = "Finalists, baselines and random architectures"
    if not record.strategies:
        return Section(name="strategies", title=title, body=absent("Nothing has been retrained yet."))
    zone = record.zone
    caption = f"Net Sharpe in the {zone} with its bootstrap interval; the dashed line is the best baseline." + (
        " A hollow dot is the same strategy in the selection zone." if zone == "vault" else " The vault is unopened."
    )
    drawn = figure(record, forest, caption=caption) or absent("No strategy has a Sharpe ratio yet.")
    rows = ordered(record)
    header = [
        "strategy", "kind", term("sharpe", record, f"net Sharpe, {zone}"), *(["selection"] if zone == "vault" else []), "gross",
        "seeds, mean ± sd", term("profit_factor", record, "profit factor"), term("accuracy", record, "accuracy"), term("ic", record),
        term("turnover", record, "turnover / day"), term("drawdown", record, "drawdown"), "total net", "params", "tried",
    ]  # fmt: skip
    champion = record.champion.name if record.champion is not None else None
    whole = table(
        f"Every strategy retrained, in the {zone} zone", header, [_row(s, zone) for s in rows], text=(0, 1),
        classes=["champion" if s.name == champion else None for s in rows],
    )  # fmt: skip
    return Section(name="strategies", title=title, body=join([drawn, whole, note(
        "“Tried” counts the configurations that were tried for a strategy: a baseline deserves the same search as a network. "
        "Seeds are trainings of one architecture from other starts; they are no trials, but their spread is part of the error."
    )]))  # fmt: skip


def _row(strategy: Strategy, zone: str) -> list[object]:
    scores = strategy.zone(zone)
    seeds = strategy.seed_sharpes(zone)
    spread = (
        f"{decimal(statistics.mean(seeds))} ± {decimal(statistics.stdev(seeds))} ({len(seeds)})"
        if len(seeds) > 1
        else DASH
    )
    name: object = strategy.name
    if strategy.architecture:
        name = el("span", strategy.name, title=describe(strategy.architecture))
    both = [interval(estimate(strategy, "selection"))] if zone == "vault" else []
    start = [name, strategy.kind, interval(estimate(strategy, zone)), *both]
    if scores is None:
        return [*start, DASH, spread, *[DASH] * 6, count(strategy.params), count(strategy.tried)]
    drawdown = -abs(scores.max_drawdown) if scores.max_drawdown is not None else None
    return [
        *start, decimal(scores.gross_sharpe), spread, decimal(scores.profit_factor), percent(scores.accuracy),
        decimal(scores.ic, 3), decimal(scores.turnover_per_day), percent(drawdown), percent(scores.total_net, sign=True),
        count(strategy.params), count(strategy.tried),
    ]  # fmt: skip


def candidates(record: RunRecord) -> Section:
    """9: the search's best-so-far, and its top twenty."""
    search, title = record.search, "Search"
    if search is None:
        return Section(name="search", title=title, body=absent("The search has not finished."))
    caption = f"Best {search.metric} so far, as the supernet scores it in the search zone: an upper bound on luck as much as on skill."
    drawn = figure(record, trace, caption=caption) or absent("No trace was kept.")
    size = f" of {count(search.space_size)} in the space" if search.space_size is not None else ""
    took = f" in {elapsed(search.seconds)}" if search.seconds is not None else ""
    largest = (
        f"; the largest network of the space has {count(search.num_params_max)} parameters"
        if search.num_params_max is not None
        else ""
    )
    told = note(
        f"{search.method} scored {count(search.num_scored)} architectures{size}{took}{largest}. Each of them is a trial in the ledger."
    )
    return Section(name="search", title=title, body=join([told, drawn, _top(search)]))


def _top(search: SearchRecord) -> Markup:
    top = search.candidates[:TOP]
    if not top:
        return absent("No candidate was kept.")
    names = list(dict.fromkeys(key for candidate in top for key in candidate.scores))
    rows = [
        [
            count(c.rank), el("code", c.digest[:10]),
            *(percent(c.scores.get(n)) if n == "accuracy" else decimal(c.scores.get(n), 3 if n in ("ic", "loss") else 2) for n in names),
            el("span", describe(c.architecture), class_="recipe"),
        ]
        for c in top
    ]  # fmt: skip
    heads = [el("strong", n) if n == search.metric else n.replace("_", " ") for n in names]
    return table(
        f"Best {len(top)} of {count(search.num_scored)} by {search.metric}, as the supernet scored them",
        ["rank", "digest", *heads, "architecture"], rows, text=(1, 2 + len(names)),
    )  # fmt: skip
