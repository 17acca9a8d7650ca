"""A standalone network learns what is there, stops where it should, and never sees what comes later."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tradenas.errors import DivergedError
from tradenas.nn import Layout, Network
from tradenas.space import Chain
from tradenas.splits import Span, holdout
from tradenas.train.fit import fit, mean_loss
from tradenas.train.loop import Training
from tradenas.train.loss import Objective
from train.datasets import VOLATILITY, make_dataset, scrambled

CHAIN = Chain(
    depths=(1, 2), widths=(4, 16), ops=("dense", "conv3", "gated", "gru"), norms=("none", "layer", "batch"),
    activations=("relu", "tanh"), dropouts=(0.0, 0.2), lookbacks=(5, 10), transforms=("raw",),
)  # fmt: skip
SPACE = CHAIN.space()
TRAIN, LATER = Span(0, 2400), Span(2450, 2990)
QUICK = Training(epochs=6, segment=32, batch=128, patience=0, lr=1e-2)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def architecture(**want):
    want = {name.replace("__", "/"): option for name, option in want.items()}
    return SPACE.walk(lambda c: want.get(c.name, c.options[0]))


def fitted(data, a, *, train=TRAIN, training=QUICK, seed=0):
    template = Network(SPACE, Layout(groups=data.groups, transforms=data.transforms))
    return fit(template, a, data, train, training=training, seed=seed)


def market(rows=3000, **changes):
    return make_dataset(rows=rows, features=3, **changes)


def nonlinear():
    """The sign of the next return is that of the product of two features: no linear model sees it."""
    data = market()
    sign_T = np.sign(data.x_TF[:, 0] * data.x_TF[:, 1])
    noise_T = data.y_T / VOLATILITY
    y_T = (VOLATILITY * (0.7 * sign_T + 0.7 * noise_T)).astype(np.float32)
    return replace(data, y_T=y_T, bar_return_T=y_T.astype(float))


def correlation(data, one, span=LATER):
    usable = data.usable(one.reach)[span.slice]
    return float(np.corrcoef(one.signals(data, span)[usable], data.y_T[span.slice][usable])[0, 1])


def test_learns_a_planted_linear_signal():
    data = market(planted="feature", strength=0.6)
    assert correlation(data, fitted(data, architecture(layer0__op="dense"))) > 0.52  # the oracle has 0.6
    lagged = market(planted="lagged_feature", strength=0.6, lag=3)
    assert correlation(lagged, fitted(lagged, architecture(), training=replace(QUICK, epochs=15))) > 0.5


def test_learns_a_planted_nonlinear_signal():
    data = nonlinear()
    wide = {"depth": 2, "layer0__width": 16, "layer1__width": 16, "layer0__op": "dense", "layer1__op": "dense"}
    longer = replace(QUICK, epochs=25)
    found = correlation(data, fitted(data, architecture(**wide), training=longer))
    assert found > 0.5  # the oracle has 0.707
    usable = data.usable(1)
    design = np.c_[data.x_TF, np.ones(len(data))][usable & (np.arange(len(data)) < 2400)]
    labels = data.y_T[usable & (np.arange(len(data)) < 2400)]
    weights = np.linalg.lstsq(design, labels, rcond=None)[0]
    rows = LATER.slice
    linear = np.corrcoef(np.c_[data.x_TF, np.ones(len(data))][rows] @ weights, data.y_T[rows])[0, 1]
    assert abs(linear) < 0.15


def test_finds_nothing_in_noise():
    assert abs(correlation(market(), fitted(market(), architecture(layer0__op="dense")))) < 0.12


@pytest.mark.parametrize("op", ["dense", "gru"])
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(op):
    data = market(rows=1200, planted="feature")
    a = architecture(depth=2, layer0__op=op, layer0__dropout=0.2, layer0__norm="batch", layer1__norm="layer")
    short = {"train": Span(0, 1000), "training": replace(QUICK, epochs=2)}
    one = fitted(data, a, seed=1, **short)
    torch.manual_seed(99)
    same, other = fitted(data, a, seed=1, **short), fitted(data, a, seed=2, **short)
    assert one.history == same.history
    for name, tensor in one.network.state_dict().items():
        assert torch.equal(tensor, same.network.state_dict()[name]), name
    assert all(torch.equal(m, w) for k in one.moments for m, w in zip(one.moments[k], same.moments[k], strict=True))
    assert one.history != other.history


def test_the_holdout_picks_the_epoch_and_patience_ends_the_training():
    data = market(rows=1500)
    training = Training(epochs=30, segment=16, batch=32, lr=3e-2, patience=3)
    a = architecture(depth=2, layer0__width=16, layer1__width=16)
    one = fitted(data, a, train=Span(0, 1400), training=training)
    losses = [log["valid_loss"] for log in one.history]
    assert one.best_epoch == int(np.argmin(losses))
    assert len(losses) == one.best_epoch + 1 + 3 < 30  # noise: it overfits soon
    fold = holdout(Span(0, 1400), 0.2, purge=data.purge_rows, embargo=one.reach)
    assert one.calibration == fold.valid
    outputs = one.signals(data, fold.valid) / (data.volatility_T[fold.valid.slice] * one.objective.scale)
    assert mean_loss(one.objective, data, fold.valid, outputs.astype(np.float32), one.reach) == pytest.approx(
        min(losses), rel=1e-5
    )


def test_without_patience_all_epochs_run_and_without_holdout_the_last_is_kept():
    data = market(rows=1200)
    a = architecture()
    every = fitted(data, a, train=Span(0, 1100), training=replace(QUICK, epochs=5))
    assert len(every.history) == 5
    plain = fitted(data, a, train=Span(0, 1100), training=replace(QUICK, epochs=5, holdout=0.0))
    assert len(plain.history) == 5
    assert plain.best_epoch == 4
    assert "valid_loss" not in plain.history[0]
    assert plain.calibration.stop == 1100


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_held_out_rows_are_not_learnt(norm):
    """Other labels there change which epoch is kept, and no training loss."""
    data = market(rows=1500, planted="feature")
    a = architecture(layer0__norm=norm)
    train = Span(0, 1400)
    fold = holdout(train, 0.2, purge=data.purge_rows, embargo=fitted(data, a, train=train).reach)
    spoilt = scrambled(data, fold.train.stop + data.purge_rows, labels_only=True)
    one, two = fitted(data, a, train=train), fitted(spoilt, a, train=train)
    assert [log["loss"] for log in one.history] == [log["loss"] for log in two.history]
    assert [log["valid_loss"] for log in one.history] != [log["valid_loss"] for log in two.history]
    assert one.objective == two.objective
    near = scrambled(data, fold.train.stop - 100, labels_only=True)
    assert [log["loss"] for log in fitted(near, a, train=train).history] != [log["loss"] for log in one.history]


@pytest.mark.parametrize("share", [0.0, 0.2])
@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_another_future_changes_no_weight_and_no_earlier_signal(norm, share):
    data = market(rows=1500, planted="feature")
    a = architecture(depth=2, layer0__op="conv3", layer0__norm=norm, layer1__op="gru")
    train, training = Span(0, 1000), replace(QUICK, epochs=2, holdout=share)
    other = scrambled(data, 1000)
    one, two = (fitted(d, a, train=train, training=training) for d in (data, other))
    assert one.history == two.history
    for name, tensor in one.network.state_dict().items():
        assert torch.equal(tensor, two.network.state_dict()[name]), name
    assert np.array_equal(one.signals(data, Span(0, 1000)), two.signals(other, Span(0, 1000)))
    assert not np.array_equal(one.signals(data, Span(1000, 1400)), two.signals(other, Span(1000, 1400)))


def test_a_signal_depends_on_no_later_row():
    data = market(rows=1500, planted="feature")
    one = fitted(data, architecture(layer0__norm="batch"), train=Span(0, 1000), training=replace(QUICK, epochs=2))
    for cut in (1101, 1150, 1233):
        np.testing.assert_array_equal(
            one.signals(scrambled(data, cut), Span(1100, 1400))[: cut - 1100],
            one.signals(data, Span(1100, 1400))[: cut - 1100],
        )


def test_a_loss_over_no_labelled_row_is_infinite():
    data = replace(market(rows=600), y_T=np.full(600, np.nan, np.float32))
    assert mean_loss(Objective(kind="regression"), data, Span(100, 200), np.zeros(100, np.float32), 5) == math.inf


def test_a_training_without_a_finite_number_is_a_divergence():
    data = market(rows=1200)
    x_TF = data.x_TF.copy()
    x_TF[:, 0] = 3e38
    with pytest.raises(DivergedError):
        fitted(replace(data, x_TF=x_TF), architecture(layer0__op="dense"), train=Span(0, 1000))


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_validation_without_a_finite_number_is_a_divergence(monkeypatch, loss):
    """There is no epoch to keep: the last one must not pass for the best."""
    monkeypatch.setattr("tradenas.train.fit.mean_loss", lambda *_: loss)
    with pytest.raises(DivergedError, match="held-out"):
        fitted(market(rows=1200), architecture(), train=Span(0, 1000))


def test_epochs_are_told_and_whoever_is_told_may_end_it():
    class Enough(Exception):
        pass

    told = []

    def listen(epoch, log, stop=99):
        told.append((epoch, log))
        if epoch == stop:
            raise Enough

    data, a = market(planted="feature"), architecture()
    template = Network(SPACE, Layout(groups=data.groups, transforms=data.transforms))
    one = fit(template, a, data, TRAIN, training=replace(QUICK, epochs=3), seed=0, on_epoch=listen)
    assert told == list(enumerate(one.history))
    assert all(math.isfinite(log["valid_loss"]) for _, log in told)
    with pytest.raises(Enough):
        fit(template, a, data, TRAIN, training=QUICK, seed=0, on_epoch=lambda e, log: listen(e, log, stop=1))
    assert [e for e, _ in told] == [0, 1, 2, 0, 1]
