"""A training in bf16: other digits of the same weights, and a network that speaks float32."""

from __future__ import annotations

import pytest
import torch

from tradenas.nn import Layout, Network
from tradenas.nn.half import HalfTable
from tradenas.space import Chain
from tradenas.splits import Span
from tradenas.train.fit import fit
from tradenas.train.loop import Training
from tradenas.train.stacked import Job, fit_stacked
from train.datasets import make_dataset

SPACE = Chain(
    depths=(2,), widths=(16,), ops=("conv3",), norms=("none",), activations=("relu",), dropouts=(0.0,), lookbacks=(5,),
    transforms=("raw",),
).space()  # fmt: skip
TRAIN, LATER = Span(0, 1200), Span(1250, 1400)
PLAIN = Training(epochs=2, segment=32, batch=128, patience=0)
HALF = Training(epochs=2, segment=32, batch=128, patience=0, bf16=True)


@pytest.fixture(autouse=True)
def table(monkeypatch):
    torch.set_num_threads(1)
    made = HalfTable(gains={("conv3", 1, 1): 2.0}, machine={})
    monkeypatch.setattr("tradenas.train.fit.half_table", lambda threads: made)


def parts():
    data = make_dataset(rows=1500, features=3)
    return Network(SPACE, Layout(groups=data.groups, transforms=data.transforms)), SPACE.smallest(), data


def test_the_same_training_in_other_digits():
    template, a, data = parts()
    plain, rough = (fit(template, a, data, TRAIN, training=t, seed=0) for t in (PLAIN, HALF))
    losses = [[log["valid_loss"] for log in one.history] for one in (plain, rough)]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_what_was_learnt_speaks_in_float32():
    template, a, data = parts()
    fitted = fit(template, a, data, TRAIN, training=HALF, seed=0)
    again = template.standalone(a, seed=5)
    again.load_state_dict(fitted.network.state_dict())
    x_BTF = torch.from_numpy(data.x_TF[None, :200].copy())
    for mode in (True, False):
        assert torch.equal(fitted.network.train(mode)(x_BTF), again.train(mode)(x_BTF))


def test_stacks_train_in_bf16_one_by_one():
    template, a, data = parts()
    jobs = [Job(data=data, train=TRAIN, seed=seed) for seed in (0, 1)]
    together = fit_stacked(template, a, jobs, training=HALF)
    for job, one in zip(jobs, together, strict=True):
        alone = fit(template, a, data, TRAIN, training=HALF, seed=job.seed)
        assert (one.signals(data, LATER) == alone.signals(data, LATER)).all()
