"""Agreement with TA-Lib, which is in the dev extra."""

from __future__ import annotations

import numpy as np
import pytest

from tradenas.features import technical

talib = pytest.importorskip("talib", reason="TA-Lib is not installed: pip install 'tradenas[dev]'")


@pytest.fixture
def market(make_walk):
    return make_walk(600)


CASES = {
    "SMA": lambda c: (technical.sma(c.close, 20), talib.SMA(c.close, 20)),
    "EMA": lambda c: (technical.ema(c.close, 26), talib.EMA(c.close, 26)),
    "RSI": lambda c: (technical.rsi(c.close, 14), talib.RSI(c.close, 14)),
    "MACD": lambda c: (technical.macd(c.close)[0], talib.MACD(c.close)[0]),
    "MACD signal": lambda c: (technical.macd(c.close)[1], talib.MACD(c.close)[1]),
    "MACD histogram": lambda c: (technical.macd(c.close)[2], talib.MACD(c.close)[2]),
    "BBANDS upper": lambda c: (technical.bollinger_bands(c.close, 20)[0], talib.BBANDS(c.close, 20)[0]),
    "BBANDS middle": lambda c: (technical.bollinger_bands(c.close, 20)[1], talib.BBANDS(c.close, 20)[1]),
    "BBANDS lower": lambda c: (technical.bollinger_bands(c.close, 20)[2], talib.BBANDS(c.close, 20)[2]),
    "TRANGE": lambda c: (technical.true_range(c.high, c.low, c.close), talib.TRANGE(c.high, c.low, c.close)),
    "ATR": lambda c: (technical.atr(c.high, c.low, c.close, 14), talib.ATR(c.high, c.low, c.close, 14)),
    "STOCHF": lambda c: (
        technical.stochastic(c.high, c.low, c.close, 14),
        talib.STOCHF(c.high, c.low, c.close, fastk_period=14, fastd_period=1)[0],
    ),
    "WILLR": lambda c: (technical.williams_r(c.high, c.low, c.close, 14), talib.WILLR(c.high, c.low, c.close, 14)),
    "CCI": lambda c: (technical.cci(c.high, c.low, c.close, 20), talib.CCI(c.high, c.low, c.close, 20)),
    "OBV": lambda c: (technical.obv(c.close, c.volume), talib.OBV(c.close, c.volume)),
}


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_talib(name, market):
    ours, theirs = CASES[name](market)
    known = ~np.isnan(theirs)
    if name == "MACD":  # TA-Lib shows the line only where the signal is known
        assert np.isnan(ours[:25]).all()
        ours = np.where(known, ours, np.nan)
    np.testing.assert_array_equal(np.isnan(ours), ~known)
    np.testing.assert_allclose(ours[known], theirs[known], rtol=1e-9, atol=1e-9)


def test_flat_markets_are_neutral(make_flat):
    flat = make_flat(60)
    assert (technical.rsi(flat.close)[14:] == 50.0).all()
    assert (technical.stochastic(flat.high, flat.low, flat.close)[13:] == 50.0).all()
    assert (technical.cci(flat.high, flat.low, flat.close)[13:] == 0.0).all()
