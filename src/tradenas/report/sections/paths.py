"""Would the champion have worked in other periods?  Combinatorial purged cross-validation."""

from __future__ import annotations

import statistics

from tradenas.report.figures.paths import path_dots
from tradenas.report.formulas import term
from tradenas.report.markup import el, join
from tradenas.report.record import RunRecord
from tradenas.report.sections.parts import Section, facts, figure, note
from tradenas.report.wording import count, decimal, percent

__all__ = ["paths"]


def paths(record: RunRecord) -> Section | None:
    """The section; `None` for a study that did not ask for it."""
    found = record.paths
    if found is None:
        return None
    shown = facts([
        (term("cpcv", record, "Median path"), decimal(statistics.median(found.sharpe))),
        ("Worst and best", f"{decimal(min(found.sharpe))} to {decimal(max(found.sharpe))}"),
        ("At or below zero", percent(found.share_below_zero, 0)),
        ("Holding, same days", decimal(found.hold)),
    ])  # fmt: skip
    caption = "Each dot is one history of search and selection zone, put together from judgements of "
    caption += f"{found.tested} of {found.groups} parts at a time."
    rest = found.groups - found.tested
    words = (
        f"{found.strategy} was trained {count(found.trainings)} times for {count(found.epochs)} epochs, each time on "
        f"{rest} of {found.groups} parts and judged on the others, purged and embargoed on both sides. Trainings saw "
        "rows after those they were judged on, and the architecture was chosen on these rows: this says how much the "
        "result hangs on the period, not what it would have earned. The vault took no part; every path is a trial in "
        "the ledger."
    )
    body = join([shown, figure(record, path_dots, caption=caption) or el("p"), note(words)])
    return Section(name="paths", short="Other periods", title="In other periods", body=body)
