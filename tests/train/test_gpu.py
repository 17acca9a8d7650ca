"""What a GPU computes is what the CPU does, up to rounding.  `pytest -m gpu` on a machine with one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tradenas.nn import Layout, Network
from tradenas.space import Chain
from tradenas.splits import Span
from tradenas.train.backtest import Costs, Rule
from tradenas.train.evaluate import Evaluator
from tradenas.train.fit import fit
from tradenas.train.loop import Training
from tradenas.train.stacked import Job, fit_stacked
from train.datasets import make_dataset

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device: install a CUDA build of torch"),
]
SPACE = Chain(
    depths=(2,), ops=("dense", "conv3", "gated"), widths=(8,), norms=("layer",), dropouts=(0.0,), lookbacks=(5,),
    transforms=("raw", "rank"),
).space()  # fmt: skip
TRAINING = Training(epochs=3, segment=16, batch=128, patience=0)
TRAIN, VALID = Span(0, 600), Span(620, 890)


@pytest.fixture(scope="module")
def data():
    return make_dataset(rows=900, features=3, transforms=("raw", "rank"), planted="feature")


@pytest.fixture
def template(data):
    return Network(SPACE, Layout(groups=data.groups, transforms=data.transforms))


def test_a_training(data, template):
    one, two = (
        fit(template, SPACE.smallest(), data, TRAIN, training=TRAINING, seed=0, device=d) for d in ("cpu", "cuda")
    )
    for log, same in zip(one.history, two.history, strict=True):
        assert same == pytest.approx(log, rel=1e-2)


def test_a_stack(data, template):
    jobs = [Job(data=data, train=TRAIN, seed=n) for n in range(9)]
    one, two = (fit_stacked(template, SPACE.smallest(), jobs, training=TRAINING, device=d) for d in ("cpu", "cuda"))
    for a, b in zip(one, two, strict=True):
        assert b.history[-1] == pytest.approx(a.history[-1], rel=1e-2)


def test_scores(data, template):
    subnets = [SPACE.sample(np.random.default_rng(n)) for n in range(5)]
    both = []
    for device in ("cpu", "cuda"):
        evaluator = Evaluator(data=data, train=TRAIN, valid=VALID, rule=Rule(), costs=Costs(), device=device)
        both.append(evaluator.score_paths(template.to(device), subnets))
    for a, b in zip(*both, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-3)
