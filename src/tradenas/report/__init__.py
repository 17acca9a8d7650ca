"""Shows a run folder to a person: a box in the terminal, one HTML page, a summary, daily returns."""

from __future__ import annotations

from tradenas.report.box import VerdictBox
from tradenas.report.record import RunRecord, load_record
from tradenas.report.write import write_report

__all__ = ["RunRecord", "VerdictBox", "load_record", "write_report"]
