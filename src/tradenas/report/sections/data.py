"""10: which candles, how whole they are, and how time was cut."""

from __future__ import annotations

from tradenas.report.figures.zones import zones
from tradenas.report.markup import el, join
from tradenas.report.record import RunRecord
from tradenas.report.schema import ExtraFile
from tradenas.report.sections.parts import Section, absent, facts, figure, table
from tradenas.report.wording import DASH, count, interval_name, percent, share, span

__all__ = ["audit"]


def audit(record: RunRecord) -> Section:
    """Candles, gaps, repairs, features, target, zones."""
    data = record.data
    repairs = ", ".join(f"{name} {count(num)}" for name, num in data.repairs.items() if num) or "none"
    target = data.target
    aim = (
        f"{target.kind.replace('_', ' ')} over {count(target.horizon)} candles, entered {count(target.delay)} later"
        if target is not None
        else DASH
    )
    year = f", {data.days_per_year:g} days a year" if data.days_per_year is not None else ""
    candles = facts([
        ("Symbol", data.symbol),
        ("Source", data.source or DASH),
        ("Candles", f"{count(data.rows)} of {interval_name(data.interval_ms)}"),
        ("Span", span(data.first_open, data.last_close)),
        ("Calendar", f"{data.calendar or DASH}{year}"),
        ("Coverage", f"{share(data.coverage)}, {count(data.missing)} missing"),
        ("Longest gap", _gap(data.longest_gap_ms)),
        ("Variance on gap rows", share(data.gap_variance_share)),
        ("Zero-volume candles", count(data.zero_volume)),
        ("Repairs", repairs),
        ("Target", aim),
        *([("Funding", _funding(record))] if data.funding is not None else []),
        *((f"Beside the candles: {one.kind}", _beside(one)) for one in data.extra if not one.symbol),
        ("Transforms", ", ".join(data.transforms) or DASH),
        ("SHA-256", el("code", data.sha256, class_="hash") if data.sha256 else DASH),
        *([("Notes", data.notes)] if data.notes else []),
    ])  # fmt: skip
    names = (
        el("ul", join(el("li", name) for name in data.features), class_="chips")
        if data.features
        else absent("No feature list was kept.")
    )
    return Section(name="data", short="Data", title="Data", body=join([
        candles, _markets(record) or "", _beside_markets(record) or "", el("h3", "Zones"),
        figure(record, zones) or absent("The zones have not been cut."), _zones(record),
        el("h3", f"Features ({len(data.features)})"), names,
    ]))  # fmt: skip


def _funding(record: RunRecord) -> str:
    """What was charged, and what that would have cost who held throughout."""
    funding = record.data.funding
    if funding is None or not funding.charged:
        return "not charged, though the costs are those of a perpetual"
    held = f"; a long over all candles {'pays' if (funding.sum or 0) >= 0 else 'receives'} " if funding.sum else ""
    return f"charged at each settlement{held}{percent(abs(funding.sum), 2) if funding.sum else ''}"


def _beside(one: ExtraFile) -> str:
    step = f", usually every {interval_name(one.usual_step_ms)}" if one.usual_step_ms else ""
    age = f", not used when older than {interval_name(one.max_age_ms)}" if one.max_age_ms else ""
    known = f"; known at {share(one.fresh)} of the candles" if one.fresh is not None else ""
    return f"{', '.join(one.columns)}: {count(one.rows)} values in {one.path}{step}{age}{known}"


def _beside_markets(record: RunRecord) -> object:
    """What stands beside the candles of each market, where there are several."""
    told = [one for one in record.data.extra if one.symbol]
    if not told:
        return None
    rows = [
        (
            one.symbol,
            f"{one.kind}: {', '.join(one.columns)}",
            count(one.rows),
            interval_name(one.usual_step_ms) if one.usual_step_ms else DASH,
            interval_name(one.max_age_ms) if one.max_age_ms else DASH,
            share(one.fresh),
        )
        for one in told
    ]
    header = ["market", "columns", "values", "usually every", "not used when older than", "known at candles"]
    return table(f"Beside the candles, from {', '.join(sorted({one.path for one in told}))}", header, rows, text=(0, 1))


def _markets(record: RunRecord) -> object:
    """Candles of each market, where there are several."""
    if not record.data.markets:
        return None
    rows = [
        (
            m.symbol,
            el("span", span(m.first_open, m.last_close), class_="when"),
            count(m.rows),
            count(m.missing),
            _gap(m.longest_gap_ms),
            count(m.zero_volume),
            count(m.ready.get("search")),
            count(m.ready.get("selection")),
        )
        for m in record.data.markets
    ]
    header = ["market", "span", "candles", "missing", "longest gap", "zero volume", "search", "selection"]
    caption = "Candles of each market, on the union of their times; rows with features in the zones that are open"
    return table(caption, header, rows, text=(0, 1))


def _gap(ms: int | None) -> str:
    return DASH if ms is None else interval_name(ms) if ms else "none"


def _zones(record: RunRecord) -> object:
    cut = record.data.zones
    rows = [
        (name, task, el("span", span(zone.from_ms, zone.to_ms), class_="when"), count(zone.stop - zone.start))
        for name, task, zone in (
            ("search", "weights are trained and architectures ranked", cut.search),
            ("selection", "finalists are retrained and compared with baselines", cut.selection),
            ("vault", "opened once, for the verdict", cut.vault),
        )
        if zone is not None
    ]
    if not rows:
        return None
    between = f"; {count(cut.purge)} rows purged and {count(cut.embargo)} embargoed between them"
    return table(f"Zones of time{between}", ["zone", "what happens there", "span", "rows"], rows, text=(0, 1, 2))
