"""1: the verdict, why, and what would change it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tradenas.report.figures.versus import versus
from tradenas.report.formulas import term
from tradenas.report.markup import Markup, el, join
from tradenas.report.record import RunRecord
from tradenas.report.schema import Interval, Verdict
from tradenas.report.sections.parts import Section, absent, figure
from tradenas.report.wording import DASH, count, decimal, interval, percent, pvalue, sentence

__all__ = ["dek", "verdict"]

DEKS = {
    "EDGE": "After costs and on unseen days, the champion beat every benchmark by more than luck explains.",
    "NO EVIDENCE": "The champion earned more than the best baseline, but luck alone could have done that.",
    "NO EDGE": "After costs, the champion earned no more than the best baseline, or than staying out.",
}
#: Names listed under a figure.
NAMED = 6
#: A figure as it is shown: which formula, the value, what stands below it.
Stat = tuple[str, str, str]


def dek(record: RunRecord) -> str:
    """What the verdict's word means, in a sentence."""
    if record.verdict is None:
        return "The study has not reached its verdict."
    words = DEKS.get(record.verdict.verdict, "")
    return words.replace("After costs", "Without any costs") if record.cost_free else words


def verdict(record: RunRecord) -> Section:
    """Why, what would change it, the comparison it rests on, and every statistic with its count of trials."""
    found = record.verdict
    if found is None:
        words = "This study has no verdict yet: it has not opened its vault. What it has done so far is below."
        return _section(absent(words))
    columns = [
        el("div", el("h3", head), el("ul", join(el("li", sentence(words)) for words in sentences)))
        for head, sentences in (("Why", found.why), ("What would change it", found.would_change))
        if sentences
    ]
    days = f", {count(found.days)} days" if found.days is not None else ""
    caption = f"Net Sharpe ratio in the {found.zone or record.zone}{days}. Bars are 95 % bootstrap intervals."
    stats = el("dl", join(_shown(record, stat) for stat in _stats(record, found)), class_="stats")
    drawn = figure(record, versus, caption=caption) or absent("No Sharpe ratio was computed.")
    return _section(join([el("div", *columns, class_="columns"), drawn, stats]))


def _section(body: Markup) -> Section:
    return Section(name="verdict", short="Verdict", title="Verdict and why", body=body)


def _shown(record: RunRecord, stat: Stat) -> Markup:
    key, value, small = stat
    return el("div", el("dt", term(key, record)), el("dd", value, class_="value"), el("dd", small, class_="small"))


def _stats(record: RunRecord, found: Verdict) -> Iterator[Stat]:
    gross = found.gross_sharpe
    before = interval(gross) if isinstance(gross, Interval) else decimal(gross)
    beside = [f"gross {before}"] if gross is not None else []
    beside += [f"selection {decimal(found.selection_sharpe)}"] if found.selection_sharpe is not None else []
    yield "sharpe", interval(found.net_sharpe), ", ".join(beside)
    yield from _tests(found)
    yield from _luck(found)
    scores, costs, even = record.champion_scores, found.costs, found.break_even_bps
    turnover = scores.turnover_per_day if scores is not None else None
    yield "turnover", f"{decimal(turnover)} a day" if turnover is not None else DASH, "times the capital"
    paid = (
        f"{decimal(costs.taker_bps, 1)} taker + {decimal(costs.slippage_bps, 1)} slippage" if costs is not None else ""
    )
    paid = ", ".join(words for words in (paid, record.funding_words) if words)
    yield "costs", f"{decimal(costs.bps, 1)} bps" if costs is not None else DASH, paid
    yield "breakeven", f"{decimal(even, 1)} bps" if even is not None else DASH, "a unit of turnover"
    fall = scores.max_drawdown if scores is not None else None
    yield "drawdown", percent(-abs(fall)) if fall is not None else DASH, f"deepest in the {record.zone}"


def _tests(found: Verdict) -> Iterator[Stat]:
    spa, stepm = found.spa, found.stepm
    small = []
    if spa is not None:
        small.append(f"against {spa.benchmark or 'the best baseline'}")
        others = [f"{name} {pvalue(p)}" for name, p in spa.against.items() if name != spa.benchmark]
        small += [f"the hardest; {', '.join(others)}"] if others else []
        if spa.p_lower is not None and spa.p_upper is not None:
            small.append(f"bounds {pvalue(spa.p_lower)} and {pvalue(spa.p_upper)}")
    yield "spa", pvalue(spa.p_consistent) if spa is not None else DASH, ", ".join(small)
    superior = (", ".join(stepm.superior) or "nobody") if stepm is not None else DASH
    many = stepm is not None and len(stepm.superior) > 1
    yield "stepm", superior, f"{'beat' if many else 'beats'} {found.best_baseline or 'the best baseline'}"
    if (alike := found.confidence_set) is not None:
        names = ", ".join(alike.held[:NAMED]) + (" …" if len(alike.held) > NAMED else "")
        yield "mcs", f"{count(len(alike.held))} of {count(alike.of)}", names


def _luck(found: Verdict) -> Iterator[Stat]:
    tried = [f"over {count(found.trials.total)} trials"] if found.trials.total is not None else []
    tried += [f"{decimal(found.effective_trials, 1)} effective"] if found.effective_trials is not None else []
    yield "dsr", decimal(found.dsr, 3), ", ".join(tried)
    yield "pbo", decimal(found.pbo, 3), "0.5 is chance"
    yield "psr", decimal(found.psr, 3), "as if one trial had been made"
    need, days = found.min_track_record_days, found.days
    have = f"this record has {count(days)}" if days is not None else ""
    if need is None and found.psr is not None:
        yield "mintrl", "∞", "no number of days like these would do"
    else:
        yield "mintrl", f"{count(math.ceil(need))} days" if need is not None else DASH, have
    yield "trials", count(found.trials.total), "all in the ledger"
