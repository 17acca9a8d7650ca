"""A series of values with their own moments: what is refused, with its row, and what is known when."""

from __future__ import annotations

import numpy as np
import pytest

from tradenas.data import Series
from tradenas.errors import CandleError

HOUR = 3_600_000


def series(times, values=None, **more):
    values = np.arange(len(times), dtype=float) if values is None else np.asarray(values, float)
    return Series(name="open interest", known_at_ms=np.asarray(times, dtype=np.int64), value=values, **more)


@pytest.mark.parametrize(
    ("times", "values", "row", "words"),
    [
        ([1, 2, 2, 3], None, 2, "strictly increasing"),
        ([1, 3, 2, 4], None, 2, "strictly increasing"),
        ([1, 2, 3], [0.0, np.nan, 1.0], 1, "finite"),
        ([1, 2, 3], [0.0, 1.0, -np.inf], 2, "finite"),
    ],
)
def test_the_first_bad_row_is_named(times, values, row, words):
    with pytest.raises(CandleError, match=words) as fault:
        series(times, values)
    assert fault.value.row == row
    assert f"open interest, row {row}:" in str(fault.value)
    with pytest.raises(CandleError, match=rf"row {row} \(line {row + 2}\)"):
        series(times, values, line=np.arange(2, 2 + len(times)))


@pytest.mark.parametrize("bad", [([], None), ([1, 2], [1.0])])
def test_other_shapes_are_refused(bad):
    with pytest.raises(CandleError, match="as many of both"):
        series(*bad)


def test_a_negative_age_is_refused():
    with pytest.raises(CandleError, match="longest age"):
        series([1, 2], max_age_ms=-1)


def test_what_is_known_is_known_to_the_millisecond():
    found = series([8 * HOUR, 16 * HOUR])
    asked = np.array([0, 8 * HOUR - 1, 8 * HOUR, 16 * HOUR - 1, 16 * HOUR, 99 * HOUR])
    assert found.rows_known(asked).tolist() == [-1, -1, 0, 0, 1, 1]
    assert len(found.until(16 * HOUR)) == 2
    assert len(found.until(16 * HOUR - 1)) == 1
    with pytest.raises(CandleError, match="as many"):
        found.until(0)


def test_the_usual_step_is_no_outage_and_a_slice_keeps_the_age():
    times = np.cumsum([0] + [HOUR] * 40 + [30 * HOUR] + [HOUR] * 20)
    found = series(times)
    assert found.usual_step_ms == HOUR
    assert found.max_age_ms == 3 * HOUR
    assert found.until(int(times[0])).max_age_ms == 3 * HOUR
    assert series(times, max_age_ms=5).max_age_ms == 5
    mixed = series(np.cumsum([0] + [HOUR] * 40 + [8 * HOUR] * 20))  # an interval that changed is usual both ways
    assert mixed.usual_step_ms == 8 * HOUR


def test_it_is_a_copy_that_nobody_changes():
    times, values = np.array([1, 2], dtype=np.int64), np.array([1.0, 2.0])
    found = series(times, values)
    times[0], values[0] = 0, 9.0
    assert found.known_at_ms[0] == 1
    assert found.value[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        found.value[0] = 2.0
    assert (
        repr(found) == "Series('open interest', 2 values, 1970-01-01T00:00:00.001000Z .. 1970-01-01T00:00:00.002000Z)"
    )
