"""2, 3, 4 and 6: equity, drawdown, months, costs."""

from __future__ import annotations

from tradenas.report.figures.curves import Curve, curves, hover_data
from tradenas.report.figures.drawdown import drawdown as draw_drawdown
from tradenas.report.figures.drawdown import underwater
from tradenas.report.figures.equity import equity as draw_equity
from tradenas.report.figures.heatmap import heatmap
from tradenas.report.figures.sweep import sweep
from tradenas.report.formulas import term
from tradenas.report.markup import Markup, join
from tradenas.report.record import RunRecord
from tradenas.report.sections.parts import Draw, Section, absent, figure
from tradenas.report.wording import decimal

__all__ = ["costs", "drawdown", "equity", "months"]

EQUITY = (
    "Daily P&L added up, in percent of capital, not compounded. The champion was chosen in the selection zone, so its "
    "line there is flattered; the vault is the judgement. Gross is before costs and cannot be earned."
)
MONTHS = (
    "Net P&L of the champion in percent of capital. A bar under a month says that it lies in the vault; "
    "first and last months may be cut."
)


def equity(record: RunRecord) -> Section:
    """2: net, gross, best baseline and holding over selection and vault."""
    body = _over_time(record, draw_equity, curves(record), "Cumulative profit and loss", EQUITY)
    return Section(name="equity", short="Equity", title="Equity", body=body)


def drawdown(record: RunRecord) -> Section:
    """3: below the best point so far."""
    caption = join([term("drawdown", record), " in percentage points of capital, net of costs."])
    body = _over_time(record, draw_drawdown, underwater(record), "Drawdown", caption)
    return Section(name="drawdown", short="Drawdown", title="Drawdown", body=body)


def _over_time(record: RunRecord, draw: Draw, lines: tuple[Curve, ...], what: str, caption: object) -> Markup:
    if not lines:
        return absent("There is no daily P&L yet: the study has not retrained its finalists.")
    drawn = figure(
        record,
        draw,
        caption=caption,
        hover=("time", hover_data(lines)),
        key=[(line.label, line.cls) for line in lines],
        read=f"{what}. Use the left and right arrow keys to read it out day by day.",
    )
    return drawn or absent("There is nothing to draw.")


def months(record: RunRecord) -> Section:
    """4: month by month."""
    drawn = figure(record, heatmap, caption=MONTHS)
    body = drawn or absent("Fewer than three months have P&L: too few for this picture.")
    return Section(name="months", short="Months", title="Months", body=body)


def costs(record: RunRecord) -> Section:
    """6: the same trades at other prices."""
    found = record.verdict
    words: list[object] = ["The same positions at other costs; ", term("costs", record, "cost")]
    words.append(" is paid on each unit of turnover.")
    if record.data.funding is not None and record.data.funding.charged:
        words.append(" Funding is paid besides, the same at every cost.")
    if found is not None and found.break_even_bps is not None:
        words.append(f" Break-even: {decimal(found.break_even_bps, 1)} bps.")
    elif found is not None and found.cost_sweep and all((point.sharpe or 0.0) <= 0 for point in found.cost_sweep):
        words.append(" At no cost in this range, not even at none, is a profit left.")
    if found is not None and found.band is not None:
        words.append(f" No-trade band {decimal(found.band, 3)}.")
    body = figure(record, sweep, caption=join(words)) or absent("No cost sweep was computed.")
    return Section(name="costs", short="Costs", title="Costs", body=body)
