"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from tradenas.data import Audit, ReadReport
from tradenas.report.compare import Comparison
from tradenas.report.markup import printable

__all__ = ["audit_table", "beside_line", "comparison_table"]


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def audit_table(seen: Audit, reading: ReadReport | None) -> Table:
    """What an audit found, and what the reader did before it."""
    table = Table(title=f"{seen.symbol}: {'fit for use' if seen.ok else 'NOT FIT FOR USE'}", show_header=False)
    table.add_column(style="dim")
    table.add_column()
    rows = {
        "candles": f"{seen.rows:,} of {seen.interval_ms // 60_000} min, {_day(seen.first_open)} to "
        f"{_day(seen.last_close)} UTC",
        "calendar": f"{seen.calendar}, {seen.days_per_year} days a year",
        "coverage": f"{seen.coverage:.4%}, {seen.missing:,} missing, {seen.holidays:,} holidays",
        "gaps": f"{seen.gaps:,}, longest {seen.longest_gap_ms / 3_600_000:.1f} h",
        "variance on gap rows": f"{seen.gap_variance_share:.2%}",
        "zero-volume bars": f"{seen.zero_volume:,}",
        "largest jump": f"{seen.largest_jump:.2%} (log) in row {seen.largest_jump_row}",
        "kurtosis": "-" if seen.kurtosis is None else f"{seen.kurtosis:.1f}",
        "sha256": seen.sha256[:16],
    }
    if reading is not None:
        told = reading.to_json()
        repairs = told.get("repairs") or {}
        rows["repairs"] = ", ".join(f"{name} {count}" for name, count in repairs.items()) or "none"
    for name, text in rows.items():
        table.add_row(name, text)
    for finding in seen.findings:
        table.add_row(finding.level, finding.text, style={"error": "bold red", "warning": "yellow"}.get(finding.level))
    return table


def comparison_table(found: Comparison) -> Table:
    """Runs as columns; figures first, then the settings that differ."""
    table = Table(title=f"{len(found.runs)} runs")
    table.add_column("", style="dim")
    for name in found.runs:
        table.add_column(Text(printable(name)), overflow="fold")
    for i, rows in enumerate((found.rows, found.changed)):
        for name, values in rows.items():
            table.add_row(Text(printable(name)), *(Text(printable(value)) for value in values))
        if i == 0:
            table.add_section()
    return table


def beside_line(about: Mapping[str, Any]) -> str:
    """One file beside the candles, in a line."""
    span = f"{_day(about['first'])} to {_day(about['last'])} UTC"
    return (
        f"{about['kind']} {', '.join(about['columns'])}: {about['rows']:,} values in {about['path']}, {span}, usually "
        f"every {about['usual_step_ms'] / 60_000:g} min; fresh at {about['fresh']:.2%} of the candles"
    )
