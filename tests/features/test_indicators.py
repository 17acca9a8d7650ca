from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tradenas.errors import ConfigError, LookaheadError
from tradenas.features import DEFAULT_INDICATORS, INDICATORS, Indicator, feature
from tradenas.features.indicators import resolve

GROUPS = {"returns", "trend", "momentum", "volatility", "volume", "shape"}
RECURSIVE = {"macd_line", "macd_signal", "macd_histogram", "rsi_14", "atr_ratio_14"}


def test_the_catalogue():
    assert len(DEFAULT_INDICATORS) == 23
    assert {INDICATORS[name].group for name in DEFAULT_INDICATORS} == GROUPS
    assert all(INDICATORS[name].name == name for name in DEFAULT_INDICATORS)


@pytest.mark.parametrize("name", DEFAULT_INDICATORS)
def test_prices_and_volumes_in_other_units_change_nothing(name, make_walk):
    candles = make_walk(400)
    other = replace(
        candles,
        **{key: getattr(candles, key) * 1000.0 for key in ("open", "high", "low", "close")},
        volume=candles.volume / 1e6,
    )
    np.testing.assert_allclose(INDICATORS[name](other), INDICATORS[name](candles), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", DEFAULT_INDICATORS)
def test_warmup_is_as_long_as_declared_and_no_longer(name, make_walk):
    """Started late, an indicator tells the same from its first row after the warm-up on; recursive ones nearly so."""
    candles, item = make_walk(900), INDICATORS[name]
    whole = item(candles)
    spread = np.nanstd(whole)
    for start in (1, 100, 333):
        late = item(candles[start:])
        assert np.isnan(late[: item.warmup]).all()
        error = np.abs(late - whole[start:])[item.warmup :]
        assert error.max() <= (0.01 * spread if name in RECURSIVE else 0.0)
    if name not in RECURSIVE and item.warmup:
        early = item.function(candles[333:])[: item.warmup]
        assert not np.array_equal(early[-1], whole[333 + item.warmup - 1])


@pytest.mark.parametrize("name", DEFAULT_INDICATORS)
def test_a_still_market_without_volume_is_neutral(name, make_flat):
    item = INDICATORS[name]
    np.testing.assert_allclose(item(make_flat(400))[item.warmup :], 0.0, atol=1e-14)


def test_numbers_by_hand(make_walk):
    c = make_walk(60)
    at = {name: INDICATORS[name](c)[59] for name in DEFAULT_INDICATORS if INDICATORS[name].warmup < 59}
    assert at["log_return_5"] == pytest.approx(np.log(c.close[59] / c.close[54]))
    assert at["sma_ratio_20"] == pytest.approx(c.close[59] / c.close[40:].mean() - 1)
    assert at["volatility_20"] == pytest.approx(np.diff(np.log(c.close[39:])).std(ddof=1))
    assert at["volume_ratio_20"] == pytest.approx(np.log((c.volume[59] / c.volume[40:].mean() + 0.01) / 1.01))
    assert at["body"] == pytest.approx((c.close[59] - c.open[59]) / (c.high[59] - c.low[59]))
    assert at["body"] ** 2 <= 1
    assert abs(at["body"]) + at["upper_wick"] + at["lower_wick"] == pytest.approx(1)
    signs = np.sign(np.diff(c.close[39:]))
    assert at["signed_volume_20"] == pytest.approx((signs * c.volume[40:]).sum() / c.volume[40:].sum())
    moves = np.diff(np.log(c.close[39:]))
    assert at["momentum_z_20"] == pytest.approx(moves.sum() / np.sqrt((moves**2).sum()))
    assert at["bollinger_b_20"] == pytest.approx((c.close[59] - c.close[40:].mean()) / (2 * c.close[40:].std()))


def test_own_feature_is_registered_and_callable(make_walk):
    @feature(name="test_gap_open", group="shape", warmup=1)
    def gap_open(candles):
        out = np.full(len(candles), np.nan)
        out[1:] = np.log(candles.open[1:] / candles.close[:-1])
        return out

    candles = make_walk(10)
    assert isinstance(gap_open, Indicator)
    assert INDICATORS["test_gap_open"](candles)[4] == np.log(candles.open[4] / candles.close[3])


def centred(candles):
    return np.convolve(candles.close, np.ones(5) / 5, mode="same")


def backfilled(candles):
    traded = np.where(candles.volume > 0, np.log1p(candles.volume), np.nan)
    for t in range(len(traded) - 2, -1, -1):
        if np.isnan(traded[t]):
            traded[t] = traded[t + 1]
    return np.nan_to_num(traded)


def full_sample_z(candles):
    return (candles.close - candles.close.mean()) / (candles.close.std() + 1e-9)


def next_bar(candles):
    return np.append(np.diff(candles.close), 0.0)


def last_price(candles):
    return candles.close / candles.close[-1]


@pytest.mark.parametrize("leak", [centred, backfilled, full_sample_z, next_bar, last_price])
def test_features_that_see_the_future_are_refused(leak):
    with pytest.raises(LookaheadError, match=r"feature 'leak', row \d+: got .* from row \d+ on"):
        feature(name="leak", group="shape", warmup=0)(leak)
    assert "leak" not in INDICATORS


def test_features_that_break_the_rules_are_refused():
    with pytest.raises(ConfigError, match="one value a candle"):
        feature(name="short", group="shape", warmup=0)(lambda candles: candles.close[1:])
    with pytest.raises(ConfigError, match="row 0: got nan"):
        feature(name="hole", group="shape", warmup=0)(lambda candles: np.full(len(candles), np.nan))
    with pytest.raises(ConfigError, match="second registration"):
        feature(name="rsi_14", group="shape", warmup=0)(lambda candles: candles.close * 0)
    with pytest.raises(ConfigError, match="warmup"):
        feature(name="early", group="shape", warmup=-1)(lambda candles: candles.close)


def test_resolve_names_the_nearest_and_refuses_doubles():
    with pytest.raises(ConfigError, match="Did you mean 'rsi_14'"):
        resolve(["rsi14"])
    with pytest.raises(ConfigError, match="body twice"):
        resolve(["body", "body"])
    with pytest.raises(ConfigError, match="none"):
        resolve([])
