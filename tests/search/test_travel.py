"""How far Adam can carry a weight: its bound against a real optimiser, and the warning where that is too short."""

from __future__ import annotations

import pytest
import torch

from tradenas.nn import Layout, Network
from tradenas.search.parts.travel import check_travel, travel, travels
from tradenas.space import Chain
from tradenas.train.loop import Optimisation, optimizer_for


def supernet(**changes):
    settings = {"depths": (1, 2), "ops": ("skip", "dense", "conv3"), "widths": (4, 8), "activations": ("relu",),
                "norms": ("none",), "dropouts": (0.0,), "lookbacks": (5,)}  # fmt: skip
    space = Chain(**{**settings, **changes}).space()
    return space, Network(space, Layout(groups=("returns",) * 3, transforms=("zscore",)), seed=0)


@pytest.mark.parametrize("steps", [1, 7, 60])
def test_no_weight_of_a_real_optimiser_goes_farther(steps):
    """Constant gradients push one way in every step: the most there is, and the bound is met but not passed."""
    _, network = supernet()
    training = Optimisation(lr=1e-2, weight_decay=0.0)
    optimizer, before = optimizer_for(network, training), [p.detach().clone() for p in network.parameters()]
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = training.lr_at(step, steps)
        for p in network.parameters():
            p.grad = torch.ones_like(p)
        optimizer.step()
    moved = max(float((p.detach() - b).abs().max()) for p, b in zip(network.parameters(), before, strict=True))
    assert moved <= travel(training, steps) * (1 + 1e-4)
    assert moved >= 0.98 * travel(training, steps)


def test_each_part_gets_its_share_of_the_steps():
    space, network = supernet()
    training = Optimisation(lr=1e-3)
    found = {t.part: t for t in travels(space, network, training, 1000)}
    assert set(found) == {"layer0/op = dense", "layer0/op = conv3", "layer1/op = dense", "layer1/op = conv3",
                          "depth = 1", "depth = 2"}  # a skip has no weights  # fmt: skip
    assert found["layer0/op = dense"].updates == pytest.approx(500)
    assert found["layer1/op = conv3"].updates == pytest.approx(1000 / 6)
    whole = travel(training, 1000)
    assert found["layer1/op = conv3"].reach == pytest.approx(whole / 6)
    dense = network.layers[1].ops["dense"].linear.weight
    assert found["layer1/op = dense"].spread == pytest.approx(float(dense.detach().abs().max()))
    assert found["layer1/op = dense"].needed == pytest.approx(float(dense.detach().std()) / 8**0.5, rel=0.05)


def test_the_warning_comes_with_too_little_training_and_goes_with_enough():
    space, network = supernet()
    said = check_travel(space, network, Optimisation(lr=1e-3), 100)
    assert len(said) == 1
    assert "layer1/op" in said[0]
    assert "17 expected updates" in said[0]
    assert check_travel(space, network, Optimisation(lr=1e-3), 20_000) == []
    assert check_travel(space, network, Optimisation(lr=2e-1), 100) == []


def test_what_it_warns_of_is_so():
    """A part called stuck keeps the output that chance gave it, however the optimiser pushes; others do not."""
    space, network = supernet()
    for steps, stuck in ((100, True), (20_000, False)):
        part = next(t for t in travels(space, network, Optimisation(lr=1e-3), steps) if t.part == "layer1/op = dense")
        assert part.stuck is stuck
        weight = network.layers[1].ops["dense"].linear.weight.detach()
        x = torch.randn(4096, 8, generator=torch.Generator().manual_seed(1)).sign()
        start, pushed = (x @ weight.T).square().mean().sqrt(), x.abs() @ torch.full((8,), part.reach)
        assert bool(pushed.mean() < start) is stuck
