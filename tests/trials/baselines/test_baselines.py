from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from tradenas.errors import ConfigError
from tradenas.splits import Span
from tradenas.train.backtest import Rule, costs_named
from tradenas.trials.baselines import BASELINES, fit_forecast, scorer
from train.datasets import make_dataset, scrambled

REACH = 16
TRAIN, TEST = Span(0, 2000), Span(2020, 3000)
RAW = [name for name in BASELINES if BASELINES[name].reads == "raw"]
OTHERS = [name for name in BASELINES if name not in RAW]  # those on raw candles differ in their columns only
LEARNED = [name for name in OTHERS if BASELINES[name].learned]
ONE_ROW = ["linear", "lightgbm"]
WINDOWED = [name for name in LEARNED if name not in ONE_ROW]
SMALL: dict[str, dict] = {
    "lightgbm_window": {"window": 8, "learning_rate": 0.1},
    "lightgbm": {"learning_rate": 0.1},
    "gru": {"window": 8, "learning_rate": 0.01},
    "dlinear": {"window": 12, "average": 5, "learning_rate": 0.01},
}


def fit(name, data, *, train=TRAIN, predict=TEST, params=None, seed=0, reach=REACH):
    params = SMALL.get(name, {}) if params is None else params
    return BASELINES[name].fit_signal(data, train, predict, params=params, seed=seed, reach=reach)


def ic(name, data, **changes):
    signal = fit(name, data, **changes)
    usable = data.usable(REACH)[TEST.start : TEST.stop]
    return np.corrcoef(signal[usable], data.bar_return_T[TEST.start : TEST.stop][usable])[0, 1]


def test_the_registry_is_whole():
    assert set(BASELINES) == {
        "flat", "hold", "reversal", "momentum", "linear", "linear_window",
        "lightgbm", "lightgbm_window", "dlinear", "gru", *RAW,
    }  # fmt: skip
    assert all(BASELINES[name].name == name for name in BASELINES)
    assert set(RAW) == {
        "dlinear_raw", "gru_raw", "lightgbm_raw", "linear_raw",
    }  # fmt: skip
    assert {BASELINES[name].reads for name in BASELINES if not BASELINES[name].learned} == {"rule"}


@pytest.mark.parametrize("kind", ["binary", "regression"])
@pytest.mark.parametrize("name", LEARNED)
def test_learns_a_planted_feature(name, kind):
    assert ic(name, make_dataset(rows=3000, planted="feature", strength=0.5, kind=kind)) > 0.35


@pytest.mark.parametrize("name", WINDOWED)
def test_windows_learn_what_happened_some_rows_ago(name):
    data = make_dataset(rows=3000, planted="lagged_feature", lag=5, strength=0.6, features=2)
    assert ic(name, data) > 0.35


@pytest.mark.parametrize("name", ONE_ROW)
def test_one_row_cannot_know_what_happened_some_rows_ago(name):
    assert abs(ic(name, make_dataset(rows=3000, planted="lagged_feature", lag=5, strength=0.6, features=2))) < 0.1


@pytest.mark.parametrize("name", LEARNED)
def test_finds_nothing_in_noise(name):
    assert abs(ic(name, make_dataset(rows=3000, seed=5))) < 0.1


@pytest.mark.parametrize("planted", ["reversal", "momentum"])
def test_reversal_and_momentum_are_right_in_their_own_worlds_and_wrong_in_the_other(planted):
    data = make_dataset(rows=3000, planted=planted, strength=0.3)
    sign = 1 if planted == "momentum" else -1
    assert sign * ic("momentum", data, params={"window": 2}) > 0.15
    assert sign * ic("reversal", data) < -0.2


def test_momentum_and_reversal_by_hand():
    data = make_dataset(rows=200)
    train, predict = Span(0, 100), Span(100, 200)
    usual = data.past_return_T[REACH - 1 : 100].std()
    moves = data.past_return_T
    np.testing.assert_allclose(fit("reversal", data, train=train, predict=predict), -moves[100:] / usual)
    expected = [moves[t - 3 : t + 1].sum() / (2 * usual) for t in range(100, 200)]
    np.testing.assert_allclose(fit("momentum", data, train=train, predict=predict, params={"window": 4}), expected)


def test_flat_and_hold_are_constants_on_every_row():
    data = make_dataset(rows=400, gaps=(330,))
    assert (fit("flat", data, train=Span(0, 300), predict=Span(300, 400)) == 0).all()
    assert (fit("hold", data, train=Span(0, 300), predict=Span(300, 400)) == 1).all()


@pytest.mark.parametrize("kind", ["sign", "proportional"])
def test_hold_holds_however_wide_the_band(kind):
    data, test = make_dataset(rows=1000, drift=0.1), Span(400, 1000)
    judge = scorer(data, test, rule=Rule(kind=kind, band=9.0), costs=costs_named("none"), reach=REACH)
    hold = judge(fit_forecast(BASELINES["hold"], data, Span(0, 380), test, params={}, seed=0, reach=REACH))
    assert hold["total_gross"] == pytest.approx(np.nansum(data.bar_return_T[400:]))
    days = len(set(data.realised_T[400:-2] // 86_400_000))
    assert hold["turnover"] == pytest.approx(2 / days)
    reversal = judge(fit_forecast(BASELINES["reversal"], data, Span(0, 380), test, params={}, seed=0, reach=REACH))
    assert reversal["turnover"] == 0


# A shorter history for what is asked of every baseline, and its answer, fitted once.
SHORT, LATER = Span(0, 900), Span(920, 1600)


def short(kind="regression", **changes):
    return make_dataset(rows=1600, planted="feature", kind=kind, **changes)


@lru_cache
def short_signal(name, kind="regression"):
    return fit(name, short(kind), train=SHORT, predict=LATER)


def refit(name, data, predict=LATER, **changes):
    return fit(name, data, train=SHORT, predict=predict, **changes)


@pytest.mark.parametrize("name", RAW)
def test_on_raw_candles_no_other_column_is_read(name):
    data = make_dataset(rows=900, planted="feature", strength=0.5, features=2)
    train, predict = Span(0, 600), Span(620, 900)
    assert len(data.names) == 2
    data = replace(data, names=("log_return_1", "rsi_14"))
    params = SMALL.get(name.removesuffix("_raw"), SMALL.get(name.replace("_raw", "_window"), {}))

    def signal(of):
        return fit(name, of, train=train, predict=predict, params=params)

    def changed(column):
        x_TF = data.x_TF.copy()
        x_TF[:, column :: len(data.names)] = np.roll(x_TF[:, column :: len(data.names)], 7, axis=0)
        return replace(data, x_TF=x_TF)

    plain = signal(data)
    assert np.ptp(plain) > 0
    np.testing.assert_array_equal(signal(changed(1)), plain)
    assert not np.array_equal(signal(changed(0)), plain)
    with pytest.raises(ConfigError, match=r"features\.indicators"):
        signal(replace(data, names=("sma_ratio_20", "rsi_14")))


@pytest.mark.parametrize("name", OTHERS)
class TestCausal:
    def test_later_rows_change_no_earlier_signal(self, name):
        cut = 1300
        before = short_signal(name)[: cut - LATER.start]
        np.testing.assert_array_equal(before, refit(name, scrambled(short(), cut))[: cut - LATER.start])
        assert BASELINES[name].banded == (np.ptp(before) > 0)  # not equal because they are all the same

    def test_labels_to_predict_are_not_read(self, name):
        blind = scrambled(short("binary"), SHORT.stop, labels_only=True)
        np.testing.assert_array_equal(short_signal(name, "binary"), refit(name, blind))

    def test_one_row_alone_is_the_same(self, name):
        alone = refit(name, short(), predict=Span(927, 928))
        np.testing.assert_allclose(alone, short_signal(name)[[7]], rtol=1e-4, atol=1e-7)

    def test_reads_no_further_back_than_its_reach(self, name):
        params = {"window": REACH} if name in (*WINDOWED, "momentum") else {}
        if name == "dlinear":
            params["average"] = 5
        row, data = 1300, short()
        first = row - REACH + 1
        data.x_TF[SHORT.stop : first] *= -5
        data.past_return_T[SHORT.stop : first] *= -2
        same = refit(name, short(), params=params)
        np.testing.assert_allclose(refit(name, data, params=params)[row - 920], same[row - 920], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", OTHERS)
class TestRows:
    def test_rows_without_enough_history_have_no_signal(self, name):
        if not BASELINES[name].banded:
            pytest.skip("a constant needs no history; tested above")
        signal = refit(name, short(gaps=(1300,)))
        silent = np.flatnonzero(signal == 0) + LATER.start
        assert set(range(1300, 1300 + REACH - 1)) <= set(silent.tolist())
        assert signal[1300 + REACH - 1 - LATER.start] != 0
        assert signal[1299 - LATER.start] != 0

    def test_unknown_labels_are_skipped(self, name):
        data = short(gaps=range(100, 800, 50), warm_up=40)
        assert np.isnan(data.y_T[SHORT.slice]).sum() >= 14
        assert np.isfinite(refit(name, data)).all()

    def test_same_seed_same_signal(self, name):
        np.testing.assert_array_equal(short_signal(name), refit(name, short()))

    def test_refuses_unknown_settings_and_rows_that_are_not_there(self, name):
        with pytest.raises(ConfigError, match="'windwo'"):
            refit(name, short(), params={"windwo": 3})
        if BASELINES[name].banded:
            with pytest.raises(ConfigError, match="predict rows"):
                refit(name, short(), predict=Span(1590, 1601))
            with pytest.raises(ConfigError, match="train rows"):
                fit(name, short(), train=Span(0, 70), predict=LATER)


@pytest.mark.parametrize("name", LEARNED)
def test_a_forecast_return_is_in_units_of_the_label(name):
    wild = short()
    wild.volatility_T[LATER.slice] *= 3.0
    np.testing.assert_allclose(refit(name, wild), 3.0 * short_signal(name))
    earned = short().y_T[LATER.start : LATER.stop - 2]
    slope = np.polyfit(short_signal(name)[:-2], earned, 1)[0]
    assert 0.5 < slope < 2.0


@pytest.mark.parametrize("name", ["gru", "lightgbm"])
def test_another_seed_is_another_model(name):
    assert (refit(name, short(), seed=1) != short_signal(name)).any()


def test_first_weights_come_from_the_seed_and_not_from_the_global_generator(monkeypatch):
    import torch

    from tradenas.trials.baselines.networks import Fitting

    monkeypatch.setattr(Fitting, "run", lambda *args, **rest: None)
    before = torch.get_rng_state()
    first = refit("gru", short(), seed=0)
    assert (first != refit("gru", short(), seed=1)).any()
    np.testing.assert_array_equal(first, refit("gru", short(), seed=0))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", ["momentum", *WINDOWED])
def test_a_window_longer_than_the_reach_is_refused(name):
    with pytest.raises(ConfigError, match="window"):
        refit(name, short(), params={"window": REACH + 1})


@pytest.mark.parametrize("name", LEARNED)
def test_reads_the_block_it_is_told_to(name):
    data = make_dataset(rows=3000, features=2, transforms=("raw", "rank"), planted="feature")  # planted in block `raw`
    params = SMALL.get(name, {})
    assert ic(name, data, params={**params, "transform": "raw"}) > 0.35
    assert abs(ic(name, data, params={**params, "transform": "rank"})) < 0.1
    with pytest.raises(ConfigError, match="transform"):
        fit(name, data, params={**params, "transform": "zscore"})
