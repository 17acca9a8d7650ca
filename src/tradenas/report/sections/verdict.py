"""1: the verdict, why, and what would change it."""

from __future__ import annotations

from tradenas.report.figures.versus import versus
from tradenas.report.formulas import term
from tradenas.report.markup import Markup, el, join
from tradenas.report.wording import DASH, count, decimal, interval, percent, pvalue
from tradenas.report.record import RunRecord
from tradenas.report.schema import Interval
from tradenas.report.sections.parts import Section, absent, figure

__all__ = ["DEKS", "verdict"]

DEKS = {
    "EDGE": "After costs, the champion beat the best baseline by more than the number of attempts explains.",
    "NO EVIDENCE": "What was found cannot be told from luck on this record.",
    "NO EDGE": "Nothing found here earns more than the best baseline after costs.",
}


def verdict(record: RunRecord) -> Section:
    """Why, what would change it, the comparison it rests on, and every statistic with its count of trials."""
    found = record.verdict
    title = "Verdict and why"
    if found is None:
        return Section(name="verdict", title=title, body=absent(
            "This study has no verdict yet: it has not opened its vault. What it has done so far is below."
        ))  # fmt: skip
    columns = [
        el("div", el("h3", head), el("ul", join(el("li", words) for words in sentences)))
        for head, sentences in (("Why", found.why), ("What would change it", found.would_change))
        if sentences
    ]
    zone = found.zone or record.zone
    caption = (
        f"Net Sharpe ratio in the {zone}"
        + (f", {count(found.days)} days" if found.days is not None else "")
        + ". Bars are 95 % bootstrap intervals."
    )
    return Section(
        name="verdict",
        title=title,
        body=join([
            el("div", *columns, class_="columns"),
            figure(record, versus, caption=caption) or absent("No Sharpe ratio was computed."),
            el("dl", join(_stats(record)), class_="stats"),
        ]),
    )  # fmt: skip


def _stats(record: RunRecord) -> list[Markup]:
    found, scores = record.verdict, record.champion_scores
    assert found is not None
    spa, stepm, gross = found.spa, found.stepm, found.gross_sharpe
    bounds = (
        f"between {pvalue(spa.p_lower)} and {pvalue(spa.p_upper)}, "
        if spa is not None and spa.p_lower is not None
        else ""
    )
    against = f"against {spa.benchmark}" if spa is not None and spa.benchmark else "against the best baseline"
    superior = ", ".join(stepm.superior) if stepm is not None and stepm.superior else "nobody"
    effective = f"{decimal(found.effective_trials, 1)} effective" if found.effective_trials is not None else ""
    tried = f"over {count(found.trials.total)} trials" if found.trials.total is not None else ""
    costs = found.costs
    cost_note = (
        f"{decimal(costs.taker_bps, 1)} taker + {decimal(costs.slippage_bps, 1)} slippage" if costs is not None else ""
    )
    gross_text = interval(gross) if isinstance(gross, Interval) else decimal(gross)
    need = found.min_track_record_days
    have = f"this record has {count(found.days)}" if found.days is not None else ""
    rows = (
        ("sharpe", interval(found.net_sharpe), f"gross {gross_text}" if gross is not None else ""),
        ("spa", pvalue(spa.p_consistent) if spa is not None else DASH, bounds + against),
        ("stepm", superior, "beats the benchmark"),
        ("dsr", decimal(found.dsr, 3), f"{tried}{', ' if tried and effective else ''}{effective}"),
        ("pbo", decimal(found.pbo, 3), "0.5 is chance"),
        ("psr", decimal(found.psr, 3), "as if one trial had been made"),
        ("mintrl", f"{count(need)} days" if need is not None else DASH, have),
        ("trials", count(found.trials.total), "all in the ledger"),
        ("turnover", f"{decimal(scores.turnover_per_day)} a day" if scores is not None and scores.turnover_per_day is not None else DASH, "share of capital"),
        ("costs", f"{decimal(costs.bps, 1)} bps" if costs is not None else DASH, cost_note),
        ("breakeven", f"{decimal(found.break_even_bps, 1)} bps" if found.break_even_bps is not None else DASH, "a unit of turnover"),
        ("drawdown", percent(-abs(scores.max_drawdown)) if scores is not None and scores.max_drawdown is not None else DASH, f"deepest in the {record.zone}"),
    )  # fmt: skip
    return [
        el("div", el("dt", term(key, record)), el("dd", value, class_="value"), el("dd", small, class_="small"))
        for key, value, small in rows
    ]
