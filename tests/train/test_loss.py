"""Losses against their formulas, and units that come from training rows alone."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tradenas.errors import ConfigError
from tradenas.splits import Span
from tradenas.train.loss import CUT, Objective
from train.datasets import make_dataset, scrambled

TRAIN = Span(50, 700)


def test_binary_loss_is_the_cross_entropy_of_the_rows_with_weight():
    objective = Objective(kind="binary")
    output, label = torch.tensor([0.3, -2.0, 50.0]), torch.tensor([1.0, 0.0, 0.0])
    p = 1 / (1 + np.exp(-np.array([0.3, -2.0])))
    want = -(math.log(p[0]) + math.log(1 - p[1])) / 2
    assert float(objective.loss(output, label, torch.tensor([1.0, 1.0, 0.0]))) == pytest.approx(want, rel=1e-6)


def test_squared_loss_is_a_weighted_mean():
    objective = Objective(kind="regression")
    loss = objective.loss(torch.tensor([1.0, 4.0]), torch.tensor([0.0, 1.0]), torch.tensor([1.0, 3.0]))
    assert float(loss) == pytest.approx((1 + 27) / 4)


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_rows_without_weight_give_no_gradient_and_no_rows_give_zero(kind):
    objective = Objective(kind=kind)
    output = torch.tensor([[1.0, -3.0]], requires_grad=True)
    objective.loss(output, torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])).backward()
    assert output.grad[0, 1] == 0.0
    assert output.grad[0, 0] != 0.0
    assert float(objective.loss(output.detach(), torch.zeros(1, 2), torch.zeros(1, 2))) == 0.0


def test_returns_are_learnt_in_standard_deviations_of_the_volatility_of_their_row():
    data = make_dataset(rows=900, drift=0.3)
    data = replace(data, volatility_T=data.volatility_T * np.linspace(1, 3, 900))
    objective = Objective.fitted(data, TRAIN)
    labels = objective.labels(data)
    inside = labels[TRAIN.slice] * objective.scale
    want = data.y_T[TRAIN.slice] / data.volatility_T[TRAIN.slice]
    free = np.abs(labels[TRAIN.slice]) < CUT
    np.testing.assert_allclose(inside[free], want[free], rtol=1e-5)
    assert objective.scale == pytest.approx(float(want.std()), rel=1e-5)
    assert objective.centre == 0.0  # the sign of a return matters: its mean stays in
    assert np.isnan(labels[np.isnan(data.y_T)]).all()


def test_a_crash_counts_no_more_than_the_cut():
    data = make_dataset(rows=900)
    y_T = data.y_T.copy()
    y_T[[100, 101]] = 10.0, -10.0
    labels = Objective.fitted(replace(data, y_T=y_T), TRAIN).labels(replace(data, y_T=y_T))
    assert labels[[100, 101]].tolist() == [CUT, -CUT]
    assert np.nanmax(np.abs(labels)) == CUT


def test_signals_come_back_in_units_of_the_label():
    data = make_dataset(rows=900)
    data = replace(data, volatility_T=data.volatility_T * np.linspace(1, 3, 900))
    objective = Objective.fitted(data, TRAIN)
    labels = objective.labels(data)
    span = Span(100, 400)
    uncut = np.abs(labels[span.slice]) < CUT
    back = objective.signal(labels[span.slice], data, span)
    np.testing.assert_allclose(back[uncut], data.y_T[span.slice][uncut], rtol=1e-5)
    logits = np.linspace(-1, 1, 300)
    assert np.array_equal(Objective(kind="binary").signal(logits, data, span), logits)


def test_a_volatility_is_learnt_less_its_training_mean():
    data = replace(make_dataset(rows=900), centre_labels=True)
    y_T = (np.abs(data.y_T) + 0.01).astype(np.float32)
    objective = Objective.fitted(replace(data, y_T=y_T), TRAIN)
    assert objective.centre == pytest.approx(float(np.nanmean(y_T[TRAIN.slice])), rel=1e-5)
    assert objective.by_volatility is False
    inside = objective.labels(replace(data, y_T=y_T))[TRAIN.slice]
    assert abs(inside.mean()) < 0.1


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_units_do_not_know_what_comes_after_the_training_rows(kind):
    data = make_dataset(rows=900, kind=kind)
    wild = replace(scrambled(data, TRAIN.stop), volatility_T=np.r_[data.volatility_T[:700], np.full(200, 9.0)])
    assert Objective.fitted(wild, TRAIN) == Objective.fitted(data, TRAIN)
    other = replace(data, y_T=np.r_[data.y_T[:400], data.y_T[400:] * 3].astype(np.float32))
    if kind == "regression":
        assert Objective.fitted(other, TRAIN) != Objective.fitted(data, TRAIN)


def test_labels_that_never_vary_teach_nothing():
    data = make_dataset(rows=900)
    for y_T in (np.zeros(900), np.full(900, np.nan), np.r_[1.0, np.full(899, np.nan)]):
        with pytest.raises(ConfigError, match="labels that vary"):
            Objective.fitted(replace(data, y_T=y_T.astype(np.float32)), Span(0, 900))


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_the_gradient_told_at_once_is_the_one_of_backward(kind):
    generator = torch.Generator().manual_seed(0)
    output, label, weight = (torch.randn(4, 7, generator=generator) for _ in range(3))
    label, weight = (torch.sigmoid(label) if kind == "binary" else label), (weight > 0).float() * 0.7
    objective = Objective(kind=kind)
    output.requires_grad_()
    loss = 0.3 * objective.loss(output, label, weight)
    loss.backward()
    told, gradient = objective.gradient(output.detach(), label, weight, 0.3)
    assert told == pytest.approx(float(loss.detach()), rel=1e-6)
    torch.testing.assert_close(gradient, output.grad, rtol=1e-6, atol=1e-9)
    nothing, still = objective.gradient(output.detach(), label, torch.zeros(4, 7))
    assert nothing == 0.0
    assert not bool(still.any())
