"""The report on one page of Markdown, to paste into a note or a pull request."""

from __future__ import annotations

import html
import re

from tradenas.report.describe import speaks
from tradenas.report.figures.forest import estimate, ordered
from tradenas.report.figures.ranks import tau_words
from tradenas.report.markup import printable
from tradenas.report.record import RunRecord
from tradenas.report.schema import Verdict
from tradenas.report.sections.alphas import in_short
from tradenas.report.sections.budget import cost_words
from tradenas.report.sections.provenance import command
from tradenas.report.sections.verdict import dek
from tradenas.report.wording import DASH, count, decimal, interval, interval_name, pvalue, share, span

__all__ = ["plain", "summary"]

ROWS = 16


def plain(text: object) -> str:
    r"""Words in which Markdown and HTML find nothing to do.

    >>> plain("a|b <script> *c*")
    'a\\|b &lt;script&gt; \\*c\\*'
    """
    return re.sub(r"([\\`*_{}\[\]#|~!])", r"\\\1", html.escape(printable(str(text)), quote=False))


def summary(record: RunRecord) -> str:
    """Verdict, why, statistics, strategies, data, command."""
    data, found = record.data, record.verdict
    word = found.verdict if found is not None else "NO VERDICT YET"
    subject = f"{plain(data.symbol)} {interval_name(data.interval_ms)}"
    lines = [f"# {plain(word)}: {subject}", ""]
    if record.watermark:
        lines += [f"**{plain(record.watermark)}**", ""]
    if found is not None:
        lines += [dek(record), ""]
        lines += [*(f"- {plain(words)}" for words in found.why), ""]
        if found.would_change:
            lines += ["What would change it:", "", *(f"- {plain(words)}" for words in found.would_change), ""]
    lines += _statistics(record) + _strategies(record)
    lines += [
        f"Candles: {count(data.rows)}, {span(data.first_open, data.last_close)}, coverage {share(data.coverage)}. "
        f"Source: {plain(data.source or 'unknown')}.",
        "",
        f"Reproduce: `{html.escape(printable(command(record)).replace('`', chr(39)))}` "
        f"(tradenas {plain(record.environment.tradenas)}).",
    ]
    return "\n".join(lines) + "\n"


def _alike(found: Verdict) -> str:
    alike = found.confidence_set
    return DASH if alike is None else f"{count(len(alike.held))} of {count(alike.of)}: {plain(', '.join(alike.held))}"


def _statistics(record: RunRecord) -> list[str]:
    found, scores = record.verdict, record.champion_scores
    if found is None:
        return []
    costs = found.costs.bps if found.costs is not None else None
    rows = [
        ("Champion", plain(found.champion.name) if found.champion is not None else DASH),
        ("Architecture", plain(speaks(record.champion)) if record.champion is not None else DASH),
        (f"Net Sharpe, {plain(found.zone or record.zone)}", interval(found.net_sharpe)),
        (f"Best baseline, {plain(found.best_baseline or DASH)}", interval(found.baseline_sharpe)),
        ("SPA p", pvalue(found.spa.p_consistent) if found.spa is not None else DASH),
        ("StepM superior", plain(", ".join(found.stepm.superior)) or "nobody" if found.stepm is not None else DASH),
        ("Cannot be told from the best", _alike(found)),
        ("DSR / PSR / PBO", f"{decimal(found.dsr, 3)} / {decimal(found.psr, 3)} / {decimal(found.pbo, 3)}"),
        ("Trials counted", f"{count(found.trials.total)} (effective {decimal(found.effective_trials, 1)})"),
        ("Turnover a day", decimal(scores.turnover_per_day) if scores is not None else DASH),
        ("Costs, break-even (bps)", f"{decimal(costs, 1)}, {decimal(found.break_even_bps, 1)}"),
        *([("Funding", record.funding_words)] if record.funding_words else []),
    ]
    if words := cost_words(record):
        rows.append(("It takes", plain(words)))
    if record.coupling is not None:
        rows.append(("Supernet against standalone", plain(tau_words(record.coupling))))
    if record.alphas is not None and record.alphas.supernets:
        rows.append(("Alphas", plain(in_short(record.alphas))))
    if record.finalists is not None:
        rows.append(("Finalists", plain(record.finalists.words)))
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows), ""]


def _strategies(record: RunRecord) -> list[str]:
    if not record.strategies:
        return ["Nothing has been retrained yet.", ""]
    rows = ordered(record)
    lines = [f"| strategy | kind | net Sharpe, {record.zone} | tried |", "|---|---|---:|---:|"]
    lines += [
        f"| {plain(s.name)} | {plain(s.kind)} | {interval(estimate(s, record.zone))} | {count(s.tried)} |"
        for s in rows[:ROWS]
    ]
    return [*lines, *([f"| and {len(rows) - ROWS} more | | | |"] if len(rows) > ROWS else []), ""]
