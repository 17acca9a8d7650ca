"""Scores that rank: what they may know, how many there are, and what happens to networks that are not finite."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tradenas.errors import ConfigError
from tradenas.nn import Layout, Network, soft
from tradenas.space import Chain
from tradenas.splits import Span
from tradenas.train.backtest import Costs, Rule, score, signal_scale
from tradenas.train.evaluate import METRICS, Evaluator, merit
from tradenas.train.fit import fit
from tradenas.train.loop import Training
from train.datasets import make_dataset, scrambled

DATA = make_dataset(rows=1500, features=3, planted="feature", strength=0.6)
SPACE = Chain(
    depths=(1, 2), widths=(4, 8), ops=("dense", "conv3", "gated"), norms=("none", "batch"), dropouts=(0.0,),
    lookbacks=(5, 10), transforms=("raw",),
).space()  # fmt: skip
TRAIN, VALID = Span(0, 900), Span(950, 1450)


@pytest.fixture(scope="module")
def network():
    torch.set_num_threads(1)
    return Network(SPACE, Layout(groups=DATA.groups, transforms=DATA.transforms), seed=0).eval()


def evaluator(data=DATA, **changes):
    return Evaluator(**{"data": data, "train": TRAIN, "valid": VALID, "rule": Rule(band=1.0), "costs": Costs(),
                        "calibration": 300, **changes})  # fmt: skip


def everyone():
    return list(SPACE)[:: SPACE.size() // 25]


def test_one_score_for_each_candidate_in_its_order(network):
    some = everyone()
    told = evaluator().score_paths(network, iter(some))
    assert len(told) == len(some)
    assert all(set(METRICS) <= set(scores) for scores in told)
    assert told[7] == evaluator().score_paths(network, [some[7]])[0]
    assert len({scores["loss"] for scores in told}) > len(told) / 2
    assert evaluator().score_paths(network, []) == []


def test_the_band_comes_from_training_rows_alone(network):
    """Other valid rows give another score and the same usual size of a signal."""
    a = SPACE.largest()
    signal, scale, usable = evaluator().signals(network, a)
    other = scrambled(DATA, VALID.start)
    other_signal, other_scale, _ = evaluator(other).signals(network, a)
    assert scale == other_scale > 0
    assert not np.array_equal(signal, other_signal)
    known, _, counted = evaluator(valid=Span(600, 901), train=Span(0, 600)).signals(network, a)
    assert len(known) == 301
    assert counted.shape == (301,)
    assert usable.sum() == DATA.usable(network.reach(a))[VALID.slice].sum()


def test_the_scale_is_the_mean_size_on_the_last_training_rows(network):
    a = next(b for b in everyone() if "batch" not in b.values())
    _, scale, _ = evaluator().signals(network, a)
    early, _, usable = evaluator(train=Span(0, 590), valid=Span(600, 900)).signals(network, a)
    unit = evaluator().objective.scale / evaluator(train=Span(0, 590), valid=Span(600, 900)).objective.scale
    assert scale == pytest.approx(float(np.abs(early[usable]).mean()) * unit, rel=1e-5)


def test_valid_rows_reach_no_other_row_and_no_unit(network):
    """Scores of earlier rows do not move when later ones do."""
    a = SPACE.largest()
    plain, _, _ = evaluator().signals(network, a)
    for cut in (1000, 1203):
        other, _, _ = evaluator(scrambled(DATA, cut)).signals(network, a)
        assert np.array_equal(plain[: cut - VALID.start], other[: cut - VALID.start])
        assert not np.array_equal(plain[cut - VALID.start :], other[cut - VALID.start :])
    assert evaluator(scrambled(DATA, TRAIN.stop)).objective == evaluator().objective


def test_scores_are_those_of_the_backtest(network):
    a = SPACE.largest()
    signal, scale, usable = evaluator().signals(network, a)
    (got,) = evaluator().score_paths(network, [a])
    want = score(
        signal, bar_return_T=DATA.bar_return_T[VALID.slice], realised_T=DATA.realised_T[VALID.slice], usable_T=usable,
        rule=Rule(band=1.0), scale=scale, costs=Costs(), days_per_year=365,
        outcome_T=DATA.y_T[VALID.slice].astype(float),
    )  # fmt: skip
    for name in ("sharpe", "gross_sharpe", "accuracy", "profit_factor", "ic", "rank_ic", "turnover", "total_net"):
        assert got[name] == pytest.approx(float(want[name][0]), rel=1e-12)
    dear = evaluator(costs=Costs(taker_bps=50)).score_paths(network, [a])[0]
    assert dear["total_net"] < got["total_net"]
    assert dear["total_gross"] == got["total_gross"]


def test_a_trained_network_beats_an_untrained_one_and_is_scored_as_it_speaks(network):
    a = SPACE.walk(lambda c: {"layer0/op": "dense", "layer0/norm": "batch"}.get(c.name, c.options[0]))
    one = fit(network, a, DATA, TRAIN, training=Training(epochs=4, segment=32, batch=128, lr=1e-2), seed=0)
    told = evaluator().score_fitted(one, a)
    assert told["ic"] > 0.5 > evaluator().score_paths(network, [a])[0]["ic"]
    spoken = one.signals(DATA, VALID)
    usable = DATA.usable(one.reach)[VALID.slice]
    unit = evaluator().objective.scale / one.objective.scale
    ic = np.corrcoef(spoken[usable], DATA.bar_return_T[VALID.slice][usable])[0, 1]
    assert told["ic"] == pytest.approx(ic, rel=1e-6)
    known = one.signals(DATA, Span(600, 900))
    scale = float(signal_scale(known, DATA.usable(one.reach)[600:900])[0])
    assert evaluator().trade(spoken * unit, scale * unit, usable)["sharpe"] == pytest.approx(told["sharpe"], rel=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_networks_that_are_not_finite_have_no_scores_and_come_last(value):
    broken = Network(SPACE, Layout(groups=DATA.groups, transforms=DATA.transforms), seed=0).eval()
    with torch.no_grad():
        next(p for n, p in broken.named_parameters() if "layers.0.ops.gated" in n).fill_(value)
    some = everyone()
    told = evaluator().score_paths(broken, some)
    bad = {a.digest for a, s in zip(some, told, strict=True) if not s}
    assert bad == {a.digest for a in some if a["layer0/op"] == "gated"}
    assert bad
    assert all(math.isfinite(v) for scores in told for v in scores.values())
    for metric in METRICS:
        last = {a.digest for a, s in zip(some, told, strict=True) if merit(s, metric) == -math.inf}
        assert last == bad


def test_faults_are_named(network):
    with pytest.raises(ConfigError, match="rows from 900 on"):
        evaluator(valid=Span(899, 1000))
    with pytest.raises(ConfigError, match=r"(?i)did you mean 'sharpe'"):
        merit({}, "sharp")


def test_a_zone_in_which_nothing_can_be_traded_gives_no_trading_scores(network):
    data = replace(DATA, gap_T=np.r_[np.zeros(950, bool), np.ones(550, bool)])
    (told,) = evaluator(data).score_paths(network, [SPACE.smallest()])
    assert told == {}


@pytest.mark.parametrize("pick", ["smallest", "largest"])
def test_a_mixture_that_is_an_architecture_scores_as_its_path(network, pick):
    """Weights of 0 and 1, with and without batch norms."""
    a, judge = getattr(SPACE, pick)(), evaluator()
    assert ("batch" in a.values()) == (pick == "largest")
    heard = judge.hear(network, soft(SPACE, a), reach=network.reach(a))
    want = judge.score_paths(network, [a])[0]
    assert judge.scores_of(heard) == pytest.approx(want, rel=1e-4)
    parts = judge.parts_of(heard, "ic", reach=network.reach(a), parts=5)
    np.testing.assert_allclose(parts, judge.part_merits(network, [a], "ic", parts=5)[0], rtol=1e-4)


def test_a_mixture_between_two_architectures_is_neither(network):
    a, b = SPACE.smallest(), SPACE.largest()
    half = {n: (w + soft(SPACE, b)[n]) / 2 for n, w in soft(SPACE, a).items()}
    judge = evaluator()
    losses = [judge.scores_of(judge.hear(network, m, reach=network.reach()))["loss"] for m in
              (half, soft(SPACE, a), soft(SPACE, b))]  # fmt: skip
    assert len({round(loss, 5) for loss in losses}) == 3


@pytest.mark.parametrize("kind", ["forward_return", "binary", "regression"])
def test_signals_that_are_known_already_are_scored_like_those_just_heard(network, kind):
    """The loss too, though a signal is in units of the label and the loss is not."""
    if kind == "binary":
        up_T = np.where(np.isfinite(DATA.y_T), DATA.y_T > 0, np.nan).astype(np.float32)
        data = replace(DATA, kind="binary", y_T=up_T)
    else:
        data = replace(DATA, centre_labels=kind == "regression")
    judge, a = evaluator(data), SPACE.smallest()
    signal_T, scale, _ = judge.signals(network, a)
    found = judge.known(signal_T, scale, reach=network.reach(a))
    assert judge.scores_of(found) == pytest.approx(judge.score_paths(network, [a])[0], rel=1e-5)
    again = judge.parts_of(found, "loss", reach=network.reach(a), parts=4)
    np.testing.assert_allclose(again, judge.part_merits(network, [a], "loss", parts=4)[0], rtol=1e-5)
