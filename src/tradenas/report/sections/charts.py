"""2, 3, 4 and 6: equity, drawdown, months, costs."""

from __future__ import annotations

from tradenas.report.figures.curves import curves, hover_data
from tradenas.report.figures.drawdown import drawdown as draw_drawdown
from tradenas.report.figures.drawdown import underwater
from tradenas.report.figures.equity import equity as draw_equity
from tradenas.report.figures.heatmap import heatmap
from tradenas.report.figures.sweep import sweep
from tradenas.report.formulas import term
from tradenas.report.markup import join
from tradenas.report.wording import decimal
from tradenas.report.record import RunRecord
from tradenas.report.sections.parts import Section, absent, figure

__all__ = ["costs", "drawdown", "equity", "months"]

READ = "Use the left and right arrow keys to read it out day by day."


def equity(record: RunRecord) -> Section:
    """2: net, gross, best baseline and holding over selection and vault."""
    lines = curves(record)
    body = figure(
        record, draw_equity, hover=("time", hover_data(lines)), key=[(line.label, line.cls) for line in lines],
        read=f"Cumulative profit and loss. {READ}",
        caption="Daily P&L added up, in percent of capital, not compounded. The champion was chosen in the selection zone, so its "
        "line there is flattered; the vault is the judgement. Gross is before costs and cannot be earned.",
    ) if lines else None  # fmt: skip
    return Section(
        name="equity",
        title="Equity",
        body=body or absent("There is no daily P&L yet: the study has not retrained its finalists."),
    )


def drawdown(record: RunRecord) -> Section:
    """3: below the best point so far."""
    lines = underwater(record)
    body = figure(
        record, draw_drawdown, hover=("time", hover_data(lines)), key=[(line.label, line.cls) for line in lines],
        read=f"Drawdown. {READ}",
        caption=join([term("drawdown", record), " in percentage points of capital, net of costs."]),
    ) if lines else None  # fmt: skip
    return Section(name="drawdown", title="Drawdown", body=body or absent("There is no daily P&L yet."))


def months(record: RunRecord) -> Section:
    """4: month by month."""
    body = figure(
        record, heatmap,
        caption="Net P&L of the champion in percent of capital. A bar under a month says that it lies in the vault; first and last months may be cut.",
    )  # fmt: skip
    return Section(
        name="months",
        title="Months",
        body=body or absent("Fewer than three months have P&L: too few for this picture."),
    )


def costs(record: RunRecord) -> Section:
    """6: the same trades at other prices."""
    found = record.verdict
    even = found.break_even_bps if found is not None else None
    words = (
        f" Break-even: {decimal(even, 1)} bps."
        if even is not None
        else " No cost in this range, not even none, leaves a profit."
        if found is not None and found.cost_sweep and all((p.sharpe or 0.0) <= 0 for p in found.cost_sweep)
        else ""
    )
    band = f" No-trade band {decimal(found.band, 3)}." if found is not None and found.band is not None else ""
    body = figure(
        record, sweep,
        caption=join(["The same positions at other costs; ", term("costs", record, "cost"), " is paid on each unit of turnover.", words, band]),
    )  # fmt: skip
    return Section(name="costs", title="Costs", body=body or absent("No cost sweep was computed."))
