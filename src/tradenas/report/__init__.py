"""Shows a run folder to a person: a box in the terminal, one HTML page, a summary, each picture, daily returns."""

from __future__ import annotations

from tradenas.report.box import VerdictBox
from tradenas.report.pictures import Picture, pictures_of
from tradenas.report.record import RunRecord, load_record
from tradenas.report.write import write_report

__all__ = ["Picture", "RunRecord", "VerdictBox", "load_record", "pictures_of", "write_report"]
