"""A static step of a search on cells: the same numbers through buffers, and nothing that a capture forbids."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from search.worlds import QUICK, market, task
from tradenas.nn import Layout, Network, native
from tradenas.search.base import METHODS
from tradenas.search.methods.fairdarts import FairDARTS
from tradenas.search.parts import captured as module
from tradenas.search.parts.bilevel import first_order, network_loss
from tradenas.search.parts.captured import Captured
from tradenas.search.parts.differentiable import Differentiable
from tradenas.search.parts.relaxation import alphas_for, softmax
from tradenas.space import Cell
from tradenas.train.loss import Objective
from tradenas.train.segments import Batch

torch.set_num_threads(1)
OPS = ("zero", "skip", "dense", "conv3", "ema12", "max5")
CELLS = {
    follow: Cell(
        nodes=2, ops=OPS, cells=(2,), widths=(4,), lookbacks=(5,), transforms=("raw",), norms=(norm,), follow=follow
    )
    for follow, norm in (("sum", "layer"), ("each", "batch"))
}
OBJECTIVE = Objective(kind="regression")
DATA = market(rows=1200)


def batch_of(network, segments=3, seed=0, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    x_BTF = torch.randn(segments, network.reach() + 15, 2, generator=generator)
    y_BS = torch.randn(segments, 16, generator=generator)
    return Batch(*(t.to(device) for t in (x_BTF, y_BS, torch.ones_like(y_BS))))


def world(follow="sum", device="cpu"):
    space = CELLS[follow].space()
    network = Network(space, Layout(groups=("returns", "trend"), transforms=("raw",)), seed=1).to(device)
    learnt = [c for c in space.choices if c.take == 1 and len(c.options) > 1]
    alphas = {n: a.to(device).requires_grad_() for n, a in alphas_for(learnt, seed=1, scale=1.0).items()}
    ways = {c.name: torch.ones(len(c.options)) for c in space.choices if c.take > 1}
    return network, alphas, lambda a: {**ways, **softmax(a)}


def constants(step):
    """Of merged kernels, where they were moved to."""
    layers = [m for m in step.network.modules() if getattr(m, "merge", None) is not None]
    return {(n, key): id(made) for n, layer in enumerate(layers) for key, made in layer.merge.moved.items()}


def step_of(follow, of, device="cpu"):
    network, alphas, relax = world(follow, device)
    return Captured(network, OBJECTIVE, relax, alphas, of=of)


@pytest.mark.parametrize("follow", CELLS)
def test_batch_after_batch_through_the_same_buffers(follow):
    """Of full batches and of a shorter one: what `first_order` says, and what going backward leaves on the weights."""
    network, alphas, relax = world(follow)
    one, two = (Captured(network, OBJECTIVE, relax, alphas, of=of) for of in ("alphas", "weights"))
    weights = dict(network.named_parameters())
    for seed, segments in ((0, 3), (1, 3), (2, 2), (3, 3)):
        batch = batch_of(network, segments, seed)
        want = first_order(network_loss(network, batch, OBJECTIVE, relax, seed=0), weights, alphas)
        found = one.hypergradient(batch)
        assert found.valid == want.valid
        assert all(torch.equal(found.total()[n], g) for n, g in want.total().items())
        loss = two.differentiate(batch)
        left = {n: w.grad for n, w in weights.items()}
        network.zero_grad()
        still = {n: a.detach() for n, a in alphas.items()}
        again = network_loss(network, batch, OBJECTIVE, relax, seed=0)(weights, still)
        again.backward()
        assert torch.equal(loss, again.detach())
        for name, weight in weights.items():
            assert (left[name] is None) == (weight.grad is None)
            assert weight.grad is None or torch.equal(left[name], weight.grad)
            weight.grad = None
        assert len(one.buffers.x_BTF) == 3


@pytest.mark.parametrize("of", ["weights", "alphas"])
@pytest.mark.parametrize("follow", CELLS)
def test_no_number_is_looked_at(follow, of):
    """Tensors without data take the whole pass: what asks for a value of theirs, or mixes them with others, fails."""
    step = step_of(follow, of, "meta")
    loss, *gradients = step.run(batch_of(step.network, device="meta"))
    assert loss.device.type == "meta"
    assert any(g is not None for g in gradients)
    moved = constants(step)
    step.run(batch_of(step.network, device="meta"))
    assert constants(step) == moved  # a capture does not wait for copies from the host
    assert bool(moved) == (follow == "sum")
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        step.network.stack.live(step.relax(step.alphas))


@pytest.mark.parametrize("follow", CELLS)
@pytest.mark.parametrize("kind", ["darts", "dartsplus"])
def test_a_search_is_the_same(kind, follow, monkeypatch):
    """Weights, their moments and alphas after two epochs, to the bit."""
    found, copies, own = [], [], Captured.__call__
    for static in (False, True):
        monkeypatch.setattr(Differentiable, "static", lambda *_, static=static: static)
        monkeypatch.setattr(Captured, "__call__", lambda self, batch: (copies.append(self.of), own(self, batch))[1])
        one = task(data=DATA, choices=CELLS[follow].space())
        training = replace(QUICK, epochs=2, segment=64, batch=256)
        made = METHODS[kind](training=training, num_ranked=4, eigenvalue_every=0)
        state = made.init(one)
        logs = [made.epoch(one, state, epoch) for epoch in range(2)]
        found.append((state.tensors(), logs))
        if not static:
            assert copies == []
    assert copies.count("weights") == copies.count("alphas") > 2
    for name, tensor in found[0][0].items():
        assert torch.equal(tensor, found[1][0][name]), name
    assert found[0][1] == found[1][1]


def test_which_steps_are_static(monkeypatch):
    """On a GPU, of cells, where nothing is drawn and no weight can be 0."""

    def static(kind="darts", device="cuda", **changes):
        one = task(data=DATA, choices=replace(CELLS["sum"], **changes).space())
        return METHODS[kind](training=QUICK).static(replace(one, device=torch.device(device)), one.space)

    assert static()
    assert not static(device="cpu")
    assert not static("gdas")
    assert not static("fairdarts")
    assert not static("pcdarts")
    assert not static(dropouts=(0.1,))
    assert FairDARTS.relax is not Differentiable.relax


def test_where_a_capture_fails_the_step_runs(monkeypatch, caplog):
    """As here, where there is no GPU to capture on."""
    step = step_of("sum", "alphas")
    batch = batch_of(step.network)
    want = step.hypergradient(batch)
    other = step_of("sum", "alphas")
    if torch.cuda.is_available():
        monkeypatch.setattr(module.torch.cuda, "Stream", lambda: (_ for _ in ()).throw(RuntimeError("no stream")))
    other._capture(batch)
    assert "cannot be captured" in caplog.text
    assert other.graph is None
    found = other.hypergradient(batch)
    assert found.valid == want.valid


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device: install a CUDA build of torch")
@pytest.mark.parametrize("of", ["weights", "alphas"])
@pytest.mark.parametrize("follow", CELLS)
def test_a_graph_is_the_step_that_it_was_captured_from(follow, of):
    """Played back with other batches, and after weights and alphas have moved."""
    step = step_of(follow, of, "cuda")
    for seed in range(4):
        batch = batch_of(step.network, seed=seed, device="cuda")
        found = [None if t is None else t.clone() for t in step(batch)]
        assert step.graph is not None
        with native.off():
            want = step.run(batch)
        for a, b in zip(found, want, strict=True):
            assert (a is None) == (b is None)
            if b is not None:
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
        with torch.no_grad():
            for tensor in (*step.weights.values(), *step.alphas.values()):
                tensor.mul_(0.9)
