from __future__ import annotations

import numpy as np
import pytest

from tradenas.errors import ConfigError
from tradenas.train.positions import Rule, relative_volatility, signal_scale

EVERY = np.ones(6, bool)
KINDS = ["sign", "proportional", "volatility_target"]


def test_band_holds_instead_of_trading():
    signal = np.array([0.4, 0.6, 0.2, -0.5, -0.6, 0.0])
    assert Rule(band=0.5).positions(signal, EVERY, scale=1.0).tolist() == [[0, 1, 1, 1, -1, -1]]


def test_band_is_measured_in_units_of_the_scale_of_each_candidate():
    signal = np.array([[0.6, 0.0], [0.6, 0.0]])
    position = Rule(band=0.5).positions(signal, EVERY[:2], scale=np.array([1.0, 2.0]))
    assert position.tolist() == [[1, 1], [0, 0]]


def test_a_row_that_is_not_usable_is_flat_and_forgets():
    signal = np.array([1.0, np.nan, 0.1, 1.0, np.inf, 0.1])
    usable = np.array([True, False, True, True, False, True])
    assert Rule(band=0.5).positions(signal, usable, scale=1.0).tolist() == [[1, 0, 0, 1, 0, 0]]


def test_proportional_is_capped_at_the_full_position():
    rule = Rule(kind="proportional", band=0.0, max_position=2.0)
    assert rule.positions(np.array([0.5, -0.25, 9.0, -9.0]), EVERY[:4], scale=1.0).tolist() == [[1, -0.5, 2, -2]]


def test_proportional_with_a_scale_of_zero_stays_flat():
    rule = Rule(kind="proportional", band=0.0)
    assert rule.positions(np.array([0.5, -0.25]), EVERY[:2], scale=0.0).tolist() == [[0, 0]]


def test_volatility_target_shrinks_in_wild_rows_and_never_exceeds_the_full_position():
    rule = Rule(kind="volatility_target", band=0.0)
    position = rule.positions(np.array([1.0, 1.0, -1.0]), EVERY[:3], scale=1.0, volatility_T=np.array([0.1, 2.0, 4.0]))
    assert position.tolist() == [[1, 0.5, -0.25]]


def test_without_band_obeys_every_signal():
    wide = Rule(band=3.0)
    assert wide.positions(np.ones(3), EVERY[:3], scale=1.0).tolist() == [[0, 0, 0]]
    assert wide.without_band().positions(np.ones(3), EVERY[:3], scale=1.0).tolist() == [[1, 1, 1]]


def test_zero_rows_and_zero_candidates():
    assert Rule().positions(np.zeros((3, 0)), np.zeros(0, bool), scale=1.0).shape == (3, 0)
    assert Rule().positions(np.zeros((0, 4)), np.ones(4, bool), scale=np.zeros(0)).shape == (0, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_prefix_replay(kind):
    rng = np.random.default_rng(0)
    signal, usable = rng.standard_normal((3, 120)), rng.random(120) > 0.1
    volatility, rule = rng.random(120) * 3, Rule(kind=kind, band=0.7)
    whole = rule.positions(signal, usable, scale=1.0, volatility_T=volatility)
    for cut in range(1, 121):
        part = rule.positions(signal[:, :cut], usable[:cut], scale=1.0, volatility_T=volatility[:cut])
        np.testing.assert_array_equal(part, whole[:, :cut])


@pytest.mark.parametrize("kind", KINDS)
def test_agrees_with_a_loop_over_rows(kind):
    rng = np.random.default_rng(1)
    signal, usable, volatility = rng.standard_normal((4, 200)), rng.random(200) > 0.15, rng.random(200) * 3
    scale, rule = np.array([0.5, 1.0, 2.0, 0.0]), Rule(kind=kind, band=0.6, max_position=1.5)
    expected = np.zeros_like(signal)
    for n in range(4):
        held = 0.0
        for t in range(200):
            s = signal[n, t]
            if not usable[t]:
                held = 0.0
            elif abs(s) > 0.6 * scale[n]:
                if kind == "proportional":
                    held = 1.5 * min(max(s / scale[n], -1), 1) if scale[n] > 0 else 0.0
                else:
                    held = 1.5 * np.sign(s) / (max(volatility[t], 1) if kind == "volatility_target" else 1)
            expected[n, t] = held
    np.testing.assert_allclose(rule.positions(signal, usable, scale=scale, volatility_T=volatility), expected)


def test_scale_reads_usable_rows_only():
    signal = np.array([[1.0, -3.0, np.nan], [0.0, 0.0, 5.0]])
    assert signal_scale(signal, np.array([True, True, False])).tolist() == [2.0, 0.0]
    assert signal_scale(signal, np.zeros(3, bool)).tolist() == [0.0, 0.0]


def test_relative_volatility_is_causal_and_one_on_an_ordinary_training_row():
    returns = np.random.default_rng(2).standard_normal(300) * 0.01
    whole = relative_volatility(returns, train=slice(0, 100), window=20)
    assert np.median(whole[:100]) == pytest.approx(1.0)
    assert whole[150] == pytest.approx(
        np.sqrt(np.mean(returns[131:151] ** 2)) / np.median([_rms(returns, t, 20) for t in range(100)])
    )
    for cut in range(100, 300, 7):
        np.testing.assert_array_equal(relative_volatility(returns[:cut], train=slice(0, 100), window=20), whole[:cut])


def _rms(returns, t, window):
    return np.sqrt(np.mean(returns[max(0, t - window + 1) : t + 1] ** 2))


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda: Rule(kind="sing"), "Rule.kind"),
        (lambda: Rule(band=-0.1), "Rule.band"),
        (lambda: Rule(band=float("nan")), "Rule.band"),
        (lambda: Rule(max_position=0.0), "Rule.max_position"),
        (lambda: Rule().positions(np.ones(3), np.ones(2, bool), scale=1.0), "usable_T"),
        (lambda: Rule().positions(np.ones(3), np.ones(3, bool), scale=-1.0), "scale"),
        (lambda: Rule().positions(np.ones(3), np.ones(3, bool), scale=np.ones(2)), "scale"),
        (lambda: Rule(kind="volatility_target").positions(np.ones(3), np.ones(3, bool), scale=1.0), "volatility_T"),
        (lambda: relative_volatility(np.zeros(9), train=slice(0, 5)), "train"),
        (lambda: relative_volatility(np.ones(9), train=slice(0, 5), window=0), "window"),
    ],
)
def test_refuses(make, place):
    with pytest.raises(ConfigError, match=place.replace(".", r"\.")):
        make()
