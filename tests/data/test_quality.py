"""The audit counts what is there; the screens see testnets, generators and broken feeds."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tradenas.data import Candles, Repairs, audit
from tradenas.data.repairs import repair_rows
from tradenas.data.rows import as_rows
from tradenas.errors import CandleError, ConfigError

HOUR, DAY = 3_600_000, 86_400_000
MONDAY = 1_704_067_200_000
NOW = MONDAY + 10_000 * DAY


def walk(rows: int, *, seed: int = 0, fat: bool = True) -> np.ndarray:
    rng = np.random.default_rng(seed)
    steps = rng.standard_t(4, rows) if fat else rng.standard_normal(rows)
    return 100 * np.exp(np.cumsum(0.002 * steps))


def candles(rows: int = 2000, *, keep: np.ndarray | None = None, close: np.ndarray | None = None, **options) -> Candles:
    close = walk(rows) if close is None else close
    which = np.ones(rows, bool) if keep is None else keep
    made = {
        "symbol": "X",
        "open_time": MONDAY + HOUR * np.arange(rows)[which],
        "open": close[which],
        "high": close[which],
        "low": close[which],
        "close": close[which],
        "volume": np.ones(int(which.sum())),
        "interval_ms": HOUR,
    }
    return Candles.from_arrays(**{**made, **options})


def names(found) -> set[str]:
    return {finding.name for finding in found.findings}


def test_whole_candles_have_no_findings():
    found = audit(candles())
    assert found.ok
    assert found.findings == ()
    assert (found.coverage, found.missing, found.gaps, found.longest_gap_ms, found.longest_gap_row) == (
        1,
        0,
        0,
        0,
        None,
    )
    assert (found.first_open, found.last_close) == (MONDAY, MONDAY + 2000 * HOUR)
    assert found.kurtosis == pytest.approx(_kurtosis(np.diff(np.log(walk(2000)))))


def _kurtosis(x: np.ndarray) -> float:
    return float(np.mean((x - x.mean()) ** 4) / np.var(x) ** 2)


def test_gaps_are_counted_and_weighed():
    keep = np.ones(2000, bool)
    keep[[100, 500, 501, 502]] = False
    close = walk(2000)
    found = audit(candles(keep=keep, close=close))
    assert (found.missing, found.gaps, found.longest_gap_ms, found.longest_gap_row) == (4, 2, 3 * HOUR, 499)
    assert found.coverage == pytest.approx(0.998)
    squares = np.diff(np.log(close[keep])) ** 2
    assert found.gap_variance_share == pytest.approx((squares[99] + squares[498]) / squares.sum())
    assert found.ok
    assert "4 bars are missing (0.20%) in 2 gaps, the longest 3h before row 499" in found.findings[0].text


def test_more_than_one_percent_missing_is_an_error_unless_allowed():
    keep = np.ones(2000, bool)
    keep[100:120] = False
    assert audit(candles(keep=keep)).ok  # exactly 1 %
    keep[120] = False
    assert not audit(candles(keep=keep)).ok
    assert audit(candles(keep=keep), allow_gaps=True).ok
    assert names(audit(candles(keep=keep), allow_gaps=True)) == {"missing"}


def test_sessions_do_not_miss_their_holidays():
    day = np.arange(1000)
    keep = (day % 7 < 5) & ~np.isin(day, [14, 77, 350])
    found = audit(candles(1000, keep=keep, open_time=MONDAY + DAY * day[keep], interval_ms=DAY))
    assert (found.calendar, found.coverage, found.missing, found.holidays) == ("sessions", 1.0, 0, 3)
    keep[400:420] = False
    found = audit(candles(1000, keep=keep, open_time=MONDAY + DAY * day[keep], interval_ms=DAY))
    assert (found.gaps, found.missing, found.holidays) == (1, 14, 3)


def test_json_has_the_names_of_a_run_folder():
    found = audit(candles()).to_json()
    wanted = {"symbol", "interval_ms", "rows", "first_open", "last_close", "calendar", "days_per_year", "coverage"}
    wanted |= {"missing", "longest_gap_ms", "zero_volume", "gap_variance_share", "sha256"}
    assert wanted <= set(found)
    assert json.loads(json.dumps(found)) == found


def test_jumps_generators_dead_feeds_and_wrong_units_are_warned_of():
    jump = walk(2000)
    jump[1500:] *= 2.5
    assert names(audit(candles(close=jump))) == {"jump"}
    assert audit(candles(close=jump)).largest_jump_row == 1500
    assert names(audit(candles(close=walk(2000, fat=False)))) == {"kurtosis"}
    silent = np.ones(2000)
    silent[:500] = 0
    assert names(audit(candles(volume=silent))) == {"zero_volume"}
    stuck = np.repeat(walk(500), 4)
    assert "still" in names(audit(candles(close=stuck)))
    assert names(audit(candles(turnover=walk(2000) * 1000))) == {"turnover"}
    assert names(audit(candles(turnover=walk(2000)))) == set()
    assert all(finding.level == "warning" for finding in audit(candles(close=jump)).findings)


def test_a_move_across_a_gap_is_no_jump():
    keep = np.ones(2000, bool)
    keep[1500] = False
    close = walk(2000)
    close[1501:] *= 2.5
    found = audit(candles(keep=keep, close=close))
    assert names(found) == {"missing"}
    assert found.largest_jump < 0.1
    assert found.gap_variance_share > 0.9


def test_constant_and_single_candles_can_be_audited():
    assert audit(candles(close=np.full(2000, 5.0))).kurtosis is None
    one = audit(candles(1))
    assert (one.coverage, one.largest_jump, one.largest_jump_row) == (1, 0, None)


# --- repairs on arrays


def rows(open_time, close=None, **columns):
    close = 100.0 + np.arange(len(open_time)) if close is None else np.asarray(close, float)
    given = {"open_time": np.asarray(open_time), "volume": np.ones(len(close)), "turnover": None}
    return as_rows({**given, **dict.fromkeys(("open", "high", "low", "close"), close), **columns}, "X")


@pytest.mark.parametrize(
    "wrong", [{"sort": 1}, {"fill_gaps_bars": True}, {"fill_gaps_bars": -1}, {"swap_volume": None}]
)
def test_repairs_take_true_or_false(wrong):
    with pytest.raises(ConfigError, match=f"repairs.{next(iter(wrong))}"):
        Repairs(**wrong)


def test_nothing_is_repaired_unless_asked_for():
    given = rows(MONDAY + HOUR * np.array([0, 2, 1, 1, 5]))
    same, counts = repair_rows(given, Repairs(), now_ms=NOW)
    assert counts == {}
    assert same.open_time.tolist() == given.open_time.tolist()


def test_sorting_comes_before_dropping_and_keeps_file_order_of_equals():
    given = rows(MONDAY + HOUR * np.array([3, 0, 1, 1, 2]), [4, 1, 2, 9, 3])
    fixed, counts = repair_rows(given, Repairs(sort=True, keep_last=True), now_ms=NOW)
    assert counts == {"sort": 1, "keep_last": 1}
    assert fixed.close.tolist() == [1, 9, 3, 4]


def test_only_holes_that_fit_are_filled_and_wholly():
    stamps = MONDAY + HOUR * np.array([*range(200), 202, 203, 210, *range(211, 400)])
    fixed, counts = repair_rows(rows(stamps), Repairs(fill_gaps_bars=5), now_ms=NOW, interval_ms=HOUR)
    assert counts == {"fill_gaps_bars": 2}
    assert np.flatnonzero(np.diff(fixed.open_time) > HOUR).tolist() == [203]
    assert fixed.close[200:202].tolist() == [299.0, 299.0]
    assert fixed.volume[199:203].tolist() == [1, 0, 0, 1]


def test_nights_are_not_filled():
    stamps = np.array([MONDAY + day * DAY + hour * HOUR for day in range(60) if day % 7 < 5 for hour in range(14, 21)])
    stamps = np.delete(stamps, 7 * 20 + 3)
    fixed, counts = repair_rows(rows(stamps), Repairs(fill_gaps_bars=100), now_ms=NOW)
    assert counts == {"fill_gaps_bars": 1}
    assert len(fixed) == len(stamps) + 1


def test_holidays_are_not_filled():
    stamps = MONDAY + DAY * np.array([day for day in range(200) if day % 7 < 5 and day != 100])
    fixed, counts = repair_rows(rows(stamps), Repairs(fill_gaps_bars=100), now_ms=NOW)
    assert counts == {"fill_gaps_bars": 0}
    assert len(fixed) == len(stamps)


def test_a_hole_with_nights_in_it_is_not_filled():
    stamps = np.array([MONDAY + day * DAY + hour * HOUR for day in range(90) if day % 7 < 5 for hour in range(14, 21)])
    stamps = np.delete(stamps, np.arange(7 * 20, 7 * 28))
    fixed, counts = repair_rows(rows(stamps), Repairs(fill_gaps_bars=10_000), now_ms=NOW)
    assert counts == {"fill_gaps_bars": 0}
    assert len(fixed) == len(stamps)


def test_filling_is_bounded():
    stamps = [MONDAY - 10_000 * DAY, MONDAY - 10_000 * DAY + 1000, MONDAY]
    with pytest.raises(CandleError, match=r"fill_gaps_bars: got \d+ rows"):
        repair_rows(rows(stamps), Repairs(fill_gaps_bars=10**9), now_ms=NOW, interval_ms=1000, calendar="24/7")


def test_an_inverse_contract_reads_as_swapped_and_a_stable_coin_does_not():
    close = walk(2000)
    volume = np.full(2000, 1e6)
    with pytest.raises(CandleError, match="swap_volume"):
        candles(close=close, volume=volume, turnover=volume / close)
    near_one = close / close[0]
    assert len(candles(close=near_one, volume=volume, turnover=volume * near_one)) == 2000
