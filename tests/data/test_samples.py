"""The samples that packages ship: what they are, stamp for stamp."""

from __future__ import annotations

import numpy as np
import pytest

from tradenas.data import SAMPLES, audit, sample, samples
from tradenas.errors import CandleError, MissingExtra

HOUR, DAY = 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("name", "rows", "first", "last", "first_close"),
    [
        ("sp500", 5031, "1999-01-04T00:00", "2018-12-31T00:00", 1228.099976),
        ("nasdaq", 5031, "1999-01-04T00:00", "2018-12-31T00:00", 2208.050049),
        ("eurusd", 6225, "2017-01-01T22:00", "2017-12-29T21:00", 1.05227),
    ],
)
def test_sample(name, rows, first, last, first_close):
    candles = sample(name)
    assert len(candles) == rows
    assert candles.open_time[0] == np.datetime64(first, "ms").astype(np.int64)
    assert candles.open_time[-1] == np.datetime64(last, "ms").astype(np.int64)
    assert candles.close[0] == first_close
    assert candles.calendar == "sessions"
    assert candles.interval_ms == SAMPLES[name].interval_ms
    found = audit(candles)
    assert found.ok
    assert found.missing == 0
    assert not candles.gap_before.any()


def test_daily_stamps_are_midnights_of_weekdays():
    stamps = sample("sp500").open_time
    assert (stamps % DAY == 0).all()
    assert ((stamps // DAY + 3) % 7 < 5).all()
    days = stamps.astype("datetime64[ms]").astype("datetime64[D]").astype(str).tolist()
    assert days[days.index("2001-09-10") + 1] == "2001-09-17"  # the longest closure


def test_the_hours_of_eurusd_are_utc():
    """New York closes the week at 17:00: 22:00 UTC in winter, 21:00 UTC from 12 March to 5 November 2017."""
    stamps = sample("eurusd").open_time
    first_of_week = stamps[np.flatnonzero(np.diff(stamps) > 40 * HOUR) + 1]
    hour = first_of_week // HOUR % 24
    summer = (first_of_week > np.datetime64("2017-03-12", "ms").astype(int)) & (
        first_of_week < np.datetime64("2017-11-05", "ms").astype(int)
    )
    assert (hour[summer] == 21).all()
    assert (hour[~summer][:-1] == 22).all()
    assert hour[-1] == 23  # Christmas Eve


def test_an_unknown_sample_and_an_absent_package(monkeypatch):
    with pytest.raises(CandleError, match=r"Did you mean .sp500."):
        sample("sp50")
    monkeypatch.setattr(samples.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'tradenas\[samples\]'"):
        sample("eurusd")
