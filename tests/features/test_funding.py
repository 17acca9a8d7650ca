"""Who pays at which settlement: fill to fill, once each, and the boundary by the millisecond."""

from __future__ import annotations

import numpy as np
import pytest

from tradenas.data import Candles, Series
from tradenas.errors import CandleError, LookaheadError
from tradenas.features import bar_funding
from tradenas.features.targets import realised_time

HOUR = 3_600_000
START = 1_735_689_600_000  # 2025-01-01 00:00 UTC


def candles(rows, *, hours=1, holes=()):
    open_time = START + np.arange(rows, dtype=np.int64) * hours * HOUR
    for row in holes:
        open_time[row:] += 40 * hours * HOUR
    ones = np.ones(rows)
    return Candles.from_arrays(
        symbol="X", open_time=open_time, open=ones, high=ones, low=ones, close=ones, volume=ones,
        interval_ms=hours * HOUR, calendar="24/7",
    )  # fmt: skip


def rates(hours, values=None, offset_ms=0):
    hours = np.asarray(hours)
    value = 0.001 * (1 + np.arange(len(hours))) if values is None else np.asarray(values)
    return Series(name="funding", known_at_ms=START + hours * HOUR + offset_ms, value=value)


def by_hand(market, series, delay):
    """Each settlement looked up in the bar that holds it."""
    opens = [*market.open_time.tolist()]
    while len(opens) < len(market) + delay + 2:
        opens.append(opens[-1] + market.interval_ms)
    fill = [opens[t + delay] if delay else opens[t] + market.interval_ms for t in range(len(market) + 1)]
    return [
        sum(v for s, v in zip(series.known_at_ms.tolist(), series.value.tolist(), strict=True)
            if fill[t] < s <= fill[t + 1])
        for t in range(len(market))
    ]  # fmt: skip


@pytest.mark.parametrize("delay", [0, 1, 2, 5])
@pytest.mark.parametrize(("rows", "hours", "holes"), [(60, 1, ()), (40, 4, ()), (12, 24, ()), (60, 1, (20, 33))])
def test_each_settlement_is_paid_by_the_bar_that_holds_it(rows, hours, holes, delay):
    market = candles(rows, hours=hours, holes=holes)
    series = rates(np.arange(0, (rows * hours + 200) // 8 * 8, 8))
    found = bar_funding(market, series, delay, allow_same_bar=delay == 0)
    np.testing.assert_allclose(found, by_hand(market, series, delay), rtol=1e-15)
    last = realised_time(market, delay, allow_same_bar=delay == 0)[-1]
    first = market.close_time[0] if delay == 0 else market.open_time[delay]
    inside = (series.known_at_ms > first) & (series.known_at_ms <= last)
    assert found.sum() == pytest.approx(series.value[inside].sum())  # none twice, none lost


def test_the_boundary_to_the_millisecond():
    """Filled at 08:00, out at 09:00: a settlement at 08:00 was the position before's; one at 09:00 is this one's."""
    market = candles(30)
    row = 7  # decided at the close of the candle 07:00-08:00, filled at the open of the candle of 08:00
    paid = bar_funding(market, rates(range(0, 40, 8)))
    assert paid[row - 1] == 0.002
    assert paid[row] == 0.0
    paid = bar_funding(market, rates(range(1, 40, 8)))
    assert paid[row] == 0.002
    assert paid[row + 1] == 0.0
    late = bar_funding(market, rates(range(0, 40, 8), offset_ms=4))  # as Binance stamps them
    assert late[row - 1] == 0.002
    assert (
        bar_funding(market, rates(range(0, 40, 8), offset_ms=60_000))[row] == 0.002
    )  # a minute later it is paid later


def test_bars_without_a_settlement_pay_exactly_nothing():
    paid = bar_funding(candles(50), rates(np.arange(0, 80, 8), np.full(10, 1e-4) / 3))
    assert np.count_nonzero(paid) == 6
    assert set(paid[paid != 0]) == {1e-4 / 3}


def test_intervals_may_change():
    hours = [*range(0, 48, 8), *range(48, 80, 1), *range(80, 160, 4)]
    found = bar_funding(candles(150), rates(hours))
    assert np.count_nonzero(found) == sum(1 < h <= 151 for h in hours)


@pytest.mark.parametrize("missing", [[5], [5, 6], [3, 5], [10]])
def test_a_missing_settlement_is_refused(missing):
    hours = [h for i, h in enumerate(range(0, 160, 8)) if i not in missing]
    with pytest.raises(CandleError, match=r"none between .*Fetch funding") as fault:
        bar_funding(candles(150), rates(hours))
    assert fault.value.row == missing[0] - 1


def test_holes_outside_the_candles_do_not_matter():
    hours = [h for h in range(-80, 160, 8) if h not in (-40, -32)]
    assert np.count_nonzero(bar_funding(candles(100), rates(hours))) == 12


@pytest.mark.parametrize("hours", [range(16, 160, 8), range(0, 88, 8), [8], range(500, 700, 8)])
def test_rates_that_do_not_cover_the_candles_are_refused(hours):
    with pytest.raises(CandleError, match=r"as the candles|two or more"):
        bar_funding(candles(100), rates(hours))


def test_the_edges_of_the_cover_are_exact():
    # fills from 01:00; the settlement before 08:00 was at 00:00 and is nobody's
    assert bar_funding(candles(100), rates(range(8, 104, 8)))[6] == 0.001
    # the last return ends at 99:00: a settlement at 96:00 is needed, one at 104:00 is not
    bar_funding(candles(100), rates(range(0, 97, 8)))
    with pytest.raises(CandleError, match="as the candles"):
        bar_funding(candles(97), rates(range(0, 90, 8)))  # out at 96:00, and pays there


def test_same_bar_is_refused():
    with pytest.raises(LookaheadError):
        bar_funding(candles(50), rates(range(0, 80, 8)), 0)
