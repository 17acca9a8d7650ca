"""Every column of Alpha158 against a slow reference that reads like qlib's expressions, one row at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tradenas.data.candles import Candles
from tradenas.features import ALPHA158_NAMES, ALPHA158_WARMUP, alpha158

E = 1e-12
WINDOWS = (5, 10, 20, 30, 60)


def reference(c: Candles, t: int) -> dict[str, float]:
    """The 158 values of row t, from qlib's `Alpha158DL.get_feature_config`."""
    o, h, lo, cl, v = c.open[t], c.high[t], c.low[t], c.close[t], c.volume[t]
    vwap = (h + lo + cl) / 3 if c.turnover is None else c.turnover[t] / v
    row = {
        "KMID": (cl - o) / o, "KLEN": (h - lo) / o, "KMID2": (cl - o) / (h - lo + E),
        "KUP": (h - max(o, cl)) / o, "KUP2": (h - max(o, cl)) / (h - lo + E),
        "KLOW": (min(o, cl) - lo) / o, "KLOW2": (min(o, cl) - lo) / (h - lo + E),
        "KSFT": (2 * cl - h - lo) / o, "KSFT2": (2 * cl - h - lo) / (h - lo + E),
        "OPEN0": o / cl, "HIGH0": h / cl, "LOW0": lo / cl, "VWAP0": vwap / cl,
    }  # fmt: skip
    for d in WINDOWS:
        last = slice(t - d + 1, t + 1)
        close, high, low, volume = c.close[last], c.high[last], c.low[last], c.volume[last]
        close_1, volume_1 = c.close[t - d : t], c.volume[t - d : t]
        x = np.arange(1, d + 1)
        slope, level = np.polyfit(x, close, 1)
        fit = level + slope * x
        up, down = np.maximum(close - close_1, 0).sum(), np.maximum(close_1 - close, 0).sum()
        more, less = np.maximum(volume - volume_1, 0).sum(), np.maximum(volume_1 - volume, 0).sum()
        ratio = close / close_1
        weighted = np.abs(ratio - 1) * volume
        order = np.sort(close)
        low_rank, high_rank = np.searchsorted(order, cl, "left"), np.searchsorted(order, cl, "right")
        values = {
            "ROC": c.close[t - d] / cl, "MA": close.mean() / cl, "STD": close.std(ddof=1) / cl, "BETA": slope / cl,
            "RSQR": 1 - ((close - fit) ** 2).sum() / ((close - close.mean()) ** 2).sum(), "RESI": (cl - fit[-1]) / cl,
            "MAX": high.max() / cl, "MIN": low.min() / cl,
            "QTLU": np.quantile(close, 0.8) / cl, "QTLD": np.quantile(close, 0.2) / cl,
            "RANK": (low_rank + 1 + high_rank) / 2 / d,
            "RSV": (cl - low.min()) / (high.max() - low.min() + E),
            "IMAX": (np.argmax(high) + 1) / d, "IMIN": (np.argmin(low) + 1) / d,
            "IMXD": (np.argmax(high) - np.argmin(low)) / d,
            "CORR": np.corrcoef(close, np.log(volume + 1))[0, 1],
            "CORD": np.corrcoef(ratio, np.log(volume / volume_1 + 1))[0, 1],
            "CNTP": (close > close_1).mean(), "CNTN": (close < close_1).mean(),
            "CNTD": (close > close_1).mean() - (close < close_1).mean(),
            "SUMP": up / (np.abs(close - close_1).sum() + E), "SUMN": down / (np.abs(close - close_1).sum() + E),
            "SUMD": (up - down) / (np.abs(close - close_1).sum() + E),
            "VMA": volume.mean() / (v + E), "VSTD": volume.std(ddof=1) / (v + E),
            "WVMA": weighted.std(ddof=1) / (weighted.mean() + E),
            "VSUMP": more / (np.abs(volume - volume_1).sum() + E),
            "VSUMN": less / (np.abs(volume - volume_1).sum() + E),
            "VSUMD": (more - less) / (np.abs(volume - volume_1).sum() + E),
        }  # fmt: skip
        row.update({f"{name}{d}": value for name, value in values.items()})
    return row


@pytest.fixture(scope="module")
def ticked():
    """Prices on a coarse tick, so that there are ties for ranks and extremes."""
    rng = np.random.default_rng(5)
    close = 50 + np.cumsum(rng.integers(-2, 3, 90)) * 0.5
    open_ = close + rng.integers(-1, 2, 90) * 0.5
    volume = rng.integers(1, 50, 90).astype(float)
    high, low = np.maximum(open_, close) + 0.5 * rng.integers(0, 2, 90), np.minimum(open_, close) - 0.5
    return Candles.from_arrays(
        symbol="TICK", open_time=np.arange(90, dtype=np.int64) * 60_000, open=open_, high=high, low=low, close=close,
        volume=volume, turnover=volume * (high + low) / 2, interval_ms=60_000, calendar="24/7",
    )  # fmt: skip


@pytest.mark.parametrize("turnover", [True, False])
def test_every_name_equals_the_reference(ticked, turnover):
    candles = ticked if turnover else replace(ticked, turnover=None)
    names, values_TF = alpha158(candles)
    wrong = {}
    for t in range(ALPHA158_WARMUP, len(candles)):
        expected = reference(candles, t)
        assert set(expected) == set(names)
        for j, name in enumerate(names):
            if not np.isclose(values_TF[t, j], expected[name], rtol=2e-6, atol=2e-7):
                wrong.setdefault(name, (t, values_TF[t, j], expected[name]))
    assert not wrong


def test_names_and_order_are_qlibs():
    assert len(ALPHA158_NAMES) == len(set(ALPHA158_NAMES)) == 158
    assert ALPHA158_NAMES[:14] == (
        "KMID", "KLEN", "KMID2", "KUP", "KUP2", "KLOW", "KLOW2", "KSFT", "KSFT2", "OPEN0", "HIGH0", "LOW0", "VWAP0",
        "ROC5",
    )  # fmt: skip
    assert ALPHA158_NAMES[-1] == "VSUMD60"


def test_only_the_declared_warmup_is_nan(ticked):
    finite = np.isfinite(alpha158(ticked)[1]).all(axis=1)
    assert finite[ALPHA158_WARMUP:].all()
    assert not finite[:ALPHA158_WARMUP].any()


def test_still_markets_zero_volumes_and_jumps_stay_finite(make_flat, probe):
    for candles in (make_flat(100), probe):
        values_TF = alpha158(candles)[1][ALPHA158_WARMUP:]
        assert np.isfinite(values_TF).all()
        assert np.abs(values_TF).max() <= 1e4
    flat = dict(zip(ALPHA158_NAMES, alpha158(make_flat(100))[1][-1].tolist(), strict=True))
    assert flat["RSQR20"] == flat["CORR20"] == flat["CORD20"] == flat["STD60"] == flat["KMID2"] == 0.0
    assert flat["ROC5"] == flat["MA60"] == flat["VWAP0"] == 1.0


def test_vwap_never_leaves_the_candle(ticked):
    swapped = replace(ticked, turnover=ticked.turnover * 10)
    place = ALPHA158_NAMES.index("VWAP0")
    np.testing.assert_allclose(alpha158(swapped)[1][:, place], swapped.high / swapped.close, rtol=1e-6)
