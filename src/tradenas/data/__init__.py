"""Source -> validated candles, or which row is wrong."""

from __future__ import annotations

from tradenas.data.candles import Candles
from tradenas.data.extra import Extra, read_extra, read_funding
from tradenas.data.files import ReadReport, read_candles, write_candles
from tradenas.data.quality import Audit, Finding, audit
from tradenas.data.repairs import Repairs
from tradenas.data.resample import resample
from tradenas.data.samples import SAMPLES, Sample, sample
from tradenas.data.series import Series
from tradenas.data.sources import market_names, open_source, source_file

__all__ = [
    "SAMPLES",
    "Audit",
    "Candles",
    "Extra",
    "Finding",
    "ReadReport",
    "Repairs",
    "Sample",
    "Series",
    "audit",
    "market_names",
    "open_source",
    "read_candles",
    "read_extra",
    "read_funding",
    "resample",
    "sample",
    "source_file",
    "write_candles",
]
