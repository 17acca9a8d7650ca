"""Networks of one shape trained as a stack are what `fit` makes of each: same weights, same last epoch, same errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tradenas.errors import ConfigError, DivergedError
from tradenas.nn import Layout, Network
from tradenas.nn.bank import filter_bank
from tradenas.nn.native import available, off
from tradenas.space import CHAIN_OPS, Cell, Chain
from tradenas.splits import Span
from tradenas.train import stacked as stacking
from tradenas.train.fit import fit
from tradenas.train.loop import Training
from tradenas.train.panel import Panel, features_of
from tradenas.train.stacked import Job, fit_stacked, pays
from tradenas.trials.split_jobs import taught
from train.datasets import make_dataset

SPACE = Chain(
    depths=(1, 2), ops=CHAIN_OPS, widths=(4, 8), norms=("none", "layer", "batch"), activations=("relu", "tanh"),
    dropouts=(0.0, 0.3), lookbacks=(3, 20), transforms=("raw", "rank"),
).space()  # fmt: skip
TRAINING = Training(epochs=3, segment=16, batch=128, patience=1, lr=2e-2)
LATER = Span(800, 890)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def market(seed=0, planted="feature", **changes):
    return make_dataset(rows=900, features=3, transforms=("raw", "rank"), planted=planted, seed=seed, **changes)


def architecture(**want):
    want = {name.replace("__", "/"): option for name, option in want.items()}
    return SPACE.walk(lambda c: want.get(c.name, c.options[0]))


def jobs(first, second):
    """Two seeds on one market, and one on another with fewer rows: batches of unequal number and size."""
    return [
        Job(data=first, train=Span(0, 700), seed=0),
        Job(data=first, train=Span(0, 700), seed=1),
        Job(data=second, train=Span(10, 555), seed=1),
    ]


def panel(*seeds):
    markets = tuple(market(seed=n) for n in seeds)
    shape = (len(markets), len(markets[0]))
    names = tuple(f"M{n}" for n in seeds)
    return Panel(
        symbols=names, markets=markets, present_AT=np.ones(shape, bool), weight_AT=np.full(shape, 1.0 / len(markets))
    )


def both(a, wanted, training=TRAINING):
    assets = wanted[0].data.assets if isinstance(wanted[0].data, Panel) else 1
    template = Network(SPACE, Layout(groups=("returns",) * 3, transforms=("raw", "rank"), assets=assets))
    alone = [
        fit(template, a, job.data, job.train, training=training, seed=job.seed, weight_T=job.weight_T) for job in wanted
    ]
    return alone, fit_stacked(template, a, wanted, training=training)


def assert_same(alone, stacked, wanted):
    for one, other, job in zip(alone, stacked, wanted, strict=True):
        assert other.best_epoch == one.best_epoch
        assert other.calibration == one.calibration
        assert [sorted(log) for log in other.history] == [sorted(log) for log in one.history]
        for log, same in zip(one.history, other.history, strict=True):
            assert same == pytest.approx(log, rel=1e-4)
        for name, tensor in one.network.state_dict().items():
            if name.endswith(
                "bias"
            ):  # a bias in front of a batch norm has no gradient but rounding, which Adam blows up
                continue
            torch.testing.assert_close(other.network.state_dict()[name], tensor, rtol=1e-3, atol=1e-4)
        expected = one.signals(job.data, LATER)
        np.testing.assert_allclose(other.signals(job.data, LATER), expected, rtol=1e-3, atol=1e-4 * expected.std())


@pytest.mark.parametrize(
    ("first", "second"),
    [("dense", "conv3"), ("conv5", "separable3"), ("separable5", "dilated3"), ("residual", "gated")],
)
def test_every_op_as_a_stack(first, second):
    a = architecture(depth=2, layer0__op=first, layer1__op=second, layer0__width=8, layer1__norm="layer")
    wanted = jobs(market(), market(seed=5))
    assert_same(*both(a, wanted), wanted)


@pytest.mark.skipif(not available(), reason="no C compiler")
def test_compiled_networks_are_the_same_to_the_last_bit():
    """Each goes through the same loops alone and in company: one more, or one that learns longer, changes nothing."""
    a = architecture(
        depth=2, layer0__op="conv3", layer1__op="gated", layer0__norm="layer", layer0__dropout=0.3, input__lookback=20
    )
    wanted = jobs(market(strength=0.9), market(seed=5, planted="noise"))
    alone, together = both(a, wanted, replace(TRAINING, epochs=8))
    assert len({len(one.history) for one in alone}) > 1  # some stop sooner than others
    for one, other in zip(alone, together, strict=True):
        assert all(torch.equal(t, other.network.state_dict()[n]) for n, t in one.network.state_dict().items())
        assert other.history == one.history


def test_without_compiled_code():
    a = architecture(depth=2, layer0__op="conv3", layer1__op="gated", layer0__width=8, layer0__dropout=0.3)
    wanted = jobs(market(), market(seed=5))
    with off():
        assert_same(*both(a, wanted), wanted)


@pytest.mark.parametrize("norm", ["layer", "batch"])
def test_panels_as_a_stack(norm, monkeypatch):
    """Every market's rows are the batch; folds of unequal length, weights of rows, dropout of whole channels."""
    monkeypatch.setattr("tradenas.train.stacked._alone", None)  # they are not trained one by one
    a = architecture(depth=2, layer0__op="conv3", layer0__norm=norm, layer0__dropout=0.3, layer1__op="dense")
    one, other = panel(0, 5), panel(1, 2)
    weight_T = np.linspace(0.5, 1.5, 900)
    wanted = [
        Job(data=one, train=Span(0, 700), seed=0),
        Job(data=one, train=Span(0, 600), seed=1, weight_T=weight_T),
        Job(data=other, train=Span(10, 555), seed=1),
    ]
    alone, stacked = both(a, wanted)
    assert_same(alone, stacked, wanted)
    assert stacked[0].signals(one, LATER).shape == (2, 90)


def test_folds_of_one_market_read_one_table_of_features(monkeypatch):
    """Labels of their own, as folds have that must not know each other's answers; features are not copied."""
    tables = []
    real = stacking.gather

    def watched(x_TF, *rest, **more):
        tables.append(x_TF.data_ptr())
        return real(x_TF, *rest, **more)

    monkeypatch.setattr(stacking, "gather", watched)
    a = architecture(depth=2, layer0__op="conv3", layer1__op="dense")
    for data in (market(), panel(0, 5)):
        wanted = [
            Job(data=taught(data, spans), train=Span(0, 700), seed=seed)
            for seed, spans in enumerate([[Span(0, 300), Span(400, 700)], [Span(100, 700)], [Span(0, 600)]])
        ]
        tables.clear()
        assert_same(*both(a, wanted), wanted)
        assert set(tables) == {features_of(data).ctypes.data}


def test_large_stacks_convolve_by_shifted_products(monkeypatch):
    monkeypatch.setattr("tradenas.nn.elastic.MANY", 1)
    a = architecture(depth=2, layer0__op="dilated3", layer1__op="conv5", layer0__width=8)
    wanted = jobs(market(), market(seed=5))
    assert_same(*both(a, wanted), wanted)


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
def test_norms_dropout_and_a_long_lookback(norm):
    a = architecture(
        depth=2, layer0__op="conv3", layer1__op="skip", layer0__norm=norm, layer0__dropout=0.3, input__lookback=20,
        input__transform="rank",
    )  # fmt: skip
    wanted = jobs(market(strength=0.9), market(seed=5, planted="noise"))
    alone, stacked = both(a, wanted, replace(TRAINING, lr=4e-3))
    assert_same(alone, stacked, wanted)
    if norm == "none":
        assert len({len(one.history) for one in alone}) > 1  # some stop sooner than others


def test_without_rows_held_out():
    a = architecture(layer0__op="dense", layer0__norm="batch")
    wanted = jobs(market(), market(seed=5))
    assert_same(*both(a, wanted, replace(TRAINING, holdout=0.0, epochs=2)), wanted)


def test_logits_gaps_and_weights_of_rows():
    data = market(kind="binary", gaps=(200, 431))
    wanted = jobs(data, market(seed=5, kind="binary"))
    wanted[1] = replace(wanted[1], weight_T=np.linspace(0.0, 2.0, 900))
    a = architecture(layer0__op="gated")
    assert_same(*both(a, wanted, replace(TRAINING, epochs=2)), wanted)


def test_one_that_diverges_leaves_the_others_alone():
    wild = market(seed=9)
    x_TF = wild.x_TF.copy()
    x_TF[:] = 3e38
    wanted = jobs(market(), market(seed=5))
    wanted.insert(1, Job(data=replace(wild, x_TF=x_TF), train=Span(0, 700), seed=0))
    a = architecture(layer0__op="residual")
    template = Network(SPACE, Layout(groups=("returns",) * 3, transforms=("raw", "rank")))
    with pytest.raises(DivergedError):
        fit(template, a, wanted[1].data, wanted[1].train, training=TRAINING, seed=0)
    stacked = fit_stacked(template, a, wanted, training=TRAINING)
    assert isinstance(stacked[1], DivergedError)
    calm = [job for i, job in enumerate(wanted) if i != 1]
    alone = [fit(template, a, job.data, job.train, training=TRAINING, seed=job.seed) for job in calm]
    assert_same(alone, [one for i, one in enumerate(stacked) if i != 1], calm)


def test_cells_as_a_stack():
    space = Cell(cells=(2,), nodes=2, widths=(4,), ops=("skip", "dense", "conv3", "ema4"), norms=("layer",),
                 dropouts=(0.3,), lookbacks=(3,)).space()  # fmt: skip
    a = space.sample(np.random.default_rng(0))
    assert len({picked for name, picked in a.items() if name.endswith("/op")}) > 2
    one, other = (make_dataset(rows=900, features=3, transforms=("zscore",), planted="feature", seed=n) for n in (0, 5))
    wanted = jobs(one, other)
    template = Network(space, Layout(groups=("returns",) * 3, transforms=("zscore",)))
    alone = [fit(template, a, job.data, job.train, training=TRAINING, seed=job.seed) for job in wanted]
    assert_same(alone, fit_stacked(template, a, wanted, training=TRAINING), wanted)


def test_networks_that_are_mostly_products_have_a_core_each():
    def wide(width, batch):
        return pays({"layer0/op": "conv3", "layer0/width": 8, "layer1/op": "dense", "layer1/width": width}, batch=batch)

    assert [wide(width, 1024) for width in (16, 32, 64)] == [True, True, False]
    assert wide(64, 256)
    assert not wide(32, 4096)
    assert pays({"cell/width": 16, "cell/edge0-2/op": "conv3"}, batch=1024)
    assert not pays({"cell/width": 64, "cell/edge0-2/op": "conv3"}, batch=1024)
    assert not pays({"cell/width": 16, "cell/edge0-2/op": "gru"}, batch=1024)
    assert not pays({"layer0/width": 8, "layer0/op": "market"}, batch=1024)


def test_recurrent_ops_go_one_by_one():
    a = architecture(layer0__op="gru")
    wanted = jobs(market(), market(seed=5))[::2]
    alone, stacked = both(a, wanted, replace(TRAINING, epochs=1))
    for one, other in zip(alone, stacked, strict=True):
        assert all(torch.equal(t, other.network.state_dict()[n]) for n, t in one.network.state_dict().items())


def test_jobs_of_two_kinds_are_refused():
    template = Network(SPACE, Layout(groups=("returns",) * 3, transforms=("raw", "rank")))
    mixed = jobs(market(), market(kind="binary"))
    with pytest.raises(ConfigError, match="2 kinds"):
        fit_stacked(template, architecture(), mixed, training=TRAINING)


@pytest.mark.parametrize("lags", [1, 2, 20, 60])
@pytest.mark.parametrize("rows", [1, 17, 90])
def test_filter_bank_is_a_convolution(lags, rows):
    generator = torch.Generator().manual_seed(0)
    x_BTF = torch.randn(2, rows, 3, generator=generator, dtype=torch.float64)
    taps_FL = torch.randn(3, lags, generator=generator, dtype=torch.float64, requires_grad=True)
    padded_BFT = F.pad(x_BTF, (0, 0, lags - 1, 0)).transpose(1, 2)
    expected = F.conv1d(padded_BFT, taps_FL.flip(1)[:, None], groups=3).transpose(1, 2)
    found = filter_bank(x_BTF, taps_FL)
    torch.testing.assert_close(found, expected)
    weight = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    gradients = [torch.autograd.grad((y * weight).sum(), taps_FL)[0] for y in (found, expected)]
    torch.testing.assert_close(*gradients)
    stacked = filter_bank(torch.stack([x_BTF, -x_BTF]), torch.stack([taps_FL, 2 * taps_FL]))
    torch.testing.assert_close(stacked, torch.stack([expected, -2 * expected]))
