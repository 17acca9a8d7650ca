"""5 and 9: who was retrained and how they did; what the search saw."""

from __future__ import annotations

import statistics
from itertools import pairwise

from tradenas.report.describe import describe
from tradenas.report.figures.forest import estimate, forest, ordered
from tradenas.report.figures.trace import trace
from tradenas.report.formulas import term
from tradenas.report.markup import Markup, el, join
from tradenas.report.record import RunRecord
from tradenas.report.schema import Candidate, SearchRecord, Strategy
from tradenas.report.sections.parts import Section, absent, figure, note, table
from tradenas.report.wording import DASH, amount, cost_name, count, decimal, elapsed, interval, percent

__all__ = ["candidates", "strategies"]

TOP = 20
DIGITS = {"ic": 3, "rank_ic": 3, "loss": 3}
NOTE = (
    "“Tried” counts the configurations that were tried for a strategy: a baseline deserves the same search as a "
    "network. Seeds are trainings of one architecture from other starts; they are no trials, but their spread is part "
    "of the error."
)


def strategies(record: RunRecord) -> Section:
    """5: finalists, baselines and random architectures with intervals."""
    body = _strategies(record) if record.strategies else absent("Nothing has been retrained yet.")
    title = "Finalists, baselines and random architectures"
    return Section(name="strategies", short="Strategies", title=title, body=body)


def _strategies(record: RunRecord) -> Markup:
    zone = record.zone
    caption = f"Net Sharpe in the {zone} with its bootstrap interval; the dashed line is the best baseline."
    judged = zone == "vault"
    caption += " A hollow dot is the same strategy in the selection zone." if judged else " The vault is unopened."
    header = [
        "strategy",
        "kind",
        term("sharpe", record, f"net Sharpe, {zone}"),
        *(["selection"] if judged else []),
        "gross",
        "seeds, mean ± sd",
        term("profit_factor", record, "profit factor"),
        term("accuracy", record, "accuracy"),
        term("ic", record, "IC"),
        term("turnover", record, "turnover a day"),
        term("drawdown", record, "drawdown"),
        "total net",
        "params",
        *(cost_name(name) for name in _weighed(record)),
        "tried",
    ]
    rows = ordered(record)
    champion = record.champion.name if record.champion is not None else None
    whole = table(
        f"Every strategy retrained, in the {zone} zone",
        header,
        [_row(s, zone, _weighed(record)) for s in rows],
        text=(0, 1),
        classes=["champion" if s.name == champion else None for s in rows],
    )
    drawn = figure(record, forest, caption=caption) or absent("No strategy has a Sharpe ratio yet.")
    return join([drawn, whole, note(NOTE)])


def _weighed(record: RunRecord) -> tuple[str, ...]:
    """Costs that the study limits or compares with quality, but for parameters, which always stand there."""
    objectives = record.front.objectives if record.front is not None else ()
    priced = {name for s in record.strategies or () for name in s.costs or ()}
    return tuple(name for name in objectives if name in priced and name not in ("parameters", "params"))


def _row(strategy: Strategy, zone: str, weighed: tuple[str, ...]) -> list[object]:
    scores, seeds = strategy.zone(zone), strategy.seed_sharpes(zone)
    spread = DASH
    if len(seeds) > 1:
        spread = f"{decimal(statistics.mean(seeds))} ± {decimal(statistics.stdev(seeds))} ({len(seeds)})"
    name: object = strategy.name
    if strategy.architecture:
        name = el("span", strategy.name, title=describe(strategy.architecture))
    start = [name, strategy.kind, interval(estimate(strategy, zone))]
    start += [interval(estimate(strategy, "selection"))] if zone == "vault" else []
    costs = strategy.costs or {}
    sizes = [count(strategy.params), *(amount(name, costs.get(name)) for name in weighed), count(strategy.tried)]
    if scores is None:
        return [*start, DASH, spread, *[DASH] * 6, *sizes]
    return [
        *start,
        decimal(scores.gross_sharpe),
        spread,
        decimal(scores.profit_factor),
        percent(scores.accuracy),
        decimal(scores.ic, 3),
        decimal(scores.turnover_per_day),
        percent(-abs(scores.max_drawdown)) if scores.max_drawdown is not None else DASH,
        percent(scores.total_net, sign=True),
        *sizes,
    ]


def candidates(record: RunRecord) -> Section:
    """9: the search's best-so-far, and its top twenty."""
    body = _search(record, record.search) if record.search is not None else absent("The search has not finished.")
    return Section(name="search", short="Search", title="Search", body=body)


def _search(record: RunRecord, search: SearchRecord) -> Markup:
    words = f"{search.method} scored {count(search.num_scored)} architectures"
    words += f" of {count(search.space_size)} in the space" if search.space_size is not None else ""
    words += f" in {elapsed(search.seconds)}" if search.seconds is not None else ""
    if search.num_params_max is not None:
        words += f"; the largest network of the space has {count(search.num_params_max)} parameters"
    caption = (
        f"Best {search.metric} so far, as the supernet scores it in the search zone: the best of many, "
        "so as much an account of luck as of skill."
    )
    drawn = figure(record, trace, caption=caption) or absent("No trace was kept.")
    return join([note(f"{words}. Each of them is a trial in the ledger."), drawn, _top(search)])


def _top(search: SearchRecord) -> Markup:
    top = search.candidates[:TOP]
    if not top:
        return absent("No candidate was kept.")
    names = [
        n
        for n in dict.fromkeys(key for candidate in top for key in candidate.scores)
        if n != search.metric and "/" not in n
    ]
    shown = [candidate.scores.get(search.metric) for candidate in top]
    falling = all(a >= b for a, b in pairwise(score for score in shown if score is not None))
    order = "" if falling else "; several supernets order them by rank, so the mean of their scores need not fall"
    return table(
        f"Best {len(top)} of {count(search.num_scored)} by {search.metric}, as the supernet scored them{order}",
        ["rank", "digest", el("strong", search.metric), "architecture", *(n.replace("_", " ") for n in names)],
        [_candidate(candidate, search.metric, names) for candidate in top],
        text=(1, 3),
    )


def _candidate(candidate: Candidate, metric: str, names: list[str]) -> list[object]:
    def shown(name: str) -> str:
        value = candidate.scores.get(name)
        return percent(value) if name == "accuracy" else decimal(value, DIGITS.get(name, 2))

    recipe = el("span", describe(candidate.architecture), class_="recipe")
    return [count(candidate.rank), el("code", candidate.digest[:10]), shown(metric), recipe, *map(shown, names)]
