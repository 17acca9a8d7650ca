"""The verdict in one box, for a terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tradenas.report.describe import speaks
from tradenas.report.figures.ranks import tau_words
from tradenas.report.markup import printable
from tradenas.report.record import RunRecord
from tradenas.report.sections.budget import cost_words
from tradenas.report.sections.markets import markets_words
from tradenas.report.wording import DASH, count, decimal, interval, interval_name, percent, pvalue, share, span

__all__ = ["VerdictBox"]

STYLES = {"EDGE": "bold green", "NO EVIDENCE": "bold yellow", "NO EDGE": "bold cyan"}
WIDTH = 100
PLAIN = str.maketrans({"−": "-", "–": "-", "→": ">", "·": "|", "×": "x", "τ": "tau", "“": '"', "”": '"', "’": "'"})


class VerdictBox:
    """What a person who ran the study wants to know first; print it with a Rich console.

    Fits from about 60 columns up, says everything in words and not by colour alone, and stays ASCII where the
    terminal is.  Text of the record is shown as it is: neither Rich markup nor escape codes in it do anything.

    Args:
        record: the run.
        page: the path of the HTML report, when it was written.
    """

    def __init__(self, record: RunRecord, *, page: str | Path | None = None) -> None:
        self.record, self.page = record, page

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draws the box at the width of the terminal, at most 100 columns."""
        record, found = self.record, self.record.verdict
        word = found.verdict if found is not None else "NO VERDICT YET"
        ascii_only = options.ascii_only or not _utf8(console)

        def text(words: object, style: str = "") -> Text:
            said = printable(str(words))
            return Text(said.translate(PLAIN).encode("ascii", "replace").decode() if ascii_only else said, style=style)

        grid = Table.grid(padding=(0, 2), expand=True)
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(ratio=1, overflow="fold")
        for label, words, style in _rows(record, self.page):
            grid.add_row(text(label), text(words, style))
        body = Table.grid(expand=True)
        body.add_column(overflow="fold")
        if record.watermark:
            body.add_row(text(record.watermark, "bold red"))
        for sentence in found.why if found is not None else ("The study has not opened its vault.",):
            body.add_row(text(sentence))
        body.add_row("")
        body.add_row(grid)
        data = record.data
        yield Panel(
            body,
            title=text(f" {word} ", STYLES.get(word, "bold")),
            subtitle=text(f" {data.symbol} {interval_name(data.interval_ms)} ", "dim"),
            border_style=STYLES.get(word, "bold").removeprefix("bold").strip(),
            padding=(1, 2),
            width=min(options.max_width, WIDTH),
        )

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """As wide as the terminal, at most 100 columns."""
        return Measurement(min(60, options.max_width), min(WIDTH, options.max_width))


def _utf8(console: Console) -> bool:
    return console.encoding.lower().replace("-", "").startswith("utf")


def _rows(record: RunRecord, page: str | Path | None) -> list[tuple[str, str, str]]:
    data, found, champion, scores = record.data, record.verdict, record.champion, record.champion_scores
    rows: list[tuple[str, str, str]] = []
    if champion is not None:
        sized = (
            f"{champion.name}, {count(champion.params)} parameters" if champion.params is not None else champion.name
        )
        rows += [("champion", sized, "bold"), ("architecture", speaks(champion), "")]
        rows += [("it takes", words, "")] if (words := cost_words(record)) else []
    if found is not None:
        zone = found.zone or record.zone
        days = f" over {count(found.days)} days in the {zone}" if found.days is not None else f" in the {zone}"
        rows.append(("net Sharpe", interval(found.net_sharpe) + days, "bold"))
        rows.append(("best baseline", f"{interval(found.baseline_sharpe)}  {found.best_baseline or ''}".rstrip(), ""))
        if found.spa is not None:
            against = f" against {found.spa.benchmark}" if found.spa.benchmark else ""
            rows.append(("SPA p", pvalue(found.spa.p_consistent) + against, ""))
        if found.stepm is not None:
            rows.append(("StepM superior", ", ".join(found.stepm.superior) or "nobody", ""))
        chances = f"DSR {decimal(found.dsr, 3)} · PSR {decimal(found.psr, 3)} · PBO {decimal(found.pbo, 3)}"
        rows.append(("beyond luck", chances, ""))
        rows.append(("trials", _trials(record), ""))
    if scores is not None:
        turnover = f"{decimal(scores.turnover_per_day)} a day · deepest drawdown "
        fall = percent(-abs(scores.max_drawdown)) if scores.max_drawdown is not None else DASH
        rows.append(("turnover", turnover + fall, ""))
    if found is not None and found.costs is not None:
        costs, even = found.costs, found.break_even_bps
        paid = f"{decimal(costs.bps, 1)} bps"
        paid += f" ({decimal(costs.taker_bps, 1)} taker + {decimal(costs.slippage_bps, 1)} slippage)"
        paid += f" · {record.funding_words}" if record.funding_words else ""
        rows.append(("costs", paid + (f" · break-even {decimal(even, 1)} bps" if even is not None else ""), ""))
    rows.append(("supernet", tau_words(record.coupling) if record.coupling is not None else "ranking not measured", ""))
    if record.finalists is not None:
        rows.append(("finalists", record.finalists.words, ""))
    if words := markets_words(record):
        rows.append(("markets", words, ""))
    gap = f", longest gap {interval_name(data.longest_gap_ms)}" if data.longest_gap_ms else ""
    rows.append(("candles", f"{count(data.rows)} · {span(data.first_open, data.last_close)}", ""))
    rows.append(("coverage", f"{share(data.coverage)}, {count(data.missing)} missing{gap}", ""))
    if page is not None:
        rows.append(("report", str(page), "underline"))
    return rows


def _trials(record: RunRecord) -> str:
    found = record.verdict
    if found is None or found.trials.total is None:
        return DASH
    stages = ", ".join(f"{name.replace('_', ' ')} {count(num)}" for name, num in found.trials.by_stage.items())
    effective = f" · {decimal(found.effective_trials, 1)} effective" if found.effective_trials is not None else ""
    return f"{count(found.trials.total)} counted" + (f" ({stages})" if stages else "") + effective
