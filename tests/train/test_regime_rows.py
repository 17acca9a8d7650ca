"""Rows of one regime: scored apart in the same pass, learnt apart by weights, stored with the data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tradenas.errors import ConfigError
from tradenas.features import REGIMES
from tradenas.nn import Layout, Network
from tradenas.space import Chain
from tradenas.splits import Span
from tradenas.train.backtest import Costs, Rule
from tradenas.train.evaluate import METRICS, Evaluator, by_regime, merit
from tradenas.train.fit import fit, mean_loss
from tradenas.train.loop import Training
from tradenas.train.loss import Objective
from tradenas.train.segments import Segments
from tradenas.train.store import cut, load_dataset, save_dataset
from train.datasets import make_dataset

PLAIN = make_dataset(rows=1500, features=3, planted="feature", strength=0.6)
REGIME_T = (np.arange(1500) // 25 % 5 - 1).astype(np.int8)
DATA = replace(PLAIN, regime_T=REGIME_T)
SPACE = Chain(
    depths=(1,), widths=(4,), ops=("dense", "conv3"), norms=("none", "batch"), dropouts=(0.0,), lookbacks=(5,),
    transforms=("raw",),
).space()  # fmt: skip
TRAIN, VALID = Span(0, 900), Span(950, 1450)


def network():
    torch.set_num_threads(1)
    return Network(SPACE, Layout(groups=DATA.groups, transforms=DATA.transforms), seed=0).eval()


def evaluator(data):
    return Evaluator(data=data, train=TRAIN, valid=VALID, rule=Rule(band=1.0), costs=Costs(), calibration=300)


def test_scores_of_a_regime_are_those_of_a_market_open_in_it_alone():
    net, a = network(), SPACE.largest()
    (told,) = evaluator(DATA).score_paths(net, [a])
    (plain,) = evaluator(PLAIN).score_paths(net, [a])
    whole, parts = by_regime(told)
    assert whole == plain
    assert list(parts) == list(REGIMES)
    assert all(set(own) == set(METRICS) for own in parts.values())
    signal_T, scale, usable_T = evaluator(PLAIN).signals(net, a)
    for i, name in enumerate(REGIMES):
        inside_T = REGIME_T[VALID.slice] == i
        want = evaluator(PLAIN).trade(signal_T, scale, usable_T & inside_T)
        assert parts[name]["sharpe"] == want["sharpe"]
        rows = usable_T & inside_T
        assert parts[name]["ic"] == pytest.approx(
            np.corrcoef(signal_T[rows], DATA.bar_return_T[VALID.slice][rows])[0, 1]
        )
    losses, sizes = zip(
        *((parts[n]["loss"], (usable_T & (REGIME_T[VALID.slice] == i)).sum()) for i, n in enumerate(REGIMES)),
        strict=True,
    )
    unknown = replace(DATA, regime_T=np.where(REGIME_T < 0, 0, -1).astype(np.int8))
    (rest,) = evaluator(unknown).score_paths(net, [a])
    left = (usable_T & (REGIME_T[VALID.slice] == -1)).sum()
    together = (np.dot(losses, sizes) + rest["loss/trending"] * left) / usable_T.sum()
    assert together == pytest.approx(plain["loss"], rel=1e-6)
    assert not any(name.endswith("/calm") for name in rest)  # no row, no score


def test_merit_of_a_regime():
    scores = {"ic": 0.1, "ic/calm": 0.3, "loss/calm": 0.6}
    assert merit(scores, "ic/calm") == 0.3
    assert merit(scores, "loss/calm") == -0.6
    assert merit(scores, "ic/volatile") == float("-inf")
    for wrong in ("ic/clam", "ix/calm", "ic/"):
        with pytest.raises(ConfigError, match=r"metric"):
            merit(scores, wrong)


def test_the_labels_live_with_the_data(tmp_path):
    save_dataset(DATA, tmp_path / "with")
    again = load_dataset(tmp_path / "with")
    assert again.regime_T is not None
    assert again.regime_T.dtype == np.int8
    assert again.regime_T.tolist() == REGIME_T.tolist()
    assert cut(again, 100).regime_T.tolist() == REGIME_T[:100].tolist()
    save_dataset(PLAIN, tmp_path / "without")
    assert load_dataset(tmp_path / "without").regime_T is None
    assert b"regime_T" not in (tmp_path / "without").read_bytes()
    assert cut(PLAIN, 100).regime_T is None


def test_faults_are_named():
    with pytest.raises(ConfigError, match=r"regime_T"):
        replace(PLAIN, regime_T=np.full(1500, 4, np.int8))
    with pytest.raises(ConfigError, match=r"regime_T"):
        replace(PLAIN, regime_T=np.zeros(10, np.int8))
    with pytest.raises(ConfigError, match="without regimes"):
        PLAIN.in_regime("calm")
    with pytest.raises(ConfigError, match="calmer"):
        DATA.in_regime("calmer")


def test_rows_of_weight_nothing_are_no_targets():
    weight_T = np.where(REGIME_T == 2, 1.0, 0.0)
    objective = Objective.fitted(DATA, TRAIN)
    segments = Segments(DATA, TRAIN, reach=3, length=16, objective=objective, weight_T=weight_T)
    assert segments.num_targets == (DATA.learnable(3) & (REGIME_T == 2))[:900].sum()
    seen = sum(float(b.weight_BS.sum()) for b in segments.epoch(np.random.default_rng(0), targets=64))
    assert seen == segments.num_targets
    half = Segments(DATA, TRAIN, reach=3, length=16, objective=objective, weight_T=np.where(REGIME_T == 2, 1.0, 0.5))
    assert half.num_targets == DATA.learnable(3)[:900].sum()
    seen = sum(float(b.weight_BS.sum()) for b in half.epoch(np.random.default_rng(0), targets=64))
    assert seen == segments.num_targets + 0.5 * (half.num_targets - segments.num_targets)


def test_what_is_learnt_and_stopped_by_are_the_weighted_rows():
    """A law that holds in one regime and is turned round in the others is learnt by who is told which rows count."""
    sign_T = np.where(REGIME_T == 2, 1.0, -1.0)
    turned = replace(DATA, y_T=(DATA.y_T * sign_T).astype(np.float32), bar_return_T=DATA.bar_return_T * sign_T)
    a = next(a for a in SPACE if a["layer0/op"] == "dense")
    training = Training(epochs=6, segment=32, batch=128, lr=1e-2)
    inside = (REGIME_T == 2)[VALID.slice] & turned.usable(10)[VALID.slice]

    def ic(weight_T):
        fitted = fit(network(), a, turned, TRAIN, training=training, seed=0, weight_T=weight_T)
        return np.corrcoef(fitted.signals(turned, VALID)[inside], turned.bar_return_T[VALID.slice][inside])[0, 1]

    assert ic(np.where(REGIME_T == 2, 1.0, 0.0)) > 0.5
    assert ic(None) < -0.3
    same = fit(network(), a, turned, TRAIN, training=training, seed=0, weight_T=np.ones(1500))
    plain = fit(network(), a, turned, TRAIN, training=training, seed=0)
    assert same.history == plain.history


def test_a_weighted_loss_is_the_mean_over_weights():
    objective, reach = Objective.fitted(DATA, TRAIN), 3
    output_T = np.linspace(-1, 1, len(VALID)).astype(np.float32)
    weight_T = np.where(REGIME_T == 1, 0.25, 1.0)
    parts = [mean_loss(objective, DATA, VALID, output_T, reach, m) for m in (REGIME_T == 1, REGIME_T != 1)]
    sizes = [float((weight_T * m * DATA.learnable(reach))[VALID.slice].sum()) for m in (REGIME_T == 1, REGIME_T != 1)]
    want = np.dot(parts, sizes) / sum(sizes)
    assert mean_loss(objective, DATA, VALID, output_T, reach, weight_T) == pytest.approx(want, rel=1e-9)
    assert mean_loss(objective, DATA, VALID, output_T, reach, np.zeros(1500)) == float("inf")
