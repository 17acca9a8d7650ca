"""One pass over a series says what one window at a time says, for every op, norm and chunk size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tradenas.nn import EVAL, Layout, Mode, Network, hard
from tradenas.seeds import rng_for
from tradenas.space import CHAIN_OPS, Chain
from tradenas.splits import Span
from tradenas.train.backtest import Costs, Rule
from tradenas.train.evaluate import Evaluator
from tradenas.train.stream import measure, stream
from train.datasets import make_dataset

ROWS = 400
DATA = replace(
    make_dataset(rows=ROWS, features=3, transforms=("raw", "zscore"), gaps=(170,), planted="feature"),
    groups=("test", "test", "other"),
)
SPACE = Chain(
    depths=(1, 2, 3), widths=(4, 8), ops=CHAIN_OPS, norms=("none", "layer", "batch"), dropouts=(0.0, 0.2),
    lookbacks=(5, 20), transforms=("raw", "zscore"), groups=("test",),
).space()  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def network():
    made = Network(SPACE, Layout(groups=DATA.groups, transforms=DATA.transforms), seed=2)
    with torch.no_grad():  # open the input filters, which start closed, or streaming them would prove nothing
        made.inputs.taps.normal_(generator=torch.Generator().manual_seed(0), std=0.3)
    return made.eval()


def samples(count, name):
    rng = rng_for(9, name)
    return [SPACE.sample(rng) for _ in range(count)]


def window_by_window(network, x_TF, mixture, span, *, reach, mode):
    """The definition: each row from a window of exactly `reach` rows, by itself."""
    windows = torch.stack([x_TF[t - reach + 1 : t + 1] for t in range(span.start, span.stop)])
    with torch.inference_mode():
        return network(windows, mixture, mode)[:, -1].numpy()


def by_every_op():
    """Architectures that hold each op at least once in a first and in a later layer, and random ones."""
    found = []
    first = SPACE["layer0/op"].options
    for i, op in enumerate(CHAIN_OPS):
        for norm in ("none", "batch"):
            want = {"depth": 2, "layer0/op": first[i % len(first)], "layer1/op": op, "layer0/norm": norm}
            found.append(SPACE.walk(lambda c, want=want: want.get(c.name, c.options[-1])))
    return found + samples(30, "stream")


@pytest.mark.parametrize("architecture", by_every_op(), ids=lambda a: a.digest)
def test_streaming_equals_one_window_at_a_time(network, architecture):
    mixture, reach = hard(SPACE, architecture), network.reach(architecture)
    x_TF = torch.from_numpy(DATA.x_TF)
    moments = measure(network, x_TF, mixture, Span(100, 250), reach=reach)
    assert bool(moments) == ("batch" in architecture.values())
    mode = Mode(moments=moments) if moments else EVAL
    span = Span(max(260, reach), 330)
    want = window_by_window(network, x_TF, mixture, span, reach=reach, mode=mode)
    recurrent = {"gru", "lstm"} & {str(v) for v in architecture.values()}
    for chunk in (1, 7, 4096):
        got = stream(network, x_TF, mixture, span, reach=reach, moments=moments or None, chunk=chunk)
        assert got.shape == (len(span),)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6, err_msg=f"chunk {chunk}, {recurrent or 'forward'}")


def test_a_reach_that_is_too_short_shows(network):
    """The test above can fail: windows one row short give other numbers."""
    architecture = SPACE.walk(lambda c: {"depth": 1, "layer0/op": "conv5"}.get(c.name, c.options[-1]))
    mixture, reach = hard(SPACE, architecture), network.reach(architecture)
    x_TF = torch.from_numpy(DATA.x_TF)
    moments = measure(network, x_TF, mixture, Span(100, 250), reach=reach)
    span = Span(260, 330)
    got = stream(network, x_TF, mixture, span, reach=reach, moments=moments)
    short = window_by_window(network, x_TF, mixture, span, reach=reach - 1, mode=Mode(moments=moments))
    assert np.abs(got - short).max() > 1e-4


def test_rows_at_the_start_of_the_series_are_there_but_are_not_usable(network):
    architecture = samples(1, "start")[0]
    mixture, reach = hard(SPACE, architecture), network.reach(architecture)
    x_TF = torch.from_numpy(DATA.x_TF)
    moments = measure(network, x_TF, mixture, Span(0, 250), reach=reach) or None
    whole = stream(network, x_TF, mixture, Span(0, 120), reach=reach, moments=moments)
    later = stream(network, x_TF, mixture, Span(reach, 120), reach=reach, moments=moments, chunk=11)
    assert len(whole) == 120
    assert np.isfinite(whole).all()
    np.testing.assert_allclose(whole[reach:], later, rtol=2e-5, atol=2e-6)
    assert not DATA.usable(reach)[: reach - 1].any()


def test_moments_are_those_of_the_span_and_history_does_not_count(network):
    architecture = SPACE.walk(
        lambda c: {"depth": 1, "layer0/op": "dense", "layer0/norm": "batch"}.get(c.name, c.options[-1])
    )
    mixture, reach = hard(SPACE, architecture), network.reach(architecture)
    x_TF = torch.from_numpy(DATA.x_TF)
    found = measure(network, x_TF, mixture, Span(100, 250), reach=reach)
    with torch.inference_mode():
        inputs = network.inputs(x_TF[None, 100 - reach + 1 : 250], mixture)
        y = network.layers[0].ops["dense"](inputs, 8)[0, reach - 1 :]
    ((mean, variance),) = found.values()
    torch.testing.assert_close(mean, y.mean(0))
    torch.testing.assert_close(variance, y.var(0, unbiased=False))
    future = x_TF.clone()
    future[250:] = 99.0
    ((again, _),) = measure(network, future, mixture, Span(100, 250), reach=reach).values()
    assert torch.equal(again, mean)


def test_moments_of_one_candidate_do_not_depend_on_those_before(network):
    evaluator = Evaluator(data=DATA, train=Span(0, 250), valid=Span(280, 398), rule=Rule(), costs=Costs())
    some = samples(12, "order")
    forward = evaluator.score_paths(network, some)
    backward = evaluator.score_paths(network, some[::-1])[::-1]
    assert forward == backward
    assert len({scores["loss"] for scores in forward}) > 6


def test_scores_of_a_path_are_those_of_its_windows(network):
    """The evaluator's streamed scores against scores of signals made window by window."""
    evaluator = Evaluator(data=DATA, train=Span(0, 250), valid=Span(280, 398), rule=Rule(band=0.5), costs=Costs())
    x_TF = torch.from_numpy(DATA.x_TF)
    for architecture in samples(6, "scores"):
        mixture, reach = hard(SPACE, architecture), network.reach(architecture)
        calibration = Span(max(0, reach), 250)
        moments = measure(network, x_TF, mixture, Span(0, 250), reach=reach)
        mode = Mode(moments=moments) if moments else EVAL
        outputs = [
            window_by_window(network, x_TF, mixture, s, reach=reach, mode=mode) for s in (calibration, Span(280, 398))
        ]
        known, signal = (
            evaluator.objective.signal(o.astype(float), DATA, s)
            for o, s in zip(outputs, (calibration, Span(280, 398)), strict=True)
        )
        usable = DATA.usable(reach)
        want = evaluator.trade(signal, float(np.abs(known[usable[calibration.slice]]).mean()), usable[280:398])
        (got,) = evaluator.score_paths(network, [architecture])
        assert set(got) - {"loss"} == {k for k, v in want.items() if np.isfinite(v)}
        for name, value in ((k, v) for k, v in want.items() if k in got):
            assert got[name] == pytest.approx(value, rel=1e-3, abs=1e-6), name


def test_an_evaluator_may_be_asked_for_longer_memories_later(network):
    """Its rows are kept from candidate to candidate; one that reads further back gets more of them."""
    data = replace(DATA)
    common = {"depth": 1, "layer0/op": "dense", "layer0/norm": "none", "layer0/activation": "tanh"}
    short, long = (
        SPACE.walk(lambda c, n=n: {**common, "input/lookback": n}.get(c.name, c.options[-1])) for n in (5, 20)
    )

    def evaluator():
        return Evaluator(
            data=data, train=Span(100, 250), valid=Span(280, 398), rule=Rule(), costs=Costs(), calibration=50
        )

    kept = evaluator()
    sizes = [kept.signals(network, a)[1] for a in (short, long, short)]
    assert sizes[1] == pytest.approx(evaluator().signals(network, long)[1], rel=1e-9)
    assert sizes[0] == pytest.approx(sizes[2], rel=1e-6)
    assert sizes[0] != sizes[1]


def test_paths_scored_together_share_their_filters_and_say_what_each_says_alone(network, monkeypatch):
    one = Evaluator(data=DATA, train=Span(60, 200), valid=Span(220, 390), rule=Rule(), costs=Costs(), calibration=50)
    some = [a for a in samples(30, "together") if "batch" not in a.values()]
    alone = [one.scores_of(one.hear(network, hard(SPACE, a), reach=network.reach(a))) for a in some]
    ran, filtered = [], type(network.inputs).filtered

    def counted(self, *given, **named):
        ran.append(given)
        return filtered(self, *given, **named)

    monkeypatch.setattr(type(network.inputs), "filtered", counted)
    together = one.score_paths(network, some)
    assert len({a["input/group/test"] for a in some}) == 2
    assert len(ran) == len({(a["input/transform"], a["input/lookback"]) for a in some}) == 4
    for a, b in zip(alone, together, strict=True):
        assert a.keys() == b.keys()
        assert all(a[k] == pytest.approx(b[k], rel=1e-4, abs=1e-5) for k in ("loss", "ic", "rank_ic"))
