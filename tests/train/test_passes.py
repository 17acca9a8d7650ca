"""A step of several passes: gradients add up, a teacher teaches and is not taught, shares of a batch are disjoint."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import torch

from tradenas.nn import Layout, Network, hard, native
from tradenas.space import Chain
from tradenas.splits import Span
from tradenas.train import loop
from tradenas.train.loop import Optimisation, Pass, train_epoch
from tradenas.train.loss import Objective
from tradenas.train.segments import Segments
from train.datasets import make_dataset

DATA = make_dataset(rows=500, features=3, planted="feature")
SPACE = Chain(
    depths=(1,), widths=(4,), ops=("dense", "conv3", "gated"), norms=("none",), dropouts=(0.0, 0.3), lookbacks=(5,),
    transforms=("raw",),
).space()  # fmt: skip
TRAINING = Optimisation(epochs=1, segment=16, batch=64, clip=1e9, tap_l1=0.0)


def path(op, dropout=0.0):
    wanted = {"layer0/op": op, "layer0/dropout": dropout}
    return hard(SPACE, SPACE.walk(lambda c: wanted.get(c.name, c.options[0])))


def network_of(seed=0):
    torch.set_num_threads(1)
    return Network(SPACE, Layout(groups=DATA.groups, transforms=DATA.transforms), seed=seed)


class Noted(torch.optim.SGD):
    """Moves nothing; keeps the gradients it was asked to move by."""

    def __init__(self, network):
        super().__init__(network.parameters(), lr=0.0)
        self.names = [n for n, _ in network.named_parameters()]
        self.seen = []

    def step(self, closure=None):
        parameters = self.param_groups[0]["params"]
        self.seen.append({n: p.grad.clone() for n, p in zip(self.names, parameters, strict=True) if p.grad is not None})


def gradients(passes, *, teacher=None, network=None):
    """The gradients of the first step of an epoch."""
    network = network or network_of()
    objective = Objective.fitted(DATA, Span(0, 450))
    segments = Segments(DATA, Span(0, 450), reach=network.reach(), length=16, objective=objective)
    optimizer = Noted(network)
    log = train_epoch(
        network, optimizer, segments, objective, TRAINING, epoch=0, seed=1, stream="test", plan=lambda _: passes,
        teacher=teacher,
    )  # fmt: skip
    return optimizer.seen[0], log["loss"]


def passed(op, **settings):
    network = network_of()
    return Pass(mixture=path(op, settings.pop("rate", 0.0)), reach=network.reach(), **settings)


def test_the_gradient_of_a_step_is_the_sum_of_its_passes():
    each = [gradients([passed(op)])[0] for op in ("dense", "conv3", "gated")]
    together, _ = gradients([passed(op) for op in ("dense", "conv3", "gated")])
    assert set(together) == set().union(*each)
    for name, total in together.items():
        want = sum(g[name] for g in each if name in g)
        torch.testing.assert_close(total, want, rtol=1e-5, atol=1e-7)
    order, _ = gradients([passed(op) for op in ("gated", "dense", "conv3")])
    for name, total in together.items():
        torch.testing.assert_close(order[name], total, rtol=1e-5, atol=1e-7)


def test_the_log_is_the_mean_of_the_passes_losses():
    each = [gradients([passed(op)])[1] for op in ("dense", "gated")]
    assert gradients([passed("dense"), passed("gated")])[1] == pytest.approx(np.mean(each), rel=1e-6)


def test_the_first_pass_teaches_and_gets_no_gradient_from_it():
    """In-place distillation: a student of itself has nothing to learn, one of another path moves only itself."""
    alone, _ = gradients([passed("dense")])
    same, _ = gradients([passed("dense"), passed("dense", labels=0.0, teacher=1.0)])
    for name, gradient in alone.items():
        torch.testing.assert_close(same[name], gradient, rtol=1e-5, atol=1e-8)
    taught, _ = gradients([passed("dense"), passed("gated", labels=0.0, teacher=1.0)])
    assert any(".gated." in n for n in taught)
    for name, gradient in alone.items():
        if ".dense." in name:
            torch.testing.assert_close(taught[name], gradient, rtol=1e-5, atol=1e-8)


def test_a_frozen_teacher_teaches_all_passes_and_stays_as_it_is():
    teacher = network_of(seed=9).inherit(SPACE.fix(SPACE.smallest()))
    before = {n: p.detach().clone() for n, p in teacher.named_parameters()}
    learnt, _ = gradients([passed("dense", labels=0.0, teacher=1.0)], teacher=teacher)
    labelled, _ = gradients([passed("dense")])
    assert any(not torch.allclose(learnt[n], labelled[n]) for n in learnt)
    assert all(torch.equal(p, before[n]) and p.grad is None for n, p in teacher.named_parameters())
    doubled, _ = gradients([passed("dense", labels=0.0, teacher=2.0)], teacher=teacher)
    for name, gradient in learnt.items():
        torch.testing.assert_close(doubled[name], 2 * gradient, rtol=1e-5, atol=1e-8)


def test_dropout_is_left_out_where_a_pass_says_so():
    plain, _ = gradients([passed("dense")])
    without, _ = gradients([passed("dense", rate=0.3, dropout=False)])
    with_it, _ = gradients([passed("dense", rate=0.3)])
    assert all(torch.equal(without[n], g) for n, g in plain.items())
    assert any(not torch.equal(with_it[n], g) for n, g in plain.items())


@pytest.mark.parametrize(("num", "shares"), [(8, 3), (5, 5), (7, 2), (2, 4)])
def test_shares_cover_a_batch(num, shares):
    rows = [list(range(num))[loop._share(num, (i, shares))] for i in range(shares)]
    assert all(rows)
    assert sorted(set(chain(*rows))) == list(range(num))
    if num >= shares:
        assert sum(map(len, rows)) == num


def test_parts_of_a_batch_add_up_to_their_own_losses():
    parts, _ = gradients([passed("dense", part=(i, 4)) for i in range(4)])
    whole, _ = gradients([passed("dense")])
    for name, gradient in whole.items():  # four segments, all rows usable: the mean of their means is the whole's
        torch.testing.assert_close(parts[name] / 4, gradient, rtol=2e-2, atol=1e-4)


def test_distilling_a_probability():
    """Cross-entropy against the teacher's probability: no gradient where the student says the same."""
    objective = Objective(kind="binary")
    taught = torch.tensor([[0.3, -2.0]])
    student = taught.clone().requires_grad_()
    objective.loss(student, objective.taught(taught), torch.ones(1, 2)).backward()
    assert student.grad is not None
    assert float(student.grad.abs().max()) < 1e-7
    other = torch.zeros(1, 2, requires_grad=True)
    objective.loss(other, objective.taught(taught), torch.ones(1, 2)).backward()
    torch.testing.assert_close(other.grad, (torch.full((1, 2), 0.5) - torch.sigmoid(taught)) / 2)


@pytest.mark.parametrize("given", [True, False])
def test_compiled_steps_weigh_labels_and_teacher_as_pytorch_does(given):
    teacher = network_of(seed=7) if given else None
    steps = [
        passed("conv3", rate=0.3),
        passed("gated", labels=0.25, teacher=0.5, taught=path("dense") if given else None),
        passed("dense", labels=0.0, teacher=0.75, part=(1, 3), dropout=False, taught=path("gated") if given else None),
    ]
    told, loss = gradients(steps, teacher=teacher)
    with native.off():
        want, same = gradients(steps, teacher=teacher)
    assert loss == pytest.approx(same, rel=1e-5)
    assert told.keys() == want.keys()
    for name, gradient in want.items():
        torch.testing.assert_close(told[name], gradient, rtol=1e-4, atol=1e-6)


def test_labels_and_teacher_count_as_much_as_they_are_given():
    teacher = network_of(seed=7)

    def of(**shares):
        return gradients([passed("conv3", taught=path("dense"), **shares)], teacher=teacher)[0]

    labels, taught, both = of(labels=1.0), of(labels=0.0, teacher=1.0), of(labels=0.25, teacher=0.5)
    for name, gradient in both.items():
        torch.testing.assert_close(gradient, 0.25 * labels[name] + 0.5 * taught[name], rtol=1e-4, atol=1e-6)
