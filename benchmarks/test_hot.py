"""Hot paths under pytest-benchmark, to be held against earlier runs of the same machine.

    pytest benchmarks/test_hot.py -m bench --benchmark-enable --benchmark-autosave
    pytest benchmarks/test_hot.py -m bench --benchmark-enable --benchmark-compare

Each checks what it ran, so that a fast wrong answer does not count.  `make test` leaves them out.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # benchmarks are scripts that import each other

from speed.rank import SPACE
from speed.step import Step, network_of
from speed.world import LAYOUT, market

from tradenas.data.synthetic import planted
from tradenas.features import build_table
from tradenas.nn import Network, hard
from tradenas.seeds import rng_for
from tradenas.splits import Span
from tradenas.train.backtest import Costs, Rule
from tradenas.train.evaluate import Evaluator
from tradenas.train.loop import Training
from tradenas.train.loss import Objective
from tradenas.train.segments import Segments
from tradenas.train.stacked import Job, fit_stacked
from tradenas.train.stream import stream

pytestmark = [pytest.mark.bench, pytest.mark.slow]
ROWS = 8_192


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data():
    return market(4 * ROWS)


def test_one_pass_over_a_series(benchmark):
    network, x_TF = Network(SPACE, LAYOUT).eval(), torch.randn(ROWS + 64, len(LAYOUT.groups))
    path = hard(SPACE, SPACE.sample(rng_for(0, "hot")))
    out = benchmark(lambda: stream(network, x_TF, path, Span(64, 64 + ROWS), reach=64))
    assert out.shape == (ROWS,)
    assert np.isfinite(out).all()


def test_twenty_subnets_scored(benchmark, data):
    evaluator = Evaluator(
        data=data, train=Span(0, 3 * ROWS), valid=Span(3 * ROWS + 100, len(data)), rule=Rule(), costs=Costs()
    )
    network, rng = Network(SPACE, LAYOUT), rng_for(1, "hot")
    subnets = [SPACE.sample(rng) for _ in range(20)]
    scores = benchmark(lambda: evaluator.score_paths(network, subnets))
    assert len({s["loss"] for s in scores}) == 20


@pytest.mark.parametrize("width", [16, 64])
def test_supernet_step(benchmark, width):
    network = network_of(width)
    step = Step(network, length=64, segments=16)
    before = network.inputs.taps.detach().clone()
    benchmark(step.of(network.space.sample(rng_for(2, "hot"))))
    assert not torch.equal(before, network.inputs.taps)


def test_nine_networks_for_an_epoch(benchmark, data):
    space = SPACE.fix(SPACE.smallest())
    template, training = Network(space, LAYOUT), Training(epochs=1, batch=512, holdout=0.0, patience=0)
    jobs = [Job(data=data, train=Span(200, 5_000), seed=n) for n in range(9)]
    fitted = benchmark(lambda: fit_stacked(template, space.smallest(), jobs, training=training))
    assert len({f.history[0]["loss"] for f in fitted}) == 9


def test_features_of_a_hundred_thousand_rows(benchmark):
    candles = planted("volume", bars=100_000, strength=0.15, seed=0).candles
    table = benchmark(lambda: build_table(candles))
    assert table.ready_T.sum() == len(candles) - table.warmup


def test_batches_of_segments(benchmark, data):
    span = Span(200, 3 * ROWS)
    segments = Segments(data, span, reach=64, length=64, objective=Objective.fitted(data, span))
    rows = benchmark(lambda: sum(len(b.y_BS) for b in segments.epoch(rng_for(0, "hot"), targets=1024)))
    assert rows >= (len(span) - 64) // 64


def test_batches_of_windows(benchmark, data):
    span = Span(200, 3 * ROWS)
    windows = Segments(data, span, reach=64, length=1, objective=Objective.fitted(data, span))

    def epoch():  # a batch is held until the next one is there, as in a training
        for batch in windows.epoch(rng_for(0, "hot"), targets=1024):
            last = batch
        return last

    assert benchmark(epoch).x_BTF.shape[1:] == (64, len(LAYOUT.groups))
